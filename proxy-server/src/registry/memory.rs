//! Records in memory, lost when the process ends.

use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use schemas::admin::Revision;
use tokio::sync::watch;

use crate::registry::leases::Leases;
use crate::registry::locks::Locks;
use crate::registry::records::Records;
use crate::registry::snapshot::Snapshot;
use crate::sync::lock;

/// Maximum number of lease holders, and of locked owners.
const MAX_HOLDERS: usize = 1_000;
const MAX_LOCKS: usize = 1_000;

/// Records behind a mutex that is held only briefly, and the newest snapshot for readers.
pub(crate) struct Memory {
    records: Mutex<Records>,
    newest: watch::Sender<Arc<Snapshot>>,
}

impl Memory {
    pub(super) fn new(capacity: usize) -> Self {
        // Revisions start at the process's start time in microseconds, so that none of a previous process is used
        // again.
        let last = Revision::new(u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default());
        let records = Records::new(capacity, last, Leases::new(MAX_HOLDERS), Locks::new(MAX_LOCKS));
        let newest = watch::Sender::new(Arc::clone(records.snapshot()));
        Self { records: Mutex::new(records), newest }
    }

    /// Changes the records, and publishes the snapshot if it is a new one. Publishing happens under the lock, so that
    /// readers see the snapshots in order.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Records) -> T) -> T {
        let mut records = self.records();
        let outcome = change(&mut records);
        self.newest.send_if_modified(|newest| {
            let is_new = newest.revision() != records.snapshot().revision();
            if is_new {
                *newest = Arc::clone(records.snapshot());
            }
            is_new
        });
        outcome
    }

    pub(super) fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }

    pub(super) fn newest(&self) -> &watch::Sender<Arc<Snapshot>> {
        &self.newest
    }
}
