//! Reads the configuration file and those that it includes.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use schemas::admin::{OWNER_TAG, SOURCE_TAG};
use schemas::config::{Imported, Level, OwnFile, Surroundings, apply_tool_config, import_document, is_own, read_own};
use schemas::document::{Document, Span};
use schemas::{Definition, Owner};

use super::flags::ForeignFlags;
use super::path::{absolute, displayed, folder, is_named_as_own};
use super::{FileValue, Files, InvalidFiles, Place, Stamps};
use crate::config::env::Variables;
use crate::sync::lock;

/// Maximum size of a configuration file.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Maximum number of files that include one another.
const MAX_DEPTH: usize = 16;
/// Maximum number of files that one includes, directly or not.
const MAX_FILES: usize = 1_000;
const EXTENSIONS: [&str; 5] = ["yaml", "yml", "json", "jsonc", "toml"];
/// Identifier of the gateway's own format.
pub(in crate::config) const OWN: &str = "own";

/// Format whose tools are switched in a file of their own, and the variable that names the separator in it.
pub(in crate::config) const PTBSARE: &str = "ptbsare";
const TOOL_CONFIG: &str = "tool_config.json";
const SEPARATOR: &str = "SERVER_TOOLNAME_SEPERATOR";

/// Reads a file with all that it includes. `names` are the keys of settings. Returns also the state of the files and
/// folders that were read, to notice their changes; also when they cannot be used.
pub(in crate::config) fn read(
    path: &Path,
    owner: &Owner,
    (names, foreign, is_reload): (&[String], &ForeignFlags, bool),
    variables: &Variables,
) -> (Result<Files, InvalidFiles>, Stamps) {
    let stamps = Arc::<Mutex<Stamps>>::default();
    let mut reader = Reader {
        names: names.iter().map(String::as_str).collect(),
        foreign,
        owner,
        variables,
        stamps: Arc::clone(&stamps),
        files: Files::default(),
        problems: Vec::new(),
        is_broken: false,
        places: BTreeMap::new(),
        seen: HashSet::new(),
        depth: 0,
        is_reload,
    };
    reader.file(path, None);
    let Reader { mut files, problems, is_broken, .. } = reader;
    let stamps = lock(&stamps).clone();
    if is_broken {
        let problems = problems.into_iter().chain(files.refused).collect();
        return (Err(InvalidFiles { problems }), stamps);
    }
    files.remarks = problems;
    (Ok(files), stamps)
}

struct Reader<'r> {
    names: Vec<&'r str>,
    foreign: &'r ForeignFlags,
    owner: &'r Owner,
    variables: &'r Variables,
    stamps: Arc<Mutex<Stamps>>,
    files: Files,
    problems: Vec<String>,
    /// True if one of the problems makes the files unusable.
    is_broken: bool,
    /// Declarations of servers by name.
    places: BTreeMap<String, Place>,
    /// Files that were read, by their canonical paths.
    seen: HashSet<PathBuf>,
    /// Number of files whose reading led to the present one.
    depth: usize,
    is_reload: bool,
}

impl Reader<'_> {
    /// Reads a file, named by another file or by the user.
    fn file(&mut self, path: &Path, included_at: Option<&Place>) {
        if self.depth > MAX_DEPTH {
            let place = included_at.map_or_else(|| displayed(path), ToString::to_string);
            let hint = "include the file from the first one";
            self.broken(format!("{place}: error: files include one another {MAX_DEPTH} deep\n  hint: {hint}"));
            return;
        }
        self.depth += 1;
        self.read_file(path, included_at);
        self.depth -= 1;
    }

    fn read_file(&mut self, path: &Path, included_at: Option<&Place>) {
        let file = displayed(path);
        lock(&self.stamps).add(path);
        let canonical = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if !self.seen.insert(canonical) {
            return;
        }
        if self.seen.len() > MAX_FILES {
            let place = included_at.map_or_else(|| file.clone(), ToString::to_string);
            let hint = "include the folder that is meant, not one above it";
            self.broken(format!("{place}: error: more than {MAX_FILES} files are included\n  hint: {hint}"));
            return;
        }
        // A pipe, as a shell passes by `<(command)`, is read once, and only where the user has named it.
        let may_be_pipe = included_at.is_none() && !self.is_reload;
        let text = match text(path, may_be_pipe) {
            Ok(text) => text,
            Err(reason) => {
                let place = included_at.map_or_else(|| file.clone(), ToString::to_string);
                self.broken(format!("{place}: error: cannot read `{file}`: {reason}"));
                return;
            }
        };
        let document = Document::parse(&text);
        let named = self.foreign.format.config_format.as_deref().filter(|_| included_at.is_none());
        let format = named.or_else(|| is_of_ptbsare(path).then_some(PTBSARE));
        let surroundings = self.surroundings(path);
        let is_first = included_at.is_none();
        let is_own = || is_own(&document, &self.names, is_named_as_own(path));
        if format == Some(OWN) || (format.is_none() && is_own()) {
            if is_first {
                self.files.format = OWN;
            }
            let own = read_own(&document, &self.names, &surroundings);
            self.own(&file, path, own);
            return;
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut imported = import_document(&document, &stem, format);
        self.tool_config(path, &mut imported);
        if is_first {
            self.files.format = imported.dialect.map_or("", |dialect| dialect.id);
            self.files.is_switched_off = imported.is_switched_off;
        }
        self.imported(&file, (path, &surroundings, is_first), imported, !document.malformed.is_empty());
    }

    fn own(&mut self, file: &str, path: &Path, own: OwnFile) {
        self.is_broken |= own.remarks.iter().any(|remark| remark.level == Level::Error);
        self.problems.extend(own.remarks.iter().map(|remark| remark.in_file(file)));
        for setting in own.settings {
            self.setting(setting.key, setting.values, place(file, setting.span), path);
        }
        for server in own.servers {
            let is_disabled = server.is_disabled;
            self.server(server.definition, is_disabled, place(file, server.span));
        }
        for (target, span) in own.include {
            let place = place(file, span);
            let in_home = target.strip_prefix("~/").and_then(|rest| Some(self.variables.path("HOME")?.join(rest)));
            self.include(&in_home.unwrap_or_else(|| folder(path).join(target)), &place);
        }
    }

    fn include(&mut self, target: &Path, place: &Place) {
        if !target.is_dir() {
            self.file(target, Some(place));
            return;
        }
        lock(&self.stamps).add(target);
        let listed = fs::read_dir(target)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>());
        let mut paths = match listed {
            Ok(paths) => paths,
            Err(error) => {
                self.broken(format!("{place}: error: cannot read `{}`: {error}", displayed(target)));
                return;
            }
        };
        let is_wanted = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            !name.starts_with('.') && EXTENSIONS.contains(&extension.as_str()) && path.is_file()
        };
        paths.retain(is_wanted);
        paths.sort();
        for path in paths {
            self.file(&path, Some(place));
        }
    }

    /// Reads the `tool_config.json` beside an `mcp_server.json`.
    fn tool_config(&mut self, path: &Path, imported: &mut Imported) {
        lock(&self.stamps).add(&folder(path).join(TOOL_CONFIG));
        let separator = self.variables.text(SEPARATOR);
        if let Err(problem) = tool_config(path, separator.as_deref(), imported) {
            self.broken(problem);
        }
    }

    fn imported(
        &mut self,
        file: &str,
        (path, surroundings, is_first): (&Path, &Surroundings, bool),
        imported: Imported,
        is_malformed: bool,
    ) {
        // An error about one server is the reason why that one is refused.
        let has_errors = imported.remarks.iter().any(|remark| remark.level == Level::Error);
        self.is_broken |= is_malformed || has_errors || imported.dialect.is_none();
        self.problems.extend(imported.remarks.iter().map(|remark| remark.in_file(file)));
        for setting in imported.settings {
            let place = place(file, setting.span);
            if is_first {
                self.setting(setting.name.to_owned(), setting.values, place, path);
            } else {
                let message = "has no effect: an included file of another program adds its servers only";
                self.problems.push(format!("{place}: note: setting `{}` {message}", setting.name));
            }
        }
        for server in imported.servers {
            let place = place(file, server.span);
            if server.is_disabled {
                continue;
            }
            match server.definition(surroundings) {
                Ok(definition) => {
                    if definition.name.as_str() != server.name {
                        let message = format!("`{}` is registered as `{}`", server.name, definition.name);
                        self.problems.push(format!("{place}: note: {message}"));
                    }
                    self.server(definition, false, place);
                }
                Err(refused) => self.files.refused.push(refused.in_file(file)),
            }
        }
    }

    fn setting(&mut self, key: String, texts: Vec<String>, place: Place, path: &Path) {
        if let Some(first) = self.files.values.get(&key) {
            let first = &first.place;
            self.broken(format!("{place}: error: `{key}` is set twice\n  hint: the first is at {first}"));
            return;
        }
        let folder = absolute(&folder(path));
        if key.ends_with("-file") {
            texts.iter().for_each(|path| lock(&self.stamps).add(&folder.join(path)));
        }
        self.files.values.insert(key, FileValue { place, texts, folder });
    }

    fn server(&mut self, mut definition: Definition, is_disabled: bool, place: Place) {
        let name = definition.name.to_string();
        if let Some(first) = self.places.get(&name) {
            let message = format!("{place}: error: server `{name}` is declared twice\n  hint: the first is at {first}");
            self.broken(message);
            return;
        }
        if !is_disabled {
            definition.tags.insert(OWNER_TAG.to_owned(), self.owner.to_string());
            definition.tags.insert(SOURCE_TAG.to_owned(), format!("{}:{}", place.file, place.line));
            self.files.servers.push(definition);
        }
        self.places.insert(name, place);
    }

    fn broken(&mut self, problem: String) {
        self.is_broken = true;
        self.problems.push(problem);
    }

    /// Returns what the variables of a file stand for. Files that are read for them are watched too.
    fn surroundings(&self, path: &Path) -> Surroundings {
        let stamps = Arc::clone(&self.stamps);
        let read_file = move |path: &str| {
            lock(&stamps).add(Path::new(path));
            text(Path::new(path), false)
        };
        let workspace = self.foreign.format.workspace.as_deref().map(|folder| absolute(folder).display().to_string());
        Surroundings {
            environment: self.variables.texts(),
            inputs: self.foreign.inputs.iter().cloned().collect(),
            workspace,
            read_file: Some(Arc::new(read_file)),
            folder: Some(absolute(&folder(path)).display().to_string()),
        }
    }
}

/// Applies the `tool_config.json` beside an `mcp_server.json`, if there is one, to the servers of the latter.
pub(in crate::config) fn tool_config(
    path: &Path,
    separator: Option<&str>,
    imported: &mut Imported,
) -> Result<(), String> {
    let beside = folder(path).join(TOOL_CONFIG);
    if imported.dialect.is_none_or(|dialect| dialect.id != PTBSARE) || !beside.exists() {
        return Ok(());
    }
    let file = displayed(&beside);
    let text = text(&beside, false).map_err(|reason| format!("{file}: error: cannot read it: {reason}"))?;
    let remarks = apply_tool_config(&mut imported.servers, &Document::parse(&text), separator.unwrap_or("__"));
    // Told with the name of their own file.
    let remarks = remarks.into_iter().map(|remark| remark.of(&file));
    imported.remarks.extend(remarks);
    Ok(())
}

/// True for an `mcp_server.json` with a `tool_config.json` beside it, whose content may not show the format.
pub(in crate::config) fn is_of_ptbsare(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "mcp_server.json") && folder(path).join(TOOL_CONFIG).exists()
}

fn place(file: &str, span: Span) -> Place {
    Place { file: file.to_owned(), line: span.start.line, column: span.start.column }
}

/// Reads a text file; also a pipe, if that may be one.
pub(in crate::config) fn text(path: &Path, may_be_pipe: bool) -> Result<String, String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.is_dir() {
        return Err("it is a folder".to_owned());
    }
    let is_readable = metadata.is_file() || (may_be_pipe && metadata.file_type().is_fifo());
    if !is_readable {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it is larger than {} MiB; split it with `include`", MAX_FILE_BYTES >> 20));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}
