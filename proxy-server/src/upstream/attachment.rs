//! Binds a downstream session to an upstream: the upstream session it uses, and the subscriptions and log level that
//! must be restored in a new upstream session after a loss.

mod answer;
mod choice;
mod client_state;
mod open;
mod questions;
mod stateless;
mod successor;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::error::{Error, Kind};
use crate::protocol::{self, ClientMeta, Era, INITIALIZED, Message, Skills, is_about_skills};
use crate::sync::lock;
use crate::upstream::Upstream;
use crate::upstream::changes::Shown;
use crate::upstream::event::Event;
use crate::upstream::events::Events;
use crate::upstream::session::{Exchange, Session};
use crate::upstream::upstream_call::UpstreamCall;

/// Maximum number of subscriptions of one client.
const MAX_SUBSCRIPTIONS: usize = 1_000;
const MAX_URI_BYTES: usize = 8 * 1024;

/// The binding of a downstream session to an upstream.
pub(crate) struct Attachment {
    id: u64,
    upstream: Arc<Upstream>,
    /// Set if this client has a dedicated upstream session.
    dedicated: Option<Dedicated>,
    /// Era of the first upstream session. Its successors use it too, while the upstream still supports it.
    era: Era,
    /// Client metadata for a modern upstream, sent with every request.
    client_meta: ClientMeta,
    slot: watch::Sender<Slot>,
    events: Events,
    client_state: Mutex<ClientState>,
    /// Digests of the lists that the client has read in its dedicated session.
    shown: Mutex<Shown>,
    /// Counts the gaps in which a dedicated session may have missed announcements.
    doubts: watch::Sender<u64>,
    /// The session and the number of its last gap that was made up for.
    caught_up: Mutex<Option<(Weak<Session>, u64)>>,
    closed: AtomicBool,
}

/// The state to restore in a new upstream session.
#[derive(Default)]
struct ClientState {
    initialized: bool,
    subscriptions: BTreeSet<String>,
    level: Option<usize>,
}

struct Dedicated {
    hello: Box<str>,
    _place: OwnedSemaphorePermit,
}

#[derive(Clone)]
enum Slot {
    Live(Arc<Session>),
    Opening,
    Failed,
}

impl Attachment {
    /// True if the upstream session, and so its response to `initialize`, belongs to several clients.
    pub(crate) fn is_shared(&self) -> bool {
        self.dedicated.is_none()
    }

    pub(crate) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Returns the name by which the upstream's own logs know the client's session.
    pub(crate) fn session_label(&self) -> Option<String> {
        match &*self.slot.borrow() {
            Slot::Live(session) => session.label(),
            Slot::Opening | Slot::Failed => None,
        }
    }

    /// Sends a client's request of the legacy form.
    pub(crate) async fn request(self: &Arc<Self>, call: UpstreamCall<'_>) -> Result<Message, Error> {
        let session = self.session().await?;
        match session.era() {
            Era::Legacy => match self.carrier_of_skills(&session, call.message) {
                Some(own) => Box::pin(self.request_stateless(&own, call)).await,
                None => self.request_in(session, call).await,
            },
            Era::Modern => Box::pin(self.request_stateless(&session, call)).await,
        }
    }

    /// Returns the gateway's own session if only that one supports skills: a dual-era server may offer them in the
    /// modern era only.
    fn carrier_of_skills(&self, session: &Session, message: &Message) -> Option<Arc<Session>> {
        let carries = |session: &Session| Skills::declared(session.handshake().body()).is_some();
        if !is_about_skills(message.method()) || carries(session) {
            return None;
        }
        let own = self.upstream.observed().borrow().session.clone()?;
        Some(own).filter(|own| own.era() == Era::Modern && !own.is_closed() && carries(own))
    }

    /// Sends a request in a session. If the upstream has lost the session, replaces it and sends the request once more;
    /// a request in an unknown session was not executed.
    async fn request_in(self: &Arc<Self>, mut session: Arc<Session>, call: UpstreamCall<'_>) -> Result<Message, Error> {
        let UpstreamCall { message, events, mut cancelled, deadline } = call;
        let mut again = true;
        let before = self.noted(message);
        loop {
            if let Some(answer) = self.note(&session, message)? {
                return Ok(answer);
            }
            let (events, cancelled) = (events.clone(), &mut cancelled);
            let exchange = Exchange { message, caller: self.id, events, cancelled, deadline };
            match session.request(exchange).await {
                Err(error) if error.kind() == Kind::SessionLost && again => {
                    again = false;
                    session.give_up();
                    session = self.session().await?;
                }
                outcome => {
                    match &outcome {
                        Ok(answer) if answer.kind() != protocol::Kind::Error => {
                            if self.dedicated.is_some() && message.method().ends_with("/list") {
                                lock(&self.shown).note(message, answer);
                            }
                        }
                        Ok(_) | Err(_) => self.restore(&session, before),
                    }
                    return outcome;
                }
            }
        }
    }

    /// Completes the handshake in place of the client. Closes the attachment if that fails.
    pub(crate) async fn complete_handshake(self: &Arc<Self>, deadline: Instant) -> Result<(), Error> {
        let sent = timeout_at(deadline, self.initialized(INITIALIZED.into(), true)).await;
        let sent = sent.unwrap_or_else(|_| Err(Kind::TimedOut.into()));
        if sent.is_err() {
            self.close().await;
        }
        sent
    }

    /// Completes the handshake of a dedicated session with the client's notification. `listens` tells whether the client has
    /// a stream, or is about to send a request. A second notification is not passed on.
    pub(crate) async fn initialized(self: &Arc<Self>, message: Bytes, listens: bool) -> Result<(), Error> {
        let was_initialized = std::mem::replace(&mut self.client_state().initialized, true);
        // The shared session has completed its own handshake.
        if self.is_shared() || was_initialized {
            return Ok(());
        }
        let (patience, session) = (self.upstream.stream_patience(), self.session().await?);
        let sent = match listens {
            true => session.initialized_within(message, patience).await,
            false => session.initialized_for_later(message, patience).await,
        };
        if sent.is_err() {
            self.client_state().initialized = false;
        }
        sent
    }

    /// Sends a notification of the client.
    pub(crate) async fn notify(self: &Arc<Self>, message: &Message) -> Result<(), Error> {
        if message.method() == "notifications/initialized" {
            return self.initialized(message.bytes().clone(), true).await;
        }
        if self.is_shared() && message.method() == "notifications/roots/list_changed" {
            return Ok(());
        }
        let session = self.session().await?;
        match session.era() {
            Era::Legacy => session.notify(message.bytes().clone()).await,
            // A modern upstream accepts only cancellations, which are sent elsewhere.
            Era::Modern => Ok(()),
        }
    }

    /// Opens the stream of a dedicated session, if that was put off, for a client that begins to listen.
    pub(crate) async fn listen(&self) {
        let slot = self.slot.borrow().clone();
        if let Slot::Live(session) = slot
            && self.dedicated.is_some()
        {
            session.settle().await;
        }
    }

    /// Ends subscriptions and sessions that only this attachment uses.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let slot = self.slot.borrow().clone();
        if let Slot::Live(session) = slot {
            if self.is_shared() {
                self.let_go(&session).await;
            }
            session.inbox().detach(self.id);
            if self.dedicated.is_some() {
                session.close().await;
            }
        }
    }

    /// Returns the live upstream session. If it has ended, waits briefly for its successor.
    pub(crate) async fn session(self: &Arc<Self>) -> Result<Arc<Session>, Error> {
        if let Slot::Live(session) = &*self.slot.borrow()
            && !session.is_closed()
        {
            return Ok(Arc::clone(session));
        }
        Box::pin(self.successor()).await
    }

    /// Queues a notification of the gateway's own for the client.
    fn tell(&self, notice: Bytes) {
        if let Err(error) = self.events.put(Event::Notification(notice), self.upstream.queued_bytes()) {
            debug!(%error, "notification dropped");
        }
    }

    /// Counts the gaps in which a dedicated session may have missed announcements.
    pub(crate) fn doubts(&self) -> watch::Receiver<u64> {
        self.doubts.subscribe()
    }
}
