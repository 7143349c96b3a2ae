//! The way of what an upstream says besides answers, from its inbox to whoever reads it.
//!
//! Each call has such a way and hardly any uses it: so it takes no room before something goes there, and one small
//! allocation in all.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use crate::upstream::inbox::{EVENT_QUEUE, Event};

/// Where events are put. Each clone keeps the queue open.
pub(crate) struct Events(Arc<Shared>);

/// Where they are taken from, in order.
pub(crate) struct EventQueue(Arc<Shared>);

/// Why an event was not put.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undelivered {
    #[error("the queue of events is full")]
    Full(Event),
    #[error("nobody reads the events")]
    Unread,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    writers: AtomicUsize,
    /// Told whenever a full queue is full no longer.
    room: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Event>,
    is_unread: bool,
    reader: Option<Waker>,
}

/// A queue and the first of its writers.
pub(crate) fn event_queue() -> (Events, EventQueue) {
    let shared = Arc::new(Shared { writers: AtomicUsize::new(1), ..Shared::default() });
    (Events(Arc::clone(&shared)), EventQueue(shared))
}

impl Events {
    /// Puts an event if there is room.
    pub(crate) fn try_send(&self, event: Event) -> Result<(), Undelivered> {
        let mut state = self.0.state();
        if state.is_unread {
            return Err(Undelivered::Unread);
        }
        if state.waiting.len() >= EVENT_QUEUE {
            return Err(Undelivered::Full(event));
        }
        state.waiting.push_back(event);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Puts an event as soon as there is room.
    pub(crate) async fn send(&self, mut event: Event) -> Result<(), Undelivered> {
        loop {
            let mut room = pin!(self.0.room.notified());
            room.as_mut().enable();
            match self.try_send(event) {
                Err(Undelivered::Full(back)) => event = back,
                outcome => return outcome,
            }
            room.await;
        }
    }
}

impl EventQueue {
    /// The next event; nothing once nobody can put one any more.
    pub(crate) async fn recv(&mut self) -> Option<Event> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.0.state();
        if let Some(event) = self.take(&mut state) {
            return Poll::Ready(Some(event));
        }
        // Who puts an event does so under the same lock, and before it counts as gone.
        if self.0.writers.load(Ordering::Acquire) == 0 {
            return Poll::Ready(None);
        }
        match &mut state.reader {
            Some(reader) => reader.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// The next event, if there is one now. Who asks so no longer waits, and is not woken.
    pub(crate) fn try_recv(&mut self) -> Option<Event> {
        let mut state = self.0.state();
        state.reader = None;
        self.take(&mut state)
    }

    fn take(&self, state: &mut State) -> Option<Event> {
        if state.waiting.len() >= EVENT_QUEUE {
            self.0.room.notify_waiters();
        }
        state.waiting.pop_front()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Events {
    fn clone(&self) -> Self {
        self.0.writers.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if self.0.writers.fetch_sub(1, Ordering::AcqRel) == 1 {
            let reader = self.0.state().reader.take();
            reader.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for EventQueue {
    /// What nobody reads any more is dropped outside the lock: a question then refuses itself.
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_unread = true;
        let unread = (std::mem::take(&mut state.waiting), state.reader.take());
        drop(state);
        self.0.room.notify_waiters();
        drop(unread);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use bytes::Bytes;
    use futures_util::FutureExt;
    use tokio::task::yield_now;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn event(number: usize) -> Event {
        Event::Notification(Bytes::from(number.to_string()))
    }

    fn number(event: Option<Event>) -> Option<usize> {
        match event? {
            Event::Notification(text) => std::str::from_utf8(&text).ok()?.parse().ok(),
            Event::Question(question) => panic!("a question: {question:?}"),
        }
    }

    #[tokio::test]
    async fn events_come_in_order_and_end_with_their_writers() {
        let (first, mut queue) = event_queue();
        let second = first.clone();
        assert!(queue.try_recv().is_none());
        let reading = async move {
            let mut seen = Vec::new();
            while let Some(one) = number(queue.recv().await) {
                seen.push(one);
            }
            seen
        };
        let writing = async move {
            first.try_send(event(1)).expect("room");
            drop(first);
            yield_now().await;
            second.try_send(event(2)).expect("room");
            yield_now().await;
        };
        assert_eq!(tokio::join!(reading, writing).0, [1, 2]);
    }

    #[tokio::test]
    async fn a_full_queue_takes_no_more_until_one_is_read() {
        let (events, mut queue) = event_queue();
        for one in 0..EVENT_QUEUE {
            events.try_send(event(one)).expect("room");
        }
        assert!(matches!(events.try_send(event(0)), Err(Undelivered::Full(_))));
        let mut sending = Box::pin(events.send(event(EVENT_QUEUE)));
        assert!(sending.as_mut().now_or_never().is_none());
        assert_eq!(number(queue.try_recv()), Some(0));
        assert!(sending.await.is_ok());
        let rest: Vec<_> = std::iter::from_fn(|| number(queue.try_recv())).collect();
        assert_eq!(rest, (1..=EVENT_QUEUE).collect::<Vec<_>>());
    }

    #[test]
    fn only_who_waits_is_woken() {
        let (events, mut queue) = event_queue();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        assert!(queue.poll_recv(&mut context).is_pending());
        assert!(queue.try_recv().is_none());
        drop(events.clone());
        drop(events);
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        assert!(queue.poll_recv(&mut context).is_ready());
    }

    #[tokio::test]
    async fn what_nobody_reads_is_not_taken() {
        let (events, queue) = event_queue();
        let other = events.clone();
        for one in 0..EVENT_QUEUE {
            events.try_send(event(one)).expect("room");
        }
        let leaving = async move {
            yield_now().await;
            drop(queue);
        };
        assert!(matches!(tokio::join!(other.send(event(0)), leaving).0, Err(Undelivered::Unread)));
        assert!(matches!(events.try_send(event(0)), Err(Undelivered::Unread)));
    }
}
