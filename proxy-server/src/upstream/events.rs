//! Bounded queue for notifications and questions of an upstream, from its inbox to the call or session they belong to.
//!
//! An unused queue costs one small allocation. No burst is truncated: a queue accepts every event, and then the task
//! that reads from the upstream waits until the queue has room (back-pressure). On a stream that several clients share,
//! a slow reader must not block the others: after a timeout its queue counts as stalled. Until the reader takes an
//! event again, a stalled queue keeps only the newest progress notification, and drops and counts other notifications;
//! the reader gets a message about the loss.

mod monitor;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use self::monitor::{Locked, Monitor};
use crate::upstream::event::Event;

/// Size of an event besides its text, in bytes.
const OVERHEAD: usize = 64;
/// Maximum time for which a reader may take nothing while others wait for it.
const STANDSTILL: Duration = Duration::from_secs(1);
/// Maximum total time for which one queue may block others.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Multiple of the limit at which a queue counts as stalled, and further questions are refused.
const MOST: usize = 4;

/// Writing half of the queue. Each clone keeps the queue open.
pub(crate) struct Events(Arc<Shared>);

/// Reading half of the queue.
pub(crate) struct EventQueue(Arc<Shared>);

/// The reader is gone, or too far behind for another question.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the events, or more of them wait than --max-queued-bytes allows four times over")]
pub(crate) struct Unread;

struct Shared {
    monitor: Monitor<State>,
    /// Notified when a crowded queue has room again, or its reader is gone.
    room: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Event>,
    bytes: usize,
    is_unread: bool,
    /// Present only after the queue exceeded its limit once.
    crowd: Option<Box<Crowd>>,
}

/// State of a queue that fills faster than it is read.
#[derive(Default)]
struct Crowd {
    /// Number of events taken.
    taken: u64,
    /// Size in bytes at which waiting writers are notified.
    awaited: Option<usize>,
    /// Total time for which it has blocked others.
    paused: Duration,
    is_stalled: bool,
    /// Number of events dropped since it stalled.
    lost: u64,
    /// The newest progress notification since it stalled.
    progress: Option<Bytes>,
}

/// Creates a queue with its first writing half.
pub(crate) fn event_queue() -> (Events, EventQueue) {
    let shared = Arc::new(Shared { monitor: Monitor::new(), room: Notify::new() });
    (Events(Arc::clone(&shared)), EventQueue(shared))
}

impl Events {
    /// Queues an event. Returns true if the queue now exceeds the limit.
    pub(crate) fn put(&self, event: Event, limit: usize) -> Result<bool, Unread> {
        self.put_as(event, limit, Crowd::lose)
    }

    /// Queues a progress notification. In a stalled queue the newest one replaces earlier ones.
    pub(crate) fn put_progress(&self, message: Bytes, limit: usize) -> Result<bool, Unread> {
        self.put_as(Event::Notification(message), limit, Crowd::keep_newest)
    }

    fn put_as(&self, event: Event, limit: usize, spare: fn(&mut Crowd, Event)) -> Result<bool, Unread> {
        let mut state = self.0.state();
        let is_question = matches!(event, Event::Question(_));
        let is_full = state.bytes > limit.saturating_mul(MOST);
        if state.is_unread || (is_question && is_full) {
            drop(state);
            return Err(Unread);
        }
        // Back-pressure starts long before this.
        if is_full {
            state.crowd().is_stalled = true;
        }
        if let Some(crowd) = state.crowd.as_mut().filter(|crowd| crowd.is_stalled && !is_question) {
            spare(crowd, event);
            return Ok(false);
        }
        state.push(event);
        let is_crowded = state.bytes > limit;
        state.wake();
        Ok(is_crowded)
    }

    /// True if the queue has room, or no reader.
    pub(crate) fn has_room(&self, limit: usize) -> bool {
        let state = self.0.state();
        state.is_unread || state.bytes <= limit
    }

    /// True while the queue has a reader.
    pub(crate) fn is_read(&self) -> bool {
        !self.0.state().is_unread
    }

    /// Waits until the queue is at most half full, or has no reader.
    pub(crate) async fn room(&self, limit: usize) {
        loop {
            let mut room = pin!(self.0.room.notified());
            room.as_mut().enable();
            if self.0.state().wait_for(limit).is_none() {
                return;
            }
            room.await;
        }
    }

    /// Like [`Events::room`], but gives up after a bounded time and marks the queue as stalled, so that others are not
    /// blocked.
    pub(crate) async fn room_for_others(&self, limit: usize) {
        loop {
            let mut room = pin!(self.0.room.notified());
            room.as_mut().enable();
            let Some(taken) = self.0.state().wait_for(limit) else { return };
            let began = Instant::now();
            timeout(STANDSTILL, room).await.ok();
            let mut state = self.0.state();
            let is_full = state.bytes > limit / 2;
            let crowd = state.crowd();
            crowd.paused += began.elapsed();
            if crowd.taken == taken || crowd.paused >= MAX_PAUSE {
                crowd.is_stalled |= is_full;
                return;
            }
        }
    }

    /// True if both write to the same queue.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl EventQueue {
    /// Returns the next event; `None` once the queue is empty and all writers are gone.
    pub(crate) async fn recv(&mut self) -> Option<Event> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.monitor.poll_take(context, |state| self.take(state))
    }

    /// Returns the next event if there is one now. Cancels the wake-up of an earlier [`EventQueue::recv`].
    pub(crate) fn try_recv(&mut self) -> Option<Event> {
        let mut state = self.0.state();
        drop(state.forget_reader());
        self.take(&mut state)
    }

    fn take(&self, state: &mut State) -> Option<Event> {
        let event = state.waiting.pop_front()?;
        state.bytes = state.bytes.saturating_sub(size(&event));
        if state.crowd.is_some() {
            let bytes = state.bytes;
            let crowd = state.crowd();
            crowd.taken += 1;
            if crowd.awaited.is_some_and(|most| bytes <= most) {
                crowd.awaited = None;
                self.0.room.notify_waiters();
            }
            if std::mem::take(&mut crowd.is_stalled) {
                let (lost, progress) = (std::mem::take(&mut crowd.lost), crowd.progress.take());
                let lost = (lost > 0).then(|| loss(lost));
                lost.into_iter().chain(progress).for_each(|message| state.push(Event::Notification(message)));
            }
        }
        Some(event)
    }
}

impl State {
    fn push(&mut self, event: Event) {
        self.bytes += size(&event);
        self.waiting.push_back(event);
    }

    fn crowd(&mut self) -> &mut Crowd {
        self.crowd.get_or_insert_default()
    }

    /// Registers a waiter for room. Returns the number of events taken so far; `None` if there is no need to wait.
    fn wait_for(&mut self, limit: usize) -> Option<u64> {
        let is_stalled = self.crowd.as_ref().is_some_and(|crowd| crowd.is_stalled);
        if self.is_unread || self.bytes <= limit / 2 || is_stalled {
            return None;
        }
        let crowd = self.crowd();
        crowd.awaited = Some(limit / 2);
        Some(crowd.taken)
    }
}

impl Crowd {
    fn lose(&mut self, _: Event) {
        self.lost += 1;
    }

    fn keep_newest(&mut self, event: Event) {
        if let Event::Notification(message) = event {
            self.progress = Some(message);
        }
    }
}

impl Shared {
    fn state(&self) -> Locked<'_, State> {
        self.monitor.lock()
    }
}

impl Clone for Events {
    fn clone(&self) -> Self {
        self.0.monitor.add_writer();
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.0.monitor.remove_writer();
    }
}

impl Drop for EventQueue {
    /// Drops unread events outside of the lock: a dropped question sends a refusal.
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_unread = true;
        let unread = (std::mem::take(&mut state.waiting), state.forget_reader());
        drop(state);
        self.0.room.notify_waiters();
        drop(unread);
    }
}

fn size(event: &Event) -> usize {
    let text = match event {
        Event::Notification(message) => message.len(),
        Event::Question(question) => question.message.len(),
    };
    text + OVERHEAD
}

/// Builds a log message about dropped messages.
pub(crate) fn loss(messages: u64) -> Bytes {
    let text = format!(
        "{messages} messages were left out here, because they came faster than they were read \
         (limits: --max-queued-bytes, --max-stream-bytes)"
    );
    let params = format!(r#"{{"level":"warning","logger":"mcp-proxy","data":"{text}"}}"#);
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{params}}}"#).into()
}

#[cfg(test)]
mod tests;
