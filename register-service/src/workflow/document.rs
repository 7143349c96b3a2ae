//! Collects the items of `mcps:` in documents.

use schemas::document::Misfit;
use schemas::document::{Map, Node, Value};
use schemas::workflow::{AgentDocument, AgentItem, McpItem, ProjectDocument, WorkflowDocument};

use crate::diagnostic::{Code, Diagnostic, Location, Severity};
use crate::source::{File, parallel};
use crate::workflow::desired::Place;
use crate::workflow::keys;
use crate::workflow::kind::{Kind, kind};
use crate::workflow::selector::selected;
use crate::workflow::settings::Engine;

/// Entry or selector with its position.
pub(super) type Item = (Place, McpItem);

/// Drops the documents that the engine does not read. Reports each of them that is not foreign.
pub(super) fn keep_first(files: &mut [File], diagnostics: &mut Vec<Diagnostic>) {
    for file in files.iter_mut().filter(|file| !file.is_inline) {
        for document in file.keep_first_document() {
            if kind(file, &document) != Kind::Foreign {
                let message = "the engine reads the first document of a file, and not this one";
                let remark = Diagnostic::new(Code::IgnoredDocument, &file.at(document.head()), message);
                diagnostics.push(remark.hint("put it into a file of its own"));
            }
        }
    }
}

/// Normalizes null values as the engine does: an empty string in `headers` and `env`, and no item in `args`.
fn normalize(file: &mut File) {
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

/// Reports the paths that were asked for but declare no server.
pub(super) fn check_empty(files: &[File], items: &[Item], diagnostics: &mut Vec<Diagnostic>) {
    let mut asked: Vec<&str> = files.iter().filter_map(File::asked).collect();
    asked.sort_unstable();
    asked.dedup();
    for path in asked {
        let own = || files.iter().enumerate().filter(|(_, file)| file.asked() == Some(path));
        // An error in the file may be the reason, and is reported already.
        let is_remarked = |file: &File| file.is_partial() || diagnostics.iter().any(|it| it.file == file.path());
        let holds_item = |index| items.iter().any(|(place, _)| place.file == index);
        if own().any(|(index, file)| is_remarked(file) || holds_item(index)) {
            continue;
        }
        let at = Location::whole(path);
        let is_ours = |file: &File| file.documents.iter().any(|document| kind(file, document) != Kind::Foreign);
        if !own().any(|(_, file)| is_ours(file)) {
            let remark = Diagnostic::new(Code::NoEntries, &at, "0 entries: this is no workflow, agent or project");
            let hint =
                "a workflow has `mcps`, or `id` and `tasks`; an agent has `instructions`; `compozy.yaml` is a project";
            diagnostics.push(remark.hint(hint));
        } else if items.is_empty() {
            let remark = Diagnostic::new(Code::NoEntries, &at, "0 entries: no server is declared here");
            let remark = remark.hint("servers are declared below `mcps`");
            diagnostics.push(Diagnostic { severity: Severity::Note, ..remark });
        }
    }
}

/// Collects every item of every `mcps:`. Normalizes the files.
pub(super) fn collect(files: &mut [File], engine: Engine, diagnostics: &mut Vec<Diagnostic>) -> Vec<Item> {
    let of_files = parallel::each(files.iter_mut().enumerate(), |(index, file)| items_of(index, file, engine));
    let mut items = Vec::with_capacity(of_files.iter().map(|(found, _)| found.len()).sum());
    for (found, remarks) in of_files {
        items.extend(found);
        diagnostics.extend(remarks);
    }
    items
}

fn items_of(index: usize, file: &mut File, engine: Engine) -> (Vec<Item>, Vec<Diagnostic>) {
    normalize(file);
    let (mut items, mut misfits, mut diagnostics) = (Vec::new(), Vec::new(), Vec::new());
    let kinds: Vec<Kind> = file.documents.iter().map(|node| kind(file, node)).collect();
    for (document, (node, kind)) in file.documents.iter_mut().zip(kinds.iter().copied()).enumerate() {
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
    for document in file.documents.iter().zip(kinds) {
        keys::check(file, document, engine, &mut diagnostics);
    }
    file.has_misfits = !misfits.is_empty();
    diagnostics.extend(misfits.into_iter().map(|misfit| misfit_remark(file, misfit)));
    (items, diagnostics)
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

fn numbered(place: Place, items: Vec<McpItem>, node: &Node) -> Vec<Item> {
    let nodes = node.get("mcps").map(Node::items).unwrap_or_default();
    let meant = |(item, node): (McpItem, &Node)| match selected(node) {
        Some(id) => McpItem::Selector(id),
        None => item,
    };
    let items = items.into_iter().zip(nodes).map(meant).enumerate();
    items.map(|(index, item)| (Place { item: index, ..place }, item)).collect()
}

/// Deserializes a document by its kind, into the form that has all fields.
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
