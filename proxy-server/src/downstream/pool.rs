//! Pool of legacy upstream sessions for modern clients, which have none: one group per upstream, principal and declared
//! capabilities, so that the upstream sees its caller's capabilities and no session serves two callers of different
//! kinds.
//!
//! A call that may be asked a question, or that wants log messages, uses a session exclusively while it runs:
//! everything that the upstream then sends outside calls can only belong to this call. All other calls share sessions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use schemas::Transport;
use tokio::sync::{OnceCell, Semaphore, oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::catalog::View;
use crate::downstream::edge::Edge;
use crate::downstream::notices::Notices;
use crate::downstream::own_lists::{OwnLists, Stale};
use crate::downstream::question::refuse;
use crate::error::{Error, Kind, Limit};
use crate::policy::{self, Principal};
use crate::protocol::{self, Message, Object};
use crate::sync::lock;
use crate::upstream::{Attachment, Call, Deadline, Event, EventQueue, OpenError, Upstream, event_queue, list_changed};

const REAP_INTERVAL: Duration = Duration::from_secs(15);
/// Idle time after which a session is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Timeout for the end of an evicted session.
const EVICTION: Duration = Duration::from_secs(3);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Maximum length in bytes of client capabilities, which are part of the pool's key.
const MAX_CAPABILITIES: usize = 16 * 1024;
const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Identifies a group of sessions.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Address of the upstream. Every session of the group holds the upstream, so that the address is not reused.
    upstream: usize,
    principal: Principal,
    capabilities: Box<str>,
}

/// Mode in which a caller uses a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Alone,
    Shared,
}

/// Pool of upstream sessions.
pub(super) struct Pool {
    groups: Mutex<HashMap<Key, Group>>,
    max: usize,
    /// Lists that upstreams show only to one kind of caller.
    own: Mutex<HashMap<Whose, Arc<OwnLists>>>,
    /// True if there are any such lists. Avoids the lookup otherwise.
    has_own: AtomicBool,
    own_changed: watch::Sender<u64>,
}

/// Kind of caller: principal and raw client capabilities.
type Whose = (Principal, Box<str>);

/// Sessions of one kind of caller with one upstream.
struct Group {
    lines: Vec<Arc<Line>>,
    /// Lets one caller at a time open a session that others may share.
    opening: Arc<Semaphore>,
}

/// A pooled session.
pub(super) struct Line {
    key: Key,
    attachment: Arc<Attachment>,
    /// Upstream's response to `initialize`.
    handshake: Message,
    /// Delivers notifications that belong to no call.
    notices: Notices,
    pub(super) subscriptions: Mutex<HashMap<String, Subscription>>,
    used: Mutex<Usage>,
    /// Log level that was last set at the upstream.
    level: Mutex<Option<Box<str>>>,
    closed: CancellationToken,
}

/// Subscription to one resource, shared by its listeners.
#[derive(Default)]
pub(super) struct Subscription {
    pub(super) listeners: usize,
    /// The upstream's decision, for which later listeners wait too.
    pub(super) is_accepted: Arc<OnceCell<bool>>,
}

struct Usage {
    alone: bool,
    shared: usize,
    last: Instant,
}

/// Checkout of a session, returned when dropped.
pub(super) struct Seat {
    line: Arc<Line>,
    usage: Use,
}

/// Caller that needs a session with an upstream.
pub(super) struct Caller<'a> {
    pub(super) upstream: &'a Arc<Upstream>,
    pub(super) principal: Principal,
    /// Raw client capabilities.
    pub(super) capabilities: &'a str,
}

impl Pool {
    pub(super) fn new(max: usize) -> Self {
        let (groups, own, own_changed) = (Mutex::default(), Mutex::default(), watch::Sender::default());
        Self { groups, max, own, has_own: AtomicBool::new(false), own_changed }
    }

    /// Checks out a session. Opens one if none is free.
    pub(super) async fn take(edge: &Arc<Edge>, caller: Caller<'_>, usage: Use) -> Result<Seat, Error> {
        if caller.capabilities.len() > MAX_CAPABILITIES {
            return Err(Kind::InvalidParams("too long a list of client capabilities").into());
        }
        let key = Key {
            upstream: Arc::as_ptr(caller.upstream).addr(),
            principal: caller.principal,
            capabilities: caller.capabilities.into(),
        };
        let pool = &edge.pool;
        if let Some(seat) = pool.free(&key, usage) {
            return Ok(seat);
        }
        if usage == Use::Alone {
            return open(edge, caller.upstream, key, usage).await;
        }
        let outcome = Self::take_in_turn(edge, caller, key.clone()).await;
        if outcome.is_err() {
            pool.sweep(&key);
        }
        outcome
    }

    /// Checks out a session that others may share. Only one of several concurrent callers opens it.
    async fn take_in_turn(edge: &Arc<Edge>, caller: Caller<'_>, key: Key) -> Result<Seat, Error> {
        let deadline = Instant::now() + edge.config.initialize_timeout;
        let opening = Arc::clone(&edge.pool.groups().entry(key.clone()).or_default().opening);
        let turn = timeout_at(deadline, opening.acquire()).await;
        let _turn = turn.map_err(|_| Error::new(Kind::NotReady).at(&caller.upstream.definition().name))?;
        match edge.pool.free(&key, Use::Shared) {
            Some(seat) => Ok(seat),
            None => open(edge, caller.upstream, key, Use::Shared).await,
        }
    }

    /// Returns the view of all upstreams for this kind of caller.
    pub(super) fn view(edge: &Edge, caller: &policy::Caller, principal: Principal, capabilities: &str) -> Arc<View> {
        let pool = &edge.pool;
        let own = || lock(&pool.own).get(&(principal, capabilities.into())).cloned();
        match pool.has_own.load(Ordering::Relaxed).then(own).flatten() {
            Some(own) => own.view(edge, caller),
            None => edge.view(caller),
        }
    }

    /// Subscribes to changes of lists that only one kind of caller is shown.
    pub(super) fn own_changed(&self) -> watch::Receiver<u64> {
        self.own_changed.subscribe()
    }

    /// Reads the lists that an upstream shows in this session.
    async fn read_own(&self, edge: &Edge, line: &Line, kinds: &[&str]) {
        let whose = (line.key.principal, line.key.capabilities.clone());
        let own = Arc::clone(lock(&self.own).entry(whose).or_default());
        self.has_own.store(true, Ordering::Relaxed);
        own.read(edge, &line.attachment, kinds).await;
        self.own_changed.send_modify(|count| *count += 1);
    }

    /// Removes the lists that an upstream showed in a session that has ended, if its group has no other session.
    fn forget_own(&self, line: &Line) {
        if !self.has_own.load(Ordering::Relaxed) || self.groups().contains_key(&line.key) {
            return;
        }
        let mut all = lock(&self.own);
        let whose = (line.key.principal, line.key.capabilities.clone());
        if let Some(own) = all.get(&whose)
            && own.forget(&line.attachment.upstream().definition().name)
        {
            all.remove(&whose);
        }
        self.has_own.store(!all.is_empty(), Ordering::Relaxed);
        drop(all);
        self.own_changed.send_modify(|count| *count += 1);
    }

    /// Ends every session.
    pub(super) fn end_all(&self) {
        for group in self.groups().values() {
            group.lines.iter().for_each(|line| line.closed.cancel());
        }
    }

    fn free(&self, key: &Key, usage: Use) -> Option<Seat> {
        let groups = self.groups();
        // The newest first, so that a repeated caller gets the session it used before.
        groups.get(key)?.lines.iter().rev().find_map(|line| line.seat(usage))
    }

    /// Makes room for one more session by ending the one that has been idle for longest. Fails if the pool is full and
    /// none is idle.
    fn make_room(&self) -> Result<(), Error> {
        let groups = self.groups();
        let lines = || groups.values().flat_map(|group| &group.lines);
        if lines().count() < self.max {
            return Ok(());
        }
        let idle = lines().filter_map(|line| Some((line.idle_since()?, line)));
        let limit = || Limit::count(self.max, "--max-sessions", None);
        let full = || Error::new(Kind::TooManySessions).limited(Some(limit()));
        let (_, oldest) = idle.min_by_key(|(since, _)| *since).ok_or_else(full)?;
        oldest.closed.cancel();
        Ok(())
    }

    /// Ends the session with this upstream that has been idle for longest, and waits for its end. Returns true if one
    /// ended in time.
    pub(super) async fn evict(&self, upstream: usize) -> bool {
        let oldest = {
            let groups = self.groups();
            let lines = groups.iter().filter(|(key, _)| key.upstream == upstream).flat_map(|(_, group)| &group.lines);
            // Only a dedicated upstream session counts against the upstream's limit.
            let idle = lines.filter(|line| !line.attachment.is_shared());
            let idle = idle.filter_map(|line| Some((line.idle_since()?, line)));
            let oldest = idle.min_by_key(|(since, _)| *since).map(|(_, line)| line);
            oldest.inspect(|line| line.closed.cancel()).map(Arc::downgrade)
        };
        let Some(oldest) = oldest else { return false };
        let gone = async {
            while oldest.strong_count() > 0 {
                sleep(LOOK_INTERVAL).await;
            }
        };
        timeout(EVICTION, gone).await.is_ok()
    }

    fn add(&self, line: &Arc<Line>) {
        self.groups().entry(line.key.clone()).or_default().lines.push(Arc::clone(line));
    }

    fn remove(&self, line: &Arc<Line>) {
        let mut groups = self.groups();
        if let Some(group) = groups.get_mut(&line.key) {
            group.lines.retain(|other| !Arc::ptr_eq(other, line));
        }
        drop(groups);
        self.sweep(&line.key);
    }

    /// Removes a group without sessions and waiting callers.
    fn sweep(&self, key: &Key) {
        let mut groups = self.groups();
        if groups.get(key).is_some_and(Group::is_unused) {
            groups.remove(key);
        }
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<Key, Group>> {
        lock(&self.groups)
    }
}

impl Group {
    fn is_unused(&self) -> bool {
        self.lines.is_empty() && Arc::strong_count(&self.opening) == 1
    }
}

impl Default for Group {
    fn default() -> Self {
        Self { lines: Vec::new(), opening: Arc::new(Semaphore::new(1)) }
    }
}

impl Line {
    fn seat(self: &Arc<Self>, usage: Use) -> Option<Seat> {
        let mut used = lock(&self.used);
        let is_free = !used.alone && (usage == Use::Shared || used.shared == 0) && !self.closed.is_cancelled();
        if !is_free {
            return None;
        }
        match usage {
            Use::Alone => used.alone = true,
            Use::Shared => used.shared += 1,
        }
        Some(Seat { line: Arc::clone(self), usage })
    }

    fn idle_since(&self) -> Option<Instant> {
        let used = lock(&self.used);
        let is_idle = !used.alone && used.shared == 0 && !self.notices.has_listeners();
        (is_idle && !self.closed.is_cancelled()).then_some(used.last)
    }

    pub(super) fn attachment(&self) -> &Arc<Attachment> {
        &self.attachment
    }

    /// Sets the minimum level of log messages at the upstream, if it supports logging.
    pub(super) async fn log_from(&self, level: &str, deadline: Instant) {
        let handshake = Object::read(self.handshake.body()).ok();
        let capabilities = handshake.and_then(|result| Object::read(result.get("capabilities")?).ok());
        let is_set = lock(&self.level).as_deref() == Some(level);
        if is_set || capabilities.is_none_or(|all| all.get("logging").is_none()) {
            return;
        }
        let params = format!(r#"{{"level":{}}}"#, serde_json::Value::from(level));
        if self.ask("logging/setLevel", &params, deadline).await.is_ok() {
            *lock(&self.level) = Some(level.into());
        }
    }

    /// Sends a request of the gateway's own to the upstream.
    pub(super) async fn ask(&self, method: &str, params: &str, deadline: Instant) -> Result<Message, Error> {
        let request = Message::parse(protocol::request(0, method, params));
        let message = &request.map_err(|error| Error::new(Kind::Malformed).because(error))?;
        let (events, _nobody) = event_queue();
        let (_never, cancelled) = oneshot::channel();
        let deadline = Deadline::at(deadline);
        self.attachment.request(Call { message, events, cancelled, deadline }).await
    }

    pub(super) fn handshake(&self) -> &Message {
        &self.handshake
    }

    /// Subscribes to notifications that belong to no call. The session stays open while there is a listener.
    pub(super) fn notices(&self) -> EventQueue {
        self.notices.subscribe()
    }

    /// Returns the token that is cancelled when the session has ended for good.
    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}

impl Seat {
    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Ends an exclusively used dedicated session if late messages in it could be mistaken for the next caller's: on
    /// transports other than Streamable HTTP.
    pub(super) fn discard(&mut self) {
        let transport = &self.line.attachment.upstream().definition().transport;
        let tells_apart = matches!(transport, Transport::StreamableHttp(_));
        if self.usage == Use::Alone && !tells_apart && !self.line.attachment.is_shared() {
            self.line.closed.cancel();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut used = lock(&self.line.used);
        match self.usage {
            Use::Alone => used.alone = false,
            Use::Shared => used.shared = used.shared.saturating_sub(1),
        }
        used.last = Instant::now();
    }
}

/// Opens one more session. If its caller leaves in the meantime, the session stays in the pool for the next one.
async fn open(edge: &Arc<Edge>, upstream: &Arc<Upstream>, key: Key, usage: Use) -> Result<Seat, Error> {
    edge.pool.make_room()?;
    let deadline = Instant::now() + edge.config.initialize_timeout;
    let open = || {
        let opening = shake_hands(Arc::clone(edge), Arc::clone(upstream), (key.clone(), usage), deadline);
        edge.tasks.finish_anyway("open pooled session", opening)
    };
    match open().await {
        // Idle sessions of other callers may take up the upstream's limit.
        Err(error) if error.kind() == Kind::TooManySessions && edge.make_room(upstream).await => open().await,
        outcome => outcome,
    }
}

async fn shake_hands(
    edge: Arc<Edge>,
    upstream: Arc<Upstream>,
    (key, usage): (Key, Use),
    deadline: Instant,
) -> Result<Seat, Error> {
    let name = &upstream.definition().name;
    let opened = Attachment::open(Arc::clone(&upstream), &protocol::hello(&key.capabilities), deadline).await;
    let (attachment, handshake, events) = opened.map_err(|error| match error {
        OpenError::Failed(error) => error.at(name),
        OpenError::Refused(answer) => {
            Error::new(Kind::BadAnswer).because(format!("it answered {}", answer.body())).at(name)
        }
    })?;
    let initialized = Message::parse(Bytes::from_static(INITIALIZED)).map_err(|_| Kind::BadAnswer)?;
    let sent = timeout_at(deadline, attachment.notify(&initialized)).await;
    if let Err(error) = sent.unwrap_or_else(|_| Err(Kind::TimedOut.into())) {
        attachment.close().await;
        return Err(error.at(name));
    }
    let line = Arc::new(Line {
        key,
        attachment,
        handshake,
        notices: Notices::default(),
        subscriptions: Mutex::default(),
        used: Mutex::new(Usage { alone: false, shared: 0, last: Instant::now() }),
        level: Mutex::default(),
        closed: upstream.retired().child_token(),
    });
    let seat = line.seat(usage).ok_or_else(|| Error::new(Kind::NotReady).at(name));
    edge.pool.add(&line);
    edge.tasks.spawn("pooled session", keep(Arc::clone(&edge), line, events));
    seat
}

/// Serves a session while it is in the pool, then removes and closes it.
async fn keep(edge: Arc<Edge>, line: Arc<Line>, mut events: EventQueue) {
    let (mut doubts, mut unannounced) = (line.attachment.doubts(), line.attachment.upstream().unannounced());
    let mut told = *unannounced.borrow_and_update();
    let (mut stale, limit) = (Stale::default(), edge.config.stream_bytes);
    let mut reading: Option<BoxFuture<'_, ()>> = None;
    loop {
        tokio::select! {
            () = line.closed.cancelled() => break,
            () = stale.is_due(), if reading.is_none() => {
                let (kinds, edge, line) = (stale.take(), &edge, &line);
                reading = Some(Box::pin(async move { edge.pool.read_own(edge, line, &kinds).await }));
            }
            () = async { if let Some(reading) = &mut reading { reading.await } }, if reading.is_some() => reading = None,
            // Modern clients read lists in any of their sessions, so the lists that they have seen are unknown.
            Ok(()) = doubts.changed() => {
                stale.doubt();
                for kind in ["tools", "prompts", "resources"] {
                    line.notices.tell(list_changed(kind), limit).await;
                }
            }
            Ok(()) = unannounced.changed() => {
                let now = *unannounced.borrow_and_update();
                for notice in now.notices_since(std::mem::replace(&mut told, now)) {
                    line.notices.tell(notice, limit).await;
                }
            }
            Some(event) = events.recv() => match event {
                Event::Notification(message) => {
                    if !line.attachment.is_shared() {
                        stale.hear(&message);
                    }
                    line.notices.tell(message, limit).await;
                }
                Event::Question(question) => refuse(question.reply, "nobody can be asked outside a call"),
            },
            else => break,
        }
    }
    line.closed.cancel();
    drop(reading);
    edge.pool.remove(&line);
    edge.pool.forget_own(&line);
    line.attachment.close().await;
}

/// Ends sessions that have been idle for too long. Runs until the gateway stops.
pub(super) async fn reap(edge: Arc<Edge>) {
    loop {
        tokio::select! {
            () = edge.tasks.stopping().cancelled() => return,
            () = sleep(REAP_INTERVAL) => {}
        }
        let mut groups = edge.pool.groups();
        groups.retain(|_, group| !group.is_unused());
        for line in groups.values().flat_map(|group| &group.lines) {
            if line.idle_since().is_some_and(|since| since.elapsed() > IDLE_TIMEOUT) {
                debug!(upstream = %line.attachment.upstream().definition().name, "pooled session ended: idle");
                line.closed.cancel();
            }
        }
    }
}
