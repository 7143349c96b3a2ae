//! Requests to read lists again: reads by clients, which make outdated lists due, and refresh requests of the admin API.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::sync::lock;
use crate::upstream::Upstream;

/// Minimum interval between two notifications of followers that clients read lists.
const DEMAND_INTERVAL: Duration = Duration::from_millis(500);

/// Notifies followers that clients read lists. Cheap to clone, and cheap to call again within the interval.
#[derive(Clone)]
pub(crate) struct Demand {
    began: Instant,
    /// Time of the last notification, in milliseconds since `began`.
    told: Arc<AtomicU64>,
    pub(super) newest: watch::Sender<Instant>,
}

/// Refresh requests, by the addresses of their upstreams.
#[derive(Clone, Default)]
pub(crate) struct Refreshes(Arc<Mutex<HashMap<usize, Arc<Refresh>>>>);

/// Refresh requests of the admin API to one follower.
#[derive(Default)]
pub(super) struct Refresh {
    /// Number of requests so far.
    pub(super) wanted: watch::Sender<u64>,
    /// Last request that each list was read for, with its result.
    pub(super) done: watch::Sender<[Done; 5]>,
}

/// Completion of a refresh request for one list.
#[derive(Clone)]
pub(super) struct Done {
    pub(super) number: u64,
    /// Number of items, or the reason why the list could not be read.
    pub(super) outcome: Result<usize, Arc<str>>,
}

impl Default for Done {
    fn default() -> Self {
        Self { number: 0, outcome: Ok(0) }
    }
}

impl Demand {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { began: now, told: Arc::default(), newest: watch::Sender::new(now) }
    }

    /// Notes that a client reads a list now.
    pub(crate) fn tell(&self) {
        let now = Instant::now();
        let millis = u64::try_from((now - self.began).as_millis()).unwrap_or(u64::MAX);
        let told = self.told.load(Ordering::Relaxed);
        let interval = u64::try_from(DEMAND_INTERVAL.as_millis()).unwrap_or(u64::MAX);
        let is_due = millis.saturating_sub(told) >= interval || told == 0;
        if is_due && self.told.compare_exchange(told, millis.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.newest.send_replace(now);
        }
    }
}

impl Refreshes {
    pub(super) fn of(&self, upstream: &Arc<Upstream>) -> Arc<Refresh> {
        Arc::clone(self.all().entry(Arc::as_ptr(upstream).addr()).or_default())
    }

    pub(super) fn forget(&self, upstream: &Arc<Upstream>) {
        self.all().remove(&Arc::as_ptr(upstream).addr());
    }

    fn all(&self) -> MutexGuard<'_, HashMap<usize, Arc<Refresh>>> {
        lock(&self.0)
    }
}
