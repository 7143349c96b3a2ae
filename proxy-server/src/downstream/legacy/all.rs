//! Sessions of legacy clients with all upstreams: the handshake from memory, and the stream of events that belong to no
//! call. Neither waits for an upstream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};
use tracing::info;

use crate::call::{Attachments, Services, changes, introduction};
use crate::catalog::View;
use crate::downstream::legacy::session::Session;
use crate::policy::Caller;
use crate::protocol::Message;
use crate::upstream::{EventQueue, event_queue};

/// Delay in which changes of several upstreams are combined into one announcement.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// Opens a session with all upstreams, from memory. Returns the answer for the client.
pub(super) fn introduce(
    services: &Arc<Services>,
    (session, caller): (&Arc<Session>, Caller),
    (message, version): (&Message, &str),
) -> Bytes {
    let view = services.view(&caller);
    let answer = introduction(&view, message, version);
    let (events, queue) = event_queue();
    if let Some(attachments) = session.link_all(message.params(), version, events) {
        let own = OwnStream { services: Arc::clone(services), session: Arc::clone(session), attachments, seen: view };
        services.tasks.spawn("session events", own.fill(queue));
    }
    info!(session = &*session.id, upstream = session.endpoint.name(), version, "session opened");
    answer
}

/// Stream of the events that belong to no call.
struct OwnStream {
    services: Arc<Services>,
    session: Arc<Session>,
    attachments: Arc<Attachments>,
    /// Lists as last announced to the client.
    seen: Arc<View>,
}

impl OwnStream {
    /// Forwards the upstreams' events, and announces changed lists, until the session ends.
    async fn fill(mut self, mut queue: EventQueue) {
        let (own, stopping) = (self.session.own_stream(), self.services.tasks.stopping().clone());
        let (mut snapshots, mut own_lists) = (self.services.catalog.watch(), self.attachments.own().watch());
        // Changes during the opening of the session are announced as well.
        snapshots.mark_changed();
        let mut look_at = None;
        loop {
            let due = look_at.unwrap_or_else(Instant::now);
            tokio::select! {
                () = self.session.closed().cancelled() => return,
                () = stopping.cancelled() => return,
                Ok(()) = own_lists.changed(), if look_at.is_none() => look_at = Some(Instant::now() + DEBOUNCE),
                changed = snapshots.changed(), if look_at.is_none() => match changed {
                    Ok(()) => look_at = Some(Instant::now() + DEBOUNCE),
                    Err(_) => return,
                },
                () = sleep_until(due), if look_at.is_some() => {
                    look_at = None;
                    snapshots.mark_unchanged();
                    own_lists.mark_unchanged();
                    let view = self.attachments.view(&self.services);
                    changes(&self.seen, &view).into_iter().flatten().for_each(|notice| own.push(notice));
                    self.seen = view;
                }
                Some(event) = queue.recv(), if own.has_room() => self.session.put(&own, event),
                () = own.room(), if !own.has_room() => {}
            }
        }
    }
}
