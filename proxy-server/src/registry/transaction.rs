//! The vocabulary of a transaction: its writes, the states it expects, and its outcome.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemas::admin::Revision;
use schemas::{Definition, Holder, ServerName};

use crate::registry::failure::StorageError;
use crate::registry::leases::TooManyHolders;
use crate::registry::registration::{Registration, Tenure};

/// A change of one registration.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    /// Stores a new registration, leased if a lease is requested. Fails if the name is taken.
    Create { definition: Definition, lease: Option<RequestedLease> },
    /// Replaces the definition of a registration and keeps its creation time.
    Update { definition: Definition, tenure: Tenure, lease: Option<RequestedLease> },
    /// Adds a lease to a registration that stays as it is.
    Lease { name: ServerName, lease: RequestedLease },
    /// Removes a registration and all leases on it.
    Delete { name: ServerName },
}

impl Write {
    /// Returns the name of a registration that this creates.
    pub(super) fn created(&self) -> Option<&ServerName> {
        match self {
            Self::Create { definition, .. } => Some(&definition.name),
            Self::Update { .. } | Self::Lease { .. } | Self::Delete { .. } => None,
        }
    }
}

/// A lease that is requested together with a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestedLease {
    pub(crate) holder: Holder,
    pub(crate) ttl: Duration,
}

/// The states that a transaction expects, by name: the registration's revision, or `None` for no registration. Names that
/// are left out may have any state.
pub(crate) type Expected = BTreeMap<ServerName, Option<Revision>>;

/// The outcome of one write.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) name: ServerName,
    pub(crate) effect: Effect,
    /// The registration after the write; `None` if it was deleted.
    pub(crate) registration: Option<Arc<Registration>>,
    /// The end of all leases of the requested lease's holder.
    pub(crate) lease_ends_at: Option<Timestamp>,
}

/// The kind of a write's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Created,
    /// The definition changed in a way that a running upstream must follow.
    Redefined,
    /// Only tags changed.
    Retagged,
    /// Only a lease was added.
    Leased,
    Deleted,
}

/// The outcome of taking or renewing leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) ends_at: Timestamp,
    pub(crate) held: Vec<ServerName>,
    /// Names without a registration.
    pub(crate) missing: Vec<String>,
    /// The leases that the holder gave back.
    pub(crate) ended: EndedLeases,
}

/// The registrations on which leases ended: those removed with their last lease, and those kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EndedLeases {
    pub(crate) removed: Vec<ServerName>,
    pub(crate) kept: Vec<ServerName>,
}

/// The reason why a transaction was not applied. Nothing has changed, unless the storage was lost meanwhile.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransactError {
    #[error("`{0}` is not in the expected state")]
    Conflict(ServerName),
    #[error("MCP already exists: {0}")]
    Exists(ServerName),
    #[error("MCP not found: {0}")]
    Missing(ServerName),
    #[error("the storage has a record of `{0}` that cannot be read; repair or remove it there, the log names its key")]
    Unreadable(ServerName),
    #[error("maximum concurrent connections ({0}) reached")]
    Full(usize),
    #[error(transparent)]
    TooManyHolders(#[from] TooManyHolders),
    /// The storage is lost. The outcome is unknown if it was lost during this transaction.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
