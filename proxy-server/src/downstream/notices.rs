//! Passes on to all listeners what an upstream session tells outside any call. Nothing is dropped from a burst: whoever
//! tells waits for a listener that is behind, though no longer than others may be held up. A listener that takes nothing
//! for so long is told of the loss in place of what was lost.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::protocol::{Message, Object};
use crate::upstream::{Event, EventQueue, Events, event_queue};

/// Those who listen.
#[derive(Default)]
pub(super) struct Notices(Mutex<Vec<Events>>);

impl Notices {
    /// Listens from now on.
    pub(super) fn subscribe(&self) -> EventQueue {
        let (events, queue) = event_queue();
        self.all().push(events);
        queue
    }

    /// True if somebody listens.
    pub(super) fn has_listeners(&self) -> bool {
        let mut all = self.all();
        all.retain(Events::is_read);
        !all.is_empty()
    }

    /// Tells everybody, and waits for those for whom more than the limit waits now.
    pub(super) async fn tell(&self, notice: Bytes, limit: usize) {
        let mut crowded = Vec::new();
        self.all().retain(|events| match events.put(Event::Notification(notice.clone()), limit) {
            Ok(is_crowded) => {
                crowded.extend(is_crowded.then(|| events.clone()));
                true
            }
            Err(_) => false,
        });
        for events in crowded {
            events.room_for_others(limit).await;
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Events>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True for a notification that says that others were left out in its place.
pub(super) fn tells_of_loss(message: &Message) -> bool {
    let params = || Object::read(message.params()).ok();
    message.method() == "notifications/message"
        && params().is_some_and(|params| params.text("logger").as_deref() == Some("mcp-proxy"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(number: usize) -> Bytes {
        Bytes::from(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{{"n":{number}}}}}"#
        ))
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_reaches_a_listener_that_reads_and_holds_up_nobody_for_one_that_does_not() {
        let notices = Notices::default();
        let (mut reading, mut resting) = (notices.subscribe(), notices.subscribe());
        let told = async {
            for number in 0..1_000 {
                notices.tell(notice(number), 4_096).await;
            }
        };
        let mut heard = 0;
        tokio::join!(told, async {
            while heard < 1_000 {
                reading.recv().await.expect("a notice");
                heard += 1;
            }
        });
        let mut rest = Vec::new();
        while let Some(Event::Notification(bytes)) = resting.try_recv() {
            rest.push(Message::parse(bytes).expect("a message"));
        }
        assert!(rest.len() < 1_000 && rest.iter().any(tells_of_loss), "{}", rest.len());
        drop((reading, resting));
        assert!(!notices.has_listeners());
    }
}
