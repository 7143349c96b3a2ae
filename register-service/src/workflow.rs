//! Interprets documents as the desired state: decides for each entry of `mcps:` what the gateway has to do.
//!
//! Kinds of files: `compozy.yaml` and `compozy.yml` are project files and govern their folder. Any other document
//! counts if it is a mapping with `mcps`, `instructions`, a list of `agents`, or an `id` and a list of `tasks`: an
//! agent if it has `instructions` and no `agents` or `tasks`, else a workflow. Everything else is unrelated YAML and is
//! skipped.
//!
//! `use_proxy: true` registers an entry. If its URL is below the gateway's own, it refers to an upstream there instead,
//! which is created if the entry also has a `command`. All other entries are checked and left alone. No request is made
//! here.

pub(crate) mod address;
pub(crate) mod command_line;
mod date;
mod desired;
mod document;
mod engine;
mod entry;
mod faults;
mod fields;
pub(crate) mod gateway;
pub(crate) mod given;
mod header;
mod identity;
mod keys;
pub(crate) mod live;
pub(crate) mod reference;
pub(crate) mod rewrite;
mod selector;
mod variables;
mod verbatim;
pub(crate) mod written;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemas::workflow::McpItem;

use crate::diagnostic::{self, Code, Diagnostic, Location, Severity};
use crate::source::node::Node;
use crate::source::{self, File, InvalidFiles, parallel};
use crate::template::{Environment, OnUnset};
use crate::workflow::address::GatewayUrl;
pub(crate) use crate::workflow::desired::Place;
pub use crate::workflow::desired::{Desired, Entry, Usage};
use crate::workflow::document::Item;
use crate::workflow::entry::Context;
use crate::workflow::faults::Rendering;

/// Settings for the interpretation of files.
///
/// ```
/// use register_service::{Environment, Settings, Unset};
///
/// let gateway = "http://127.0.0.1:6001".parse()?;
/// let in_ci = Settings { unset: Unset::Warn, ..Settings::new(gateway, Environment::default()) };
/// assert!(!in_ci.all, "what says `use_proxy: false` stays with the engine");
/// # Ok::<(), register_service::InvalidGatewayUrl>(())
/// ```
#[derive(Debug, Clone)]
pub struct Settings {
    /// Base URL of the gateway, as the engine reaches it.
    pub gateway: GatewayUrl,
    /// Variables that templates may use.
    pub environment: Environment,
    /// Registers every entry, including those with `use_proxy: false`.
    pub all: bool,
    /// Treatment of unset variables.
    pub unset: Unset,
    /// Engine that reads the files besides this program.
    pub engine: Engine,
    /// Refuses files with warnings too; an unset variable stays a warning with [`Unset::Warn`].
    pub strict: bool,
    /// Warnings about the sources of the settings, such as [`EnvFile::remarks`](crate::EnvFile::remarks); they are
    /// reported together with those about the files.
    pub remarks: Vec<Diagnostic>,
}

/// Engine that reads the files besides this program, which decides how templates are evaluated.
///
/// ```
/// use register_service::{Engine, Environment, Settings, load};
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("chat.yaml");
/// let yaml = "mcps:\n  - {id: search, url: '{{ .env.SEARCH | default \"http://a.test\" }}/mcp', use_proxy: true}\n";
/// std::fs::write(&file, yaml)?;
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// // The engine refuses a variable that is not set before `default` sees it.
/// assert!(load(&[file.clone()], &settings).is_err());
///
/// let settings = Settings { engine: Engine::None, ..settings };
/// assert_eq!(load(&[file], &settings)?.desired.names().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// Compozy's engine: an unset variable is an error wherever a template asks for it. Differences between this engine
    /// and Go's templates are reported.
    #[default]
    Compozy,
    /// No engine: `default`, `coalesce`, `or`, `if` and the like treat an unset variable as an empty one.
    None,
}

impl Engine {
    /// Returns the treatment of unset variables in a template.
    pub(crate) fn on_unset(self) -> OnUnset {
        match self {
            Self::Compozy => OnUnset::Refused,
            Self::None => OnUnset::Tolerated,
        }
    }
}

/// Treatment of templates that use an unset variable.
///
/// ```
/// use register_service::{Environment, Settings, Unset, load};
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("chat.yaml");
/// std::fs::write(&file, "mcps:\n  - {id: search, url: '{{ .env.SEARCH }}/mcp', use_proxy: true}\n")?;
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// assert!(load(&[file.clone()], &settings).is_err());
///
/// let loaded = load(&[file], &Settings { unset: Unset::Warn, ..settings })?;
/// assert_eq!((loaded.desired.entries().len(), loaded.remarks.len()), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unset {
    /// An error in registered entries, and a warning elsewhere, because the engine may have the variable.
    #[default]
    RefuseWhereUsed,
    /// An error everywhere.
    Refuse,
    /// A warning. An entry whose meaning depends on the variable is listed as unresolved.
    Warn,
}

impl Settings {
    /// True if files with this remark are not used.
    fn refuses(&self, remark: &Diagnostic) -> bool {
        let is_expected = self.unset == Unset::Warn && remark.code == Code::MissingVariable;
        remark.is_error() || (self.strict && remark.severity == Severity::Warning && !is_expected)
    }

    /// Builds settings that register entries with `use_proxy: true`, and that refuse an unset variable in them.
    ///
    /// ```
    /// use register_service::{Environment, Settings};
    ///
    /// let process: Environment = std::env::vars().collect();
    /// let settings = Settings::new("gateway.internal:6001".parse()?, process);
    /// assert_eq!(settings.gateway.as_str(), "http://gateway.internal:6001");
    /// # Ok::<(), register_service::InvalidGatewayUrl>(())
    /// ```
    pub fn new(gateway: GatewayUrl, environment: Environment) -> Self {
        Self {
            gateway,
            environment,
            all: false,
            unset: Unset::default(),
            engine: Engine::default(),
            strict: false,
            remarks: Vec::new(),
        }
    }
}

/// Desired state and remarks from files without errors.
///
/// ```
/// use register_service::{Code, Environment, Settings, load};
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("chat.yaml");
/// std::fs::write(&file, "mcps:\n  - {id: time, command: mcp-server-time, use_proxy: true, colour: red}\n")?;
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// let loaded = load(&[file], &settings)?;
/// assert_eq!(loaded.desired.definitions()[0].name.as_str(), "time");
/// assert_eq!(loaded.remarks[0].code, Code::UnknownKey);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Desired state that the files declare.
    pub desired: Desired,
    /// Warnings and notes, sorted.
    pub remarks: Vec<Diagnostic>,
}

/// Reads the files at these paths and below these folders, and interprets them. Offline.
///
/// `compozy.yaml` and `compozy.yml` are project files. Of all others, documents count that are a mapping with `mcps`,
/// `instructions`, a list of `agents`, or an `id` and a list of `tasks`; the rest is unrelated YAML and skipped. A
/// project file with `use_proxy_default: true` governs the entries in and below its folder that do not set `use_proxy`
/// themselves. The nearest project file above the paths is read too, up to the root of their repository.
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
    let (mut files, mut diagnostics) = source::read(paths);
    source::read_project_above(paths, &mut files, &mut diagnostics);
    interpret(files, diagnostics, settings)
}

/// Interprets parsed files; `diagnostics` are those of reading them.
pub(crate) fn interpret(
    mut files: Vec<File>,
    mut diagnostics: Vec<Diagnostic>,
    settings: &Settings,
) -> Result<Loaded, InvalidFiles> {
    diagnostics.extend(settings.remarks.iter().cloned());
    match settings.engine {
        Engine::Compozy => document::keep_first(&mut files, &mut diagnostics),
        Engine::None => diagnostics.retain(|it| it.code != Code::EngineYaml),
    }
    let items = document::collect(&mut files, settings.engine, &mut diagnostics);
    let ((declared, duplicates, twins), targets) = parallel::both(
        files.len(),
        || {
            let (declared, duplicates) = identity::check_ids(&items, &files);
            (declared, duplicates, identity::check_agents(&files))
        },
        || reference::Targets::new(&files, &items),
    );
    diagnostics.extend(duplicates);
    let environments = environments(&files, settings, &mut diagnostics);
    let governed = governed(&files);
    let (mut entries, mut unresolved) = (Vec::with_capacity(items.len()), Vec::new());
    let read = |(place, item): &Item| {
        let (file, node) = (files.get(place.file)?, place.node(&files)?);
        let entry = match item {
            McpItem::Selector(id) => {
                return Some((None, declared.check_selector(id, file, node).into_iter().collect()));
            }
            McpItem::Entry(entry) => entry,
        };
        let by_default = file.is_given || governed.iter().any(|folder| lies_in(file.folder(), folder));
        let environment = environments.get(&(place.file, place.document)).unwrap_or(&settings.environment);
        let (usage, remarks) = entry::read(entry, node, &Context { file, settings, environment, by_default });
        let meaning = entry.id.clone().map(|id| (id, file.at(node.head()), usage));
        Some((meaning, remarks))
    };
    let results = parallel::each(items.iter(), read);
    for ((place, _), (meaning, remarks)) in items.iter().zip(results).filter_map(|(item, result)| Some((item, result?)))
    {
        diagnostics.extend(remarks);
        match meaning {
            Some((id, location, Some(usage))) => entries.push(Entry { id, location, usage, place: *place }),
            Some((id, location, None)) => unresolved.push((id, location)),
            None => {}
        }
    }
    identity::check_names(&entries, &mut diagnostics);
    diagnostics.extend(twins);
    let tools = reference::check(&files, &targets, &entries, &mut diagnostics);
    document::check_empty(&files, &items, &mut diagnostics);
    finish(&files, &mut diagnostics);
    if diagnostics.iter().any(|remark| settings.refuses(remark)) {
        let files = files.iter().map(|file| file.path().to_owned()).collect();
        return Err(InvalidFiles { diagnostics, files });
    }
    let (environment, engine) = (settings.environment.clone(), settings.engine);
    Ok(Loaded {
        desired: Desired { files, entries, unresolved, tools, environment, environments, engine },
        remarks: diagnostics,
    })
}

/// Returns the variables of documents that declare some, or whose project does. The settings' variables override the
/// document's own, which override those of the project above.
fn environments(
    files: &[File],
    settings: &Settings,
    diagnostics: &mut Vec<Diagnostic>,
) -> BTreeMap<(usize, usize), Environment> {
    let environment = &settings.environment;
    let unset_is_error = settings.unset == Unset::Refuse;
    let own = |file: &File, node: &Node, below: &Environment, diagnostics: &mut Vec<Diagnostic>| {
        let rendering = Rendering { file, environment, unset_is_error, engine: settings.engine };
        variables::own(node, below, rendering, diagnostics)
    };
    let mut projects: Vec<(&str, Environment)> = Vec::new();
    for file in files.iter().filter(|file| file.is_project()) {
        let declared = file.documents.iter().find_map(|node| own(file, node, &Environment::default(), diagnostics));
        projects.extend(declared.map(|environment| (file.folder(), environment)));
    }
    // The innermost of nested projects applies.
    projects.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.len()));
    let of_file = |(index, file): (usize, &File)| {
        let (mut found, mut diagnostics) = (Vec::new(), Vec::new());
        let project = projects.iter().find(|(folder, _)| lies_in(file.folder(), folder)).map(|(_, it)| it);
        let nothing = Environment::default();
        let below = project.unwrap_or(&nothing);
        for (document, node) in file.documents.iter().enumerate() {
            let is_own = !file.is_project() && document::kind(file, node) != document::Kind::Foreign;
            let declared = if is_own { own(file, node, below, &mut diagnostics) } else { None };
            if declared.is_some() || project.is_some() {
                found.push(((index, document), environment.over(&declared.unwrap_or_default()).over(below)));
            }
        }
        (found, diagnostics)
    };
    let mut all = BTreeMap::new();
    for (found, remarks) in parallel::each(files.iter().enumerate(), of_file) {
        all.extend(found);
        diagnostics.extend(remarks);
    }
    all
}

/// Sorts diagnostics, and attaches to each the line that it is about.
fn finish(files: &[File], diagnostics: &mut Vec<Diagnostic>) {
    diagnostic::sort(diagnostics);
    let by_path: BTreeMap<&str, &File> = files.iter().map(|file| (file.path(), file)).collect();
    let secrets: Vec<Location> =
        diagnostics.iter().filter(|it| it.code == Code::LiteralSecret).map(Diagnostic::location).collect();
    for diagnostic in diagnostics {
        let file = by_path.get(diagnostic.file.as_str());
        let hidden = secrets.iter().filter(|secret| secret.file == diagnostic.file);
        diagnostic.excerpt = file.and_then(|file| file.excerpt(diagnostic.line, hidden));
    }
}

/// Returns the folders of projects with `use_proxy_default: true`.
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
#[cfg(test)]
pub(crate) mod vectors;
