//! Servers that the configuration file declares, and the state of the file for status reports.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use schemas::{Definition, Owner};
use tokio::sync::watch;

/// Servers that the configuration declares.
#[derive(Debug, Clone)]
pub(crate) struct DeclaredServers {
    /// Owner of their registrations.
    pub(crate) owner: Owner,
    /// Path of the file, as it was named; `None` without a file.
    pub(crate) file: Option<String>,
    pub(crate) definitions: Arc<[Definition]>,
    /// Servers of the file that cannot be used, each with the reason.
    pub(crate) refused: Vec<String>,
}

/// Declared servers as the newest configuration file has them, and what became of them.
pub(crate) struct Declared {
    pub(super) newest: watch::Sender<Option<Arc<DeclaredServers>>>,
    pub(super) report: Mutex<FileReport>,
}

/// State of the configuration file, for status reports.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileReport {
    /// Path; `None` without a file.
    pub(crate) file: Option<String>,
    /// Number of the file's version in use, counted from 1 at start.
    pub(crate) generation: u64,
    /// Time since when it is in use.
    pub(crate) loaded_at: Option<Timestamp>,
    /// Number of servers that it declares.
    pub(crate) servers: usize,
    /// Servers of the file that cannot be registered, each with the reason.
    pub(crate) refused: Vec<String>,
    /// Reason why they are not registered yet.
    pub(crate) pending: Option<String>,
    /// Mistakes of a newer version that is not used.
    pub(crate) rejected: Option<String>,
}

/// Prefix of owners that stand for a configuration file.
pub(crate) const FILE_OWNER: &str = "file:";

impl DeclaredServers {
    /// Declares no server, for a gateway without a configuration file.
    pub(crate) fn none() -> Self {
        let owner = Owner::try_from(format!("{FILE_OWNER}none")).unwrap_or_default();
        Self { owner, file: None, definitions: Arc::from([]), refused: Vec::new() }
    }
}

impl Declared {
    pub(super) fn new() -> Self {
        Self { newest: watch::Sender::new(None), report: Mutex::default() }
    }
}
