//! The durable set of registrations: what was declared, and when. It knows nothing of how an upstream does.
//!
//! Beside it, what passes with the process: who needs which registration (`leases`), and who is at work for an owner
//! (`locks`).

mod leases;
mod locks;
mod memory;

use std::sync::Arc;

use jiff::Timestamp;
use schemas::admin::Revision;
use schemas::{Definition, ServerName};

pub(crate) use self::leases::{Expiry, Leases, TooManyHolders};
pub(crate) use self::locks::{Lock, Locks, NotTaken};
use self::memory::Memory;

/// Where registrations are kept. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Registry {
    /// In this process only.
    Memory(Arc<Memory>),
}

/// A stored definition.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    pub(crate) definition: Definition,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) revision: Revision,
    pub(crate) tenure: Tenure,
}

/// How long a registration stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tenure {
    /// Until somebody removes it.
    Permanent,
    /// Until the last lease on it ends.
    Leased,
}

/// Why a registration was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("MCP already exists: {0}")]
    Exists(ServerName),
    #[error("maximum concurrent connections ({0}) reached")]
    Full(usize),
}

impl Registry {
    /// An empty registry in memory that holds at most so many registrations.
    pub(crate) fn memory(capacity: usize) -> Self {
        Self::Memory(Arc::new(Memory::new(capacity)))
    }

    /// The word for this kind of storage in `/healthz`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
        }
    }

    /// How many more registrations there can be.
    pub(crate) fn room(&self) -> usize {
        match self {
            Self::Memory(memory) => memory.room(),
        }
    }

    /// Stores a definition under a name that is not taken.
    pub(crate) async fn create(&self, definition: Definition, tenure: Tenure) -> Result<Registration, RegistryError> {
        match self {
            Self::Memory(memory) => memory.create(definition, tenure),
        }
    }

    /// Replaces the definition of that name and keeps its creation time; nothing when there is none.
    pub(crate) async fn update(
        &self,
        definition: Definition,
        tenure: Tenure,
    ) -> Result<Option<Registration>, RegistryError> {
        match self {
            Self::Memory(memory) => Ok(memory.update(definition, tenure)),
        }
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Option<Registration>, RegistryError> {
        match self {
            Self::Memory(memory) => Ok(memory.get(name)),
        }
    }

    /// Every registration, in the order they were made.
    pub(crate) async fn list(&self) -> Result<Vec<Registration>, RegistryError> {
        match self {
            Self::Memory(memory) => Ok(memory.list()),
        }
    }

    /// Removes a registration and says whether there was one.
    pub(crate) async fn delete(&self, name: &str) -> Result<bool, RegistryError> {
        match self {
            Self::Memory(memory) => Ok(memory.delete(name)),
        }
    }
}
