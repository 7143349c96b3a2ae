//! Classifies documents.

use schemas::document::Node;

use crate::source::File;

/// Kind of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Project,
    Workflow,
    Agent,
    /// Unrelated YAML.
    Foreign,
}

/// Classifies a document by its file's name and its keys.
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
