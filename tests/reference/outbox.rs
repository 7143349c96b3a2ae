//! The messages of one stream, in order. They are kept until read or, for a resumable stream, as long as a client may
//! ask for them again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::lock;

/// Maximum number of messages kept for a resumable stream. The oldest are dropped first.
const MOST_KEPT: usize = 1_000;

#[derive(Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    changed: Notify,
    keeps: bool,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Arc<str>>,
    /// Number of the first message that is kept.
    first: usize,
    /// Number of the last message that was read.
    read: usize,
    hang_ups: usize,
    is_finished: bool,
}

/// Reads an outbox from a given message on, until the outbox ends or hangs up.
pub(crate) struct Reader {
    outbox: Arc<Outbox>,
    next: usize,
    hang_ups: usize,
}

/// A message that was read.
pub(crate) struct Said {
    pub(crate) text: Arc<str>,
    /// Number of the message, from 1.
    pub(crate) number: usize,
    /// True if no message follows.
    pub(crate) is_last: bool,
}

impl Outbox {
    /// Creates an outbox that drops messages once read.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Creates an outbox whose messages can be read again.
    pub(crate) fn keeping() -> Arc<Self> {
        Arc::new(Self { keeps: true, ..Self::default() })
    }

    pub(crate) fn push(&self, message: String) {
        self.change(|state| {
            state.messages.push_back(message.into());
            if self.keeps && state.messages.len() > MOST_KEPT {
                state.messages.pop_front();
                state.first += 1;
            }
        });
    }

    /// Adds the last message.
    pub(crate) fn finish(&self, message: String) {
        self.change(|state| {
            state.messages.push_back(message.into());
            state.is_finished = true;
        });
    }

    /// Ends without a further message.
    pub(crate) fn end(&self) {
        self.change(|state| state.is_finished = true);
    }

    /// Disconnects the readers, if they can resume.
    pub(crate) fn hang_up(&self) {
        self.change(|state| state.hang_ups += usize::from(self.keeps));
    }

    /// Reads from the first unread message on.
    pub(crate) fn reader(self: &Arc<Self>) -> Reader {
        let next = lock(&self.state).read;
        self.reader_after(next)
    }

    /// Reads from the message after this number on.
    pub(crate) fn reader_after(self: &Arc<Self>, number: usize) -> Reader {
        let hang_ups = lock(&self.state).hang_ups;
        Reader { outbox: Arc::clone(self), next: number, hang_ups }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_waiters();
    }
}

impl Reader {
    /// Waits for the next message; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Said> {
        let outbox = Arc::clone(&self.outbox);
        loop {
            let changed = outbox.changed.notified();
            if let Some(said) = self.next_now() {
                return Some(said);
            }
            let (hang_ups, is_finished) = {
                let state = lock(&outbox.state);
                (state.hang_ups, state.is_finished)
            };
            if is_finished || hang_ups != self.hang_ups {
                return None;
            }
            changed.await;
        }
    }

    /// Returns the next message, if there is one already.
    pub(crate) fn next_now(&mut self) -> Option<Said> {
        let mut state = lock(&self.outbox.state);
        self.next = self.next.max(state.first);
        let text = Arc::clone(state.messages.get(self.next - state.first)?);
        self.next += 1;
        state.read = state.read.max(self.next);
        if !self.outbox.keeps {
            let read = self.next - state.first;
            state.messages.drain(..read);
            state.first = self.next;
        }
        let is_last = state.is_finished && self.next - state.first == state.messages.len();
        Some(Said { text, number: self.next, is_last })
    }
}
