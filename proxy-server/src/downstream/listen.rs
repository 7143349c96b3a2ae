//! Serves `subscriptions/listen` in front of a legacy upstream (2026-07-28, basic, "Subscriptions"): an event stream
//! that begins with the acknowledgement and carries only the notifications that the client requested.

mod all;
mod filter;
mod part;
mod relayed;
mod subscribed;

use std::collections::VecDeque;
use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

pub(super) use self::all::open_to_all;
use self::filter::Filter;
pub(super) use self::relayed::relay;
use self::subscribed::{Subscribed, subscribe};
use crate::downstream::edge::Edge;
use crate::downstream::modern::{Addressed, Asking};
use crate::downstream::notices::tells_of_loss;
use crate::downstream::pool::{Caller, Pool, Use};
use crate::downstream::reply::{Said, Talk, respond_with};
use crate::downstream::respond;
use crate::error::{Error, Kind, Limit};
use crate::http::server::Reply;
use crate::protocol::{self, Message, SUBSCRIPTION_KEY};
use crate::upstream::{Event, EventQueue};

/// An open stream.
struct Listener {
    asking: Arc<Asking>,
    filter: Filter,
    /// True once the acknowledgement has been sent.
    is_acknowledged: bool,
    notices: EventQueue,
    /// Notifications to send in place of lost ones.
    missed: VecDeque<Bytes>,
    subscribed: Subscribed,
    /// Opens a successor of the upstream session whenever it ends.
    kept: BoxFuture<'static, ()>,
    stopping: CancellationToken,
    _place: OwnedSemaphorePermit,
}

/// Opens the stream, or returns the error response.
pub(super) async fn open(to: Addressed) -> Reply {
    let asking = Arc::clone(&to.asking);
    match listen(&to).await {
        Ok(listener) => respond_with(listener, &asking.edge.config).await,
        Err(error) => respond::modern_failure(&asking.message, &error),
    }
}

async fn listen(to: &Addressed) -> Result<Listener, Error> {
    let (upstream, Asking { edge, principal, message, capabilities, .. }) = (&to.upstream, &*to.asking);
    let wanted = Filter::read(message.params())?;
    let place = place(edge)?;
    let caller = Caller { upstream, principal: *principal, capabilities };
    let seat = Pool::take(edge, caller, Use::Shared).await?;
    let line = Arc::clone(seat.line());
    // Received from here on, so that no notification is missed between the subscription and the first event.
    let notices = line.notices();
    let mut filter = wanted.offered(line.handshake());
    let subscribed = subscribe(&line, std::mem::take(&mut filter.uris), &edge.tasks).await;
    filter.uris = subscribed.uris.clone();
    let attachment = Arc::clone(line.attachment());
    let kept = Box::pin(async move { attachment.keep().await });
    let (asking, stopping) = (Arc::clone(&to.asking), edge.closing.clone());
    let (is_acknowledged, missed) = (false, VecDeque::new());
    Ok(Listener { asking, filter, is_acknowledged, notices, missed, subscribed, kept, stopping, _place: place })
}

/// Takes a permit for a listener. Fails with `TooManySessions` if all are taken.
fn place(edge: &Edge) -> Result<OwnedSemaphorePermit, Error> {
    let place = Arc::clone(&edge.listeners).try_acquire_owned();
    let limit = || Limit::count(edge.config.max_sessions, "--max-sessions", None);
    place.map_err(|_| Error::new(Kind::TooManySessions).limited(Some(limit())))
}

/// Builds the first message of a stream: the acknowledgement with the accepted filter.
fn acknowledgement(id: &str, filter: &Filter) -> Bytes {
    let filter = filter.written();
    Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"{SUBSCRIPTION_KEY}":{id}}},"notifications":{filter}}}}}"#
    ))
}

/// Builds the final response of a stream that the gateway ends.
fn ended(request: &Message) -> Said {
    Said::Answer(StatusCode::OK, protocol::listening_ended(request.id()))
}

impl Talk for Listener {
    fn request(&self) -> &Message {
        &self.asking.message
    }

    /// Ends the stream when the upstream session has ended for good, or the gateway stops.
    async fn next(&mut self) -> Said {
        if !self.is_acknowledged {
            self.is_acknowledged = true;
            return Said::Told(acknowledgement(self.request().id(), &self.filter));
        }
        loop {
            if let Some(notice) = self.missed.pop_front() {
                return Said::Told(notice);
            }
            tokio::select! {
                biased;
                () = self.subscribed.line.closed().cancelled() => return ended(self.request()),
                () = self.stopping.cancelled() => return ended(self.request()),
                event = self.notices.recv() => match event {
                    Some(Event::Notification(notice)) => {
                        let Ok(message) = Message::parse(notice) else { continue };
                        if tells_of_loss(&message) {
                            self.missed = self.filter.everything(self.asking.message.id());
                        } else if self.filter.wants(&message) {
                            return Said::Told(protocol::subscribed(&message, self.request().id()));
                        }
                    }
                    Some(Event::Question(_)) => {}
                    None => return ended(self.request()),
                },
                () = &mut self.kept => {}
            }
        }
    }
}
