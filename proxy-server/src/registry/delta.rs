//! The difference between two states of the records, as a storage writes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::admin::{Revision, TokenName};
use schemas::{Holder, Owner, ServerName};

use crate::registry::leases::Held;
use crate::registry::locks::Lock;
use crate::registry::records::Records;
use crate::registry::registration::Registration;
use crate::registry::tokens::AccessToken;

/// Records that were stored or removed; `None` for a removed one.
#[derive(Debug)]
pub(super) struct Delta {
    /// The revision of the last change, also of a deletion.
    pub(super) revision: Revision,
    pub(super) registrations: Vec<(ServerName, Option<Arc<Registration>>)>,
    pub(super) leases: Vec<(Holder, Option<Held>)>,
    pub(super) locks: Vec<(Owner, Option<Lock>)>,
    pub(super) tokens: Vec<(TokenName, Option<Arc<AccessToken>>)>,
}

impl Delta {
    pub(super) fn between(before: &Records, after: &Records) -> Self {
        let (old, new) = (before.snapshot(), after.snapshot());
        let is_stored = |one: &Arc<Registration>| {
            old.get(one.definition.name.as_str()).is_some_and(|before| Arc::ptr_eq(before, one))
        };
        let name = |one: &Arc<Registration>| one.definition.name.clone();
        let stored = new.all().filter(|one| !is_stored(one)).map(|one| (name(one), Some(Arc::clone(one))));
        let removed = old.all().map(name).filter(|name| new.get(name.as_str()).is_none()).map(|name| (name, None));
        Self {
            revision: new.revision(),
            registrations: stored.chain(removed).collect(),
            leases: changes(before.leases.all(), after.leases.all()),
            locks: changes(before.locks.all(), after.locks.all()),
            tokens: changes(before.tokens().all(), after.tokens().all()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.registrations.is_empty() && self.leases.is_empty() && self.locks.is_empty() && self.tokens.is_empty()
    }
}

fn changes<K: Ord + Clone, V: PartialEq + Clone>(
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
) -> Vec<(K, Option<V>)> {
    let stored = after.iter().filter(|(key, value)| before.get(key) != Some(value));
    let stored = stored.map(|(key, value)| (key.clone(), Some(value.clone())));
    stored.chain(before.keys().filter(|key| !after.contains_key(key)).map(|key| (key.clone(), None))).collect()
}
