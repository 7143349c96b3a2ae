//! Monitor of a queue: its state behind a lock, the waker of its one reader, and the number of its writers. Knows nothing
//! of what is queued. `tests/loom/` runs it in all interleavings of its threads.

#[cfg(loom)]
use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
#[cfg(not(loom))]
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};
use std::task::{Context, Poll, Waker};

/// State `S` of a queue with one reader and any number of writers.
pub(super) struct Monitor<S> {
    inner: Mutex<Inner<S>>,
    writers: AtomicUsize,
}

#[derive(Default)]
struct Inner<S> {
    state: S,
    reader: Option<Waker>,
}

/// Locked state.
pub(super) struct Locked<'a, S>(MutexGuard<'a, Inner<S>>);

impl<S: Default> Monitor<S> {
    /// Creates the state of a queue with one writer.
    pub(super) fn new() -> Self {
        Self { inner: Mutex::new(Inner::default()), writers: AtomicUsize::new(1) }
    }
}

impl<S> Monitor<S> {
    pub(super) fn lock(&self) -> Locked<'_, S> {
        Locked(self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts one more writer.
    pub(super) fn add_writer(&self) {
        self.writers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one writer less. After the last one, the reader is woken.
    pub(super) fn remove_writer(&self) {
        if self.writers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.lock().wake();
        }
    }

    /// Returns what `take` finds; `None` once it finds nothing and all writers are gone.
    pub(super) fn poll_take<T>(
        &self,
        context: &mut Context<'_>,
        take: impl FnOnce(&mut S) -> Option<T>,
    ) -> Poll<Option<T>> {
        let mut locked = self.lock();
        if let Some(taken) = take(&mut locked) {
            return Poll::Ready(Some(taken));
        }
        // Writers change the state under the same lock, before they decrement the count.
        if self.writers.load(Ordering::Acquire) == 0 {
            return Poll::Ready(None);
        }
        match &mut locked.0.reader {
            Some(reader) => reader.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl<S> Locked<'_, S> {
    /// Unlocks, and then wakes the reader if it waits.
    pub(super) fn wake(mut self) {
        let reader = self.forget_reader();
        drop(self);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Cancels the wake-up of a reader that no longer waits. Returns its waker, to be dropped after the lock.
    pub(super) fn forget_reader(&mut self) -> Option<Waker> {
        self.0.reader.take()
    }
}

impl<S> Deref for Locked<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0.state
    }
}

impl<S> DerefMut for Locked<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.0.state
    }
}
