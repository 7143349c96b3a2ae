//! Registrations in memory, lost when the process ends.

use std::sync::{Mutex, MutexGuard};

use indexmap::IndexMap;
use jiff::Timestamp;
use schemas::admin::Revision;
use schemas::{Definition, ServerName};

use crate::registry::{Registration, RegistryError, Tenure};
use crate::sync::lock;

/// A bounded map behind a mutex that is held only briefly.
pub(crate) struct Memory {
    stored: Mutex<Stored>,
    capacity: usize,
}

struct Stored {
    registrations: IndexMap<ServerName, Registration>,
    last_revision: u64,
}

impl Stored {
    fn next_revision(&mut self) -> Revision {
        self.last_revision += 1;
        Revision::new(self.last_revision)
    }
}

impl Memory {
    pub(super) fn new(capacity: usize) -> Self {
        // Revisions start at the process's start time in microseconds, so that none of a previous process is used
        // again.
        let last_revision = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default();
        Self { stored: Mutex::new(Stored { registrations: IndexMap::new(), last_revision }), capacity }
    }

    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.stored().registrations.len())
    }

    pub(super) fn create(&self, definition: Definition, tenure: Tenure) -> Result<Registration, RegistryError> {
        let mut stored = self.stored();
        if stored.registrations.contains_key(&definition.name) {
            return Err(RegistryError::Exists(definition.name));
        }
        if stored.registrations.len() >= self.capacity {
            return Err(RegistryError::Full(self.capacity));
        }
        let now = Timestamp::now();
        let revision = stored.next_revision();
        let registration = Registration { definition, created_at: now, updated_at: now, revision, tenure };
        stored.registrations.insert(registration.definition.name.clone(), registration.clone());
        Ok(registration)
    }

    pub(super) fn update(&self, definition: Definition, tenure: Tenure) -> Option<Registration> {
        let mut stored = self.stored();
        let revision = stored.next_revision();
        let registration = stored.registrations.get_mut(&definition.name)?;
        let created_at = registration.created_at;
        *registration = Registration { definition, created_at, updated_at: Timestamp::now(), revision, tenure };
        Some(registration.clone())
    }

    pub(super) fn get(&self, name: &str) -> Option<Registration> {
        self.stored().registrations.get(name).cloned()
    }

    pub(super) fn list(&self) -> Vec<Registration> {
        self.stored().registrations.values().cloned().collect()
    }

    pub(super) fn delete(&self, name: &str) -> bool {
        self.stored().registrations.shift_remove(name).is_some()
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        lock(&self.stored)
    }
}
