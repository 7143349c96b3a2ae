//! The events of one stream, kept so that a client that lost it can take it up again.
//!
//! What a client has read is kept within limits, the oldest goes first. What it has not read is not dropped: whoever fills
//! the log waits for room. A client that has left for good must not hold up its upstream for ever, so after a while the
//! oldest go all the same, and one that comes back is told of the loss.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::downstream::kept::{Holder, Kept, Rank};
use crate::upstream::loss;

/// What an event takes besides its text.
const OVERHEAD: usize = 64;
/// What a log holds in any case at the most, as a multiple of its limit.
const MOST: usize = 4;

/// What one log may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogLimits {
    pub(super) bytes: usize,
    pub(super) events: usize,
    /// How long a log that nobody reads keeps everything for its reader.
    pub(super) patience: Duration,
}

/// What a log is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A call: its client is expected back.
    Call,
    /// What belongs to no call: many clients never read it.
    Session,
}

/// The events of one stream, numbered from 1.
pub(super) struct EventLog {
    state: Mutex<State>,
    changed: Notify,
    /// Told when a full log has room again, or has lost its reader.
    room: Notify,
    limits: LogLimits,
    purpose: Purpose,
    kept: Arc<Kept>,
}

struct State {
    events: VecDeque<Bytes>,
    /// The number of the first kept event, less one.
    dropped: u64,
    bytes: usize,
    /// What of it no reader has got.
    unread: usize,
    /// Nothing more will come.
    complete: bool,
    /// Whether it was given up to make room for others.
    released: bool,
    /// Counts readers; only the newest reads.
    reader: u64,
    /// Readers that have not ended.
    readers: usize,
    /// When the last one ended, or the log began.
    alone_since: Instant,
    /// The number of the newest event that some reader got.
    read: u64,
}

/// The newest reader of a log.
pub(super) struct Reader {
    log: Arc<EventLog>,
    generation: u64,
    /// The number of the last event it has seen.
    seen: u64,
}

impl EventLog {
    pub(super) fn new(purpose: Purpose, limits: LogLimits, kept: &Arc<Kept>) -> Arc<Self> {
        let state = State {
            events: VecDeque::new(),
            dropped: 0,
            bytes: 0,
            unread: 0,
            complete: false,
            released: false,
            reader: 0,
            readers: 0,
            alone_since: Instant::now(),
            read: 0,
        };
        let (changed, room, kept) = (Notify::new(), Notify::new(), Arc::clone(kept));
        let log = Arc::new(Self { state: Mutex::new(state), changed, room, limits, purpose, kept });
        log.kept.add(&log);
        log
    }

    pub(super) fn push(&self, message: Bytes) {
        let mut state = self.state();
        let before = state.bytes;
        state.bytes += size(&message);
        state.unread += size(&message);
        state.events.push_back(message);
        let holds_unread = self.holds_unread(&state);
        while state.events.len() > 1
            && (state.events.len() > self.limits.events || state.bytes > self.limits.bytes)
            && (!holds_unread || state.dropped < state.read || state.bytes > self.limits.bytes.saturating_mul(MOST))
        {
            state.drop_oldest();
        }
        let after = state.bytes;
        drop(state);
        self.changed.notify_waiters();
        self.kept.changed(before, after);
    }

    /// Ends the stream once everything in it is read.
    pub(super) fn complete(&self) {
        self.state().complete = true;
        self.changed.notify_waiters();
    }

    /// Whether more can be put without dropping what its reader has not got, or nobody is expected to read it.
    pub(super) fn has_room(&self) -> bool {
        let state = self.state();
        state.unread <= self.limits.bytes || !self.holds_unread(&state)
    }

    /// Waits until there is room.
    pub(super) async fn room(&self) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let until = {
                let state = self.state();
                if state.unread <= self.limits.bytes || !self.holds_unread(&state) {
                    return;
                }
                (state.readers == 0).then_some(state.alone_since + self.limits.patience)
            };
            match until {
                Some(until) => tokio::select! {
                    () = room => {}
                    () = sleep_until(until) => {}
                },
                None => room.await,
            }
        }
    }

    /// Reads on after the event with this number. An older reader of the same stream ends.
    pub(super) fn read_after(self: &Arc<Self>, seen: u64) -> Reader {
        let mut state = self.state();
        state.reader += 1;
        state.readers += 1;
        let generation = state.reader;
        drop(state);
        self.changed.notify_waiters();
        Reader { log: Arc::clone(self), generation, seen }
    }

    /// The number of the newest event that some reader got: where to go on for a client that does not say.
    pub(super) fn newest_read(&self) -> u64 {
        self.state().read
    }

    /// What it holds.
    pub(super) fn bytes(&self) -> usize {
        self.state().bytes
    }

    pub(super) fn is_complete(&self) -> bool {
        self.state().complete
    }

    /// Whether what it held was given up to make room for others.
    pub(super) fn is_released(&self) -> bool {
        self.state().released
    }

    /// Whether what its reader has not got is kept whatever it takes.
    fn holds_unread(&self, state: &State) -> bool {
        let expected = self.purpose == Purpose::Call && state.alone_since.elapsed() < self.limits.patience;
        state.readers > 0 || expected
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder for EventLog {
    fn idle(&self) -> Option<(Rank, Instant)> {
        let state = self.state();
        let rank = if state.complete { Rank::Answer } else { Rank::Running };
        (state.readers == 0 && state.bytes > 0).then_some((rank, state.alone_since))
    }

    fn release(&self) -> usize {
        let mut state = self.state();
        if state.readers > 0 {
            return 0;
        }
        let bytes = state.bytes;
        while !state.events.is_empty() {
            state.drop_oldest();
        }
        state.released |= state.complete;
        drop(state);
        self.room.notify_waiters();
        bytes
    }
}

impl State {
    fn drop_oldest(&mut self) {
        let size = self.events.pop_front().map_or(0, |event| size(&event));
        self.bytes -= size;
        if self.dropped >= self.read {
            self.unread -= size;
        }
        self.dropped += 1;
    }
}

impl Reader {
    /// The next event and its number; nothing once the stream is complete or someone else reads it.
    pub(super) async fn next(&mut self) -> Option<(u64, Bytes)> {
        let log = Arc::clone(&self.log);
        loop {
            let changed = log.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = log.state();
                if state.reader != self.generation {
                    return None;
                }
                if let Some(next) = self.take(&mut state) {
                    return Some(next);
                }
                if state.complete {
                    return None;
                }
            }
            changed.await;
        }
    }

    fn take(&mut self, state: &mut State) -> Option<(u64, Bytes)> {
        if self.seen < state.dropped {
            let lost = state.dropped - self.seen;
            self.seen = state.dropped;
            // What a session's own stream says holds for whoever hears it, and is about nothing in particular.
            if self.log.purpose == Purpose::Call {
                return Some((self.seen, loss(lost)));
            }
        }
        let index = usize::try_from(self.seen - state.dropped).unwrap_or(usize::MAX);
        let event = state.events.get(index).cloned()?;
        self.seen += 1;
        if self.seen > state.read {
            // One who says that it has seen more than any reader got skips what lies between.
            let behind = state.events.iter().skip(index + 1).map(size).sum::<usize>();
            let is_next = self.seen == state.read + 1;
            state.unread = if is_next { state.unread - size(&event) } else { behind };
            state.read = self.seen;
            if state.unread <= self.log.limits.bytes {
                self.log.room.notify_waiters();
            }
        }
        Some((self.seen, event))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.log.state();
        state.readers -= 1;
        state.alone_since = Instant::now();
        drop(state);
        self.log.room.notify_waiters();
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        let bytes = self.state().bytes;
        self.kept.changed(bytes, 0);
    }
}

fn size(event: &Bytes) -> usize {
    event.len() + OVERHEAD
}

#[cfg(test)]
mod tests;
