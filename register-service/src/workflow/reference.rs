//! Finds references to tools, `$mcp(server#tool)`, and to agents, and checks that their targets exist.

mod action;
mod scope;
pub(crate) mod tool;
mod walk;

use std::collections::HashMap;

use schemas::document::Node;

use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::source::{File, parallel};
use crate::workflow::desired::{Entry, Place};
use crate::workflow::document::Item;
use crate::workflow::reference::scope::Scopes;
use crate::workflow::reference::tool::{Step, ToolReference, parse};

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
