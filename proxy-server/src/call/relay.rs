//! Passes the events of an attempt on to its call.

use bytes::Bytes;
use tracing::debug;

use crate::upstream::{Event, EventQueue, Events};

/// Translates and passes on the events of a call in progress until its outcome. While the client does not keep up, the
/// upstream has to wait (back-pressure).
pub(super) async fn relay<T>(
    mut queue: EventQueue,
    events: &Events,
    queued_bytes: usize,
    translate: impl Fn(Event) -> Option<Event>,
    call: impl Future<Output = T>,
) -> T {
    let pass = |event| {
        if let Some(event) = translate(event)
            && let Err(error) = events.put(event, queued_bytes)
        {
            debug!(%error, "event dropped");
        }
    };
    tokio::pin!(call);
    let outcome = loop {
        tokio::select! {
            biased;
            Some(event) = queue.recv(), if events.has_room(queued_bytes) => pass(event),
            outcome = &mut call => break outcome,
            () = events.room(queued_bytes), if !events.has_room(queued_bytes) => {}
        }
    };
    while let Some(event) = queue.try_recv() {
        pass(event);
    }
    outcome
}

/// Queues a notification for the client, and waits until there is room for the next.
pub(super) async fn notify(events: &Events, notification: Bytes, queued_bytes: usize) {
    match events.put(Event::Notification(notification), queued_bytes) {
        Ok(true) => events.room(queued_bytes).await,
        Ok(false) => {}
        Err(error) => debug!(%error, "event dropped"),
    }
}
