//! Memory budget of the process for data kept for clients that may return. Over the budget, the data that was idle
//! longest is released, complete answers before running calls.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crate::sync::lock;
use tokio::time::Instant;

/// Minimum time between an attempt that freed too little and the next one.
const PAUSE: Duration = Duration::from_millis(100);

/// Holder of memory for a client that is disconnected.
pub(crate) trait Holder: Send + Sync {
    /// Returns the rank, and the time since which the memory could be released; `None` while it is in use or empty.
    fn idle(&self) -> Option<(Rank, Instant)>;

    /// Releases the memory. Returns the number of bytes released, which no longer count.
    fn release(&self) -> usize;
}

/// Order of release, first to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Answer that no client has fetched.
    Answer,
    /// Call in progress, or a session's own stream.
    Running,
}

/// Memory budget. Holders report their sizes.
pub(crate) struct Kept {
    most: usize,
    used: AtomicUsize,
    holders: Mutex<Holders>,
}

#[derive(Default)]
struct Holders {
    all: Vec<Weak<dyn Holder>>,
    /// Number of holders at which dropped ones are removed.
    prune_at: usize,
    not_before: Option<Instant>,
}

/// A holder that can be released, and the key that decides which goes first.
type Idle = ((Rank, Instant), Arc<dyn Holder>);

impl Kept {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, used: AtomicUsize::new(0), holders: Mutex::default() })
    }

    /// Registers a holder, for as long as it lives.
    pub(crate) fn add<H: Holder + 'static>(&self, holder: &Arc<H>) {
        let holder: Arc<dyn Holder> = Arc::<H>::clone(holder);
        let mut holders = lock(&self.holders);
        if holders.all.len() >= holders.prune_at {
            holders.all.retain(|holder| holder.strong_count() > 0);
            holders.prune_at = (holders.all.len() * 2).max(64);
        }
        holders.all.push(Arc::downgrade(&holder));
    }

    /// Counts a holder's new size instead of its old one. Over the budget, releases idle holders, this one included.
    pub(crate) fn changed(&self, before: usize, after: usize) {
        if after <= before {
            self.used.fetch_sub(before - after, Ordering::Relaxed);
        } else if self.used.fetch_add(after - before, Ordering::Relaxed) + (after - before) > self.most {
            self.make_room();
        }
    }

    /// Returns the total size held, in bytes.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.most
    }

    fn make_room(&self) {
        let Some(mut idle) = self.idle() else { return };
        idle.sort_by_key(|(when, _)| *when);
        for (_, holder) in idle {
            if !self.is_over() {
                return;
            }
            self.used.fetch_sub(holder.release(), Ordering::Relaxed);
        }
        if self.is_over() {
            let mut holders = lock(&self.holders);
            holders.not_before = Some(Instant::now() + PAUSE);
        }
    }

    /// Returns the holders that can be released; `None` soon after an attempt that released too little.
    fn idle(&self) -> Option<Vec<Idle>> {
        let holders = lock(&self.holders);
        if holders.not_before.is_some_and(|time| time > Instant::now()) {
            return None;
        }
        let live = holders.all.iter().filter_map(Weak::upgrade);
        Some(live.filter_map(|holder| Some((holder.idle()?, holder))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holder of so many bytes, with its rank and the time since which it is idle.
    struct Fake(AtomicUsize, Option<(Rank, Instant)>);

    impl Holder for Fake {
        fn idle(&self) -> Option<(Rank, Instant)> {
            self.1
        }

        fn release(&self) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    /// Checks the sizes still held in the end, with a budget of 10.
    fn check(holders: &[(usize, Option<(Rank, u64)>)], expected: &[usize]) {
        let (kept, now) = (Kept::new(10), Instant::now());
        let fakes: Vec<Arc<Fake>> = holders
            .iter()
            .map(|(bytes, idle)| {
                let since = idle.map(|(rank, second)| (rank, now + Duration::from_secs(second)));
                let fake = Arc::new(Fake(AtomicUsize::new(*bytes), since));
                kept.add(&fake);
                kept.changed(0, *bytes);
                fake
            })
            .collect();
        let held: Vec<usize> = fakes.iter().map(|fake| fake.0.load(Ordering::Relaxed)).collect();
        assert_eq!(held, expected, "{holders:?}");
        assert_eq!(kept.used(), held.iter().sum::<usize>());
    }

    #[test]
    fn what_was_left_alone_longest_makes_room_and_answers_before_calls() {
        use Rank::{Answer, Running};
        check(&[(5, Some((Answer, 1))), (5, Some((Answer, 2)))], &[5, 5]);
        check(&[(5, Some((Answer, 1))), (5, Some((Answer, 2))), (1, None)], &[0, 5, 1]);
        check(&[(5, Some((Answer, 2))), (5, Some((Answer, 1))), (1, None)], &[5, 0, 1]);
        check(&[(5, Some((Running, 1))), (5, Some((Answer, 2))), (1, None)], &[5, 0, 1]);
        check(&[(5, Some((Running, 1))), (5, Some((Running, 2))), (10, None)], &[0, 0, 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn growth_in_a_pause_between_attempts_does_not_prolong_it() {
        let (kept, idle) = (Kept::new(10), Some((Rank::Answer, Instant::now())));
        let [used, left] = [None, idle].map(|idle| Arc::new(Fake(AtomicUsize::new(11), idle)));
        kept.add(&used);
        kept.changed(0, 11);
        kept.add(&left);
        kept.changed(0, 11);
        for _ in 0..3 {
            tokio::time::advance(PAUSE / 2).await;
            kept.changed(0, 1);
        }
        assert_eq!(left.0.load(Ordering::Relaxed), 0, "released after the pause");
    }

    #[test]
    fn what_is_in_use_stays_and_what_is_too_large_by_itself_goes() {
        check(&[(8, None), (8, None)], &[8, 8]);
        check(&[(11, Some((Rank::Answer, 1)))], &[0]);
    }
}
