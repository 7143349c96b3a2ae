//! Reference to a tool, `$mcp(server#tool)`.

use std::ops::Range;

use schemas::ServerName;
use schemas::document::Node;

use crate::diagnostic::{Location, nearest};
use crate::source::File;

/// Tool that an action or task names, as `$mcp(server#tool)`.
///
/// ```
/// use register_service::worker::ToolAddress;
/// use register_service::{Environment, Settings, load};
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

/// Arguments of the action or task that uses a tool.
#[derive(Debug, Clone, Default)]
pub(crate) struct Step {
    /// The arguments (`with`).
    pub(crate) with: Option<Node>,
    /// JSON Schema of the input that the arguments are taken from.
    pub(crate) input: Option<Node>,
    /// The file, to locate nodes in these fields.
    pub(crate) file: Option<File>,
    /// True for a task that gives arguments through an action, which names the tool itself.
    pub(crate) is_passed_on: bool,
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
