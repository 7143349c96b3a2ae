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
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::downstream::edge::Edge;
use crate::downstream::event_log::{EventLog, LogLimits, Purpose};
use crate::downstream::hub::Hub;
use crate::downstream::kept::Kept;
use crate::downstream::open_questions::OpenQuestions;
use crate::error::{Error, Kind, Limit};
use crate::policy::{Caller, Principal};
use crate::protocol::{self, Message};
use crate::sync::lock;
use crate::tasks::Tasks;
use crate::upstream::{Attachment, Event, EventQueue, Upstream};

const REAP_INTERVAL: Duration = Duration::from_secs(30);
/// Maximum number of streams kept per session, so that clients can fetch the responses of finished calls.
const KEPT_STREAMS: usize = 64;
/// Maximum time for a client's handshake. Until then, a session that is not initialized does not count as silent.
const GREETING: Duration = Duration::from_secs(60);
/// Timeout for the end of an evicted session.
const EVICTION: Duration = Duration::from_secs(3);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
const UNINITIALIZED: Kind = Kind::InvalidRequest("the session is not initialized");

/// Live sessions by id.
pub(super) struct Sessions {
    live: Mutex<HashMap<Box<str>, Arc<Session>, RandomState>>,
    max: usize,
    streams: LogLimits,
    kept: Arc<Kept>,
}

/// Endpoint of a session.
pub(super) enum Scope {
    One(Arc<Upstream>),
    /// All upstreams that this caller may use. Every request updates the caller.
    All(Mutex<Caller>),
}

/// A client's session with one upstream, or with all.
pub(super) struct Session {
    pub(super) id: Box<str>,
    pub(super) scope: Scope,
    pub(super) principal: Principal,
    /// Set once the session is initialized.
    link: OnceLock<Link>,
    streams: Mutex<Streams>,
    /// Limits of each stream; `bytes` also bounds the kept streams together, and the open questions.
    limits: LogLimits,
    kept: Arc<Kept>,
    calls: Mutex<HashMap<Box<str>, oneshot::Sender<Message>, RandomState>>,
    questions: Mutex<OpenQuestions>,
    used: Mutex<Instant>,
    closed: CancellationToken,
}

struct Link {
    attached: Attached,
    /// Protocol revision agreed with the client.
    version: Box<str>,
}

enum Attached {
    One(Arc<Attachment>),
    All(Arc<Hub>),
}

struct Streams {
    /// Events that belong to no call; the only stream of a client that uses HTTP+SSE.
    own: Arc<EventLog>,
    calls: BTreeMap<u32, Arc<EventLog>>,
    last: u32,
    readers: usize,
}

/// A call in flight; dropping it removes the call from the session's list.
pub(super) struct Running<'a> {
    session: &'a Session,
    id: &'a str,
}

impl Sessions {
    pub(super) fn new(max: usize, streams: LogLimits, kept: Arc<Kept>) -> Self {
        Self { live: Mutex::default(), max, streams, kept }
    }

    /// Creates a session with an unguessable id. A session with one upstream ends when that is retired. If there are
    /// too many, evicts the one that has been silent for longest; fails if none is silent.
    pub(super) fn create(&self, scope: Scope, principal: Principal) -> Result<Arc<Session>, Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| Error::new(Kind::TooManySessions).because(error))?;
        let id: Box<str> = format!("{:032x}", u128::from_be_bytes(random)).into();
        let closed = match &scope {
            Scope::One(upstream) => upstream.retired().child_token(),
            Scope::All(_) => CancellationToken::new(),
        };
        let own = EventLog::new(Purpose::Session, self.streams, &self.kept);
        let session = Arc::new(Session {
            id: id.clone(),
            scope,
            principal,
            link: OnceLock::new(),
            streams: Mutex::new(Streams { own, calls: BTreeMap::new(), last: 0, readers: 0 }),
            limits: self.streams,
            kept: Arc::clone(&self.kept),
            calls: Mutex::default(),
            questions: Mutex::default(),
            used: Mutex::new(Instant::now()),
            closed,
        });
        let evicted = {
            let mut live = lock(&self.live);
            let evicted = if live.len() < self.max {
                None
            } else {
                let limit = || Limit::count(self.max, "--max-sessions", None);
                let full = || Error::new(Kind::TooManySessions).limited(Some(limit()));
                Some(silent_longest(live.values(), |_| true).ok_or_else(full)?)
            };
            evicted.iter().for_each(|evicted| drop(live.remove(&evicted.id)));
            live.insert(id, Arc::clone(&session));
            evicted
        };
        evicted.iter().for_each(|evicted| evicted.end_for_others());
        Ok(session)
    }

    /// Ends the longest silent session among those with a dedicated upstream session at this upstream, and waits for
    /// the end of that upstream session. Returns true if one ended in time.
    pub(super) async fn evict(&self, upstream: &Arc<Upstream>) -> bool {
        let holds = |session: &Session| session.own_at(upstream).is_some();
        let Some(session) = silent_longest(lock(&self.live).values(), holds) else { return false };
        let Some(attachment) = session.own_at(upstream).map(|own| Arc::downgrade(&own)) else { return false };
        lock(&self.live).remove(&session.id);
        session.end_for_others();
        drop(session);
        let gone = async {
            while attachment.strong_count() > 0 {
                sleep(LOOK_INTERVAL).await;
            }
        };
        timeout(EVICTION, gone).await.is_ok()
    }

    /// Returns the session with this id, if principal and endpoint match.
    pub(super) fn find(&self, id: &str, scope: &Scope, principal: Principal) -> Option<Arc<Session>> {
        let session = lock(&self.live).get(id).cloned()?;
        let own = session.scope.admits(scope) && session.principal == principal;
        if own && !session.closed.is_cancelled() { Some(session) } else { None }
    }

    /// Ends a session: cancels its calls in flight and refuses its open questions.
    pub(super) fn end(&self, session: &Session) {
        lock(&self.live).remove(&session.id);
        session.end();
    }

    pub(super) fn end_all(&self) {
        let all: Vec<_> = lock(&self.live).drain().collect();
        for (_, session) in all {
            session.end();
        }
    }

    fn idle(&self, timeout: Duration) -> Vec<Arc<Session>> {
        let idle = |session: &&Arc<Session>| session.closed.is_cancelled() || session.is_idle(timeout);
        lock(&self.live).values().filter(idle).cloned().collect()
    }
}

/// Returns the longest silent one of these sessions, as a candidate for eviction.
fn silent_longest<'a>(
    sessions: impl Iterator<Item = &'a Arc<Session>>,
    is_meant: impl Fn(&Session) -> bool,
) -> Option<Arc<Session>> {
    let silent = sessions.filter(|session| is_meant(session));
    let silent = silent.filter_map(|session| Some((session.silent_since()?, session)));
    silent.min_by_key(|(since, _)| *since).map(|(_, session)| Arc::clone(session))
}

/// Ends idle sessions and expires open questions. Runs until the gateway stops.
pub(super) async fn reap(edge: Arc<Edge>) {
    loop {
        tokio::select! {
            () = edge.tasks.stopping().cancelled() => return,
            () = sleep(REAP_INTERVAL) => {}
        }
        for session in edge.sessions.idle(edge.config.idle_timeout) {
            info!(session = &*session.id, upstream = session.scope.name(), "session ended: idle");
            edge.sessions.end(&session);
        }
        let live: Vec<_> = lock(&edge.sessions.live).values().cloned().collect();
        for session in live {
            lock(&session.questions).expire(edge.config.question_timeout);
        }
    }
}

impl Scope {
    /// Returns the name for the log.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::One(upstream) => upstream.definition().name.as_str(),
            Self::All(_) => "all",
        }
    }

    /// True if a request at the `requested` endpoint belongs to this session's endpoint. Updates the caller.
    fn admits(&self, requested: &Self) -> bool {
        match (self, requested) {
            (Self::One(own), Self::One(other)) => Arc::ptr_eq(own, other),
            (Self::All(own), Self::All(other)) => {
                let newest = lock(other).clone();
                *lock(own) = newest;
                true
            }
            (Self::One(_) | Self::All(_), _) => false,
        }
    }
}

impl Session {
    /// Connects the session with its upstream session, and starts to forward events that belong to no call.
    pub(super) fn link(
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

    /// Turns the session into one with all upstreams. Returns true if it was not initialized before.
    pub(super) fn link_all(&self, hub: Arc<Hub>, version: &str) -> bool {
        self.link.set(Link { attached: Attached::All(hub), version: version.into() }).is_ok()
    }

    pub(super) fn attachment(&self) -> Result<&Arc<Attachment>, Error> {
        match self.link.get().map(|link| &link.attached) {
            Some(Attached::One(attachment)) => Ok(attachment),
            Some(Attached::All(_)) | None => Err(UNINITIALIZED.into()),
        }
    }

    /// Returns the attachments of a session with all upstreams.
    pub(super) fn hub(&self) -> Result<&Arc<Hub>, Error> {
        match self.link.get().map(|link| &link.attached) {
            Some(Attached::All(hub)) => Ok(hub),
            Some(Attached::One(_)) | None => Err(UNINITIALIZED.into()),
        }
    }

    /// True once the session is initialized.
    pub(super) fn is_initialized(&self) -> bool {
        self.link.get().is_some()
    }

    /// Returns the revision agreed with the client; empty before that.
    pub(super) fn version(&self) -> &str {
        self.link.get().map_or("", |link| &link.version)
    }

    pub(super) fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// Registers a request, so that it can be cancelled. Fails if a request with this id is in flight.
    pub(super) fn begin<'a>(
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
    pub(super) fn has_calls(&self) -> bool {
        !lock(&self.calls).is_empty()
    }

    /// Cancels the request that a `notifications/cancelled` names.
    pub(super) fn cancel(&self, message: Message) {
        let id = protocol::requested_id(message.params()).unwrap_or_default().to_owned();
        match lock(&self.calls).remove(id.as_str()) {
            Some(cancel) => drop(cancel.send(message)),
            None => debug!(session = &*self.id, id, "cancellation of no request in flight"),
        }
    }

    /// Passes the client's response to the question it answers.
    pub(super) fn answer(&self, response: &Message) {
        let asked = response.id().parse().ok().and_then(|serial: u64| lock(&self.questions).take(serial));
        match asked {
            Some(reply) => reply.answer(response),
            None => debug!(session = &*self.id, id = response.id(), "answer to no question"),
        }
    }

    /// Puts an event from the upstream on a stream.
    pub(super) fn put(&self, log: &EventLog, event: Event) {
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
    pub(super) fn own_stream(&self) -> Arc<EventLog> {
        Arc::clone(&lock(&self.streams).own)
    }

    /// Creates a stream for a call. Over the limits, removes the oldest streams of completed calls.
    pub(super) fn new_stream(&self) -> (u32, Arc<EventLog>) {
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
        let (number, log) = (streams.last, EventLog::new(Purpose::Call, self.limits, &self.kept));
        streams.calls.insert(number, Arc::clone(&log));
        (number, log)
    }

    /// Returns the stream with this number; 0 is the session's own.
    pub(super) fn stream(&self, number: u32) -> Option<Arc<EventLog>> {
        let streams = lock(&self.streams);
        match number {
            0 => Some(Arc::clone(&streams.own)),
            _ => streams.calls.get(&number).filter(|log| !log.is_released()).cloned(),
        }
    }

    /// Counts an open stream; a session with one is not idle.
    pub(super) fn reader_opened(&self) {
        lock(&self.streams).readers += 1;
    }

    pub(super) fn has_reader(&self) -> bool {
        lock(&self.streams).readers > 0
    }

    pub(super) fn reader_closed(&self) {
        let mut streams = lock(&self.streams);
        streams.readers = streams.readers.saturating_sub(1);
        drop(streams);
        self.touch();
    }

    fn is_idle(&self, timeout: Duration) -> bool {
        self.silent_since().is_some_and(|since| since.elapsed() > timeout)
    }

    /// Returns the start of the client's silence; `None` while it has an open stream, a call in flight or a handshake.
    fn silent_since(&self) -> Option<Instant> {
        let is_open = lock(&self.streams).readers > 0 || !lock(&self.calls).is_empty();
        let since = *lock(&self.used);
        let is_greeting = !self.is_initialized() && since.elapsed() < GREETING;
        (!is_open && !is_greeting).then_some(since)
    }

    /// Returns the session's attachment to this upstream, if it has a dedicated upstream session.
    fn own_at(&self, upstream: &Arc<Upstream>) -> Option<Arc<Attachment>> {
        let is_it =
            |attachment: &Arc<Attachment>| !attachment.is_shared() && Arc::ptr_eq(attachment.upstream(), upstream);
        match self.link.get().map(|link| &link.attached)? {
            Attached::One(attachment) => Some(attachment).filter(|one| is_it(one)).cloned(),
            Attached::All(hub) => hub.open_ones().into_iter().find(is_it),
        }
    }

    fn end_for_others(&self) {
        info!(
            session = &*self.id,
            upstream = self.scope.name(),
            "session ended: silent for longest, and others need its place"
        );
        self.end();
    }

    fn end(&self) {
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
