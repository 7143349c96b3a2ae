//! One interface over all kinds of storage, in which records outlive the process or not.
//!
//! A storage holds the contents of [`Records`](crate::registry::records::Records), and the master secret of the gateway's
//! keys. It serves one transaction at a time, and no reads while its records are in memory.

use crate::registry::delta::Delta;
use crate::registry::embedded::Embedded;
use crate::registry::failure::{PersistError, StorageError};
use crate::registry::records::{Limits, Loaded};
use crate::registry::redis::Redis;

/// Kind of storage. Each holds the same records.
pub(super) enum Storage {
    /// In this process's memory only.
    Memory,
    /// In a file of this process.
    Embedded(Embedded),
    /// In a server that several gateways share.
    Redis(Box<Redis>),
}

impl Storage {
    /// True if other gateways may use it too.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// Returns the word for the kind, as `/healthz` and `--storage` have it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Embedded(_) => "embedded",
            Self::Redis(_) => "redis",
        }
    }

    /// Stores a change, all of it or nothing.
    pub(super) async fn persist(&self, delta: Delta) -> Result<(), PersistError> {
        match self {
            Self::Memory => Ok(()),
            Self::Embedded(file) => file.persist(delta).await.map_err(PersistError::Failed),
            Self::Redis(server) => server.persist(&delta).await,
        }
    }

    /// Waits until the records in the storage may differ from those in memory: an error if the storage was lost.
    pub(super) async fn changed(&self) -> Result<(), StorageError> {
        match self {
            Self::Memory => std::future::pending().await,
            Self::Embedded(file) => Err(file.lost().await),
            Self::Redis(server) => server.changed().await,
        }
    }

    /// True if only one process can have the storage.
    pub(super) fn is_exclusive(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// Closes a storage that only one process can have.
    pub(super) fn close(&self) {
        match self {
            Self::Memory | Self::Redis(_) => {}
            Self::Embedded(file) => file.close(),
        }
    }

    /// Notes that what the storage had lost is stored again.
    pub(super) fn made_good(&self) {
        match self {
            Self::Memory | Self::Embedded(_) => {}
            Self::Redis(server) => server.made_good(),
        }
    }

    /// True if the storage is known to hold changes that are not in the records in memory.
    pub(super) fn is_ahead(&self) -> bool {
        match self {
            Self::Memory | Self::Embedded(_) => false,
            Self::Redis(server) => server.is_outdated(),
        }
    }

    /// Reads everything again, after the storage was lost or another process has changed it.
    pub(super) async fn reload(&self, limits: Limits) -> Result<Option<Loaded>, StorageError> {
        match self {
            Self::Memory => Ok(None),
            Self::Embedded(file) => file.reopen(limits).await.map(Some),
            Self::Redis(server) => server.reload(limits).await.map(Some),
        }
    }
}
