//! The durable set of registrations: what was declared, and when. It knows nothing of how an upstream does.

mod memory;

use std::sync::Arc;

use jiff::Timestamp;
use schemas::{Definition, ServerName};

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

    /// Stores a definition under a name that is not taken.
    pub(crate) async fn create(&self, definition: Definition) -> Result<Registration, RegistryError> {
        match self {
            Self::Memory(memory) => memory.create(definition),
        }
    }

    /// Replaces the definition of that name and keeps its creation time; nothing when there is none.
    pub(crate) async fn update(&self, definition: Definition) -> Result<Option<Registration>, RegistryError> {
        match self {
            Self::Memory(memory) => Ok(memory.update(definition)),
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
