//! Ids across files: each declared once, each one that is used declared somewhere, none fighting over an upstream.

use std::collections::{BTreeMap, BTreeSet};

use schemas::workflow::McpItem;
use schemas::{Definition, ServerName};

use crate::diagnostic::{Code, Diagnostic, Location, nearest};
use crate::plan::without_provenance;
use crate::source::File;
use crate::source::node::Node;
use crate::workflow::document::Item;
use crate::workflow::{Entry, Usage};

struct Declared {
    id: String,
    file: usize,
    at: Location,
    node: Node,
}

/// The ids that are declared, each once; a second declaration is an error unless another file says the very same.
pub(super) fn check_ids(items: &[Item], files: &[File], diagnostics: &mut Vec<Diagnostic>) -> BTreeSet<String> {
    let mut declared: Vec<Declared> = Vec::new();
    for (place, item, node) in items {
        let (McpItem::Entry(entry), Some(file)) = (item, files.get(place.file)) else { continue };
        let Some(id) = entry.id.clone().filter(|id| !id.is_empty()) else { continue };
        let at = file.at(node.get("id").unwrap_or(node).position);
        let earlier: Vec<&Declared> = declared.iter().filter(|it| it.id == id).collect();
        let within = earlier.iter().find(|it| it.file == place.file);
        let other = earlier.iter().find(|it| !it.node.says_the_same(node));
        let message = match (within, other) {
            (Some(first), _) => Some(format!("id `{id}` is already declared at {}", first.at)),
            (None, Some(first)) => Some(format!("id `{id}` is declared with other content at {}", first.at)),
            (None, None) => None,
        };
        if let Some(message) = message {
            let remark = Diagnostic::new(Code::DuplicateId, &at, message);
            diagnostics.push(remark.hint("give one of them another id, or name the other by its id alone: `- the-id`"));
        }
        declared.push(Declared { id, file: place.file, at, node: node.clone() });
    }
    declared.into_iter().map(|it| it.id).collect()
}

pub(super) fn check_selector(id: &str, declared: &BTreeSet<String>, at: &Location) -> Option<Diagnostic> {
    if declared.contains(id) {
        return None;
    }
    let remark = Diagnostic::new(Code::UnknownReference, at, format!("id `{id}` is declared in none of these files"));
    Some(match nearest(id, declared.iter().map(String::as_str)) {
        Some(near) => remark.hint(format!("did you mean `{near}`?")),
        None => remark,
    })
}

/// Entries with different ids can name the same upstream; then they must agree on it.
pub(super) fn check_names(entries: &[Entry], diagnostics: &mut Vec<Diagnostic>) {
    let mut first: BTreeMap<&ServerName, (&Entry, Definition)> = BTreeMap::new();
    for entry in entries {
        let Usage::Registered { definition, .. } = &entry.usage else { continue };
        let definition_only = without_provenance(definition);
        match first.get(&definition.name) {
            Some((other, same)) if other.id != entry.id && *same != definition_only => {
                let name = &definition.name;
                let message = format!("upstream `{name}` is declared with other content at {}", other.location);
                diagnostics.push(Diagnostic::new(Code::NameConflict, &entry.location, message));
            }
            Some(_) => {}
            None => {
                first.insert(&definition.name, (entry, definition_only));
            }
        }
    }
}
