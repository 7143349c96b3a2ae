//! The one owner of every change of what is registered: admin API, configuration file, stdio front and leases that end
//! go through it.
//!
//! A change is committed to the registry, all of it or nothing. Then the running upstreams are reconciled with the
//! registry's newest state. Nothing else starts or retires an upstream. This module knows no HTTP: its callers decide who
//! may ask for a change.

mod change;
mod declared;
mod files;
mod leases;
mod locks;
mod reconcile;
mod start;
mod tokens;

use std::sync::Arc;

use jiff::Timestamp;
use schemas::Holder;
use tokio::sync::watch;

pub(crate) use self::change::Decided;
use self::declared::Declared;
pub(crate) use self::declared::{DeclaredServers, FILE_OWNER, FileReport};
pub(crate) use self::locks::RequestedLock;
use self::reconcile::Reconciler;
pub(crate) use self::tokens::follow_token_uses;
use crate::registry::{ChangeContext, Held, Registry, Snapshot, StorageError, TooManyHolders};
use crate::telemetry::{Actor, Histogram};
use crate::upstream::Lifecycle;

/// The registry with the upstreams that run for it.
pub(crate) struct Control {
    registry: Registry,
    reconciler: Reconciler,
    declared: Declared,
    /// Returns the wall-clock time, by which leases and locks end.
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Control {
    fn new(registry: Registry, lifecycle: Lifecycle, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let reconciler = Reconciler::new(registry.clone(), lifecycle);
        Self { registry, reconciler, declared: Declared::new(), clock: Box::new(clock) }
    }

    /// Returns the newest state of all registrations.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.registry.snapshot()
    }

    /// Subscribes to the newest state of all registrations.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.registry.watch()
    }

    /// Returns the word for the registry's storage kind.
    pub(crate) fn storage(&self) -> &'static str {
        self.registry.kind()
    }

    /// Returns the failure of the storage, if it is lost. Changes are refused meanwhile.
    pub(crate) fn storage_failure(&self) -> Option<StorageError> {
        self.registry.failure()
    }

    /// Returns the durations of the changes of the storage.
    pub(crate) fn write_durations(&self) -> Histogram {
        self.registry.write_durations()
    }

    /// Returns the number of registrations that can still be added.
    pub(crate) fn room(&self) -> usize {
        self.registry.room()
    }

    /// Checks that the holder may take a lease.
    pub(crate) fn admits(&self, holder: &Holder) -> Result<(), TooManyHolders> {
        self.registry.admits(holder)
    }

    /// Returns the holders of leases on a registration, with the end of their leases, ordered by holder.
    pub(crate) fn leases_on(&self, name: &str) -> Vec<(Holder, Timestamp)> {
        self.registry.leases_on(name)
    }

    /// Returns every holder with its leases.
    pub(crate) fn leases(&self) -> Vec<(Holder, Held)> {
        self.registry.leases()
    }

    fn context(&self, by: &Actor) -> ChangeContext {
        ChangeContext { by: by.clone(), now: self.now() }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

#[cfg(test)]
mod tests;
