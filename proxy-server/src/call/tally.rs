//! Numbers of calls, for metrics: what became of each, and for which class of principals. Counted per lane.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;

use crate::policy::Principal;
use crate::protocol::method_label;
use crate::sync::lock;
use crate::tasks::PerLane;

/// Outcome of a call with an answer, which may be an error that the upstream returned.
const ANSWERED: &str = "answered";

/// Numbers of calls by method, outcome and class of the principal.
pub(crate) type CallCounts = HashMap<(&'static str, &'static str, &'static str), u64, RandomState>;

/// Numbers of calls, counted by any lane.
#[derive(Default)]
pub(crate) struct CallTally {
    calls: PerLane<Mutex<CallCounts>>,
    failovers: AtomicU64,
}

impl CallTally {
    /// Counts a call that was answered, or failed for a reason.
    pub(super) fn count(&self, principal: Principal, method: &str, failure: Option<&'static str>) {
        let outcome = failure.unwrap_or(ANSWERED);
        if let Some(calls) = self.calls.own() {
            *lock(calls).entry((method_label(method), outcome, principal.class())).or_default() += 1;
        }
    }

    /// Counts a call that goes on at another upstream.
    pub(super) fn count_failover(&self) {
        self.failovers.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the numbers of all lanes together.
    pub(crate) fn sum(&self) -> CallCounts {
        let mut sum = CallCounts::default();
        for calls in self.calls.all() {
            for (key, count) in lock(calls).iter() {
                *sum.entry(*key).or_default() += count;
            }
        }
        sum
    }

    /// Returns the number of calls that went on at another upstream.
    pub(crate) fn failovers(&self) -> u64 {
        self.failovers.load(Ordering::Relaxed)
    }
}
