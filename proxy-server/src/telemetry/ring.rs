//! The last items of a sequence, for readers that come later and for those that wait for the next one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::sync::lock;

/// Maximum number of items that are kept.
const MOST: usize = 1_000;
/// Maximum size of the kept items together, in bytes.
const MOST_BYTES: usize = 256 << 10;

/// The last items. Cheap to clone. Items have numbers from 1 on.
pub(crate) struct Ring<T> {
    kept: Arc<Mutex<Kept<T>>>,
    /// Number of the newest item.
    newest: watch::Sender<u64>,
    /// Milliseconds of the epoch at which the sequence began.
    begun: i64,
}

struct Kept<T> {
    items: VecDeque<(u64, T, usize)>,
    bytes: usize,
    /// Number of items so far.
    count: u64,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        let kept = Kept { items: VecDeque::new(), bytes: 0, count: 0 };
        let begun = Timestamp::now().as_millisecond();
        Self { kept: Arc::new(Mutex::new(kept)), newest: watch::Sender::new(0), begun }
    }
}

impl<T> Clone for Ring<T> {
    fn clone(&self) -> Self {
        Self { kept: Arc::clone(&self.kept), newest: self.newest.clone(), begun: self.begun }
    }
}

impl<T: Clone> Ring<T> {
    /// Adds an item of this size. The oldest ones make room.
    pub(crate) fn push(&self, item: T, bytes: usize) {
        let mut kept = lock(&self.kept);
        kept.count += 1;
        kept.bytes += bytes;
        let number = kept.count;
        kept.items.push_back((number, item, bytes));
        while kept.items.len() > MOST || (kept.bytes > MOST_BYTES && kept.items.len() > 1) {
            let Some((.., bytes)) = kept.items.pop_front() else { break };
            kept.bytes -= bytes;
        }
        self.newest.send_replace(number);
    }

    /// Returns the newest kept items, at most `most`, oldest first.
    pub(crate) fn last(&self, most: usize) -> Vec<(u64, T)> {
        let kept = lock(&self.kept);
        let start = kept.items.len().saturating_sub(most);
        kept.items.range(start..).map(|(number, item, _)| (*number, item.clone())).collect()
    }

    /// Returns the kept items after the one with this number, oldest first, at most the oldest `most`.
    pub(crate) fn first_after(&self, number: u64, most: usize) -> Vec<(u64, T)> {
        let kept = lock(&self.kept);
        let start = kept.items.partition_point(|(kept, ..)| *kept <= number);
        kept.items.range(start..).take(most).map(|(number, item, _)| (*number, item.clone())).collect()
    }

    /// Returns the time at which the sequence began, by which sequences for the same thing differ.
    pub(crate) fn begun(&self) -> i64 {
        self.begun
    }

    /// Returns the number of the newest item, 0 without any.
    pub(crate) fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Subscribes to the number of the newest item.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_items_make_room_for_new_ones() {
        let ring = Ring::default();
        assert_eq!((ring.newest(), ring.last(10)), (0, Vec::new()));
        (1..=1_005).for_each(|number| ring.push(number, 1));
        let all = ring.last(usize::MAX);
        assert_eq!((all.len(), all.first().copied(), ring.newest()), (1_000, Some((6, 6)), 1_005));
        assert_eq!(ring.last(2), [(1_004, 1_004), (1_005, 1_005)]);
        let numbers = |after, most| ring.first_after(after, most).iter().map(|(number, _)| *number).collect::<Vec<_>>();
        assert_eq!((numbers(0, 2), numbers(1_004, 10), numbers(2_000, 10)), (vec![6, 7], vec![1_005], Vec::new()));
    }

    #[test]
    fn large_items_leave_room_for_fewer() {
        let ring = Ring::default();
        (0..100).for_each(|number| ring.push(number, 8 << 10));
        assert_eq!(ring.last(usize::MAX).len(), 32);
    }
}
