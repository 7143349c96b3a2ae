//! A value that every thread reads and one replaces while the gateway runs, such as settings.
//!
//! Readers take no lock and count no references: threads that share a count or a lock contend for it. In return every
//! version is kept until the last handle is dropped, so this is for values that people change, of a few hundred bytes.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::watch;

use crate::sync::lock;

const CHUNKS: usize = usize::BITS as usize;

/// Handle to a value. Cheap to clone; dereferences to the newest version.
pub(crate) struct Live<T>(Arc<Versions<T>>);

struct Versions<T> {
    first: T,
    /// Version 1 and later, in chunks of doubling length, so that no version ever moves.
    later: [OnceLock<Chunk<T>>; CHUNKS],
    newest: AtomicUsize,
    replacing: Mutex<()>,
    changes: watch::Sender<()>,
}

type Chunk<T> = Box<[OnceLock<T>]>;

impl<T> Live<T> {
    pub(crate) fn new(first: T) -> Self {
        let later = std::array::from_fn(|_| OnceLock::new());
        let (newest, replacing, changes) = (AtomicUsize::new(0), Mutex::new(()), watch::Sender::new(()));
        Self(Arc::new(Versions { first, later, newest, replacing, changes }))
    }

    /// Returns the newest version. Whoever needs several of its parts to agree keeps the reference.
    pub(crate) fn current(&self) -> &T {
        let versions = &*self.0;
        let newest = versions.newest.load(Ordering::Acquire);
        let version = newest.checked_ilog2().and_then(|chunk| {
            let at = newest - (1 << chunk);
            versions.later.get(chunk as usize)?.get()?.get(at)?.get()
        });
        version.unwrap_or(&versions.first)
    }

    /// Publishes a new version and wakes those who watch.
    pub(crate) fn replace(&self, new: T) {
        let versions = &*self.0;
        let replacing = lock(&versions.replacing);
        let next = versions.newest.load(Ordering::Relaxed) + 1;
        let chunk = next.ilog2();
        let length = 1 << chunk;
        let slots = versions.later.get(chunk as usize).map(|slots| slots.get_or_init(|| empty(length)));
        let is_stored = slots.and_then(|slots| slots.get(next - length)).is_some_and(|slot| slot.set(new).is_ok());
        if is_stored {
            versions.newest.store(next, Ordering::Release);
        }
        drop(replacing);
        versions.changes.send_replace(());
    }

    /// Watches for versions published from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Live<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.current()
    }
}

fn empty<T>(length: usize) -> Chunk<T> {
    std::iter::repeat_with(OnceLock::new).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_seen_through_every_handle_and_older_ones_stay() {
        let live = Live::new(0);
        let (other, first) = (live.clone(), live.current());
        for version in 1..100 {
            live.replace(version);
            assert_eq!((*live, *other.current()), (version, version));
        }
        assert_eq!(*first, 0);
    }

    #[test]
    fn readers_and_writers_on_several_threads_see_whole_versions_in_order() {
        let live = Live::new((0, 0));
        std::thread::scope(|scope| {
            scope.spawn(|| (1..2_000).for_each(|version| live.replace((version, version))));
            for _ in 0..2 {
                let live = live.clone();
                scope.spawn(move || {
                    let mut last = 0;
                    while last < 1_999 {
                        let (version, same) = *live.current();
                        assert!(version == same && version >= last);
                        last = version;
                    }
                });
            }
        });
    }

    #[tokio::test]
    async fn whoever_watches_is_woken() {
        let live = Live::new(1);
        let mut changes = live.watch();
        live.replace(2);
        changes.changed().await.expect("a change");
        assert_eq!(*live, 2);
    }
}
