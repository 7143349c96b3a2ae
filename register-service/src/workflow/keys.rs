//! Reports keys of documents that nothing reads: misspelled keys, MCP servers under another program's key, and keys of
//! another kind of file.

use schemas::document::{Map, Node};
use schemas::workflow::{AGENT_KEYS, WORKFLOW_KEYS};

use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::source::File;
use crate::workflow::kind::Kind;
use crate::workflow::settings::Engine;

/// Key that is read in project files only.
const PROJECT_DEFAULT: &str = "use_proxy_default";

/// Checks the keys of a document and of the agents in it.
pub(super) fn check(file: &File, document: (&Node, Kind), engine: Engine, diagnostics: &mut Vec<Diagnostic>) {
    let (node, kind) = document;
    let Some(map) = node.as_map() else { return };
    for (key, span, value) in &map.entries {
        let remark = match kind {
            Kind::Project => servers(key, value).or_else(|| near_default(key)),
            Kind::Workflow | Kind::Agent => {
                servers(key, value).or_else(|| misplaced(key)).or_else(|| unknown(key, engine))
            }
            Kind::Foreign => servers(key, value).or_else(|| misplaced(key)),
        };
        diagnostics.extend(remark.map(|remark| remark.at(file, *span)));
    }
    let agents = map.get("agents").map(Node::items).unwrap_or_default().iter();
    for (key, span, value) in agents.filter_map(Node::as_map).flat_map(|agent: &Map| &agent.entries) {
        let remark = servers(key, value).or_else(|| unknown(key, engine));
        diagnostics.extend(remark.map(|remark| remark.at(file, *span)));
    }
}

/// Diagnostic without its position.
struct Remark {
    code: Code,
    message: String,
    hint: Option<String>,
    is_warning: bool,
}

impl Remark {
    fn unknown(key: &str, hint: Option<String>) -> Self {
        Self { code: Code::UnknownKey, message: format!("unknown key `{key}`"), hint, is_warning: true }
    }

    fn at(self, file: &File, span: schemas::document::Span) -> Diagnostic {
        let remark = Diagnostic::new(self.code, &file.at(span), self.message).hint_if(self.hint);
        if self.is_warning { remark.as_warning() } else { remark }
    }
}

/// Reports a key with MCP servers below it whose author probably meant `mcps`.
fn servers(key: &str, value: &Node) -> Option<Remark> {
    const MEANT: [&str; 4] = ["mcp", "mcp_servers", "mcpservers", "mcp-servers"];
    let is_meant = MEANT.contains(&key.to_lowercase().as_str());
    if key == "mcps" || !(is_meant || nearest(key, ["mcps"]).is_some()) {
        return None;
    }
    let says_how_to_reach = |node: &Node| node.get("url").is_some() || node.get("command").is_some();
    let is_list = value.items().iter().any(|item| item.get("id").is_some() && says_how_to_reach(item));
    let by_name = || value.as_map().is_some_and(|map| map.entries.iter().any(|(.., item)| says_how_to_reach(item)));
    let is_mapping = is_meant && (says_how_to_reach(value) || by_name());
    let hint = if is_list {
        "did you mean `mcps`?"
    } else if is_mapping {
        "did you mean `mcps`? It takes a list, in which each server has its name as `id`"
    } else {
        return None;
    };
    let message = format!("unknown key `{key}`, with what looks like MCP servers");
    Some(Remark { message, ..Remark::unknown(key, Some(hint.to_owned())) })
}

/// Reports a key of a project file that was probably meant as `use_proxy_default`.
fn near_default(key: &str) -> Option<Remark> {
    let is_near = key != PROJECT_DEFAULT && nearest(key, [PROJECT_DEFAULT]).is_some();
    is_near.then(|| Remark::unknown(key, Some(format!("did you mean `{PROJECT_DEFAULT}`?"))))
}

/// Reports a key that has an effect in project files only.
fn misplaced(key: &str) -> Option<Remark> {
    let hint = "move it to `compozy.yaml`, or write `use_proxy: true` in the entries";
    (key == PROJECT_DEFAULT).then(|| Remark {
        code: Code::MisplacedKey,
        message: format!("`{key}` is read in the project file only"),
        hint: Some(hint.to_owned()),
        is_warning: true,
    })
}

/// Reports a key that neither workflows nor agents have. Without an engine, a document may contain any other keys, and
/// only a misspelled one is reported.
fn unknown(key: &str, engine: Engine) -> Option<Remark> {
    let known = || WORKFLOW_KEYS.into_iter().chain(AGENT_KEYS);
    if key.starts_with("x-") || key.starts_with('$') || known().any(|known| known == key) {
        return None;
    }
    // A typo is seldom in the first letter, and there are many known keys to be near to.
    let near = nearest(key, known().filter(|known| known.chars().next() == key.to_lowercase().chars().next()));
    if near.is_none() && engine == Engine::None {
        return None;
    }
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("nothing reads it; a key of your own begins with `x-`: `x-{key}`"),
    };
    Some(Remark::unknown(key, Some(hint)))
}
