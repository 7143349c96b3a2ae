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
pub(crate) mod connection_fields;
mod date;
mod desired;
mod document;
mod engine;
mod entry;
mod fields;
pub(crate) mod from_text;
pub(crate) mod gateway;
mod header;
mod identity;
mod keys;
mod kind;
pub(crate) mod reference;
mod rendering;
pub(crate) mod rewrite;
mod selector;
mod settings;
pub(crate) mod tool_check;
mod variables;
mod verbatim;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemas::document::Node;
use schemas::template::Environment;
use schemas::workflow::McpItem;

use crate::diagnostic::{Code, Diagnostic};
use crate::source::{self, File, InvalidFiles, parallel};
pub use crate::workflow::desired::{Desired, Entry, Usage};
use crate::workflow::document::Item;
use crate::workflow::entry::Context;
use crate::workflow::kind::{Kind, kind};
use crate::workflow::rendering::Rendering;
pub use crate::workflow::settings::{Engine, Settings, Unset};

/// Desired state and remarks from files without errors.
///
/// ```
/// use register_service::files::Code;
/// use register_service::{Environment, Settings, load};
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
        let by_default = file.is_inline || governed.iter().any(|folder| file.lies_in(folder));
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
    source::finish(&files, &mut diagnostics);
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
        let project = projects.iter().find(|(folder, _)| file.lies_in(folder)).map(|(_, it)| it);
        let nothing = Environment::default();
        let below = project.unwrap_or(&nothing);
        for (document, node) in file.documents.iter().enumerate() {
            let is_own = !file.is_project() && kind(file, node) != Kind::Foreign;
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

/// Returns the folders of projects with `use_proxy_default: true`.
fn governed(files: &[File]) -> Vec<String> {
    let sets_default = |document: &Node| {
        let flag = document.get("use_proxy_default").and_then(Node::literal);
        flag == Some("true")
    };
    let projects = files.iter().filter(|file| file.is_project() && file.documents.iter().any(sets_default));
    projects.map(|file| file.folder().to_owned()).collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod vectors;
