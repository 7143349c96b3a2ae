//! Distributes work on many files over the processors.

use crate::sync::lock;
use std::panic::resume_unwind;
use std::sync::{LazyLock, Mutex};
use std::thread;

/// Most threads; more would wait for the disk and for memory.
const MAX_THREADS: usize = 8;
/// Fewest items per thread; fewer are done before another thread has started.
const LEAST_EACH: usize = 16;
/// Number of items that a thread takes at once.
const BATCH: usize = 8;
/// Number of processors. Asked once, because the answer is read from files of the control group.
static PROCESSORS: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from));

/// Returns the results of two independent computations that each visit `count` items; runs them at the same time unless
/// there are few.
pub(crate) fn both<A, B: Send>(count: usize, one: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> (A, B) {
    if *PROCESSORS < 2 || count < 2 * LEAST_EACH {
        return (one(), other());
    }
    thread::scope(|scope| {
        let other = scope.spawn(other);
        let one = one();
        (one, other.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Returns the result for each item, in order.
pub(crate) fn each<T, R: Send>(items: impl ExactSizeIterator<Item = T> + Send, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let count = items.len();
    let threads = PROCESSORS.min(MAX_THREADS).min(count / LEAST_EACH);
    if threads < 2 {
        return items.map(work).collect();
    }
    // Taken by the batch: results are then brought into order, and the queue is asked, once for many items.
    let queue = Mutex::new((0_usize, items));
    let take = || {
        let mut done = Vec::with_capacity(count / BATCH + 1);
        loop {
            let (number, batch) = {
                let mut queue = lock(&queue);
                queue.0 += 1;
                let batch: Vec<T> = queue.1.by_ref().take(BATCH).collect();
                (queue.0, batch)
            };
            if batch.is_empty() {
                return done;
            }
            done.push((number, batch.into_iter().map(&work).collect::<Vec<R>>()));
        }
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(take)).collect();
        let mut done = take();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    let mut results = Vec::with_capacity(count);
    done.into_iter().for_each(|(_, batch)| results.extend(batch));
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_what_they_are_of() {
        for count in [0, 1, LEAST_EACH * 2, 1_000] {
            let mut items: Vec<usize> = (0..count).collect();
            let doubled: Vec<usize> = items.iter().map(|item| item * 2).collect();
            assert_eq!(each(items.iter_mut(), |item| *item * 2), doubled, "{count}");
        }
    }

    #[test]
    fn two_results_are_not_exchanged() {
        for count in [0, 1_000] {
            assert_eq!(both(count, || 1, || "two"), (1, "two"), "{count}");
        }
    }
}
