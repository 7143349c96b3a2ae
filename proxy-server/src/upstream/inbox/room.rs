//! Back-pressure: a task that reads from the upstream waits while the queues that it fills are over their limit.

use std::sync::atomic::Ordering;

use tracing::debug;

use super::Inbox;
use crate::sync::lock;
use crate::upstream::events::{Events, Unread};

impl Inbox {
    /// Records the result of queuing an event.
    pub(super) fn note(&self, origin: Option<u64>, events: Events, put: Result<bool, Unread>) {
        match put {
            Ok(false) => {}
            Ok(true) => {
                let mut crowded = lock(&self.crowded);
                if !crowded.iter().any(|(from, other)| *from == origin && other.is_same(&events)) {
                    crowded.push((origin, events));
                }
                self.is_crowded.store(true, Ordering::Relaxed);
            }
            Err(error) => debug!(%error, "not delivered"),
        }
    }

    /// Waits until the queues that this stream filled have room. The stream of one request waits for its own reader
    /// without a limit; a stream that several clients share waits a bounded time.
    pub(crate) async fn room(&self, origin: Option<u64>) {
        if self.is_crowded.load(Ordering::Relaxed) {
            Box::pin(self.wait_for_room(origin)).await;
        }
    }

    /// Stops waiting for room: the rest of an ended process's output is at most one pipe buffer.
    pub(crate) fn hurry(&self) {
        self.hurry.cancel();
    }

    async fn wait_for_room(&self, origin: Option<u64>) {
        let crowded: Vec<Events> = {
            let mut all = lock(&self.crowded);
            let (here, others) = std::mem::take(&mut *all).into_iter().partition(|(from, _)| *from == origin);
            *all = others;
            self.is_crowded.store(!all.is_empty(), Ordering::Relaxed);
            let here: Vec<(Option<u64>, Events)> = here;
            here.into_iter().map(|(_, events)| events).collect()
        };
        for events in crowded {
            let room = async {
                if self.concerns_nobody_else(origin, &events) {
                    events.room(self.queue_limit).await;
                } else {
                    events.room_for_others(self.queue_limit).await;
                }
            };
            tokio::select! {
                () = room => {}
                () = self.hurry.cancelled() => {}
                () = self.closed.cancelled() => {}
            }
        }
    }

    /// True if only the reader of this queue waits for messages of the stream: the stream belongs to its request, or
    /// the session has a single client.
    fn concerns_nobody_else(&self, origin: Option<u64>, events: &Events) -> bool {
        let state = self.state();
        let own = origin.and_then(|id| state.pending.get(&id));
        let only = match state.attached.as_slice() {
            [only] => state.pending.values().all(|pending| pending.caller == only.id),
            _ => false,
        };
        only || own.is_some_and(|pending| pending.events.is_same(events))
    }
}
