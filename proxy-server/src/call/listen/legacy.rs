//! Serves a listener in front of one legacy upstream: subscribes in a pooled session, and filters its notifications.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::call::listen::filter::Filter;
use crate::call::listen::stream::{Output, Stream, acknowledgement, ended};
use crate::call::listen::subscribed::{Subscribed, subscribe};
use crate::call::modern_to_legacy::notices::tells_of_loss;
use crate::call::modern_to_legacy::pool::Requester;
use crate::call::modern_to_legacy::pooled_session::Mode;
use crate::call::request::{Call, Client};
use crate::call::services::Services;
use crate::call::target::Target;
use crate::error::{Error, Kind};
use crate::protocol::{self, Message};
use crate::upstream::{Event, EventQueue};

/// An open stream.
pub(super) struct Listener {
    request: Message,
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

/// Opens the stream.
pub(super) async fn open(services: &Services, call: Call, target: &Target) -> Result<Listener, Error> {
    let Client::Modern(client) = &call.client else { return Err(Kind::UnknownMethod.into()) };
    let wanted = Filter::read(call.message.params())?;
    let place = services.listener()?;
    let requester =
        Requester { upstream: &target.upstream, principal: call.principal, capabilities: &client.capabilities };
    let checkout = services.pool.take(requester, Mode::Shared).await?;
    let session = Arc::clone(checkout.session());
    // Received from here on, so that no notification is missed between the subscription and the first event.
    let notices = session.notices();
    let mut filter = wanted.offered(session.handshake());
    let subscribed = subscribe(&session, std::mem::take(&mut filter.uris), &services.tasks).await;
    filter.uris = subscribed.uris.clone();
    let attachment = Arc::clone(session.attachment());
    let kept = Box::pin(async move { attachment.keep().await });
    Ok(Listener {
        request: call.message,
        filter,
        is_acknowledged: false,
        notices,
        missed: VecDeque::new(),
        subscribed,
        kept,
        stopping: services.closing.clone(),
        _place: place,
    })
}

impl Stream for Listener {
    /// Ends the stream when the upstream session has ended for good, or the gateway stops.
    async fn next(&mut self) -> Output {
        if !self.is_acknowledged {
            self.is_acknowledged = true;
            return Output::Notification(acknowledgement(self.request.id(), &self.filter));
        }
        loop {
            if let Some(notice) = self.missed.pop_front() {
                return Output::Notification(notice);
            }
            tokio::select! {
                biased;
                () = self.subscribed.session.closed().cancelled() => return ended(&self.request),
                () = self.stopping.cancelled() => return ended(&self.request),
                event = self.notices.recv() => match event {
                    Some(Event::Notification(notice)) => {
                        let Ok(message) = Message::parse(notice) else { continue };
                        if tells_of_loss(&message) {
                            self.missed = self.filter.everything(self.request.id());
                        } else if self.filter.wants(&message) {
                            return Output::Notification(protocol::subscribed(&message, self.request.id()));
                        }
                    }
                    Some(Event::Question(_)) => {}
                    None => return ended(&self.request),
                },
                () = &mut self.kept => {}
            }
        }
    }
}
