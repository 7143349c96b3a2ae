//! Binds a downstream session to an upstream: the upstream session it uses, and the subscriptions and log level that
//! must be restored in a new upstream session after a loss.

mod answer;
mod choice;
mod questions;
mod stateless;
mod wishes;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use schemas::Reconnect;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::error::{Error, Kind};
use crate::protocol::{self, Era, Message, Skills, Stamp, is_about_skills};
use crate::sync::lock;
use crate::upstream::Upstream;
use crate::upstream::attachment::choice::choose;
use crate::upstream::attachment::wishes::Wishes;
use crate::upstream::changes::{ListChanges, Shown, updated};
use crate::upstream::deadline::Deadline;
use crate::upstream::event::Event;
use crate::upstream::events::{EventQueue, Events, event_queue};
use crate::upstream::ids::next_id;
use crate::upstream::session::{Exchange, OpenError, Session};
use crate::upstream::state::{self, Action, Policy, State, step};
use crate::upstream::supervisor::{SUCCESSOR, jitter};

/// Maximum number of subscriptions of one client.
const MAX_SUBSCRIPTIONS: usize = 1_000;
const MAX_URI_BYTES: usize = 8 * 1024;
/// Timeout for reading the lists again after a gap.
const CATCHING_UP: Duration = Duration::from_secs(10);
const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// The binding of a downstream session to an upstream.
pub(crate) struct Attachment {
    id: u64,
    upstream: Arc<Upstream>,
    /// Set if this client has a dedicated upstream session.
    dedicated: Option<Dedicated>,
    /// Era of the first upstream session. Its successors use it too, while the upstream still supports it.
    era: Era,
    /// Client metadata for a modern upstream, sent with every request.
    stamp: Stamp,
    slot: watch::Sender<Slot>,
    events: Events,
    wishes: Mutex<Wishes>,
    /// Digests of the lists that the client has read in its dedicated session.
    shown: Mutex<Shown>,
    /// Counts the gaps in which a dedicated session may have missed announcements.
    doubts: watch::Sender<u64>,
    /// The session and the number of its last gap that was made up for.
    caught_up: Mutex<Option<(Weak<Session>, u64)>>,
    closed: AtomicBool,
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

/// A client's request with its queues and deadline.
pub(crate) struct UpstreamCall<'a> {
    pub(crate) message: &'a Message,
    pub(crate) events: Events,
    pub(crate) cancelled: oneshot::Receiver<Message>,
    pub(crate) deadline: Deadline,
}

impl Attachment {
    /// Attaches a client with these raw `initialize` parameters. Returns the upstream's response to the handshake, and
    /// the queue of events outside of any call.
    pub(crate) async fn open(
        upstream: Arc<Upstream>,
        hello: &str,
        deadline: Instant,
    ) -> Result<(Arc<Self>, Message, EventQueue), OpenError> {
        let (session, dedicated) = choose(&upstream, hello, deadline).await?;
        let (events, queue) = event_queue();
        let id = next_id();
        session.inbox().attach(id, events.clone());
        let handshake = match session.era() {
            Era::Legacy => session.handshake().clone(),
            Era::Modern => stateless::handshake(session.handshake(), &upstream.definition().name)?,
        };
        let era = session.era();
        let (slot, _) = watch::channel(Slot::Live(session));
        let attachment = Self {
            id,
            upstream,
            dedicated,
            era,
            stamp: Stamp::of(hello),
            slot,
            events,
            wishes: Mutex::default(),
            shown: Mutex::default(),
            doubts: watch::Sender::default(),
            caught_up: Mutex::default(),
            closed: AtomicBool::new(false),
        };
        Ok((Arc::new(attachment), handshake, queue))
    }

    /// True if the upstream session, and so its response to `initialize`, belongs to several clients.
    pub(crate) fn is_shared(&self) -> bool {
        self.dedicated.is_none()
    }

    pub(crate) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
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

    /// Completes the handshake of a dedicated session with the client's notification. `listens` tells whether the client has
    /// a stream, or is about to send a request.
    pub(crate) async fn initialized(self: &Arc<Self>, message: &Message, listens: bool) -> Result<(), Error> {
        self.wishes().initialized = true;
        // The shared session has completed its own handshake.
        if self.is_shared() {
            return Ok(());
        }
        let (patience, session) = (self.upstream.stream_patience(), self.session().await?);
        match listens {
            true => session.initialized_within(message.bytes().clone(), patience).await,
            false => session.initialized_for_later(message.bytes().clone(), patience).await,
        }
    }

    /// Sends a notification of the client.
    pub(crate) async fn notify(self: &Arc<Self>, message: &Message) -> Result<(), Error> {
        if message.method() == "notifications/initialized" {
            return self.initialized(message, true).await;
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

    async fn successor(self: &Arc<Self>) -> Result<Arc<Session>, Error> {
        let mut start = false;
        self.slot.send_if_modified(|slot| {
            let ended = match slot {
                Slot::Live(session) => session.is_closed(),
                Slot::Failed => true,
                Slot::Opening => false,
            };
            if ended {
                *slot = Slot::Opening;
                start = true;
            }
            ended
        });
        if start {
            let this = Arc::clone(self);
            self.upstream.environment().tasks.spawn("replace upstream session", async move { this.replace().await });
        }
        let mut slot = self.slot.subscribe();
        let settled = timeout(SUCCESSOR, slot.wait_for(|slot| !matches!(slot, Slot::Opening))).await;
        let session = settled.ok().and_then(Result::ok).and_then(|slot| match &*slot {
            Slot::Live(session) => Some(Arc::clone(session)),
            Slot::Opening | Slot::Failed => None,
        });
        session.ok_or_else(|| Error::new(Kind::NotReady).at(&self.upstream.definition().name))
    }

    /// Opens a successor whenever the upstream session ends, so that a client that only listens keeps receiving
    /// notifications. Runs until dropped.
    pub(crate) async fn keep(self: &Arc<Self>) {
        let policy = Policy::from(&Reconnect { max: None, ..self.upstream.definition().reconnect.clone() });
        let (mut state, mut action) = (State::Connected { failures: 0 }, Action::Serve);
        loop {
            let event = match action {
                Action::Connect => self.succeed().await,
                Action::Serve => self.lost().await,
                Action::Wait(delay) => {
                    sleep(delay).await;
                    state::Event::RetryDue
                }
                Action::Rest => std::future::pending().await,
            };
            (state, action) = step(state, event, policy, jitter());
        }
    }

    async fn lost(&self) -> state::Event {
        let mut slot = self.slot.subscribe();
        let live = slot.wait_for(|slot| matches!(slot, Slot::Live(_))).await.map(|slot| slot.clone());
        let Ok(Slot::Live(session)) = live else { return std::future::pending().await };
        let mut changes = session.lists_changed();
        let mut gaps = changes.borrow_and_update().gaps;
        loop {
            tokio::select! {
                () = session.closed().cancelled() => return state::Event::Lost { lived: session.lived() },
                Ok(()) = changes.changed(), if self.dedicated.is_some() => {
                    let now = changes.borrow_and_update().gaps;
                    if std::mem::replace(&mut gaps, now) != now {
                        Box::pin(self.catch_up(&session)).await;
                    }
                }
            }
        }
    }

    /// Notifies the client of changes that it may have missed in a gap of its dedicated session: of lists that differ
    /// from what it has read. A list that cannot be compared counts as changed.
    async fn catch_up(&self, session: &Arc<Session>) {
        let gap = session.lists_changed().borrow().gaps;
        let is_known = |(known, at): &(Weak<Session>, u64)| *at == gap && known.ptr_eq(&Arc::downgrade(session));
        if lock(&self.caught_up).replace((Arc::downgrade(session), gap)).is_some_and(|last| is_known(&last)) {
            return;
        }
        self.doubts.send_modify(|count| *count += 1);
        let deadline = Instant::now() + CATCHING_UP;
        let mut changed = ListChanges::default();
        let asked = lock(&self.shown).asked();
        for (method, kind) in asked {
            let answer = session.ask(method, "{}", deadline).await;
            if session.is_closed() {
                return;
            }
            if !answer.is_ok_and(|answer| lock(&self.shown).agrees(method, &answer)) {
                changed.count(kind);
            }
        }
        changed.notices_since(ListChanges::default()).for_each(|notice| self.tell(notice));
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

    /// Opens a successor once the upstream's own session is live.
    async fn succeed(self: &Arc<Self>) -> state::Event {
        let mut observed = self.upstream.observed();
        let usable = observed.wait_for(|observed| observed.session.as_ref().is_some_and(|own| !own.is_closed())).await;
        drop(usable);
        match self.session().await {
            Ok(_) => state::Event::Connected,
            Err(_) => state::Event::Failed,
        }
    }

    async fn replace(self: Arc<Self>) {
        let deadline = self.upstream.start_deadline();
        let opened = self.choose_again(deadline).await;
        let session = opened.ok();
        if let Some(session) = &session {
            session.inbox().attach(self.id, self.events.clone());
            self.renew_wishes(session, deadline).await;
        }
        self.slot.send_replace(session.clone().map_or(Slot::Failed, Slot::Live));
        if let Some(session) = session {
            // No notifications arrived while there was no session.
            self.wishes().subscriptions.iter().for_each(|uri| self.tell(updated(uri)));
            if self.dedicated.is_some() {
                self.catch_up(&session).await;
            }
        }
        // The client may have closed the attachment meanwhile; then close the new session here.
        if self.closed.load(Ordering::SeqCst) {
            self.close().await;
        }
    }
}

/// Forwards a cancellation, so that the caller can still retry the request.
pub(crate) async fn forward_cancellation(
    request: impl Future<Output = Result<Message, Error>>,
    cancelled: &mut oneshot::Receiver<Message>,
    relay: oneshot::Sender<Message>,
) -> Result<Message, Error> {
    tokio::pin!(request);
    if cancelled.is_terminated() {
        return request.await;
    }
    tokio::select! {
        outcome = &mut request => return outcome,
        Ok(cancel) = cancelled => drop(relay.send(cancel)),
    }
    request.await
}
