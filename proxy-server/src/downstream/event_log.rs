//! The events of one stream, kept so that a client that lost it can take it up again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// What one stream keeps; the oldest go first. The newest is kept whatever its size, because it is the answer.
const MAX_EVENTS: usize = 1024;
const MAX_BYTES: usize = 16 << 20;

/// The events of one stream, numbered from 1.
#[derive(Default)]
pub(super) struct EventLog {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    events: VecDeque<Bytes>,
    /// The number of the first kept event, less one.
    dropped: u64,
    bytes: usize,
    /// Nothing more will come.
    complete: bool,
    /// Counts readers; only the newest reads.
    reader: u64,
    /// The number of the newest event that some reader got.
    read: u64,
}

/// The newest reader of a log.
pub(super) struct Reader {
    generation: u64,
    /// The number of the last event it has seen.
    seen: u64,
}

impl EventLog {
    pub(super) fn push(&self, message: Bytes) {
        let mut state = self.state();
        state.bytes += message.len();
        state.events.push_back(message);
        while state.events.len() > MAX_EVENTS || (state.bytes > MAX_BYTES && state.events.len() > 1) {
            let size = state.events.pop_front().map_or(0, |event| event.len());
            state.bytes -= size;
            state.dropped += 1;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Ends the stream once everything in it is read.
    pub(super) fn complete(&self) {
        self.state().complete = true;
        self.changed.notify_waiters();
    }

    /// Reads on after the event with this number. An older reader of the same stream ends.
    pub(super) fn read_after(&self, seen: u64) -> Reader {
        let mut state = self.state();
        state.reader += 1;
        let generation = state.reader;
        drop(state);
        self.changed.notify_waiters();
        Reader { generation, seen }
    }

    /// The next event and its number; nothing once the stream is complete or someone else reads it.
    pub(super) async fn next(&self, reader: &mut Reader) -> Option<(u64, Bytes)> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.state();
                if state.reader != reader.generation {
                    return None;
                }
                reader.seen = reader.seen.max(state.dropped);
                let index = usize::try_from(reader.seen - state.dropped).unwrap_or(usize::MAX);
                if let Some(event) = state.events.get(index).cloned() {
                    reader.seen += 1;
                    state.read = state.read.max(reader.seen);
                    return Some((reader.seen, event));
                }
                if state.complete {
                    return None;
                }
            }
            changed.await;
        }
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn rest(log: &EventLog, reader: &mut Reader) -> Vec<(u64, Bytes)> {
        let mut events = Vec::new();
        while let Some(event) = log.next(reader).await {
            events.push(event);
        }
        events
    }

    #[tokio::test]
    async fn a_reader_takes_up_where_the_last_one_stopped() {
        let log = EventLog::default();
        log.push("a".into());
        let mut first = log.read_after(0);
        assert_eq!(log.next(&mut first).await, Some((1, "a".into())));
        log.push("b".into());
        let mut second = log.read_after(1);
        assert_eq!(log.next(&mut first).await, None, "an older reader ends");
        log.push("c".into());
        log.complete();
        assert_eq!(rest(&log, &mut second).await, [(2, "b".into()), (3, "c".into())]);
    }

    #[tokio::test]
    async fn keeps_a_bounded_number_of_events_and_always_the_newest() {
        let log = EventLog::default();
        for number in 0..MAX_EVENTS + 10 {
            log.push(number.to_string().into());
        }
        let mut reader = log.read_after(0);
        assert_eq!(log.next(&mut reader).await, Some((11, "10".into())));
        log.push(Bytes::from(vec![b'x'; MAX_BYTES + 1]));
        log.complete();
        assert_eq!(rest(&log, &mut reader).await.len(), 1);
    }
}
