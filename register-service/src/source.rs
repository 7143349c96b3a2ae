//! Finds and reads YAML files, with the position of every key and value.
//!
//! Paths name single files or folders. In folders, reads `*.yaml` and `*.yml`, sorted by path, except hidden ones and
//! those in `target` and `node_modules`; does not follow links to folders. A missing file or folder is an error, never
//! an empty set. [`schemas::document`] parses them, and the modules above interpret them.

pub(crate) mod env_file;
mod excerpt;
mod file;
mod find;
pub(crate) mod location;
pub(crate) mod parallel;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemas::document::{Position, Span};

use crate::diagnostic::{self, Code, Diagnostic, Location, Severity};
pub use crate::source::file::File;
use crate::source::file::PROJECT_FILES;
use crate::source::find::{Found, MAX_FOLDER_DEPTH, STANDARD_INPUT};
use crate::source::location::{location, shown, whole};

const MAX_FILE_BYTES: u64 = 1 << 20;

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
/// let (files, diagnostics) = register_service::files::read(&[PathBuf::from("no/such/folder")]);
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
        Ok((file.found(home, Arc::clone(&self.asked)), remarks))
    }
}

/// Adds the project file that governs these paths from a folder above them, unless it was read already.
pub(crate) fn read_project_above(paths: &[PathBuf], files: &mut Vec<File>, diagnostics: &mut Vec<Diagnostic>) {
    for path in paths.iter().filter(|path| *path != Path::new(STANDARD_INPUT)) {
        let Some(project) = fs::canonicalize(path).ok().and_then(|path| project_above(&path)) else { continue };
        let home = project.parent().map(shown).unwrap_or_default();
        if files.iter().any(|file| file.is_project() && file.folder() == home) {
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
