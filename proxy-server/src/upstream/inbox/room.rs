//! Back-pressure: whoever reads from the upstream waits while too much waits in the queues that it fills.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use tracing::debug;

use super::Inbox;
use crate::upstream::events::{Events, Unread};

impl Inbox {
    /// Notes what became of an event that was put in a queue.
    pub(super) fn note(&self, origin: Option<u64>, events: Events, put: Result<bool, Unread>) {
        match put {
            Ok(false) => {}
            Ok(true) => {
                let mut crowded = self.crowded.lock().unwrap_or_else(PoisonError::into_inner);
                if !crowded.iter().any(|(from, other)| *from == origin && other.is_same(&events)) {
                    crowded.push((origin, events));
                }
                self.is_crowded.store(true, Ordering::Relaxed);
            }
            Err(error) => debug!(%error, "not delivered"),
        }
    }

    /// Waits until what came on this stream has room at its readers, before more is read from it. The stream of one request
    /// waits for its reader alone; one that several clients share is not held up for long by any of them.
    pub(in crate::upstream) async fn room(&self, origin: Option<u64>) {
        if self.is_crowded.load(Ordering::Relaxed) {
            Box::pin(self.wait_for_room(origin)).await;
        }
    }

    /// Has the rest of what a process wrote read without waiting for anybody: there is no more of it than fits into a pipe.
    pub(in crate::upstream) fn hurry(&self) {
        self.hurry.cancel();
    }

    async fn wait_for_room(&self, origin: Option<u64>) {
        let crowded: Vec<Events> = {
            let mut all = self.crowded.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Whether nobody but the reader of this queue waits for what comes on a stream: it is the request's own, or the whole
    /// session has but one client.
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
