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

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::debug;

use crate::call::context::Context;
use crate::call::modern_to_legacy::input_request::refuse;
use crate::call::modern_to_legacy::pooled_session::{Checkout, Key, Mode, PooledSession};
use crate::call::own_lists::{OwnLists, Stale};
use crate::catalog::View;
use crate::error::{Error, Kind, Limit};
use crate::policy::{Caller, Principal};
use crate::protocol;
use crate::sync::lock;
use crate::upstream::{Attachment, Event, EventQueue, Upstream, list_changed};

const REAP_INTERVAL: Duration = Duration::from_secs(15);
/// Idle time after which a session is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Timeout for the end of an evicted session.
const EVICTION: Duration = Duration::from_secs(3);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Maximum length in bytes of client capabilities, which are part of the pool's key.
const MAX_CAPABILITIES: usize = 16 * 1024;

/// Pool of upstream sessions.
pub(crate) struct Pool {
    context: Arc<Context>,
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
    sessions: Vec<Arc<PooledSession>>,
    /// Lets one caller at a time open a session that others may share.
    opening: Arc<Semaphore>,
}

/// Client that needs a session with an upstream.
pub(in crate::call) struct Requester<'a> {
    pub(in crate::call) upstream: &'a Arc<Upstream>,
    pub(in crate::call) principal: Principal,
    /// Raw client capabilities.
    pub(in crate::call) capabilities: &'a str,
}

impl Pool {
    pub(in crate::call) fn new(context: Arc<Context>) -> Arc<Self> {
        let (groups, own, own_changed) = (Mutex::default(), Mutex::default(), watch::Sender::default());
        let max = context.limits.max_sessions;
        Arc::new(Self { context, groups, max, own, has_own: AtomicBool::new(false), own_changed })
    }

    /// Checks out a session. Opens one if none is free.
    pub(in crate::call) async fn take(
        self: &Arc<Self>,
        requester: Requester<'_>,
        mode: Mode,
    ) -> Result<Checkout, Error> {
        if requester.capabilities.len() > MAX_CAPABILITIES {
            return Err(Kind::InvalidParams("too long a list of client capabilities").into());
        }
        let key = Key {
            upstream: Arc::as_ptr(requester.upstream).addr(),
            principal: requester.principal,
            capabilities: requester.capabilities.into(),
        };
        if let Some(checkout) = self.free(&key, mode) {
            return Ok(checkout);
        }
        if mode == Mode::Alone {
            return open(self, requester.upstream, key, mode).await;
        }
        let outcome = self.take_in_turn(requester, key.clone()).await;
        if outcome.is_err() {
            self.sweep(&key);
        }
        outcome
    }

    /// Checks out a session that others may share. Only one of several concurrent callers opens it.
    async fn take_in_turn(self: &Arc<Self>, requester: Requester<'_>, key: Key) -> Result<Checkout, Error> {
        let deadline = Instant::now() + self.context.limits.initialize_timeout;
        let opening = Arc::clone(&self.groups().entry(key.clone()).or_default().opening);
        let turn = timeout_at(deadline, opening.acquire()).await;
        let _turn = turn.map_err(|_| Error::new(Kind::NotReady).at(&requester.upstream.definition().name))?;
        match self.free(&key, Mode::Shared) {
            Some(checkout) => Ok(checkout),
            None => open(self, requester.upstream, key, Mode::Shared).await,
        }
    }

    /// Returns the view of all upstreams for this kind of caller.
    pub(in crate::call) fn view(&self, caller: &Caller, principal: Principal, capabilities: &str) -> Arc<View> {
        let own = || lock(&self.own).get(&(principal, capabilities.into())).cloned();
        match self.has_own.load(Ordering::Relaxed).then(own).flatten() {
            Some(own) => own.view(&self.context, caller),
            None => self.context.view(caller),
        }
    }

    /// Subscribes to changes of lists that only one kind of caller is shown.
    pub(in crate::call) fn own_changed(&self) -> watch::Receiver<u64> {
        self.own_changed.subscribe()
    }

    /// Reads the lists that an upstream shows in this session.
    async fn read_own(&self, session: &PooledSession, kinds: &[&str]) {
        let whose = (session.key.principal, session.key.capabilities.clone());
        let own = Arc::clone(lock(&self.own).entry(whose).or_default());
        self.has_own.store(true, Ordering::Relaxed);
        own.read(&self.context, &session.attachment, kinds).await;
        self.own_changed.send_modify(|count| *count += 1);
    }

    /// Removes the lists that an upstream showed in a session that has ended, if its group has no other session.
    fn forget_own(&self, session: &PooledSession) {
        if !self.has_own.load(Ordering::Relaxed) || self.groups().contains_key(&session.key) {
            return;
        }
        let mut all = lock(&self.own);
        let whose = (session.key.principal, session.key.capabilities.clone());
        if let Some(own) = all.get(&whose)
            && own.forget(&session.attachment.upstream().definition().name)
        {
            all.remove(&whose);
        }
        self.has_own.store(!all.is_empty(), Ordering::Relaxed);
        drop(all);
        self.own_changed.send_modify(|count| *count += 1);
    }

    /// Ends every session.
    pub(in crate::call) fn end_all(&self) {
        for group in self.groups().values() {
            group.sessions.iter().for_each(|session| session.closed.cancel());
        }
    }

    fn free(&self, key: &Key, mode: Mode) -> Option<Checkout> {
        let groups = self.groups();
        // The newest first, so that a repeated caller gets the session it used before.
        groups.get(key)?.sessions.iter().rev().find_map(|session| session.checkout(mode))
    }

    /// Makes room for one more session by ending the one that has been idle for longest. Fails if the pool is full and
    /// none is idle.
    fn make_room(&self) -> Result<(), Error> {
        let groups = self.groups();
        let sessions = || groups.values().flat_map(|group| &group.sessions);
        if sessions().count() < self.max {
            return Ok(());
        }
        let idle = sessions().filter_map(|session| Some((session.idle_since()?, session)));
        let limit = || Limit::count(self.max, "--max-sessions", None);
        let full = || Error::new(Kind::TooManySessions).limited(Some(limit()));
        let (_, oldest) = idle.min_by_key(|(since, _)| *since).ok_or_else(full)?;
        oldest.closed.cancel();
        Ok(())
    }

    /// Ends the least recently used upstream session at this upstream, a pooled one if possible. Returns true if one has
    /// ended.
    pub(in crate::call) async fn make_room_at(&self, upstream: &Arc<Upstream>) -> bool {
        self.evict(Arc::as_ptr(upstream).addr()).await || self.context.sessions.evict(upstream).await
    }

    /// Ends the session with this upstream that has been idle for longest, and waits for its end. Returns true if one
    /// ended in time.
    async fn evict(&self, upstream: usize) -> bool {
        let oldest = {
            let groups = self.groups();
            let sessions =
                groups.iter().filter(|(key, _)| key.upstream == upstream).flat_map(|(_, group)| &group.sessions);
            // Only a dedicated upstream session counts against the upstream's limit.
            let idle = sessions.filter(|session| !session.attachment.is_shared());
            let idle = idle.filter_map(|session| Some((session.idle_since()?, session)));
            let oldest = idle.min_by_key(|(since, _)| *since).map(|(_, session)| session);
            oldest.inspect(|session| session.closed.cancel()).map(Arc::downgrade)
        };
        let Some(oldest) = oldest else { return false };
        let gone = async {
            while oldest.strong_count() > 0 {
                sleep(LOOK_INTERVAL).await;
            }
        };
        timeout(EVICTION, gone).await.is_ok()
    }

    fn add(&self, session: &Arc<PooledSession>) {
        self.groups().entry(session.key.clone()).or_default().sessions.push(Arc::clone(session));
    }

    fn remove(&self, session: &Arc<PooledSession>) {
        let mut groups = self.groups();
        if let Some(group) = groups.get_mut(&session.key) {
            group.sessions.retain(|other| !Arc::ptr_eq(other, session));
        }
        drop(groups);
        self.sweep(&session.key);
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
        self.sessions.is_empty() && Arc::strong_count(&self.opening) == 1
    }
}

impl Default for Group {
    fn default() -> Self {
        Self { sessions: Vec::new(), opening: Arc::new(Semaphore::new(1)) }
    }
}

/// Opens one more session. If its caller leaves in the meantime, the session stays in the pool for the next one.
async fn open(pool: &Arc<Pool>, upstream: &Arc<Upstream>, key: Key, mode: Mode) -> Result<Checkout, Error> {
    pool.make_room()?;
    let deadline = Instant::now() + pool.context.limits.initialize_timeout;
    let open = || {
        let opening = shake_hands(Arc::clone(pool), Arc::clone(upstream), (key.clone(), mode), deadline);
        pool.context.tasks.finish_anyway("open pooled session", opening)
    };
    match open().await {
        // Idle sessions of other callers may take up the upstream's limit.
        Err(error) if error.kind() == Kind::TooManySessions && pool.make_room_at(upstream).await => open().await,
        outcome => outcome,
    }
}

async fn shake_hands(
    pool: Arc<Pool>,
    upstream: Arc<Upstream>,
    (key, mode): (Key, Mode),
    deadline: Instant,
) -> Result<Checkout, Error> {
    let name = &upstream.definition().name;
    let opened = Attachment::open(Arc::clone(&upstream), &protocol::hello(&key.capabilities), deadline).await;
    let (attachment, handshake, events) = opened.map_err(|error| Error::from(error).at(name))?;
    attachment.complete_handshake(deadline).await.map_err(|error| error.at(name))?;
    let session = PooledSession::new(key, attachment, handshake);
    let checkout = session.checkout(mode).ok_or_else(|| Error::new(Kind::NotReady).at(name));
    pool.add(&session);
    pool.context.tasks.spawn("pooled session", keep(Arc::clone(&pool), session, events));
    checkout
}

/// Serves a session while it is in the pool, then removes and closes it.
async fn keep(pool: Arc<Pool>, session: Arc<PooledSession>, mut events: EventQueue) {
    let (mut doubts, mut unannounced) = (session.attachment.doubts(), session.attachment.upstream().unannounced());
    let mut told = *unannounced.borrow_and_update();
    let (mut stale, limit) = (Stale::default(), pool.context.limits.queued_bytes);
    let mut reading: Option<BoxFuture<'_, ()>> = None;
    loop {
        tokio::select! {
            () = session.closed.cancelled() => break,
            () = stale.is_due(), if reading.is_none() => {
                let (kinds, pool, session) = (stale.take(), &pool, &session);
                reading = Some(Box::pin(async move { pool.read_own(session, &kinds).await }));
            }
            () = async { if let Some(reading) = &mut reading { reading.await } }, if reading.is_some() => reading = None,
            // Modern clients read lists in any of their sessions, so the lists that they have seen are unknown.
            Ok(()) = doubts.changed() => {
                stale.doubt();
                for kind in ["tools", "prompts", "resources"] {
                    session.notices.tell(list_changed(kind), limit).await;
                }
            }
            Ok(()) = unannounced.changed() => {
                let now = *unannounced.borrow_and_update();
                for notice in now.notices_since(std::mem::replace(&mut told, now)) {
                    session.notices.tell(notice, limit).await;
                }
            }
            Some(event) = events.recv() => match event {
                Event::Notification(message) => {
                    if !session.attachment.is_shared() {
                        stale.hear(&message);
                    }
                    session.notices.tell(message, limit).await;
                }
                Event::Question(question) => refuse(question.reply, "nobody can be asked outside a call"),
            },
            else => break,
        }
    }
    session.closed.cancel();
    drop(reading);
    pool.remove(&session);
    pool.forget_own(&session);
    session.attachment.close().await;
}

/// Ends sessions that have been idle for too long. Runs until the gateway stops.
pub(in crate::call) async fn reap(pool: Arc<Pool>) {
    loop {
        tokio::select! {
            () = pool.context.tasks.stopping().cancelled() => return,
            () = sleep(REAP_INTERVAL) => {}
        }
        let mut groups = pool.groups();
        groups.retain(|_, group| !group.is_unused());
        for session in groups.values().flat_map(|group| &group.sessions) {
            if session.idle_since().is_some_and(|since| since.elapsed() > IDLE_TIMEOUT) {
                debug!(upstream = %session.attachment.upstream().definition().name, "pooled session ended: idle");
                session.closed.cancel();
            }
        }
    }
}
