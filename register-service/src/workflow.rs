//! From documents to the desired state: what each entry of `mcps:` means for the gateway.
//!
//! Which file is which: `compozy.yaml` and `compozy.yml` are project files and govern the folder they lie in. Any
//! other document counts if it is a mapping with `mcps`, or with a list of `agents`: an agent when it has
//! `instructions` and no `agents` or `tasks`, else a workflow. Everything else is somebody else's YAML and is skipped.
//!
//! `use_proxy: true` registers an entry. An address below the gateway's own refers to an upstream there, which is
//! created if the entry also has a `command`. Everything else is checked and left alone. No request is made here.

pub(crate) mod address;
mod date;
mod document;
mod entry;
mod faults;
mod fields;
pub(crate) mod gateway;
mod header;
mod identity;
pub(crate) mod live;
pub(crate) mod reference;
pub(crate) mod rewrite;
mod selector;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemas::workflow::McpItem;
use schemas::{Definition, ServerName};

use crate::diagnostic::{self, Diagnostic, Location};
use crate::source::node::Node;
use crate::source::{self, File};
use crate::template::Environment;
use crate::workflow::address::GatewayUrl;
use crate::workflow::entry::Context;
use crate::workflow::faults::Rendering;
use crate::workflow::reference::ToolReference;

/// What the meaning of the files depends on, besides the files.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the gateway is, as the engine reaches it.
    pub gateway: GatewayUrl,
    /// The variables that templates may use.
    pub environment: Environment,
    /// Register every entry, also those that say `use_proxy: false`.
    pub all: bool,
    /// What it means that a variable is not set.
    pub unset: Unset,
}

/// What it means that a template uses a variable that is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unset {
    /// An error in what is registered, and a warning elsewhere: the engine may have it.
    #[default]
    RefuseWhereUsed,
    /// An error everywhere.
    Refuse,
    /// A warning. What needs it for its meaning is not among the entries that come back.
    Warn,
}

impl Settings {
    /// Register what says so, and refuse to without the variables for it.
    pub fn new(gateway: GatewayUrl, environment: Environment) -> Self {
        Self { gateway, environment, all: false, unset: Unset::default() }
    }
}

/// What the files say, all of it valid.
#[derive(Debug, Clone)]
pub struct Desired {
    files: Vec<File>,
    entries: Vec<Entry>,
    unresolved: Vec<(String, Location)>,
    tools: Vec<ToolReference>,
    /// The variables as they may be shown, and those of the documents that declare some themselves.
    shown: Environment,
    shown_in: BTreeMap<(usize, usize), Environment>,
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
    place: Place,
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
    file: usize,
    document: usize,
    agent: Option<usize>,
    item: usize,
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
        finish(&self.files, diagnostics);
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

/// What came of reading files in which nothing is wrong.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the files say.
    pub desired: Desired,
    /// Warnings and notes, sorted.
    pub remarks: Vec<Diagnostic>,
}

/// Files in which something is wrong.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} in the files", count(.diagnostics))]
#[non_exhaustive]
pub struct InvalidFiles {
    /// Everything that was found, warnings and notes too, sorted.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that could be read.
    pub files: Vec<String>,
}

fn count(diagnostics: &[Diagnostic]) -> String {
    match diagnostics.iter().filter(|it| it.is_error()).count() {
        1 => "1 error".to_owned(),
        errors => format!("{errors} errors"),
    }
}

/// Reads the files at these paths and below these folders, and says what they mean. Offline.
///
/// `compozy.yaml` and `compozy.yml` are project files. Of all others, the documents count that are a mapping with
/// `mcps`, or with a list of `agents`; the rest is somebody else's YAML and skipped. A project file with
/// `use_proxy_default: true` governs the entries in and below its folder that do not say `use_proxy` themselves.
///
/// ```no_run
/// use register_service::{Environment, Settings, load};
///
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::from_iter(std::env::vars()));
/// let loaded = load(&["workflows".into()], &settings)?;
/// for entry in loaded.desired.entries() {
///     println!("{}: {} is {:?}", entry.location, entry.id, entry.usage);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load(paths: &[PathBuf], settings: &Settings) -> Result<Loaded, InvalidFiles> {
    let (files, diagnostics) = source::read(paths);
    interpret(files, diagnostics, settings)
}

/// Says what files mean; `diagnostics` are those of reading them.
pub(crate) fn interpret(
    mut files: Vec<File>,
    mut diagnostics: Vec<Diagnostic>,
    settings: &Settings,
) -> Result<Loaded, InvalidFiles> {
    let items = document::collect(&mut files, &mut diagnostics);
    let declared = identity::check_ids(&items, &files, &mut diagnostics);
    let environments = environments(&files, settings, &mut diagnostics);
    let governed = governed(&files);
    let (mut entries, mut unresolved) = (Vec::new(), Vec::new());
    for (place, item) in &items {
        let (Some(file), Some(node)) = (files.get(place.file), place.node(&files)) else { continue };
        let entry = match item {
            McpItem::Selector(id) => {
                diagnostics.extend(declared.check_selector(id, file, node));
                continue;
            }
            McpItem::Entry(entry) => entry,
        };
        let by_default = governed.iter().any(|folder| lies_in(file.folder(), folder));
        let environment = environments.get(&(place.file, place.document)).unwrap_or(&settings.environment);
        let context = Context { file, settings, environment, by_default };
        let (usage, remarks) = entry::read(entry, node, &context);
        diagnostics.extend(remarks);
        let (Some(id), location) = (entry.id.clone(), file.at(node.head())) else { continue };
        match usage {
            Some(usage) => entries.push(Entry { id, location, usage, place: *place }),
            None => unresolved.push((id, location)),
        }
    }
    identity::check_names(&entries, &mut diagnostics);
    identity::check_agents(&files, &mut diagnostics);
    let tools = reference::check(&files, &items, &entries, &mut diagnostics);
    finish(&files, &mut diagnostics);
    if diagnostics.iter().any(Diagnostic::is_error) {
        let files = files.iter().map(|file| file.path().to_owned()).collect();
        return Err(InvalidFiles { diagnostics, files });
    }
    let shown = settings.environment.redacted();
    let shown_in = environments.into_iter().map(|(place, it)| (place, it.redacted())).collect();
    Ok(Loaded { desired: Desired { files, entries, unresolved, tools, shown, shown_in }, remarks: diagnostics })
}

/// The variables of the documents that declare some themselves: their own, those of the project above them, and what
/// hides both.
fn environments(
    files: &[File],
    settings: &Settings,
    diagnostics: &mut Vec<Diagnostic>,
) -> BTreeMap<(usize, usize), Environment> {
    let environment = &settings.environment;
    let unset_is_error = settings.unset == Unset::Refuse;
    let mut found = BTreeMap::new();
    let mut own = |file, node, below: &Environment| {
        variables::own(node, below, Rendering { file, environment, unset_is_error }, diagnostics)
    };
    let mut projects: Vec<(&str, Environment)> = Vec::new();
    for file in files.iter().filter(|file| file.is_project()) {
        let declared = file.documents.iter().find_map(|node| own(file, node, &Environment::default()));
        projects.extend(declared.map(|environment| (file.folder(), environment)));
    }
    // Of nested projects the inner one counts.
    projects.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.len()));
    for (index, file) in files.iter().enumerate() {
        let project = projects.iter().find(|(folder, _)| lies_in(file.folder(), folder)).map(|(_, it)| it);
        let nothing = Environment::default();
        let below = project.unwrap_or(&nothing);
        for (document, node) in file.documents.iter().enumerate() {
            let is_own = !file.is_project() && document::kind(file, node) != document::Kind::Foreign;
            let declared = if is_own { own(file, node, below) } else { None };
            if declared.is_some() || project.is_some() {
                found.insert((index, document), environment.over(&declared.unwrap_or_default()).over(below));
            }
        }
    }
    found
}

/// Brings remarks into order, and adds to each the line that it is about.
fn finish(files: &[File], diagnostics: &mut Vec<Diagnostic>) {
    diagnostic::sort(diagnostics);
    let by_path: BTreeMap<&str, &File> = files.iter().map(|file| (file.path(), file)).collect();
    for diagnostic in diagnostics {
        let file = by_path.get(diagnostic.file.as_str());
        diagnostic.excerpt = file.and_then(|file| file.excerpt(diagnostic.line));
    }
}

/// The folders of the projects that register every entry unless it says otherwise.
fn governed(files: &[File]) -> Vec<String> {
    let sets_default = |document: &Node| {
        let flag = document.get("use_proxy_default").and_then(Node::literal);
        flag == Some("true")
    };
    let projects = files.iter().filter(|file| file.is_project() && file.documents.iter().any(sets_default));
    projects.map(|file| file.folder().to_owned()).collect()
}

fn lies_in(folder: &str, outer: &str) -> bool {
    outer.is_empty() || folder.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
