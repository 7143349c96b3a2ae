//! Finds and reads YAML files, with the position of every key and value.
//!
//! Paths name single files or folders. In folders, reads `*.yaml` and `*.yml`, sorted by path, except hidden ones and
//! those in `target` and `node_modules`; does not follow links to folders. A missing file or folder is an error, never
//! an empty set. This module does not interpret documents.

mod build;
pub(crate) mod document;
mod excerpt;
mod find;
pub(crate) mod node;
pub(crate) mod parallel;
mod scalar;
pub(crate) mod yaml;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{self, Code, Diagnostic, Location, Severity};
use crate::source::find::Found;
use crate::source::node::{Node, Position, Span};

/// Path that selects standard input.
const STANDARD_INPUT: &str = "-";
const MAX_FILE_BYTES: u64 = 1 << 20;
const BYTE_ORDER_MARK: char = '\u{feff}';
const MAX_FOLDER_DEPTH: usize = 32;
const PROJECT_FILES: [&str; 2] = ["compozy.yaml", "compozy.yml"];

/// Parsed file.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # std::fs::create_dir(folder.path().join("chat"))?;
/// # std::fs::write(folder.path().join("chat/a.yaml"), "id: a\n")?;
/// let (files, diagnostics) = register_service::read(&[folder.path().to_owned()]);
/// assert_eq!((files.len(), diagnostics.len()), (1, 0));
/// assert_eq!(files[0].name(), "chat/a.yaml");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct File {
    path: Arc<str>,
    name: Arc<str>,
    /// Path of the folder, as canonical on this machine if the file was read from one.
    home: Arc<str>,
    text: Arc<str>,
    pub(crate) documents: Vec<Node>,
    /// True if the first document is empty; then the engine reads none of `documents`.
    begins_empty: bool,
    /// True if `documents` is all that the file contains.
    pub(crate) is_whole: bool,
    /// True if values of the wrong type were removed from `documents`.
    pub(crate) has_misfits: bool,
    /// True if an engine passed the text, rather than a file; its entries are registered by default.
    pub(crate) is_given: bool,
    /// Path named by the caller, at or below which the file was found; `None` if the caller did not ask for it.
    asked: Option<Arc<str>>,
}

impl File {
    /// Returns the path as the caller named it, or below the folder that the caller named.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # std::fs::write(folder.path().join("chat.yaml"), "id: a\n")?;
    /// let (files, _) = register_service::read(&[folder.path().to_owned()]);
    /// assert_eq!(std::path::Path::new(files[0].path()), folder.path().join("chat.yaml"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the path below the folder that the caller named: equal on every machine, wherever that folder is.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # std::fs::write(folder.path().join("chat.yaml"), "id: a\n")?;
    /// let (files, _) = register_service::read(&[folder.path().to_owned()]);
    /// assert_eq!(files[0].name(), "chat.yaml");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Formats the documents as YAML, without comments.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("chat.yaml");
    /// std::fs::write(&file, "# of the team\nid: chat\n---\nid: other\n")?;
    /// let (files, _) = register_service::read(&[file]);
    /// assert_eq!(files[0].to_yaml(), "id: chat\n---\nid: other\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn to_yaml(&self) -> String {
        let write = |document| yaml::write(document).unwrap_or_else(|error| format!("# {error}\n"));
        self.documents.iter().map(write).collect::<Vec<_>>().join("---\n")
    }

    pub(crate) fn parse(path: &str, name: &str, text: &str) -> (Self, Vec<Diagnostic>) {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let yaml::Read { documents, is_whole, begins_empty, malformed } = yaml::parse(text);
        let file = Self {
            path: path.into(),
            name: name.into(),
            home: path.rsplit_once('/').map_or("", |(folder, _)| folder).into(),
            text: text.into(),
            documents,
            begins_empty,
            is_whole,
            has_misfits: false,
            is_given: false,
            asked: None,
        };
        let remark = |it: yaml::Malformed| Diagnostic::new(it.code, &file.at(it.span), it.message).hint_if(it.hint);
        let diagnostics = malformed.into_iter().map(remark).collect();
        (file, diagnostics)
    }

    /// Parses a text that an engine passes.
    pub(crate) fn given(origin: &str, text: &str) -> (Self, Vec<Diagnostic>) {
        let (file, mut diagnostics) = Self::parse(origin, origin, text);
        // The engine has parsed the text already, so its parser's limits do not matter.
        diagnostics.retain(|it| it.code != Code::EngineYaml);
        (Self { is_given: true, ..file }, diagnostics)
    }

    /// Removes and returns the documents that the engine does not read: all but the first.
    pub(crate) fn keep_first_document(&mut self) -> Vec<Node> {
        let first = if self.begins_empty { 0 } else { 1 };
        self.documents.split_off(first.min(self.documents.len()))
    }

    /// Returns the path named by the caller, at or below which the file was found, in its displayed form.
    pub(crate) fn asked(&self) -> Option<&str> {
        self.asked.as_deref()
    }

    /// True if there may be more declarations than were read here.
    pub(crate) fn is_partial(&self) -> bool {
        !self.is_whole || self.has_misfits || self.is_given
    }

    pub(crate) fn at(&self, span: Span) -> Location {
        location(&self.path, span)
    }

    /// Returns the location of a part of a text, or that of the whole text if the part cannot be located.
    pub(crate) fn part(&self, node: &Node, part: Range<usize>) -> Location {
        let found = node.as_text().and_then(|text| text.locate(&self.text, part));
        self.at(found.unwrap_or(node.span))
    }

    /// Returns the file without its documents, for locating nodes cloned from it.
    pub(crate) fn without_documents(&self) -> Self {
        Self {
            documents: Vec::new(),
            path: Arc::clone(&self.path),
            name: Arc::clone(&self.name),
            home: Arc::clone(&self.home),
            text: Arc::clone(&self.text),
            asked: self.asked.clone(),
            ..*self
        }
    }

    /// Returns a line of the file for display, with the secrets found in the file masked. Behind a key that is probably
    /// a secret's, only templates stay visible.
    pub(crate) fn excerpt<'s>(&self, number: u32, secrets: impl Iterator<Item = &'s Location>) -> Option<String> {
        let line = self.text.lines().nth(usize::try_from(number).ok()?.checked_sub(1)?)?;
        Some(secrets.fold(excerpt::blot(line), |line, secret| excerpt::hide(&line, number, secret)))
    }

    pub(crate) fn is_project(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        PROJECT_FILES.contains(&name)
    }

    /// True if the file is in this folder or below it.
    pub(crate) fn lies_in(&self, outer: &str) -> bool {
        let folder = self.folder();
        outer.is_empty() || folder.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns the path of the file's folder; empty for a file that was named without a folder and never read.
    pub(crate) fn folder(&self) -> &str {
        &self.home
    }
}

/// Error: the files have errors, or warnings that strict settings refuse.
///
/// ```
/// use register_service::{Environment, Settings, load};
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("chat.yaml");
/// std::fs::write(&file, "mcps:\n  - {command: mcp-server-time}\n  - {id: search, transport: carrier-pigeon}\n")?;
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// if let Err(invalid) = load(&[file], &settings) {
///     let found: Vec<_> = invalid.diagnostics.iter().map(|it| (it.line, it.code.as_str())).collect();
///     assert_eq!(found, [(2, "missing-id"), (3, "unknown-transport")]);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} in the files", count(.diagnostics))]
#[non_exhaustive]
pub struct InvalidFiles {
    /// All diagnostics, including warnings and notes, sorted.
    pub diagnostics: Vec<Diagnostic>,
    /// Paths of the files that could be read.
    pub files: Vec<String>,
}

/// Counts the errors; if there are none, the warnings that strict settings refuse.
fn count(diagnostics: &[Diagnostic]) -> String {
    let tally = |severity| diagnostics.iter().filter(|it| it.severity == severity).count();
    let (number, what) = match (tally(Severity::Error), tally(Severity::Warning)) {
        (0, warnings) => (warnings, "warning"),
        (errors, _) => (errors, "error"),
    };
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Reads the files at these paths and below these folders; `-` is standard input. Reports what cannot be read, and
/// returns the rest.
///
/// ```
/// use std::path::PathBuf;
///
/// let (files, diagnostics) = register_service::read(&[PathBuf::from("no/such/folder")]);
/// assert!(files.is_empty());
/// assert_eq!(diagnostics[0].to_string(), "no/such/folder: error[not-found]: there is no such file or folder");
/// ```
pub fn read(paths: &[PathBuf]) -> (Vec<File>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut wanted = Vec::new();
    let mut seen = HashSet::new();
    for path in paths {
        let asked: Arc<str> = shown(path).into();
        let found = find::find(path, &mut diagnostics).into_iter().filter(|found| seen.insert(found.identity.clone()));
        wanted.extend(found.map(|found| Wanted { found, below: path, asked: Arc::clone(&asked) }));
    }
    let mut files = Vec::with_capacity(wanted.len());
    for read in parallel::each(wanted.iter(), Wanted::read) {
        match read {
            Ok((file, remarks)) => {
                files.push(file);
                diagnostics.extend(remarks);
            }
            Err(remark) => diagnostics.push(remark),
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    (files, diagnostics)
}

/// File to read, and the named path below which it was found.
struct Wanted<'p> {
    found: Found,
    below: &'p Path,
    asked: Arc<str>,
}

impl Wanted<'_> {
    fn read(&self) -> Result<(File, Vec<Diagnostic>), Diagnostic> {
        let path = &self.found.path;
        let (shown_path, text) = text_of(path)?;
        let name = path.strip_prefix(self.below).ok().filter(|it| !it.as_os_str().is_empty());
        let name = name.or_else(|| path.file_name().map(Path::new)).unwrap_or(path);
        let (file, remarks) = File::parse(&shown_path, &shown(name), &text);
        let home = self.found.identity.parent().map(shown).unwrap_or_default().into();
        Ok((File { home, asked: Some(Arc::clone(&self.asked)), ..file }, remarks))
    }
}

/// Adds the project file that governs these paths from a folder above them, unless it was read already.
pub(crate) fn read_project_above(paths: &[PathBuf], files: &mut Vec<File>, diagnostics: &mut Vec<Diagnostic>) {
    for path in paths.iter().filter(|path| *path != Path::new(STANDARD_INPUT)) {
        let Some(project) = fs::canonicalize(path).ok().and_then(|path| project_above(&path)) else { continue };
        let home = project.parent().map(shown).unwrap_or_default();
        if files.iter().any(|file| file.is_project() && *file.home == home) {
            continue;
        }
        let here = std::env::current_dir().ok().and_then(|here| project.strip_prefix(here).ok().map(Path::to_owned));
        let (found, remarks) = read(&[here.unwrap_or(project)]);
        files.extend(found);
        diagnostics.extend(remarks);
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
}

/// Returns the nearest project file above a path, up to the root of its repository.
fn project_above(path: &Path) -> Option<PathBuf> {
    let is_folder = path.is_dir();
    for folder in path.ancestors().skip(usize::from(!is_folder)).take(MAX_FOLDER_DEPTH) {
        let found = PROJECT_FILES.iter().map(|name| folder.join(name)).find(|file| file.is_file());
        if found.is_some() || folder.join(".git").exists() {
            return found;
        }
    }
    None
}

/// Reads a file. Returns its displayed path and its text.
pub(crate) fn text_of(path: &Path) -> Result<(String, String), Diagnostic> {
    let bytes = bytes(path).map_err(|message| whole(Code::Unreadable, path, message))?;
    Ok((shown(path), text(path, bytes)?))
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    if path == Path::new(STANDARD_INPUT) {
        return bytes_of(io::stdin().lock(), 0);
    }
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let size = file.metadata().map_or(0, |found| found.len().min(MAX_FILE_BYTES));
    // One more byte, so that the end of the file is reached without growing the buffer.
    bytes_of(file, usize::try_from(size + 1).unwrap_or_default())
}

fn bytes_of(file: impl Read, size: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(size);
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err("the file is larger than 1 MiB".to_owned());
    }
    Ok(bytes)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, Diagnostic> {
    let error = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let bytes = error.as_bytes();
    let (good, bad) = bytes.split_at_checked(error.utf8_error().valid_up_to()).unwrap_or_default();
    let (message, hint) = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => ("the file is UTF-16 text".to_owned(), "save it as UTF-8"),
        _ => {
            let byte = bad.first().copied().unwrap_or_default();
            (
                format!("byte 0x{byte:02x} is not UTF-8 text"),
                "save the file as UTF-8, and not in Latin-1 or Windows-1252",
            )
        }
    };
    let start = Position { line: 1, column: 1 }.behind(&String::from_utf8_lossy(good));
    let end = Position { column: start.column + 1, ..start };
    Err(Diagnostic::new(Code::Encoding, &location(&shown(path), Span { start, end }), message).hint(hint))
}

/// Converts a span to a location in the file with this displayed path.
pub(crate) fn location(file: &str, Span { start, end }: Span) -> Location {
    let file = file.to_owned();
    Location { file, line: start.line, column: start.column, end_line: end.line, end_column: end.column }
}

/// Formats a path for display: `/` between the parts, no `./` in front.
fn shown(path: &Path) -> String {
    let shown = path.to_string_lossy().replace('\\', "/");
    shown.strip_prefix("./").map_or_else(|| shown.clone(), str::to_owned)
}

fn whole(code: Code, path: &Path, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(code, &Location::whole(shown(path)), message)
}

/// Sorts diagnostics, and attaches to each the line that it is about.
pub(crate) fn finish(files: &[File], diagnostics: &mut Vec<Diagnostic>) {
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

#[cfg(test)]
mod tests;
