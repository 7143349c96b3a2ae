//! Downstream sessions: state of a legacy client between its requests.
//!
//! Ids, streams and questions belong to one session and are never shared, so that equal request ids of two clients
//! cannot collide.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::RandomState;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::call::{Attached, Attachments, ClientSession, Kept, OpenQuestions, Owner};
use crate::downstream::legacy::event_log::{EventLog, LogLimits, Purpose};
use crate::error::{Error, Kind};
use crate::policy::{Caller, Principal, Sender};
use crate::protocol::{self, Message};
use crate::sync::lock;
use crate::tasks::Tasks;
use crate::upstream::{Attachment, Event, EventQueue, Events, Upstream};

/// Maximum number of streams kept per session, so that clients can fetch the responses of finished calls.
const KEPT_STREAMS: usize = 64;
/// Maximum time for a client's handshake. Until then, a session that is not initialized does not count as silent.
const GREETING: Duration = Duration::from_secs(60);
const UNINITIALIZED: Kind = Kind::InvalidRequest("the session is not initialized");

/// Endpoint of a request.
#[derive(Clone)]
pub(in crate::downstream) enum Scope {
    One(Arc<Upstream>),
    /// All upstreams that this caller may use.
    All(Caller),
}

/// Endpoint of a session.
pub(in crate::downstream) enum Endpoint {
    One(Arc<Upstream>),
    /// All upstreams that this caller may use. Every request updates the caller.
    All(Arc<Mutex<Caller>>),
}

/// A client's session with one upstream, or with all.
pub(in crate::downstream) struct Session {
    pub(in crate::downstream) id: Box<str>,
    pub(in crate::downstream) endpoint: Endpoint,
    pub(in crate::downstream) sender: Sender,
    /// True if an earlier process began the session.
    pub(in crate::downstream) is_restored: bool,
    /// Set once the session is initialized.
    link: OnceLock<Link>,
    streams: Mutex<Streams>,
    /// Limits of each stream; `bytes` also bounds the kept streams together, and the open questions.
    limits: LogLimits,
    kept: Arc<Kept>,
    calls: Mutex<HashMap<Box<str>, oneshot::Sender<Message>, RandomState>>,
    pub(in crate::downstream) questions: Mutex<OpenQuestions>,
    used: Mutex<Instant>,
    closed: CancellationToken,
}

struct Link {
    attached: Attached,
    /// Protocol revision agreed with the client.
    version: Box<str>,
}

struct Streams {
    /// Events that belong to no call; the only stream of a client that uses HTTP+SSE.
    own: Arc<EventLog>,
    calls: BTreeMap<u64, Arc<EventLog>>,
    /// Number of the newest stream of a call.
    last: u64,
    readers: usize,
}

/// A call in flight; dropping it removes the call from the session's list.
pub(in crate::downstream) struct Running<'a> {
    session: &'a Session,
    id: &'a str,
}

impl From<Scope> for Endpoint {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::One(upstream) => Self::One(upstream),
            Scope::All(caller) => Self::All(Arc::new(Mutex::new(caller))),
        }
    }
}

impl Endpoint {
    /// Returns the name for the log.
    pub(in crate::downstream) fn name(&self) -> &str {
        match self {
            Self::One(upstream) => upstream.definition().name.as_str(),
            Self::All(_) => "all",
        }
    }

    /// Returns the owner of a session of this principal.
    pub(in crate::downstream) fn owner(&self, principal: Principal) -> Owner<'_> {
        let upstream = match self {
            Self::One(upstream) => Some(upstream.definition()),
            Self::All(_) => None,
        };
        Owner { principal, upstream }
    }

    /// True if a request belongs to this endpoint.
    pub(in crate::downstream) fn admits(&self, request: &Scope) -> bool {
        match (self, request) {
            (Self::One(own), Scope::One(other)) => Arc::ptr_eq(own, other),
            (Self::All(_), Scope::All(_)) => true,
            (Self::One(_) | Self::All(_), _) => false,
        }
    }

    /// Updates the caller to that of a request.
    pub(in crate::downstream) fn update_caller(&self, request: &Scope) {
        if let (Self::All(own), Scope::All(newest)) = (self, request) {
            lock(own).clone_from(newest);
        }
    }
}

impl Session {
    /// Creates a session. The numbers of its streams and events follow `last`: 0, or in a session that an earlier process
    /// began the time in microseconds, which is above all numbers used before. It ends when its only upstream is retired.
    pub(in crate::downstream) fn new(
        id: Box<str>,
        scope: Scope,
        sender: Sender,
        streams: (LogLimits, &Arc<Kept>, u64),
    ) -> Arc<Self> {
        let (limits, kept, last) = streams;
        let closed = match &scope {
            Scope::One(upstream) => upstream.retired().child_token(),
            Scope::All(_) => CancellationToken::new(),
        };
        let own = EventLog::new(Purpose::Session, limits, kept, last);
        Arc::new(Self {
            id,
            endpoint: scope.into(),
            sender,
            is_restored: last > 0,
            link: OnceLock::new(),
            streams: Mutex::new(Streams { own, calls: BTreeMap::new(), last, readers: 0 }),
            limits,
            kept: Arc::clone(kept),
            calls: Mutex::default(),
            questions: Mutex::default(),
            used: Mutex::new(Instant::now()),
            closed,
        })
    }

    /// Connects the session with its upstream session, and starts to forward events that belong to no call.
    pub(in crate::downstream) fn link(
        self: &Arc<Self>,
        attachment: Arc<Attachment>,
        version: &str,
        events: EventQueue,
        tasks: &Tasks,
    ) {
        let link = Link { attached: Attached::One(Arc::clone(&attachment)), version: version.into() };
        match self.link.set(link) {
            Ok(()) => tasks.spawn("session events", carry_over(Arc::clone(self), attachment, events)),
            // Another `initialize` of this session was faster, so this attachment is not needed.
            Err(_) => tasks.spawn("let go", async move { attachment.close().await }),
        };
    }

    /// Turns the session into one with all upstreams. Returns its attachments; `None` if it was initialized before.
    pub(in crate::downstream) fn link_all(
        &self,
        hello: &str,
        version: &str,
        events: Events,
    ) -> Option<Arc<Attachments>> {
        let Endpoint::All(caller) = &self.endpoint else { return None };
        let client = ClientSession { id: self.id.clone(), caller: Arc::clone(caller), closed: self.closed.clone() };
        let attachments = Attachments::new(hello, client, events);
        let link = Link { attached: Attached::All(Arc::clone(&attachments)), version: version.into() };
        self.link.set(link).is_ok().then_some(attachments)
    }

    /// Returns the attachments of the session.
    pub(in crate::downstream) fn attached(&self) -> Result<&Attached, Error> {
        self.link.get().map(|link| &link.attached).ok_or_else(|| UNINITIALIZED.into())
    }

    /// True once the session is initialized.
    pub(in crate::downstream) fn is_initialized(&self) -> bool {
        self.link.get().is_some()
    }

    /// Returns the revision agreed with the client; empty before that.
    pub(in crate::downstream) fn version(&self) -> &str {
        self.link.get().map_or("", |link| &link.version)
    }

    pub(in crate::downstream) fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    pub(in crate::downstream) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// Registers a request, so that it can be cancelled. Fails if a request with this id is in flight.
    pub(in crate::downstream) fn begin<'a>(
        &'a self,
        request: &'a Message,
    ) -> Result<(Running<'a>, oneshot::Receiver<Message>), Error> {
        let id = request.id();
        match lock(&self.calls).entry(id.into()) {
            Entry::Occupied(_) => Err(Kind::InvalidRequest("a request with this id is already in flight").into()),
            Entry::Vacant(place) => {
                let (cancel, cancelled) = oneshot::channel();
                place.insert(cancel);
                Ok((Running { session: self, id }, cancelled))
            }
        }
    }

    /// True if a call is in flight.
    pub(in crate::downstream) fn has_calls(&self) -> bool {
        !lock(&self.calls).is_empty()
    }

    /// Cancels the request that a `notifications/cancelled` names.
    pub(in crate::downstream) fn cancel(&self, message: Message) {
        let id = protocol::requested_id(message.params()).unwrap_or_default().to_owned();
        match lock(&self.calls).remove(id.as_str()) {
            Some(cancel) => drop(cancel.send(message)),
            None => debug!(session = &*self.id, id, "cancellation of no request in flight"),
        }
    }

    /// Passes the client's response to the question it answers.
    pub(in crate::downstream) fn answer(&self, response: &Message) {
        let asked = response.id().parse().ok().and_then(|serial: u64| lock(&self.questions).take(serial));
        match asked {
            Some(reply) => reply.answer(response),
            None => debug!(session = &*self.id, id = response.id(), "answer to no question"),
        }
    }

    /// Puts an event from the upstream on a stream.
    pub(in crate::downstream) fn put(&self, log: &EventLog, event: Event) {
        match event {
            Event::Notification(message) => log.push(message),
            Event::Question(question) => {
                let mut questions = lock(&self.questions);
                if let Some(message) = questions.add(question, self.limits.bytes) {
                    log.push(message);
                }
            }
        }
    }

    /// Returns the stream for events that belong to no call.
    pub(in crate::downstream) fn own_stream(&self) -> Arc<EventLog> {
        Arc::clone(&lock(&self.streams).own)
    }

    /// Creates a stream for a call. Over the limits, removes the oldest streams of completed calls.
    pub(in crate::downstream) fn new_stream(&self) -> (u64, Arc<EventLog>) {
        let mut streams = lock(&self.streams);
        loop {
            let kept: usize = streams.calls.values().map(|log| log.bytes()).sum();
            if streams.calls.len() < KEPT_STREAMS && kept < self.limits.bytes {
                break;
            }
            let oldest = streams.calls.iter().find(|(_, log)| log.is_complete()).map(|(number, _)| *number);
            let Some(oldest) = oldest else { break };
            streams.calls.remove(&oldest);
        }
        streams.last += 1;
        let (number, log) = (streams.last, EventLog::new(Purpose::Call, self.limits, &self.kept, 0));
        streams.calls.insert(number, Arc::clone(&log));
        (number, log)
    }

    /// Returns the stream with this number; 0 is the session's own.
    pub(in crate::downstream) fn stream(&self, number: u64) -> Option<Arc<EventLog>> {
        let streams = lock(&self.streams);
        match number {
            0 => Some(Arc::clone(&streams.own)),
            _ => streams.calls.get(&number).filter(|log| !log.is_released()).cloned(),
        }
    }

    /// Counts an open stream; a session with one is not idle.
    pub(in crate::downstream) fn reader_opened(&self) {
        lock(&self.streams).readers += 1;
    }

    pub(in crate::downstream) fn has_reader(&self) -> bool {
        lock(&self.streams).readers > 0
    }

    pub(in crate::downstream) fn reader_closed(&self) {
        let mut streams = lock(&self.streams);
        streams.readers = streams.readers.saturating_sub(1);
        drop(streams);
        self.touch();
    }

    pub(in crate::downstream) fn is_idle(&self, timeout: Duration) -> bool {
        self.silent_since().is_some_and(|since| since.elapsed() > timeout)
    }

    /// Returns the start of the client's silence; `None` while it has an open stream, a call in flight or a handshake.
    pub(in crate::downstream) fn silent_since(&self) -> Option<Instant> {
        let is_open = lock(&self.streams).readers > 0 || !lock(&self.calls).is_empty();
        let since = *lock(&self.used);
        let is_greeting = !self.is_initialized() && since.elapsed() < GREETING;
        (!is_open && !is_greeting).then_some(since)
    }

    /// Returns the session's attachment to this upstream, if it has a dedicated upstream session.
    pub(in crate::downstream) fn own_at(&self, upstream: &Arc<Upstream>) -> Option<Arc<Attachment>> {
        let is_it =
            |attachment: &Arc<Attachment>| !attachment.is_shared() && Arc::ptr_eq(attachment.upstream(), upstream);
        match self.link.get().map(|link| &link.attached)? {
            Attached::One(attachment) => Some(attachment).filter(|one| is_it(one)).cloned(),
            Attached::All(attachments) => attachments.open_ones().into_iter().find(is_it),
        }
    }

    pub(in crate::downstream) fn end_for_others(&self) {
        info!(
            session = &*self.id,
            upstream = self.endpoint.name(),
            "session ended: silent for longest, and others need its place"
        );
        self.end();
    }

    pub(in crate::downstream) fn end(&self) {
        for (id, cancel) in lock(&self.calls).drain() {
            let text = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":"the session ended"}}}}"#
            );
            if let Ok(message) = Message::parse(Bytes::from(text)) {
                cancel.send(message).ok();
            }
        }
        lock(&self.questions).clear();
        self.closed.cancel();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(&self.session.calls).remove(self.id);
    }
}

/// Forwards upstream events to the session's own stream until the session ends, then closes the attachment.
async fn carry_over(session: Arc<Session>, attachment: Arc<Attachment>, mut events: EventQueue) {
    let (own, mut unannounced) = (session.own_stream(), attachment.upstream().unannounced());
    let mut told = *unannounced.borrow_and_update();
    let kept = attachment.keep();
    tokio::pin!(kept);
    loop {
        tokio::select! {
            () = session.closed.cancelled() => break,
            Some(event) = events.recv(), if own.has_room() => session.put(&own, event),
            () = own.room(), if !own.has_room() => {}
            Ok(()) = unannounced.changed() => {
                let now = *unannounced.borrow_and_update();
                now.notices_since(std::mem::replace(&mut told, now)).for_each(|notice| own.push(notice));
            }
            () = &mut kept => {}
        }
    }
    Box::pin(attachment.close()).await;
}
