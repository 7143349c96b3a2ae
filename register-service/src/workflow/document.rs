//! Which documents of which files count, and the items of their `mcps:`.

use schemas::workflow::{AgentDocument, AgentItem, McpItem, ProjectDocument, WorkflowDocument};

use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::source::File;
use crate::source::document::Misfit;
use crate::source::node::{Map, Node, Value};
use crate::workflow::Place;
use crate::workflow::selector::selected;

/// An entry or selector, and where it is.
pub(super) type Item = (Place, McpItem);

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Project,
    Workflow,
    Agent,
    /// Somebody else's.
    Foreign,
}

/// What a document is, by the file it is in and the keys it has.
pub(super) fn kind(file: &File, node: &Node) -> Kind {
    let Some(map) = node.as_map() else { return Kind::Foreign };
    let has = |key| map.get(key).is_some();
    let has_list = |key| map.get(key).is_some_and(|it| !it.items().is_empty());
    if file.is_project() {
        Kind::Project
    } else if has("instructions") && !has("tasks") && !has("agents") {
        Kind::Agent
    } else if has("mcps") || has_list("agents") || (has("id") && has_list("tasks")) {
        Kind::Workflow
    } else {
        Kind::Foreign
    }
}

/// Drops the documents that the engine does not read, with a remark on each in which somebody would look for something.
pub(super) fn keep_first(files: &mut [File], diagnostics: &mut Vec<Diagnostic>) {
    for file in files.iter_mut().filter(|file| !file.is_given) {
        for document in file.keep_first_document() {
            if kind(file, &document) != Kind::Foreign {
                let message = "the engine reads the first document of a file, and not this one";
                let remark = Diagnostic::new(Code::IgnoredDocument, &file.at(document.head()), message);
                diagnostics.push(remark.hint("put it into a file of its own"));
            }
        }
    }
}

/// Makes of empty values what the engine makes of them: an empty text among `headers` and `env`, nothing among `args`.
pub(super) fn normalize(file: &mut File) {
    for document in &mut file.documents {
        let Some(map) = document.as_map_mut() else { continue };
        if let Some(Value::List(agents)) = map.get_mut("agents").map(|node| &mut node.value) {
            agents.iter_mut().filter_map(Node::as_map_mut).for_each(normalize_entries);
        }
        normalize_entries(map);
    }
}

fn normalize_entries(holder: &mut Map) {
    let Some(Value::List(entries)) = holder.get_mut("mcps").map(|node| &mut node.value) else { return };
    for entry in entries.iter_mut().filter_map(Node::as_map_mut) {
        if let Some(Value::List(items)) = entry.get_mut("args").map(|node| &mut node.value) {
            items.retain(|item| !matches!(item.value, Value::Null));
        }
        for key in ["headers", "env"] {
            let Some(values) = entry.get_mut(key).and_then(Node::as_map_mut) else { continue };
            for (.., value) in values.entries.iter_mut().filter(|(.., value)| matches!(value.value, Value::Null)) {
                *value = Node { span: value.span, ..Node::text("") };
            }
        }
    }
}

/// Every item of every `mcps:`.
pub(super) fn collect(files: &mut [File], diagnostics: &mut Vec<Diagnostic>) -> Vec<Item> {
    let mut items = Vec::new();
    for (index, file) in files.iter_mut().enumerate() {
        let kinds: Vec<Kind> = file.documents.iter().map(|node| kind(file, node)).collect();
        let mut misfits = Vec::new();
        for (document, (node, kind)) in file.documents.iter_mut().zip(kinds).enumerate() {
            let (read, found) = typed(node, kind);
            misfits.extend(found);
            let place = Place { file: index, document, agent: None, item: 0 };
            items.extend(numbered(place, read.mcps, node));
            let agents = node.get("agents").map(Node::items).unwrap_or_default();
            for (agent, (item, node)) in read.agents.into_iter().zip(agents).enumerate() {
                if let AgentItem::Agent(read) = item {
                    items.extend(numbered(Place { agent: Some(agent), ..place }, read.mcps, node));
                }
            }
        }
        for map in file.documents.iter().filter_map(Node::as_map) {
            diagnostics.extend(misspelt(file, map).into_iter().chain(misplaced(file, map)));
        }
        file.has_misfits = !misfits.is_empty();
        diagnostics.extend(misfits.into_iter().map(|misfit| misfit_remark(file, misfit)));
    }
    items
}

fn misfit_remark(file: &File, misfit: Misfit) -> Diagnostic {
    let (code, hint) = match misfit.message.rsplit("expected ").next().unwrap_or_default() {
        "a boolean" => (Code::WrongType, Some("write `true` or `false`")),
        "a text, a number or a boolean" if misfit.message.contains("null") => {
            (Code::WrongType, Some("an empty text is `\"\"`"))
        }
        "a sequence" => (Code::WrongType, Some("write a list: each item on a line of its own, after `- `")),
        _ if misfit.message.contains("invalid duration") => {
            (Code::BadDuration, Some("a duration looks like `30s`, `1m30s` or `500ms`"))
        }
        _ => (Code::WrongType, None),
    };
    Diagnostic::new(code, &file.at(misfit.span), misfit.message).hint_if(hint)
}

/// A document with entries under a key that nothing reads is one whose author meant `mcps`.
fn misspelt(file: &File, map: &Map) -> Option<Diagnostic> {
    const MEANT: [&str; 5] = ["mcps", "mcp", "mcp_servers", "mcpservers", "mcp-servers"];
    if map.get("mcps").is_some() {
        return None;
    }
    let says_how_to_reach = |item: &Node| item.get("url").is_some() || item.get("command").is_some();
    let holds_entries =
        |node: &Node| node.items().iter().any(|item| item.get("id").is_some() && says_how_to_reach(item));
    let found = map.entries.iter().find(|(key, _, node)| {
        let is_meant = MEANT.contains(&key.to_lowercase().as_str()) || nearest(key, ["mcps"]).is_some();
        is_meant && holds_entries(node)
    });
    let (key, span, _) = found?;
    let message = format!("unknown key `{key}`, with what looks like MCP servers");
    Some(Diagnostic::new(Code::UnknownKey, &file.at(*span), message).did_you_mean(Some("mcps")))
}

/// A key that counts in project files only, and one there that was meant as it.
fn misplaced(file: &File, map: &Map) -> Option<Diagnostic> {
    const KEY: &str = "use_proxy_default";
    if file.is_project() {
        let is_meant = |key: &str| key != KEY && nearest(key, [KEY]).is_some();
        let (key, span, _) = map.entries.iter().find(|(key, ..)| is_meant(key))?;
        let remark = Diagnostic::new(Code::UnknownKey, &file.at(*span), format!("unknown key `{key}`"));
        return Some(remark.did_you_mean(Some(KEY)));
    }
    let message = format!("`{KEY}` is read in the project file only");
    let remark = Diagnostic::new(Code::MisplacedKey, &file.at(map.key_span(KEY)?), message);
    Some(remark.hint("move it to `compozy.yaml`, or write `use_proxy: true` in the entries").as_warning())
}

fn numbered(place: Place, items: Vec<McpItem>, node: &Node) -> Vec<Item> {
    let nodes = node.get("mcps").map(Node::items).unwrap_or_default();
    let meant = |(item, node): (McpItem, &Node)| match selected(node) {
        Some(id) => McpItem::Selector(id),
        None => item,
    };
    let items = items.into_iter().zip(nodes).map(meant).enumerate();
    items.map(|(index, item)| (Place { item: index, ..place }, item)).collect()
}

/// A document of the kind it is, in the widest of the three forms.
fn typed(node: &mut Node, kind: Kind) -> (WorkflowDocument, Vec<Misfit>) {
    let only = |mcps| WorkflowDocument { mcps, ..Default::default() };
    match kind {
        Kind::Foreign => Default::default(),
        Kind::Project => {
            let (read, misfits) = node.read::<ProjectDocument>();
            (only(read.unwrap_or_default().mcps), misfits)
        }
        Kind::Agent => {
            let (read, misfits) = node.read::<AgentDocument>();
            (only(read.unwrap_or_default().mcps), misfits)
        }
        Kind::Workflow => {
            let (read, misfits) = node.read::<WorkflowDocument>();
            (read.unwrap_or_default(), misfits)
        }
    }
}
