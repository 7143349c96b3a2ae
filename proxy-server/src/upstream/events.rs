//! The queue of what an upstream says besides answers, from its inbox to whoever reads it.
//!
//! Each call has a queue and hardly any uses it: so it takes no room before something goes there, and one small
//! allocation in all. Nothing is dropped from a burst. A queue takes what it is given; whoever reads from the upstream
//! then waits until the queue has room before it reads on. On a stream that others share, a queue whose reader takes
//! nothing must not hold up everybody: it is declared stalled, and until its reader takes something, log lines are
//! counted and left out, which the reader is told in their place, and of progress the newest is kept.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::upstream::inbox::Event;

/// What an event takes besides its text.
const OVERHEAD: usize = 64;
/// Questions that wait in one queue. More are refused.
const MAX_QUESTIONS: usize = 256;
/// How long a reader may take nothing while others wait for it.
const STANDSTILL: Duration = Duration::from_secs(1);
/// How long one queue may hold up others in all.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// What a queue takes however slowly it is read, as a multiple of its limit.
const MOST: usize = 4;

/// Where events are put. Each clone keeps the queue open.
pub(crate) struct Events(Arc<Shared>);

/// Where they are taken from, in order.
pub(crate) struct EventQueue(Arc<Shared>);

/// Nobody reads the events, or nobody could be asked so many questions.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the events")]
pub(crate) struct Unread;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    writers: AtomicUsize,
    /// Told when a crowded queue has room again, or is read no more.
    room: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Event>,
    bytes: usize,
    questions: usize,
    is_unread: bool,
    reader: Option<Waker>,
    /// Only a queue that was crowded once has this.
    crowd: Option<Box<Crowd>>,
}

/// What is to be known of a queue that fills faster than it is read.
#[derive(Default)]
struct Crowd {
    /// Counts the events that were taken.
    taken: u64,
    /// Somebody waits until no more than this is left.
    awaited: Option<usize>,
    /// How long it has held up others.
    paused: Duration,
    is_stalled: bool,
    /// Messages that were left out since it stalled.
    lost: u64,
    /// The newest progress since then.
    progress: Option<Bytes>,
}

/// A queue and the first of its writers.
pub(crate) fn event_queue() -> (Events, EventQueue) {
    let shared = Arc::new(Shared { writers: AtomicUsize::new(1), ..Shared::default() });
    (Events(Arc::clone(&shared)), EventQueue(shared))
}

impl Events {
    /// Puts an event, and says whether more than this limit waits now.
    pub(crate) fn put(&self, event: Event, limit: usize) -> Result<bool, Unread> {
        self.put_as(event, limit, Crowd::lose)
    }

    /// Puts a progress notification, of which the newest replaces others where not all can be kept.
    pub(crate) fn put_progress(&self, message: Bytes, limit: usize) -> Result<bool, Unread> {
        self.put_as(Event::Notification(message), limit, Crowd::keep_newest)
    }

    fn put_as(&self, event: Event, limit: usize, spare: fn(&mut Crowd, Event)) -> Result<bool, Unread> {
        let mut state = self.0.state();
        let is_question = matches!(event, Event::Question(_));
        if state.is_unread || (is_question && state.questions >= MAX_QUESTIONS) {
            drop(state);
            return Err(Unread);
        }
        // Whoever reads from the upstream waits long before this.
        if state.bytes > limit.saturating_mul(MOST) {
            state.crowd().is_stalled = true;
        }
        if let Some(crowd) = state.crowd.as_mut().filter(|crowd| crowd.is_stalled && !is_question) {
            spare(crowd, event);
            return Ok(false);
        }
        state.push(event);
        let (is_crowded, reader) = (state.bytes > limit, state.reader.take());
        drop(state);
        reader.into_iter().for_each(Waker::wake);
        Ok(is_crowded)
    }

    /// Whether there is room for more, or nobody to make any.
    pub(crate) fn has_room(&self, limit: usize) -> bool {
        let state = self.0.state();
        state.is_unread || state.bytes <= limit
    }

    /// Waits until no more than half of this waits, or nobody reads it.
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

    /// Waits likewise, but no longer than others may be held up by a reader that takes nothing, or too little.
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

    /// Whether both go to the same queue.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
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
        let event = state.waiting.pop_front()?;
        state.bytes = state.bytes.saturating_sub(size(&event));
        state.questions -= usize::from(matches!(event, Event::Question(_)));
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
        self.questions += usize::from(matches!(event, Event::Question(_)));
        self.waiting.push_back(event);
    }

    fn crowd(&mut self) -> &mut Crowd {
        self.crowd.get_or_insert_default()
    }

    /// Notes that somebody waits for room, and says how many events were taken so far; nothing if there is no need to wait.
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

fn size(event: &Event) -> usize {
    let text = match event {
        Event::Notification(message) => message.len(),
        Event::Question(question) => question.message.len(),
    };
    text + OVERHEAD
}

/// Tells a client that messages were left out, in their place.
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
