//! One downstream session's share of an upstream: the upstream session it uses, and what it asked for there, so that
//! both can be had again after a loss.

mod answer;
mod choice;
mod questions;
mod stateless;
mod wishes;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use schemas::Reconnect;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::error::{Error, Kind};
use crate::protocol::{self, Era, Message, Skills, Stamp, is_about_skills};
use crate::upstream::Upstream;
use crate::upstream::attachment::choice::choose;
use crate::upstream::attachment::wishes::Wishes;
use crate::upstream::changes::{ListChanges, Shown, updated};
use crate::upstream::deadline::Deadline;
use crate::upstream::events::{EventQueue, Events, event_queue};
use crate::upstream::inbox::{Event, next_id};
use crate::upstream::session::{Exchange, OpenError, Session};
use crate::upstream::state::{self, Action, Policy, State, step};
use crate::upstream::supervisor::{SUCCESSOR, jitter};

/// Subscriptions of one client.
const MAX_SUBSCRIPTIONS: usize = 1_000;
const MAX_URI_BYTES: usize = 8 * 1024;
/// What reading the lists again after a gap may take.
const CATCHING_UP: Duration = Duration::from_secs(10);
const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// A downstream session's share of an upstream.
pub(crate) struct Attachment {
    id: u64,
    upstream: Arc<Upstream>,
    /// The client's own `initialize` parameters, when this session has an upstream session to itself.
    dedicated: Option<Dedicated>,
    /// The era of the first session, which the next ones have as well wherever the upstream still speaks it.
    era: Era,
    /// The same for a modern upstream, which has them with every request.
    stamp: Stamp,
    slot: watch::Sender<Slot>,
    events: Events,
    wishes: Mutex<Wishes>,
    /// What the client was shown in a session of its own.
    shown: Mutex<Shown>,
    /// Counts the times in which announcements may have been missed in a session of its own.
    doubts: watch::Sender<u64>,
    /// The gap that was last made up for.
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

/// A client request, with what belongs to it.
pub(crate) struct Call<'a> {
    pub(crate) message: &'a Message,
    pub(crate) events: Events,
    pub(crate) cancelled: oneshot::Receiver<Message>,
    pub(crate) deadline: Deadline,
}

impl Attachment {
    /// Attaches a client that introduced itself with these raw `initialize` parameters. Gives the upstream's answer,
    /// and what the upstream sends outside any call.
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

    /// Whether the upstream's answer to `initialize` was given to somebody else.
    pub(crate) fn is_shared(&self) -> bool {
        self.dedicated.is_none()
    }

    pub(crate) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Sends a client's request of the legacy form.
    pub(crate) async fn request(self: &Arc<Self>, call: Call<'_>) -> Result<Message, Error> {
        let session = self.session().await?;
        match session.era() {
            Era::Legacy => match self.carrier_of_skills(&session, call.message) {
                Some(own) => Box::pin(self.request_stateless(&own, call)).await,
                None => self.request_in(session, call).await,
            },
            Era::Modern => Box::pin(self.request_stateless(&session, call)).await,
        }
    }

    /// The gateway's own session, for a request about skills that a server of both eras carries in the modern one alone.
    fn carrier_of_skills(&self, session: &Session, message: &Message) -> Option<Arc<Session>> {
        let carries = |session: &Session| Skills::declared(session.handshake().body()).is_some();
        if !is_about_skills(message.method()) || carries(session) {
            return None;
        }
        let own = self.upstream.observed().borrow().session.clone()?;
        Some(own).filter(|own| own.era() == Era::Modern && !own.is_closed() && carries(own))
    }

    /// Sends a request in a session. One that the upstream has forgotten is replaced, and the request sent once more: a
    /// request in an unknown session was not executed.
    async fn request_in(self: &Arc<Self>, mut session: Arc<Session>, call: Call<'_>) -> Result<Message, Error> {
        let Call { message, events, mut cancelled, deadline } = call;
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

    /// Sends a notification of the client.
    pub(crate) async fn notify(self: &Arc<Self>, message: &Message) -> Result<(), Error> {
        if message.method() == "notifications/initialized" {
            self.wishes().initialized = true;
            // A shared session had its own handshake.
            if self.is_shared() {
                return Ok(());
            }
            let (patience, session) = (self.upstream.stream_patience(), self.session().await?);
            return session.initialized_within(message.bytes().clone(), patience).await;
        }
        if self.is_shared() && message.method() == "notifications/roots/list_changed" {
            return Ok(());
        }
        let session = self.session().await?;
        match session.era() {
            Era::Legacy => session.notify(message.bytes().clone()).await,
            // Modern upstreams are told of nothing but cancellations, which go their own way.
            Era::Modern => Ok(()),
        }
    }

    /// Ends what belongs to this session alone.
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

    /// The live upstream session; its successor if it has ended, which is waited for only briefly.
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

    /// Has a successor opened whenever the upstream session ends, so that a client that only listens goes on hearing from
    /// the upstream. Runs until dropped.
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
                        self.catch_up(&session).await;
                    }
                }
            }
        }
    }

    /// Tells the client of a session of its own what it may have missed in a gap: of the lists that read otherwise than it
    /// was shown, and of the resources it subscribed to. What is not known is told.
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

    /// Tells the client something that the upstream could not.
    fn tell(&self, notice: Bytes) {
        if let Err(error) = self.events.put(Event::Notification(notice), self.upstream.queued_bytes()) {
            debug!(%error, "notification dropped");
        }
    }

    /// Counts the times in which announcements may have been missed in a session of its own.
    pub(crate) fn doubts(&self) -> watch::Receiver<u64> {
        self.doubts.subscribe()
    }

    /// Nothing is tried while the upstream itself is known to be out of reach.
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
            // Nobody told of changes while there was no session.
            self.wishes().subscriptions.iter().for_each(|uri| self.tell(updated(uri)));
            if self.dedicated.is_some() {
                self.catch_up(&session).await;
            }
        }
        // The client may have left in the meantime, and then nobody else closes what was just opened.
        if self.closed.load(Ordering::SeqCst) {
            self.close().await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes a cancellation on without giving up the right to try the request again.
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
