//! The durable set of registrations, with their leases and the locks of owners. Does not know the state of an upstream.
//!
//! Every change is a transaction: all of it is applied, or nothing. `records` has the rules and no clock or storage; a
//! storage lets one transaction in at a time and keeps its outcome. Reads come from memory: each storage publishes the
//! newest snapshot, which includes every transaction that has returned.

mod leases;
mod locks;
mod memory;
mod records;
mod registration;
mod snapshot;
mod transaction;

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use schemas::{Holder, Owner, Secret};
use tokio::sync::watch;

pub(crate) use self::leases::{Held, TooManyHolders, expiry};
pub(crate) use self::locks::{Lock, NotTaken};
use self::memory::Memory;
use self::records::Records;
pub(crate) use self::registration::{Registration, Tenure};
pub(crate) use self::snapshot::Snapshot;
pub(crate) use self::transaction::{
    Effect, EndedLeases, Expected, Grant, RequestedLease, TransactError, Write, Written,
};

/// Storage of registrations. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Registry {
    /// In this process's memory only.
    Memory(Arc<Memory>),
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

    /// Returns the newest state of all registrations.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        match self {
            Self::Memory(memory) => Arc::clone(&memory.newest().borrow()),
        }
    }

    /// Subscribes to the newest state of all registrations.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        match self {
            Self::Memory(memory) => memory.newest().subscribe(),
        }
    }

    /// Applies all writes, if every registration is in its expected state, or none of them.
    pub(crate) async fn transact(
        &self,
        writes: Vec<Write>,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Vec<Written>, TransactError> {
        self.change(|records| records.transact(writes, expected, now)).await
    }

    /// Sets the leases of a holder to exactly these names, or renews those it has. Registrations that have lost their
    /// last lease by this are removed.
    pub(crate) async fn hold(
        &self,
        holder: &Holder,
        names: Option<Vec<String>>,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Grant, TooManyHolders> {
        self.change(|records| records.hold(holder, names, ttl, now)).await
    }

    /// Ends all leases of a holder, and removes the registrations that have lost their last lease by this.
    pub(crate) async fn release(&self, holder: &Holder) -> EndedLeases {
        self.change(|records| records.release(holder)).await
    }

    /// Ends expired leases, and removes the registrations that have lost their last lease by this.
    pub(crate) async fn expire(&self, now: Timestamp) -> EndedLeases {
        self.change(|records| records.expire(now)).await
    }

    /// Takes the lock of an owner. With the token of the held lock, extends that lock.
    pub(crate) async fn take_lock(&self, owner: &Owner, wanted: Lock, now: Timestamp) -> Result<Lock, NotTaken> {
        self.change(|records| records.locks.take(owner, wanted, now)).await
    }

    /// Extends the held lock; fails if there is none, or the token differs.
    pub(crate) async fn renew_lock(&self, owner: &Owner, wanted: Lock, now: Timestamp) -> Result<Lock, NotTaken> {
        self.change(|records| records.locks.renew(owner, wanted, now)).await
    }

    /// Releases a lock. Returns true if the token matched.
    pub(crate) async fn release_lock(&self, owner: &Owner, token: &Secret, now: Timestamp) -> bool {
        self.change(|records| records.locks.release(owner, token, now)).await
    }

    /// Returns the number of registrations that can still be added.
    pub(crate) fn room(&self) -> usize {
        self.records().room()
    }

    /// Checks that the holder may take a lease.
    pub(crate) fn admits(&self, holder: &Holder) -> Result<(), TooManyHolders> {
        self.records().leases.admits([holder])
    }

    /// Returns the holders of leases on a registration, with the end of their leases, ordered by holder.
    pub(crate) fn leases_on(&self, name: &str) -> Vec<(Holder, Timestamp)> {
        self.records().leases.on(name).map(|(holder, ends_at)| (holder.clone(), ends_at)).collect()
    }

    /// Returns every holder with its leases.
    pub(crate) fn leases(&self) -> Vec<(Holder, Held)> {
        self.records().leases.all().map(|(holder, held)| (holder.clone(), held.clone())).collect()
    }

    /// Returns the time at which the next lease ends.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.records().leases.next()
    }

    async fn change<T>(&self, change: impl FnOnce(&mut Records) -> T) -> T {
        match self {
            Self::Memory(memory) => memory.change(change),
        }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        match self {
            Self::Memory(memory) => memory.records(),
        }
    }
}
