//! Delivers notifications of an upstream session that belong to no call to all its listeners. A burst is not truncated:
//! the sender waits for slow listeners (back-pressure), but only for a bounded time. A listener that takes nothing for
//! so long receives a message about the loss in place of the lost notifications.

use std::sync::Mutex;

use bytes::Bytes;

use crate::protocol::{Message, Object};
use crate::sync::lock;
use crate::upstream::{Event, EventQueue, Events, event_queue};

/// Queues of all listeners.
#[derive(Default)]
pub(in crate::call) struct Notices(Mutex<Vec<Events>>);

impl Notices {
    /// Adds a listener, which receives all later notifications.
    pub(in crate::call) fn subscribe(&self) -> EventQueue {
        let (events, queue) = event_queue();
        self.all().push(events);
        queue
    }

    /// True if there is a listener.
    pub(in crate::call) fn has_listeners(&self) -> bool {
        let mut all = self.all();
        all.retain(Events::is_read);
        !all.is_empty()
    }

    /// Queues a notification for all listeners, then waits for those whose queues now exceed the limit.
    pub(in crate::call) async fn tell(&self, notice: Bytes, limit: usize) {
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
        lock(&self.0)
    }
}

/// True for the gateway's notification that others were lost.
pub(in crate::call) fn tells_of_loss(message: &Message) -> bool {
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
