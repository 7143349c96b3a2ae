//! Finds references to tools, `$mcp(server#tool)`, and to agents, and checks that their targets exist.

mod action;
mod scope;
mod walk;

use std::collections::HashMap;
use std::ops::Range;

use schemas::ServerName;

use crate::diagnostic::{Code, Diagnostic, Location, nearest};
use crate::source::node::Node;
use crate::source::{File, parallel};
use crate::workflow::document::Item;
use crate::workflow::reference::scope::Scopes;
pub(crate) use crate::workflow::reference::walk::Step;
use crate::workflow::{Entry, Place};

/// Tool that an action or task names, as `$mcp(server#tool)`.
///
/// ```
/// use register_service::{Environment, Settings, ToolAddress, load};
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("agent.yaml");
/// # let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// std::fs::write(&file, concat!(
///     "id: a\ninstructions: look it up\n",
///     "mcps:\n  - {id: search, url: 'http://search.test/mcp', use_proxy: true}\n",
///     "actions:\n  - {id: x, tool: $mcp(search#web)}\n",
/// ))?;
/// let desired = load(&[file], &settings)?.desired;
/// for reference in desired.tools() {
///     // What a worker calls.
///     assert_eq!(reference.address().to_string(), "$mcp(search#web)");
///     assert_eq!(ToolAddress::from(reference), reference.address());
///     assert_eq!((reference.tool_at.line, reference.server_at.line), (6, 6));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ToolReference {
    /// Id of the server, as the engine names it.
    pub server: String,
    /// The server's name at the gateway; `None` if the engine reaches it without the gateway.
    pub upstream: Option<ServerName>,
    /// Name of the tool at its server.
    pub tool: String,
    /// Position of the server's id.
    pub server_at: Location,
    /// Position of the tool's name.
    pub tool_at: Location,
    /// The step that uses the tool, for its arguments.
    pub(crate) step: Step,
}

/// Parts of `$mcp(server#tool)` in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) server: Range<usize>,
    pub(crate) tool: Range<usize>,
}

/// Parses the value of `tool`. Returns `None` if it is not a reference to a server's tool, and an error if it is
/// malformed.
pub(crate) fn parse(text: &str) -> Option<Result<Parts, (&'static str, Option<String>)>> {
    let trimmed = text.trim();
    let start = text.len() - text.trim_start().len();
    let word = trimmed.split('(').next().unwrap_or_default();
    if word != "$mcp" {
        let near = ["$mcp", "mcp"].iter().any(|it| nearest(word, [*it]).is_some()) && trimmed.ends_with(')');
        let meant = format!("did you mean `$mcp{}`?", trimmed.get(word.len()..).unwrap_or_default());
        return near.then_some(Err(("this is no reference to a tool", Some(meant))));
    }
    let form = Some("a reference is `$mcp(server#tool)`; behind a space `#` would begin a comment".to_owned());
    let Some(inner) = trimmed.get(word.len()..).and_then(|it| it.strip_prefix('(')) else {
        return Some(Err(("`(` is missing behind `$mcp`", form)));
    };
    let Some((inner, rest)) = inner.split_once(')') else { return Some(Err(("`)` is missing", form))) };
    if !rest.is_empty() {
        return Some(Err(("something stands behind the `)`", form)));
    }
    let Some((server, tool)) = inner.split_once('#') else {
        return Some(Err(("`#` is missing between server and tool", form)));
    };
    let server_start = start + word.len() + 1;
    let trimmed_part = |part: &str, at: usize| {
        let from = at + (part.len() - part.trim_start().len());
        from..from + part.trim().len()
    };
    let parts =
        Parts { server: trimmed_part(server, server_start), tool: trimmed_part(tool, server_start + server.len() + 1) };
    match (parts.server.is_empty(), parts.tool.is_empty()) {
        (true, _) => Some(Err(("the server is missing before `#`", form))),
        (_, true) => Some(Err(("the tool is missing behind `#`", form))),
        _ => Some(Ok(parts)),
    }
}

/// Servers and agents that references may name, and the tasks that ask an agent for an action.
pub(super) struct Targets<'a> {
    scopes: Scopes<'a>,
    requests: Vec<action::Request<'a>>,
}

impl<'a> Targets<'a> {
    pub(super) fn new(files: &'a [File], items: &'a [Item]) -> Self {
        Self { scopes: Scopes::new(files, items), requests: action::requests(files) }
    }
}

/// Collects every reference to a tool, and checks it against the servers that are visible at its position.
pub(super) fn check(
    files: &[File],
    Targets { scopes, requests }: &Targets<'_>,
    entries: &[Entry],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<ToolReference> {
    let entries: HashMap<Place, &Entry> = entries.iter().map(|entry| (entry.place, entry)).collect();
    let of_file = |(index, file)| {
        let (mut tools, mut diagnostics) = (Vec::new(), Vec::new());
        for found in walk::uses(index, file) {
            match &found.what {
                walk::What::Tool => {
                    let reference = tool(&found, scopes, &entries, &mut diagnostics);
                    tools.extend(reference.map(|reference| (found.node, reference)));
                }
                walk::What::Agent => diagnostics.extend(agent(&found, scopes)),
                walk::What::Selector => diagnostics.extend(selector(&found)),
            }
        }
        (tools, diagnostics)
    };
    let found = parallel::each(files.iter().enumerate(), of_file);
    let count = found.iter().map(|(tools, _)| tools.len()).sum();
    let (mut references, mut of_nodes) = (Vec::with_capacity(count), HashMap::with_capacity(count));
    for (tools, remarks) in found {
        diagnostics.extend(remarks);
        for (node, reference) in tools {
            of_nodes.insert(std::ptr::from_ref(node), references.len());
            references.push(reference);
        }
    }
    for request in requests {
        if !scopes.is_partial {
            diagnostics.extend(request.unknown());
        }
        let passed_on = request.passed_on().and_then(|passed_on| {
            let reference: &ToolReference = references.get(*of_nodes.get(&std::ptr::from_ref(passed_on.tool))?)?;
            let file = Some(request.file.without_documents());
            let step = Step { with: Some(passed_on.with.clone()), input: None, file, is_passed_on: true };
            Some(ToolReference { step, ..reference.clone() })
        });
        references.extend(passed_on);
    }
    references
}

fn tool(
    found: &walk::Use<'_>,
    scopes: &Scopes<'_>,
    entries: &HashMap<Place, &Entry>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<ToolReference> {
    let (file, node) = (found.file, found.node);
    let text = node.as_text()?.text.as_str();
    if text.contains("{{") {
        return None;
    }
    let parts = match parse(text)? {
        Ok(parts) => parts,
        Err((message, hint)) => {
            diagnostics.push(Diagnostic::new(Code::BadReference, &file.at(node.span), message).hint_if(hint));
            return None;
        }
    };
    let server = text.get(parts.server.clone()).unwrap_or_default();
    let server_at = file.part(node, parts.server.clone());
    let Some(place) = scopes.server(found.place, server) else {
        diagnostics.extend(scopes.unknown_server(found.place, server, &server_at));
        return None;
    };
    let entry = place.and_then(|place| entries.get(&place));
    Some(ToolReference {
        server: server.to_owned(),
        upstream: entry.and_then(|entry| entry.name()).cloned(),
        tool: text.get(parts.tool.clone()).unwrap_or_default().to_owned(),
        server_at,
        tool_at: file.part(node, parts.tool),
        step: found.step.clone(),
    })
}

fn agent(found: &walk::Use<'_>, scopes: &Scopes<'_>) -> Option<Diagnostic> {
    let id = found.node.literal().filter(|id| !id.contains("{{") && !id.is_empty())?;
    if scopes.is_partial || scopes.has_agent(id) {
        return None;
    }
    let message = format!("agent `{id}` is declared in none of these files");
    let remark = Diagnostic::new(Code::UnknownAgent, &found.file.at(found.node.span), message);
    Some(remark.did_you_mean(scopes.near_agent(id)))
}

/// Checks `$use: agent(local::agents.#(id="x"))`: the document itself must have the item.
fn selector(found: &walk::Use<'_>) -> Option<Diagnostic> {
    let text = found.node.as_text()?;
    let selector = match crate::workflow::selector::parse(&text.text) {
        Ok(selector) => selector,
        Err(message) => {
            let hint = "a selector is `agent(local::agents.#(id=\"the-id\"))`";
            let message = format!("this selects nothing: {message}");
            return Some(Diagnostic::new(Code::BadSelector, &found.file.at(found.node.span), message).hint(hint));
        }
    };
    if selector.scope != "local" {
        return None;
    }
    let ids = |list: &Node| -> Vec<String> {
        list.items().iter().filter_map(|it| it.get("id").unwrap_or(it).literal().map(str::to_owned)).collect()
    };
    let ids = found.root.get(&selector.list).map(ids).unwrap_or_default();
    if ids.contains(&selector.id) {
        return None;
    }
    let at = found.file.part(found.node, selector.part);
    let message = format!("`{}` of this document has no `{}`", selector.list, selector.id);
    let remark = Diagnostic::new(Code::UnknownReference, &at, message);
    Some(remark.did_you_mean(nearest(&selector.id, ids.iter().map(String::as_str))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Result<(&str, &str), &str>>) {
        let read = parse(text).map(|read| {
            let part = |part: Range<usize>| text.get(part).unwrap_or_default();
            read.map(|it| (part(it.server), part(it.tool))).map_err(|(message, _)| message)
        });
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn reads_server_and_tool() {
        check("$mcp(search#web)", Some(Ok(("search", "web"))));
        check(" $mcp( search # web.v2/x ) ", Some(Ok(("search", "web.v2/x"))));
        check("$mcp(a#b#c)", Some(Ok(("a", "b#c"))));
        check("search_web", None);
        check("compact", None);
    }

    #[test]
    fn says_what_is_malformed() {
        check("$mcp", Some(Err("`(` is missing behind `$mcp`")));
        check("$mcp(a#b", Some(Err("`)` is missing")));
        check("$mcp(a#b))", Some(Err("something stands behind the `)`")));
        check("$mcp(a#b) $mcp(c#d)", Some(Err("something stands behind the `)`")));
        check("$mcp(a#b) x", Some(Err("something stands behind the `)`")));
        check("$mcp(a.b)", Some(Err("`#` is missing between server and tool")));
        check("$mcp(#b)", Some(Err("the server is missing before `#`")));
        check("$mcp(a#)", Some(Err("the tool is missing behind `#`")));
        check("mcp(a#b)", Some(Err("this is no reference to a tool")));
        check("$mpc(a#b)", Some(Err("this is no reference to a tool")));
    }
}
