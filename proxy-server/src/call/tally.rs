//! Numbers of calls, for metrics: what became of each, and for which class of principals. Counted per lane.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;

use crate::call::record::{Attribution, CANCELLED, OpenLine};
use crate::error::Kind;
use crate::policy::Principal;
use crate::protocol::method_label;
use crate::sync::lock;
use crate::tasks::PerLane;

/// Outcome of a call with an answer, which may be an error that the upstream returned.
pub(super) const ANSWERED: &str = "answered";

/// Numbers of calls by method, outcome and class of the principal.
pub(crate) type CallCounts = HashMap<(&'static str, &'static str, &'static str), u64, RandomState>;

/// A call that has not ended.
pub(super) struct BegunCall<'a> {
    tally: &'a CallTally,
    /// Line in the access log.
    line: OpenLine,
    method: &'static str,
    outcome: &'static str,
    class: &'static str,
}

/// Numbers of calls, counted by any lane.
#[derive(Default)]
pub(crate) struct CallTally {
    calls: PerLane<Mutex<CallCounts>>,
    failovers: AtomicU64,
}

impl CallTally {
    /// Begins a call, which is counted when it ends: as cancelled, if it is dropped before.
    pub(super) fn begin(&self, principal: Principal, method: &str, attribution: &Attribution) -> BegunCall<'_> {
        BegunCall {
            tally: self,
            line: OpenLine::new(attribution.record.clone()),
            method: method_label(method),
            outcome: CANCELLED,
            class: principal.class(),
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

impl BegunCall<'_> {
    /// Ends the call with an answer of this length, or with a failure.
    pub(super) fn end(mut self, outcome: Result<usize, Kind>) {
        let (outcome, bytes) = outcome.map_or_else(|kind| (kind.word(), 0), |bytes| (ANSWERED, bytes));
        self.outcome = outcome;
        self.line.end(outcome, bytes);
    }
}

impl Drop for BegunCall<'_> {
    fn drop(&mut self) {
        if let Some(calls) = self.tally.calls.own() {
            *lock(calls).entry((self.method, self.outcome, self.class)).or_default() += 1;
        }
    }
}
