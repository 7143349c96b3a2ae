//! The durable set of registrations: definitions and their times. Does not know the state of an upstream.
//!
//! Two submodules keep state that ends with the process: `leases` tracks which holder needs which registration, `locks`
//! the running holder for an owner.

mod leases;
mod locks;
mod memory;

use std::sync::Arc;

use jiff::Timestamp;
use schemas::admin::Revision;
use schemas::{Definition, ServerName};

pub(crate) use self::leases::{Leases, TooManyHolders, expiry};
pub(crate) use self::locks::{Lock, Locks, NotTaken};
use self::memory::Memory;

/// Storage of registrations. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Registry {
    /// In this process's memory only.
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

/// Lifetime of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tenure {
    /// Until it is deleted.
    Permanent,
    /// Until its last lease ends.
    Leased,
}

/// The reason why a registration was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("MCP already exists: {0}")]
    Exists(ServerName),
    #[error("maximum concurrent connections ({0}) reached")]
    Full(usize),
}

impl Registry {
    /// Creates an empty registry in memory with a maximum number of registrations.
    pub(crate) fn memory(capacity: usize) -> Self {
        Self::Memory(Arc::new(Memory::new(capacity)))
    }

    /// Returns the word for the storage kind in `/healthz`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
        }
    }

    /// Returns the number of registrations that can still be added.
    pub(crate) fn room(&self) -> usize {
        match self {
            Self::Memory(memory) => memory.room(),
        }
    }

    /// Stores a definition; fails if its name is taken.
    pub(crate) async fn create(&self, definition: Definition, tenure: Tenure) -> Result<Registration, RegistryError> {
        match self {
            Self::Memory(memory) => memory.create(definition, tenure),
        }
    }

    /// Replaces the definition of this name and keeps its creation time; `None` if it does not exist.
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

    /// Returns every registration in order of creation.
    pub(crate) async fn list(&self) -> Result<Vec<Registration>, RegistryError> {
        match self {
            Self::Memory(memory) => Ok(memory.list()),
        }
    }

    /// Removes a registration. Returns true if it existed.
    pub(crate) async fn delete(&self, name: &str) -> Result<bool, RegistryError> {
        match self {
            Self::Memory(memory) => Ok(memory.delete(name)),
        }
    }
}
