//! Chooses the storage by its settings, and opens it at the start of a gateway.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tracing::warn;

use crate::keys::{Keys, MASTER_LEN, NoKeys, draw_master};
use crate::registry::embedded::Embedded;
use crate::registry::failure::{Fault, StorageError};
use crate::registry::records::{Limits, Loaded, Records, first_revision};
use crate::registry::redis::{Redis, Settings};
use crate::registry::storage::Storage;

/// Settings of the storage.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    pub(crate) kind: StorageKind,
    /// Folder of the embedded storage.
    pub(crate) folder: Option<PathBuf>,
    /// The user's folder for state, below which each port has a folder by default.
    pub(crate) state_home: Option<PathBuf>,
    pub(crate) redis: Settings,
}

/// Kind of storage, as it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum StorageKind {
    /// The most durable one that needs no further setting.
    #[default]
    Auto,
    Embedded,
    Memory,
    Redis,
}

/// The text names no kind of storage.
#[derive(Debug)]
pub(crate) struct UnknownKind;

/// Place of the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In memory: they are gone with the process.
    Memory,
    /// In a file in this folder, or else in memory if nobody has asked for the folder and it cannot be written.
    Folder { folder: PathBuf, may_fall_back: bool },
    /// In a server, or else in memory if nobody has asked for this kind of storage and the server cannot be reached.
    Server { may_fall_back: bool },
}

/// The embedded storage is asked for, and there is no folder for it.
#[derive(Debug, thiserror::Error)]
#[error("no folder for the embedded storage: set --data-dir, or the variable HOME")]
pub(crate) struct NoFolder;

impl Config {
    /// Chooses memory unless a folder or a server is named: for a gateway inside another program.
    pub(crate) fn keep_nothing_unasked(&mut self) {
        if self.kind == StorageKind::Auto && self.folder.is_none() && !self.redis.names_a_server() {
            self.kind = StorageKind::Memory;
        }
    }

    /// Chooses the place of the records of a gateway that is configured for this port. A gateway on any free port is found by
    /// nobody again, so it needs a reason to keep anything.
    pub(crate) fn place(&self, port: u16) -> Result<Place, NoFolder> {
        let own = || self.folder.clone().map(|folder| Place::Folder { folder, may_fall_back: false });
        let default = |may_fall_back: bool| {
            let home = self.state_home.as_ref().filter(|_| port != 0 || !may_fall_back)?;
            Some(Place::Folder { folder: home.join("mcp-proxy").join(port.to_string()), may_fall_back })
        };
        match self.kind {
            StorageKind::Memory => Ok(Place::Memory),
            StorageKind::Embedded => own().or_else(|| default(false)).ok_or(NoFolder),
            StorageKind::Redis => Ok(Place::Server { may_fall_back: false }),
            StorageKind::Auto if self.redis.names_a_server() => Ok(Place::Server { may_fall_back: true }),
            StorageKind::Auto => Ok(own().or_else(|| default(true)).unwrap_or(Place::Memory)),
        }
    }
}

impl FromStr for StorageKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "embedded" => Ok(Self::Embedded),
            "memory" => Ok(Self::Memory),
            "redis" => Ok(Self::Redis),
            _ => Err(UnknownKind),
        }
    }
}

impl fmt::Display for StorageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Embedded => "embedded",
            Self::Memory => "memory",
            Self::Redis => "redis",
        })
    }
}

/// A storage that was opened, with what it held.
pub(crate) struct Opened {
    pub(super) storage: Storage,
    pub(super) records: Records,
    pub(super) limits: Limits,
    master: [u8; MASTER_LEN],
}

/// The reason why no storage was opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Place(#[from] NoFolder),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Keys(#[from] NoKeys),
}

impl Opened {
    /// Opens the storage of a gateway that is configured for this port, for a maximum number of registrations. More that
    /// are stored are read all the same.
    pub(crate) async fn open(config: &Config, port: u16, registrations: usize) -> Result<Self, OpenError> {
        let limits = Limits::for_registrations(registrations);
        match &config.place(port)? {
            Place::Memory => {
                if config.kind == StorageKind::Auto && port != 0 {
                    warn!(
                        "registrations are kept in memory only and are lost at exit: HOME is not set; set --data-dir"
                    );
                }
                Ok(Self::memory(registrations)?)
            }
            Place::Folder { folder, may_fall_back } => match Embedded::open(folder, limits).await {
                Err(error) if *may_fall_back && error.fault == Fault::ReadOnly && !Embedded::exists(folder) => {
                    warn!(%error, "registrations are kept in memory only and are lost at exit; set --data-dir");
                    Ok(Self::memory(registrations)?)
                }
                opened => {
                    opened.map(|(file, loaded)| Self::with(Storage::Embedded(file), loaded, limits)).map_err(Into::into)
                }
            },
            Place::Server { may_fall_back } => match Redis::open(&config.redis, limits).await {
                Err(error) if *may_fall_back && error.fault == Fault::Unreachable => {
                    warn!(%error, "registrations are kept in memory only and are lost at exit; with --storage redis the \
                                   gateway does not start without its server");
                    Ok(Self::memory(registrations)?)
                }
                opened => opened
                    .map(|(server, loaded)| Self::with(Storage::Redis(Box::new(server)), loaded, limits))
                    .map_err(Into::into),
            },
        }
    }

    fn with(storage: Storage, loaded: Loaded, limits: Limits) -> Self {
        Self { storage, records: loaded.records, limits, master: loaded.master }
    }

    /// Opens an empty storage in memory.
    pub(crate) fn memory(registrations: usize) -> Result<Self, NoKeys> {
        let limits = Limits::for_registrations(registrations);
        let records = Records::new(first_revision(), limits);
        Ok(Self { storage: Storage::Memory, records, limits, master: draw_master()? })
    }

    /// Derives the keys of the gateway from the storage's master secret.
    pub(crate) fn keys(&self) -> Result<Keys, NoKeys> {
        let are_stored = !matches!(self.storage, Storage::Memory);
        Ok(Keys { are_stored, ..Keys::from_master(&self.master)? })
    }
}
