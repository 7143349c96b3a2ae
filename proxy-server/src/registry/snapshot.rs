//! An immutable state of all registrations, shared by readers.

use std::sync::Arc;

use indexmap::IndexMap;
use schemas::ServerName;
use schemas::admin::Revision;

use crate::registry::registration::Registration;

/// All registrations in order of creation, as one transaction left them.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// The revision of the last change, also of a deletion.
    revision: Revision,
    registrations: IndexMap<ServerName, Arc<Registration>>,
}

impl Snapshot {
    pub(super) fn empty(revision: Revision) -> Self {
        Self { revision, registrations: IndexMap::new() }
    }

    /// Returns the revision of the last change.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Registration>> {
        self.registrations.get(name)
    }

    /// Returns every registration in order of creation.
    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = &Arc<Registration>> {
        self.registrations.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.registrations.len()
    }

    /// Moves on to a revision that no earlier state has.
    pub(super) fn advance(&mut self) -> Revision {
        self.revision = Revision::new(self.revision.get() + 1);
        self.revision
    }

    /// Stores a registration under its name; an existing one keeps its place in the order.
    pub(super) fn store(&mut self, registration: Registration) -> Arc<Registration> {
        let registration = Arc::new(registration);
        self.registrations.insert(registration.definition.name.clone(), Arc::clone(&registration));
        registration
    }

    /// Removes a registration. Returns true if it existed.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let existed = self.registrations.shift_remove(name).is_some();
        if existed {
            self.advance();
        }
        existed
    }
}
