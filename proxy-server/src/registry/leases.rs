//! Tracks which holder needs which registration, and until when. Pure: the caller passes the current time.
//!
//! All leases of a holder end together, because a lease shows that its holder is alive. This module removes no
//! registration: its methods return the names on which a holder's leases have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemas::{Holder, ServerName};

/// All leases. The number of holders is bounded; the leases of a holder are bounded by the number of registrations.
#[derive(Debug, Clone)]
pub(crate) struct Leases {
    holders: BTreeMap<Holder, Held>,
    by_name: BTreeMap<ServerName, BTreeSet<Holder>>,
    /// Holders ordered by expiry, to find the next expiry quickly.
    order: BTreeSet<(Timestamp, Holder)>,
    capacity: usize,
}

/// The leases of one holder; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) ends_at: Timestamp,
    pub(crate) names: BTreeSet<ServerName>,
}

/// The maximum number of holders is reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} holders have leases, which is as many as there may be")]
pub(crate) struct TooManyHolders(usize);

/// Computes the end of a lease or lock from its time to live. It is wall-clock time, because other processes read it.
pub(crate) fn expiry(now: Timestamp, ttl: Duration) -> Timestamp {
    let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
    now.saturating_add(ttl).unwrap_or(Timestamp::MAX)
}

impl Leases {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { holders: BTreeMap::new(), by_name: BTreeMap::new(), order: BTreeSet::new(), capacity }
    }

    /// Adds the leases of a holder as they were stored, also beyond the maximum number of holders.
    pub(super) fn restore(&mut self, holder: Holder, held: Held) {
        if held.names.is_empty() {
            return;
        }
        for name in &held.names {
            self.by_name.entry(name.clone()).or_default().insert(holder.clone());
        }
        self.order.insert((held.ends_at, holder.clone()));
        self.holders.insert(holder, held);
    }

    /// Checks that these holders may take leases.
    pub(crate) fn admits<'a>(&self, holders: impl IntoIterator<Item = &'a Holder>) -> Result<(), TooManyHolders> {
        let new: BTreeSet<&Holder> = holders.into_iter().filter(|holder| !self.holders.contains_key(*holder)).collect();
        // Holders there are go on, even if there are too many.
        let has_places = new.is_empty() || self.holders.len() + new.len() <= self.capacity;
        if has_places { Ok(()) } else { Err(TooManyHolders(self.capacity)) }
    }

    /// Replaces the leases of a holder and their expiry. Returns the names that it no longer holds.
    pub(crate) fn set(
        &mut self,
        holder: &Holder,
        names: BTreeSet<ServerName>,
        ends_at: Timestamp,
    ) -> Result<Vec<ServerName>, TooManyHolders> {
        if !names.is_empty() {
            self.admits([holder])?;
        }
        let before = self.release(holder);
        let given_back = before.into_iter().filter(|name| !names.contains(name)).collect();
        for name in &names {
            self.by_name.entry(name.clone()).or_default().insert(holder.clone());
        }
        if !names.is_empty() {
            self.order.insert((ends_at, holder.clone()));
            self.holders.insert(holder.clone(), Held { ends_at, names });
        }
        Ok(given_back)
    }

    /// Adds one lease to a holder that [`Self::admits`] has admitted. All its leases get the later of both expiries,
    /// which is returned.
    pub(crate) fn add(&mut self, holder: &Holder, name: ServerName, ends_at: Timestamp) -> Timestamp {
        let held = self.holders.entry(holder.clone()).or_insert_with(|| Held { ends_at, names: BTreeSet::new() });
        self.order.remove(&(held.ends_at, holder.clone()));
        if held.ends_at < ends_at {
            held.ends_at = ends_at;
        }
        self.order.insert((held.ends_at, holder.clone()));
        held.names.insert(name.clone());
        self.by_name.entry(name).or_default().insert(holder.clone());
        held.ends_at
    }

    /// Sets the expiry of all leases of a holder. Returns their names.
    pub(crate) fn renew(&mut self, holder: &Holder, ends_at: Timestamp) -> Vec<ServerName> {
        let Some(held) = self.holders.get_mut(holder) else { return Vec::new() };
        self.order.remove(&(held.ends_at, holder.clone()));
        self.order.insert((ends_at, holder.clone()));
        held.ends_at = ends_at;
        held.names.iter().cloned().collect()
    }

    /// Ends all leases of a holder. Returns their names.
    pub(crate) fn release(&mut self, holder: &Holder) -> Vec<ServerName> {
        let Some(held) = self.holders.remove(holder) else { return Vec::new() };
        self.order.remove(&(held.ends_at, holder.clone()));
        for name in &held.names {
            if let Some(holders) = self.by_name.get_mut(name) {
                holders.remove(holder);
                if holders.is_empty() {
                    self.by_name.remove(name);
                }
            }
        }
        held.names.into_iter().collect()
    }

    /// Ends expired leases. Returns the names without a remaining lease, each once.
    pub(crate) fn expire(&mut self, now: Timestamp) -> BTreeSet<ServerName> {
        let mut names = BTreeSet::new();
        while let Some((_, holder)) = self.order.first().filter(|(at, _)| *at <= now).cloned() {
            names.extend(self.release(&holder));
        }
        names.retain(|name| !self.is_held(name));
        names
    }

    /// Ends every lease on a deleted registration.
    pub(crate) fn forget(&mut self, name: &str) {
        for holder in self.by_name.remove(name).unwrap_or_default() {
            let Some(held) = self.holders.get_mut(&holder) else { continue };
            held.names.remove(name);
            if held.names.is_empty() {
                self.release(&holder);
            }
        }
    }

    /// True if anybody holds a lease on the registration.
    pub(crate) fn is_held(&self, name: &ServerName) -> bool {
        self.by_name.contains_key(name)
    }

    /// Returns the time of the next expiry.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Returns the holders of leases on a registration, with their expiry, ordered by holder.
    pub(crate) fn on(&self, name: &str) -> impl Iterator<Item = (&Holder, Timestamp)> {
        let holders = self.by_name.get(name).into_iter().flatten();
        holders.filter_map(|holder| Some((holder, self.holders.get(holder)?.ends_at)))
    }

    /// Returns every holder with its leases.
    pub(crate) fn all(&self) -> &BTreeMap<Holder, Held> {
        &self.holders
    }
}

#[cfg(test)]
mod tests;
