//! Configuration files: finds the file, reads it with all that it includes, and keeps what was read for the watcher.
//!
//! The gateway's own format is strict: any mistake makes the files unusable, and all of them are reported. Of another
//! program's file, what cannot be used is reported and the rest is used.

mod find;
mod flags;
mod path;
mod read;
mod stamp;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemas::Definition;

pub(crate) use self::flags::{FileFlags, ForeignFlags, FormatFlags};
pub(super) use self::path::is_named_as_own;
pub(crate) use self::path::{absolute, displayed};
pub(super) use self::read::{OWN, PTBSARE, is_of_ptbsare, read, text, tool_config};
pub(crate) use self::stamp::Stamps;

/// Values of settings in files, by the key in the file.
pub(super) type FileValues = BTreeMap<String, FileValue>;

/// Value of a setting in a file.
#[derive(Debug, Clone)]
pub(super) struct FileValue {
    pub(super) place: Place,
    /// One text, unless the value is a list.
    pub(super) texts: Vec<String>,
    /// Folder of the file, below which relative paths are.
    pub(super) folder: PathBuf,
}

/// Position in a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Place {
    /// Path as it was named.
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// Contents of the configuration files.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(super) values: FileValues,
    pub(crate) servers: Vec<Definition>,
    /// Warnings and notes, each with its position.
    pub(crate) remarks: Vec<String>,
    /// Servers that cannot be used, each with its position and the reason.
    pub(crate) refused: Vec<String>,
    /// Format of the file that was named.
    pub(crate) format: &'static str,
    /// True if the file says that no gateway is to be started.
    pub(super) is_switched_off: bool,
}

impl Files {
    /// Lists the keys of the settings that the files have, each with its position.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.values.iter().map(|(key, value)| (key.as_str(), &value.place))
    }
}

/// Configuration files that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .problems.join("\n"))]
pub(crate) struct InvalidFiles {
    /// Every mistake with its position and its cure, warnings included.
    pub(crate) problems: Vec<String>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, line, column } = self;
        if *line == 0 { f.write_str(file) } else { write!(f, "{file}:{line}:{column}") }
    }
}
