//! Resolves which servers and agents are visible at a position.
//!
//! An agent sees its own servers, those of the workflows that contain or use it, and those of the project above. A task
//! sees those of its workflow and of the project.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemas::document::Node;
use schemas::workflow::McpItem;

use crate::diagnostic::{Code, Diagnostic, Location, nearest};
use crate::source::File;
use crate::workflow::desired::Place;
use crate::workflow::document::Item;
use crate::workflow::kind::{Kind, kind};
use crate::workflow::reference::walk::Holder;
use crate::workflow::selector;

/// Servers of a document or agent, with the position of each declaration; `None` if another file declares it.
type Own<'a> = BTreeMap<&'a str, Option<Place>>;

pub(super) struct Scopes<'a> {
    files: &'a [File],
    own: HashMap<Holder, Own<'a>>,
    /// Position of each id's first declaration, in any file.
    declared: BTreeMap<&'a str, Place>,
    /// Workflows that use an agent by its id.
    users: HashMap<&'a str, Vec<Holder>>,
    agents: BTreeSet<&'a str>,
    projects: Vec<Holder>,
    /// True if an unreadable part may declare more.
    pub(super) is_partial: bool,
}

impl<'a> Scopes<'a> {
    pub(super) fn new(files: &'a [File], items: &'a [Item]) -> Self {
        let mut scopes = Self {
            files,
            own: HashMap::new(),
            declared: BTreeMap::new(),
            users: HashMap::new(),
            agents: BTreeSet::new(),
            projects: Vec::new(),
            is_partial: files.iter().any(File::is_partial),
        };
        for (place, item) in items {
            let (id, declared) = match item {
                McpItem::Entry(entry) => (entry.id.as_deref().unwrap_or_default(), Some(*place)),
                McpItem::Selector(id) => (id.as_str(), None),
            };
            // An item without an id may be the one that a reference means.
            scopes.is_partial |= id.is_empty();
            let holder = Holder { file: place.file, document: place.document, agent: place.agent };
            scopes.own.entry(holder).or_default().insert(id, declared);
            if let Some(place) = declared {
                scopes.declared.entry(id).or_insert(place);
            }
        }
        for (index, file) in files.iter().enumerate() {
            for (document, root) in file.documents.iter().enumerate() {
                scopes.add_document(file, root, Holder { file: index, document, agent: None });
            }
        }
        scopes
    }

    fn add_document(&mut self, file: &'a File, root: &'a Node, holder: Holder) {
        match kind(file, root) {
            Kind::Foreign => return,
            Kind::Agent => {
                self.agents.extend(root.get("id").and_then(Node::literal));
                return;
            }
            Kind::Project => self.projects.push(holder),
            Kind::Workflow => {}
        }
        for agent in root.get("agents").map(Node::items).unwrap_or_default() {
            self.agents.extend(agent.get("id").and_then(Node::literal));
            self.add_user(agent, holder);
        }
        self.add_tasks(root, holder);
    }

    fn add_tasks(&mut self, node: &'a Node, holder: Holder) {
        let one = node.get("task").into_iter();
        for task in node.get("tasks").map(Node::items).unwrap_or_default().iter().chain(one) {
            task.get("agent").into_iter().for_each(|agent| self.add_user(agent, holder));
            self.add_user(task, holder);
            self.add_tasks(task, holder);
        }
    }

    /// Records that a workflow names an agent by its id, or in one of the older forms.
    fn add_user(&mut self, node: &'a Node, holder: Holder) {
        let written = node.get("$use").or_else(|| node.get("$ref")).unwrap_or(node).literal();
        let Some(written) = written else { return };
        let id = match selector::parse(written) {
            Ok(selector) => written.get(selector.part).unwrap_or_default(),
            Err(_) => written,
        };
        self.users.entry(id).or_default().push(holder);
    }

    /// Returns the declaration of a server that is visible here: `None` if none is visible, `Some(None)` if these files
    /// do not declare it.
    pub(super) fn server(&self, holder: Holder, id: &str) -> Option<Option<Place>> {
        let found = self.visible(holder).into_iter().find_map(|own| own.get(id).copied())?;
        Some(found.or_else(|| self.declared.get(id).copied()))
    }

    fn visible(&self, holder: Holder) -> Vec<&Own<'a>> {
        let document = Holder { agent: None, ..holder };
        let Some(file) = self.files.get(holder.file) else { return Vec::new() };
        let root = file.documents.get(holder.document);
        let id = root.and_then(|root| root.get("id")).and_then(Node::literal);
        let is_agent = root.is_some_and(|root| kind(file, root) == Kind::Agent);
        let users = id.filter(|_| is_agent).and_then(|id| self.users.get(id)).map(Vec::as_slice).unwrap_or_default();
        let above = |project: &&Holder| {
            let folder = self.files.get(project.file).map(File::folder);
            folder.is_some_and(|folder| file.lies_in(folder))
        };
        let projects = self.projects.iter().filter(above);
        let holders = [holder, document].into_iter().chain(users.iter().copied()).chain(projects.copied());
        holders.filter_map(|holder| self.own.get(&holder)).collect()
    }

    /// Returns the diagnostic for a server that is not visible here.
    pub(super) fn unknown_server(&self, holder: Holder, id: &str, at: &Location) -> Option<Diagnostic> {
        if self.is_partial {
            return None;
        }
        if let Some((place, node)) = self.declared.get(id).and_then(|place| Some((place, place.node(self.files)?))) {
            let elsewhere = self.files.get(place.file).map(|file| file.at(node.head())).unwrap_or_else(|| at.clone());
            let message = format!("server `{id}` cannot be used here: it is declared at {elsewhere}");
            let hint = format!("add `- {id}` to the `mcps` of this agent or of its workflow");
            return Some(Diagnostic::new(Code::UnknownServer, at, message).hint(hint));
        }
        let remark = Diagnostic::new(Code::UnknownServer, at, format!("there is no server `{id}`"));
        let visible = self.visible(holder);
        let near = nearest(id, visible.iter().flat_map(|own| own.keys().copied()));
        Some(match near.or_else(|| nearest(id, self.declared.keys().copied())) {
            Some(near) => remark.did_you_mean(Some(near)),
            None => remark.hint("declare it in `mcps` of this agent, of its workflow or of the project"),
        })
    }

    pub(super) fn has_agent(&self, id: &str) -> bool {
        self.agents.contains(id)
    }

    pub(super) fn near_agent(&self, id: &str) -> Option<&str> {
        nearest(id, self.agents.iter().copied())
    }
}
