//! Numbers of requests to one upstream, for metrics: by method and outcome, durations, bytes. Counted per lane, so that
//! threads do not contend for them. All keys come from closed sets.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::sync::lock;
use crate::tasks::PerLane;
use crate::telemetry::Histogram;

/// Outcome of a request that the upstream answered with a result.
pub(crate) const ANSWERED: &str = "ok";
/// Outcome of a request that the upstream answered with a JSON-RPC error.
pub(crate) const ANSWERED_WITH_ERROR: &str = "error";

/// Numbers of requests, counted by any lane.
#[derive(Default)]
pub(super) struct Tally(PerLane<Mutex<RequestCounts>>);

/// Numbers of requests that were sent, or refused before they were sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestCounts {
    /// By method and outcome: [`ANSWERED`], [`ANSWERED_WITH_ERROR`], or the word of a failure's kind.
    pub(crate) outcomes: HashMap<(&'static str, &'static str), u64, RandomState>,
    /// Durations of requests that were sent, by method.
    pub(crate) durations: HashMap<&'static str, Histogram, RandomState>,
    /// Bytes of requests as their clients sent them.
    pub(crate) request_bytes: u64,
    /// Bytes of answers as the upstream sent them.
    pub(crate) response_bytes: u64,
}

/// Failures of requests to all upstreams, also to those that are not registered any more, by the word of their kind.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<BTreeMap<&'static str, u64>>);

impl Failures {
    pub(super) fn count(&self, kind: &'static str) {
        *lock(&self.0).entry(kind).or_default() += 1;
    }

    pub(crate) fn all(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.0).clone()
    }
}

/// A request that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndedRequest {
    pub(crate) method: &'static str,
    pub(crate) outcome: &'static str,
    /// Time from sending to the end; `None` if it was not sent.
    pub(crate) took: Option<Duration>,
    pub(crate) request_bytes: usize,
    pub(crate) response_bytes: usize,
}

impl Tally {
    pub(super) fn count(&self, ended: EndedRequest) {
        let Some(counts) = self.0.own() else { return };
        let mut counts = lock(counts);
        *counts.outcomes.entry((ended.method, ended.outcome)).or_default() += 1;
        if let Some(took) = ended.took {
            counts.durations.entry(ended.method).or_default().observe(took);
            counts.request_bytes += ended.request_bytes as u64;
            counts.response_bytes += ended.response_bytes as u64;
        }
    }

    /// Returns the numbers of all lanes together.
    pub(super) fn sum(&self) -> RequestCounts {
        let mut sum = RequestCounts::default();
        for counts in self.0.all() {
            let counts = lock(counts).clone();
            for (key, count) in counts.outcomes {
                *sum.outcomes.entry(key).or_default() += count;
            }
            for (method, durations) in counts.durations {
                sum.durations.entry(method).or_default().add(&durations);
            }
            sum.request_bytes += counts.request_bytes;
            sum.response_bytes += counts.response_bytes;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_was_not_sent_has_no_duration() {
        let tally = Tally::default();
        let ended =
            |outcome, took| EndedRequest { method: "tools/call", outcome, took, request_bytes: 10, response_bytes: 5 };
        tally.count(ended(ANSWERED, Some(Duration::from_millis(1))));
        tally.count(ended(ANSWERED, Some(Duration::from_millis(2))));
        tally.count(ended("upstream_busy", None));
        let sum = tally.sum();
        assert_eq!(sum.outcomes[&("tools/call", ANSWERED)], 2);
        assert_eq!(sum.outcomes[&("tools/call", "upstream_busy")], 1);
        assert_eq!(sum.durations["tools/call"].count(), 2);
        assert_eq!((sum.request_bytes, sum.response_bytes), (20, 10));
    }
}
