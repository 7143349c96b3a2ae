//! Event log of one stream, kept so that a client that lost the stream can resume it.
//!
//! Events that the client has read are kept within limits; the oldest are dropped first. Unread events are not dropped:
//! the writer waits for room. A client that never returns must not block its upstream for ever, so after a timeout the
//! oldest unread events are dropped too, and a client that resumes a call is notified of the loss.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::call::{Holder, Kept, Rank};
use crate::sync::lock;
use crate::upstream::loss;

/// Size of an event in bytes besides its text.
const OVERHEAD: usize = 64;
/// Maximum size in bytes of an event that is copied, because a slice keeps the whole receive buffer of 8 KiB or more.
const MAX_COPIED: usize = 2 * 1024;
/// Hard limit of a log's size, as a multiple of its limit.
const MOST: usize = 4;

/// Limits of one log.
#[derive(Debug, Clone, Copy)]
pub(in crate::downstream) struct LogLimits {
    pub(in crate::downstream) bytes: usize,
    pub(in crate::downstream) events: usize,
    /// Time for which a call's log without a reader keeps everything for a client that resumes.
    pub(in crate::downstream) patience: Duration,
}

/// Purpose of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::downstream) enum Purpose {
    /// A call. Its client is expected to resume.
    Call,
    /// Messages outside any call. Many clients never read them.
    Session,
}

/// Events of one stream, numbered from 1.
pub(in crate::downstream) struct EventLog {
    state: Mutex<LogState>,
    changed: Notify,
    /// Notified when a full log has room again, or has lost its reader.
    room: Notify,
    limits: LogLimits,
    purpose: Purpose,
    kept: Arc<Kept>,
}

struct LogState {
    events: VecDeque<Bytes>,
    /// Number of the first kept event, less one.
    dropped: u64,
    bytes: usize,
    /// Size of the events that no reader has received, in bytes.
    unread: usize,
    /// True if no more events will come.
    complete: bool,
    /// True if the log was complete when its events were released for the memory budget.
    released: bool,
    /// Number of readers so far; only the newest reads.
    reader: u64,
    /// Number of readers that have not ended.
    readers: usize,
    /// Time at which the last reader ended, or the log was created.
    alone_since: Instant,
    /// Number of the newest event that any reader has received.
    read: u64,
}

/// Newest reader of a log.
pub(in crate::downstream) struct Reader {
    log: Arc<EventLog>,
    generation: u64,
    /// Number of the last event that it has seen.
    seen: u64,
}

impl EventLog {
    /// Creates a log whose first event has the number after `last`: 0, unless an earlier process has numbered events.
    pub(in crate::downstream) fn new(purpose: Purpose, limits: LogLimits, kept: &Arc<Kept>, last: u64) -> Arc<Self> {
        let state = LogState {
            events: VecDeque::new(),
            dropped: last,
            bytes: 0,
            unread: 0,
            complete: false,
            released: false,
            reader: 0,
            readers: 0,
            alone_since: Instant::now(),
            read: last,
        };
        let (changed, room, kept) = (Notify::new(), Notify::new(), Arc::clone(kept));
        let log = Arc::new(Self { state: Mutex::new(state), changed, room, limits, purpose, kept });
        log.kept.add(&log);
        log
    }

    pub(in crate::downstream) fn push(&self, message: Bytes) {
        let message = if message.len() <= MAX_COPIED { Bytes::copy_from_slice(&message) } else { message };
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

    /// Ends the stream once every event is read.
    pub(in crate::downstream) fn complete(&self) {
        self.state().complete = true;
        self.changed.notify_waiters();
    }

    /// True if an event can be added without dropping unread ones, or if no reader is expected.
    pub(in crate::downstream) fn has_room(&self) -> bool {
        let state = self.state();
        state.unread <= self.limits.bytes || !self.holds_unread(&state)
    }

    /// Waits until there is room.
    pub(in crate::downstream) async fn room(&self) {
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

    /// Returns a reader that begins after the event with this number. Older readers of the stream end.
    pub(in crate::downstream) fn read_after(self: &Arc<Self>, seen: u64) -> Reader {
        let mut state = self.state();
        state.reader += 1;
        state.readers += 1;
        let generation = state.reader;
        drop(state);
        self.changed.notify_waiters();
        Reader { log: Arc::clone(self), generation, seen }
    }

    /// Returns the number of the newest event that a reader has received: a client without a position resumes there.
    pub(in crate::downstream) fn newest_read(&self) -> u64 {
        self.state().read
    }

    /// Returns the size of the kept events in bytes.
    pub(in crate::downstream) fn bytes(&self) -> usize {
        self.state().bytes
    }

    pub(in crate::downstream) fn is_complete(&self) -> bool {
        self.state().complete
    }

    /// True if the events of this complete log were released for the memory budget.
    pub(in crate::downstream) fn is_released(&self) -> bool {
        self.state().released
    }

    /// True if unread events are kept beyond the limits, up to the hard limit.
    fn holds_unread(&self, state: &LogState) -> bool {
        let expected = self.purpose == Purpose::Call && state.alone_since.elapsed() < self.limits.patience;
        state.readers > 0 || expected
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        lock(&self.state)
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

impl LogState {
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
    /// Returns the next event and its number; `None` once the stream is complete or has a newer reader.
    pub(in crate::downstream) async fn next(&mut self) -> Option<(u64, Bytes)> {
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

    fn take(&mut self, state: &mut LogState) -> Option<(u64, Bytes)> {
        if self.seen < state.dropped {
            let lost = state.dropped - self.seen;
            self.seen = state.dropped;
            // Messages on a session's own stream belong to no call and are complete in themselves: no notice of loss.
            if self.log.purpose == Purpose::Call {
                return Some((self.seen, loss(lost)));
            }
        }
        let index = usize::try_from(self.seen - state.dropped).unwrap_or(usize::MAX);
        let event = state.events.get(index).cloned()?;
        self.seen += 1;
        if self.seen > state.read {
            // A client that claims a later position than any reader skips the events in between.
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
