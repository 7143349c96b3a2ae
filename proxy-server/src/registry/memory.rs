//! Registrations in memory: gone with the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use jiff::Timestamp;
use schemas::{Definition, ServerName};

use crate::registry::{Registration, RegistryError};

/// A bounded map under a lock that is held for a few lines at a time.
pub(crate) struct Memory {
    stored: Mutex<IndexMap<ServerName, Registration>>,
    capacity: usize,
}

impl Memory {
    pub(super) fn new(capacity: usize) -> Self {
        Self { stored: Mutex::default(), capacity }
    }

    pub(super) fn create(&self, definition: Definition) -> Result<Registration, RegistryError> {
        let mut stored = self.stored();
        if stored.contains_key(&definition.name) {
            return Err(RegistryError::Exists(definition.name));
        }
        if stored.len() >= self.capacity {
            return Err(RegistryError::Full(self.capacity));
        }
        let now = Timestamp::now();
        let registration = Registration { definition, created_at: now, updated_at: now };
        stored.insert(registration.definition.name.clone(), registration.clone());
        Ok(registration)
    }

    pub(super) fn update(&self, definition: Definition) -> Option<Registration> {
        let mut stored = self.stored();
        let registration = stored.get_mut(&definition.name)?;
        registration.definition = definition;
        registration.updated_at = Timestamp::now();
        Some(registration.clone())
    }

    pub(super) fn get(&self, name: &str) -> Option<Registration> {
        self.stored().get(name).cloned()
    }

    pub(super) fn list(&self) -> Vec<Registration> {
        self.stored().values().cloned().collect()
    }

    pub(super) fn delete(&self, name: &str) -> bool {
        self.stored().shift_remove(name).is_some()
    }

    fn stored(&self) -> MutexGuard<'_, IndexMap<ServerName, Registration>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
