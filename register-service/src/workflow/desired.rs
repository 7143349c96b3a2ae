//! The desired state: what valid files say, entry by entry.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{Definition, ServerName};

use crate::diagnostic::{self, Diagnostic, Location};
use crate::source::File;
use crate::source::node::Node;
use crate::template::Environment;
use crate::workflow;
use crate::workflow::reference::ToolReference;

/// What the files say, all of it valid.
#[derive(Debug, Clone)]
pub struct Desired {
    pub(super) files: Vec<File>,
    pub(super) entries: Vec<Entry>,
    pub(super) unresolved: Vec<(String, Location)>,
    pub(super) tools: Vec<ToolReference>,
    /// The variables as they may be shown, and those of the documents that declare some themselves.
    pub(super) shown: Environment,
    pub(super) shown_in: BTreeMap<(usize, usize), Environment>,
}

/// One entry of `mcps:`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The engine's name for it.
    pub id: String,
    /// Where it is declared.
    pub location: Location,
    /// What it means for the gateway.
    pub usage: Usage,
    pub(super) place: Place,
}

/// What an entry means for the gateway.
#[derive(Debug, Clone)]
pub enum Usage {
    /// Nothing: the engine connects by itself.
    Direct,
    /// It is registered, and the engine reaches it at `url`.
    Registered {
        /// What is registered.
        definition: Box<Definition>,
        /// Where the engine reaches it from then on.
        url: String,
    },
    /// It stands for an upstream that the gateway must have.
    Referenced {
        /// That upstream.
        name: ServerName,
        /// Where the engine reaches it.
        url: String,
    },
}

/// Which entry of which document: indices into files, documents, agents and items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(super) file: usize,
    pub(super) document: usize,
    pub(super) agent: Option<usize>,
    pub(super) item: usize,
}

impl Place {
    /// The item in its document.
    pub(crate) fn node<'a>(&self, files: &'a [File]) -> Option<&'a Node> {
        let document = files.get(self.file)?.documents.get(self.document)?;
        let holder = match self.agent {
            Some(agent) => document.get("agents")?.items().get(agent)?,
            None => document,
        };
        holder.get("mcps")?.items().get(self.item)
    }
}

impl Entry {
    /// The gateway's name for it, by which tools are called; nothing for a direct one.
    pub fn name(&self) -> Option<&ServerName> {
        match &self.usage {
            Usage::Direct => None,
            Usage::Registered { definition, .. } => Some(&definition.name),
            Usage::Referenced { name, .. } => Some(name),
        }
    }
}

impl Desired {
    /// Every entry, in the order of files and lines.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries whose meaning depends on variables that are not set, by id. There are some only with [`Unset::Warn`].
    pub fn unresolved(&self) -> &[(String, Location)] {
        &self.unresolved
    }

    /// The files.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// What is to be registered, each name once, in the order of files and lines.
    pub fn definitions(&self) -> Vec<Definition> {
        self.registered().cloned().collect()
    }

    /// Brings remarks about these files into order, each with the line that it is about.
    pub(crate) fn finish(&self, diagnostics: &mut Vec<Diagnostic>) {
        diagnostic::sort(diagnostics);
        workflow::excerpts(&self.files, diagnostics);
    }

    /// The tools that actions and tasks name, in the order of files and lines.
    pub fn tools(&self) -> &[ToolReference] {
        &self.tools
    }

    fn registered(&self) -> impl Iterator<Item = &Definition> {
        let mut seen = BTreeSet::new();
        self.entries.iter().filter_map(move |entry| match &entry.usage {
            Usage::Registered { definition, .. } => seen.insert(&definition.name).then_some(definition.as_ref()),
            Usage::Direct | Usage::Referenced { .. } => None,
        })
    }

    /// The entries that stand for an upstream which nothing here registers: the gateway has it, or something is amiss.
    pub fn references(&self) -> Vec<(&Entry, &ServerName)> {
        let registered: BTreeSet<&ServerName> = self.registered().map(|it| &it.name).collect();
        let references = self.entries.iter().filter_map(|entry| match &entry.usage {
            Usage::Referenced { name, .. } if !registered.contains(name) => Some((entry, name)),
            _ => None,
        });
        references.collect()
    }

    /// The names at the gateway that these files use, each once, sorted.
    pub fn names(&self) -> Vec<ServerName> {
        let mut names: Vec<ServerName> = self.entries.iter().filter_map(Entry::name).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    /// The project's name, if the files hold exactly one project with one.
    pub fn project(&self) -> Option<&str> {
        let projects = self.files.iter().filter(|file| file.is_project()).flat_map(|file| &file.documents);
        let mut names = projects.filter_map(|document| document.get("name")?.literal());
        names.next().filter(|name| !name.is_empty() && names.next().is_none())
    }
}
