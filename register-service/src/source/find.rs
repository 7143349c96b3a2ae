//! Finds the YAML files at or below a path.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Code, Diagnostic};
use crate::source::location::whole;

/// Path that selects standard input.
pub(super) const STANDARD_INPUT: &str = "-";
/// Deepest nesting of folders that is followed.
pub(super) const MAX_FOLDER_DEPTH: usize = 32;

const SKIPPED_FOLDERS: [&str; 2] = ["target", "node_modules"];

/// File that was found.
pub(super) struct Found {
    /// Path as the caller named it, or below the folder that the caller named.
    pub(super) path: PathBuf,
    /// Path without links, which identifies a file that is found twice.
    pub(super) identity: PathBuf,
}

impl Found {
    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), identity: fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()) }
    }
}

/// Returns the YAML files at or below a path, sorted.
pub(super) fn find(path: &Path, diagnostics: &mut Vec<Diagnostic>) -> Vec<Found> {
    if path == Path::new(STANDARD_INPUT) {
        return vec![Found { path: path.to_owned(), identity: path.to_owned() }];
    }
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            let mut walk = Walk { files: Vec::new(), diagnostics };
            walk.folder(&Found::at(path), MAX_FOLDER_DEPTH);
            let files = walk.files;
            if files.is_empty() {
                diagnostics.push(whole(Code::NoFiles, path, "there is no YAML file in this folder"));
            }
            files
        }
        Ok(_) => vec![Found::at(path)],
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            diagnostics.push(whole(Code::NotFound, path, "there is no such file or folder"));
            Vec::new()
        }
        Err(error) => {
            diagnostics.push(whole(Code::Unreadable, path, error.to_string()));
            Vec::new()
        }
    }
}

struct Walk<'d> {
    files: Vec<Found>,
    diagnostics: &'d mut Vec<Diagnostic>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Found, depth: usize) {
        let mut entries = match fs::read_dir(&folder.path).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(&folder.path, &error.to_string()),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            if !name.as_encoded_bytes().starts_with(b".") {
                // The only links followed so far are those in the caller's path, which `folder.identity` has resolved.
                self.entry(&entry, Found { path: entry.path(), identity: folder.identity.join(name) }, depth);
            }
        }
    }

    fn entry(&mut self, entry: &fs::DirEntry, found: Found, depth: usize) {
        let is_yaml = found.path.extension().is_some_and(|it| it == "yaml" || it == "yml");
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && SKIPPED_FOLDERS.iter().any(|skipped| entry.file_name() == *skipped) => {}
            Ok(kind) if kind.is_dir() && depth == 0 => self.unreadable(&found.path, "the folders are nested too deep"),
            Ok(kind) if kind.is_dir() => self.folder(&found, depth - 1),
            Ok(kind) if is_yaml && kind.is_file() => self.files.push(found),
            // Pipes and devices are skipped too, because reading one could block forever.
            Ok(kind) if is_yaml && kind.is_symlink() => match fs::metadata(&found.path) {
                Ok(target) if target.is_file() => self.files.push(Found::at(&found.path)),
                Ok(_) => {}
                Err(error) => self.unreadable(&found.path, &error.to_string()),
            },
            Ok(_) => {}
            Err(error) => self.unreadable(&found.path, &error.to_string()),
        }
    }

    fn unreadable(&mut self, path: &Path, why: &str) {
        self.diagnostics.push(whole(Code::Unreadable, path, why));
    }
}
