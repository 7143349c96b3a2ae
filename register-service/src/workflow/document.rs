//! Which documents of which files count, and the items of their `mcps:`.

use schemas::workflow::{AgentDocument, AgentItem, McpItem, ProjectDocument, WorkflowDocument};

use crate::diagnostic::{Code, Diagnostic};
use crate::source::File;
use crate::source::document::Misfit;
use crate::source::node::Node;
use crate::workflow::Place;

/// An entry or selector, where it is, and the part of the tree it was read from.
pub(super) type Item = (Place, McpItem, Node);

/// Every item of every `mcps:`.
pub(super) fn collect(files: &mut [File], diagnostics: &mut Vec<Diagnostic>) -> Vec<Item> {
    let mut items = Vec::new();
    for (index, file) in files.iter_mut().enumerate() {
        let is_project = file.is_project();
        let mut misfits = Vec::new();
        for (document, node) in file.documents.iter_mut().enumerate() {
            let (read, found) = typed(node, is_project);
            misfits.extend(found);
            let place = Place { file: index, document, agent: None, item: 0 };
            items.extend(zip(place, read.mcps, node));
            let agents = node.get("agents").map(Node::items).unwrap_or_default();
            for (agent, (item, node)) in read.agents.into_iter().zip(agents).enumerate() {
                if let AgentItem::Agent(read) = item {
                    items.extend(zip(Place { agent: Some(agent), ..place }, read.mcps, node));
                }
            }
        }
        diagnostics.extend(misfits.into_iter().map(|misfit| {
            let hint = match misfit.message.rsplit("expected ").next().unwrap_or_default() {
                "a boolean" => Some("write `true` or `false`"),
                "a text, a number or a boolean" if misfit.message.contains("null") => Some("an empty text is `\"\"`"),
                _ => None,
            };
            let remark = Diagnostic::new(Code::WrongType, &file.at(misfit.position), misfit.message);
            hint.into_iter().fold(remark, Diagnostic::hint)
        }));
    }
    items
}

fn zip(place: Place, items: Vec<McpItem>, node: &Node) -> Vec<Item> {
    let nodes = node.get("mcps").map(Node::items).unwrap_or_default();
    let numbered = items.into_iter().zip(nodes).enumerate();
    numbered.map(|(index, (item, node))| (Place { item: index, ..place }, item, node.clone())).collect()
}

/// A document of the kind it is, in the widest of the three forms.
fn typed(node: &mut Node, is_project: bool) -> (WorkflowDocument, Vec<Misfit>) {
    let Some(map) = node.as_map() else { return Default::default() };
    let agents_are_a_list = map.get("agents").is_some_and(|it| !it.items().is_empty());
    if is_project {
        let (read, misfits) = node.read::<ProjectDocument>();
        return (WorkflowDocument { mcps: read.unwrap_or_default().mcps, ..Default::default() }, misfits);
    }
    if map.get("mcps").is_none() && !agents_are_a_list {
        return Default::default();
    }
    let is_agent = map.get("instructions").is_some() && map.get("tasks").is_none() && map.get("agents").is_none();
    if is_agent {
        let (read, misfits) = node.read::<AgentDocument>();
        return (WorkflowDocument { mcps: read.unwrap_or_default().mcps, ..Default::default() }, misfits);
    }
    let (read, misfits) = node.read::<WorkflowDocument>();
    (read.unwrap_or_default(), misfits)
}
