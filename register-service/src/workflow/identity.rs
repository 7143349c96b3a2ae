//! Checks ids across files: each is declared once, each reference has a declaration, and no two entries conflict over
//! an upstream.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use schemas::document::Node;
use schemas::workflow::McpItem;
use schemas::{Definition, ServerName};

use crate::diagnostic::{Code, Diagnostic, Location, nearest};
use crate::plan::tags::without_provenance;
use crate::source::File;
use crate::workflow::desired::{Entry, Usage};
use crate::workflow::document::Item;

/// Ids of all entries.
pub(super) struct Declared<'a> {
    ids: HashMap<&'a str, Earlier<'a>>,
    /// Ids in alphabetical order, from which a near one is suggested.
    sorted: OnceLock<Vec<&'a str>>,
    /// True if an unreadable part may declare more ids.
    is_partial: bool,
}

/// Declarations of one id to compare with: one of the current file and one of another are enough.
type Earlier<'a> = [Option<Declaration<'a>>; 2];

#[derive(Clone, Copy)]
struct Declaration<'a> {
    file: &'a File,
    node: &'a Node,
}

impl Declaration<'_> {
    fn at(self) -> Location {
        self.file.at(self.node.get("id").unwrap_or(self.node).head())
    }
}

/// Collects the declared ids. A second declaration is an error unless it is in another file and has equal content.
pub(super) fn check_ids<'a>(items: &'a [Item], files: &'a [File]) -> (Declared<'a>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut ids: HashMap<&str, Earlier<'_>> = HashMap::with_capacity(items.len());
    for (place, item) in items {
        let (McpItem::Entry(entry), Some(file), Some(node)) = (item, files.get(place.file), place.node(files)) else {
            continue;
        };
        let Some(id) = entry.id.as_deref().filter(|id| !id.is_empty()) else { continue };
        let declaration = Declaration { file, node };
        let earlier = ids.entry(id).or_default();
        let within = earlier.iter().flatten().find(|it| std::ptr::eq(it.file, file));
        let other = earlier.iter().flatten().find(|it| !it.node.says_the_same(node));
        let message = match (within, other) {
            (Some(first), _) => Some(format!("id `{id}` is already declared at {}", first.at())),
            (None, Some(first)) => Some(format!("id `{id}` is declared with other content at {}", first.at())),
            (None, None) => None,
        };
        if let Some(message) = message {
            let remark = Diagnostic::new(Code::DuplicateId, &declaration.at(), message);
            diagnostics.push(remark.hint("give one of them another id, or name the other by its id alone: `- the-id`"));
        }
        let is_new = within.is_none();
        if let Some(free) = earlier.iter_mut().find(|it| it.is_none()).filter(|_| is_new) {
            *free = Some(declaration);
        }
    }
    (Declared { ids, sorted: OnceLock::new(), is_partial: files.iter().any(File::is_partial) }, diagnostics)
}

impl Declared<'_> {
    /// Returns a diagnostic if no entry has this id; `None` too if an unreadable part may declare it.
    pub(super) fn check_selector(&self, id: &str, file: &File, node: &Node) -> Option<Diagnostic> {
        if self.ids.contains_key(id) || self.is_partial {
            return None;
        }
        let message = format!("id `{id}` is declared in none of these files");
        let remark = Diagnostic::new(Code::UnknownReference, &file.at(node.head()), message);
        Some(remark.did_you_mean(nearest(id, self.sorted().iter().copied())))
    }

    fn sorted(&self) -> &[&str] {
        self.sorted.get_or_init(|| {
            let mut ids: Vec<&str> = self.ids.keys().copied().collect();
            ids.sort_unstable();
            ids
        })
    }
}

/// Checks that the agents of a document have different ids, by which its tasks name them.
pub(super) fn check_agents(files: &[File]) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for file in files {
        for root in &file.documents {
            let mut seen: BTreeMap<&str, &Node> = BTreeMap::new();
            let agents = root.get("agents").map(Node::items).unwrap_or_default().iter();
            for node in agents.filter(|agent| agent.as_map().is_some()).filter_map(|agent| agent.get("id")) {
                let Some(id) = node.literal() else { continue };
                if let Some(first) = seen.get(id) {
                    let message = format!("agent `{id}` is already declared at {}", file.at(first.head()));
                    diagnostics.push(Diagnostic::new(Code::DuplicateId, &file.at(node.head()), message));
                } else {
                    seen.insert(id, node);
                }
            }
        }
    }
    diagnostics
}

/// Checks that entries with different ids that name the same upstream define it equally.
pub(super) fn check_names(entries: &[Entry], diagnostics: &mut Vec<Diagnostic>) {
    let mut first: HashMap<&ServerName, (&Entry, &Definition)> = HashMap::with_capacity(entries.len());
    for entry in entries {
        let Usage::Registered { definition, .. } = &entry.usage else { continue };
        let differs = |other| without_provenance(other) != without_provenance(definition);
        match first.get(&definition.name) {
            Some((other, same)) if other.id != entry.id && differs(same) => {
                let name = &definition.name;
                let message = format!("upstream `{name}` is declared with other content at {}", other.location);
                diagnostics.push(Diagnostic::new(Code::NameConflict, &entry.location, message));
            }
            Some(_) => {}
            None => {
                first.insert(&definition.name, (entry, definition.as_ref()));
            }
        }
    }
}
