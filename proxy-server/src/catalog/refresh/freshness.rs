//! Time for which a list stays fresh. Pure: the caller passes facts about the upstream and the current time.

use std::time::Duration;

use tokio::time::Instant;

/// Facts that determine the freshness of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// True if the upstream announces changes of this list.
    pub(super) announces: bool,
    /// Time to live set by the upstream (`ttlMs`; revision 2026-07-28, "Caching").
    pub(super) ttl: Option<Duration>,
    /// Interval at which a list that can change without notice is read again.
    pub(super) interval: Duration,
}

/// Times at which a list is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Freshness {
    /// Time at which the list is read again in any case.
    pub(super) due: Option<Instant>,
    /// Time from which the list is read again when a client reads it.
    pub(super) old: Option<Instant>,
}

impl Terms {
    /// Returns the freshness of a list that was read at this time. Limits the effect of a short `ttlMs`: at most
    /// twelve reads per interval, or sixty if clients read the list.
    pub(super) fn freshness(self, listed: Instant) -> Freshness {
        let ttl = self.ttl.filter(|ttl| !ttl.is_zero());
        let due = match (ttl, self.announces) {
            (Some(ttl), _) => Some(ttl.max(self.interval / 12)),
            (None, false) => Some(self.interval),
            (None, true) => None,
        };
        let old = match (self.ttl, self.announces) {
            (Some(ttl), _) => Some(ttl.max(self.interval / 60)),
            (None, false) => Some(self.interval / 10),
            (None, true) => None,
        };
        Freshness { due: due.map(|age| listed + age), old: old.map(|age| listed + age) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the ages in milliseconds at which a list is read again: in any case, and when a client reads it.
    fn check(announces: bool, ttl: Option<u64>, due: Option<u128>, old: Option<u128>) {
        let interval = Duration::from_secs(60);
        let (listed, ttl) = (Instant::now(), ttl.map(Duration::from_millis));
        let freshness = Terms { announces, ttl, interval }.freshness(listed);
        let age = |time: Option<Instant>| time.map(|time| (time - listed).as_millis());
        assert_eq!((age(freshness.due), age(freshness.old)), (due, old), "{announces} {ttl:?}");
    }

    #[test]
    fn a_list_that_can_change_unnoticed_is_read_again() {
        check(false, None, Some(60_000), Some(6_000));
        check(true, None, None, None);
    }

    #[test]
    fn what_the_upstream_says_counts() {
        for announces in [false, true] {
            check(announces, Some(20_000), Some(20_000), Some(20_000));
            check(announces, Some(600_000), Some(600_000), Some(600_000));
        }
    }

    #[test]
    fn no_upstream_is_asked_all_the_time() {
        check(true, Some(1), Some(5_000), Some(1_000));
        check(true, Some(0), None, Some(1_000));
        check(false, Some(0), Some(60_000), Some(1_000));
    }
}
