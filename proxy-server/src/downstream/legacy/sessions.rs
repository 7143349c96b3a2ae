//! Live downstream sessions: creation, lookup, eviction and idle timeout.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use foldhash::fast::RandomState;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::call::{Earlier, Evict, Kept, Owner, SessionIds, session_key};
use crate::downstream::config::Config;
use crate::downstream::legacy::event_log::LogLimits;
use crate::downstream::legacy::session::{Endpoint, Scope, Session};
use crate::error::{Error, Kind, Limit};
use crate::live::Live;
use crate::policy::{Policy, Principal, Sender};
use crate::sync::lock;
use crate::tenant::least_needed;
use crate::upstream::Upstream;

const REAP_INTERVAL: Duration = Duration::from_secs(30);
/// Timeout for the end of an evicted session.
const EVICTION: Duration = Duration::from_secs(3);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// A session that is being opened again, for all who wait for it.
type Reopened = OnceCell<Arc<Session>>;

/// A request's part in opening a session again. The last one to leave removes its place.
struct Opening<'a> {
    key: &'a str,
    cell: Arc<Reopened>,
    of: &'a Sessions,
}

/// Live sessions by id.
pub(in crate::downstream) struct Sessions {
    pub(in crate::downstream) live: Mutex<HashMap<Box<str>, Arc<Session>, RandomState>>,
    max: usize,
    streams: LogLimits,
    kept: Arc<Kept>,
    ids: SessionIds,
    /// Sessions of an earlier process that are being opened again, by key.
    restored: Mutex<HashMap<Box<str>, Arc<Reopened>, RandomState>>,
}

impl Sessions {
    pub(in crate::downstream) fn new(max: usize, streams: LogLimits, kept: Arc<Kept>, ids: SessionIds) -> Self {
        Self { live: Mutex::default(), max, streams, kept, ids, restored: Mutex::default() }
    }

    /// Creates a session with an unguessable id. A session with one upstream ends when that is retired. If there are
    /// too many, evicts the one that has been silent for longest; fails if none is silent.
    pub(in crate::downstream) fn create(&self, scope: Scope, sender: Sender) -> Result<Arc<Session>, Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| Error::new(Kind::TooManySessions).because(error))?;
        let id: Box<str> = format!("{:032x}", u128::from_be_bytes(random)).into();
        self.insert(Session::new(id, scope, sender, (self.streams, &self.kept, 0)))
    }

    /// Adds a session, unless there is one of this key; returns the one that is there now. If there are too many, evicts
    /// the one that has been silent for longest.
    fn insert(&self, session: Arc<Session>) -> Result<Arc<Session>, Error> {
        let evicted = {
            let mut live = lock(&self.live);
            if let Some(other) = live.get(&session.id) {
                return Ok(Arc::clone(other));
            }
            let evicted = if live.len() < self.max {
                None
            } else {
                let limit = || Limit::count(self.max, "--max-sessions", None);
                let full = || Error::new(Kind::TooManySessions).limited(Some(limit()));
                Some(silent_longest(live.values(), |_| true).ok_or_else(full)?)
            };
            evicted.iter().for_each(|evicted| drop(live.remove(&evicted.id)));
            live.insert(session.id.clone(), Arc::clone(&session));
            evicted
        };
        evicted.iter().for_each(|evicted| evicted.end_for_others());
        Ok(session)
    }

    /// Returns the id by which the client names the session, from which a later process can open it again.
    pub(in crate::downstream) fn id(&self, session: &Session, hello: &str) -> String {
        self.ids.issue(&session.id, session.endpoint.owner(session.sender.principal), session.version(), hello)
    }

    /// Opens a session of an earlier process again, once for all requests that need it; `None` if the id is of no such
    /// session, or `open` returns false. `open` connects it with its upstream.
    pub(in crate::downstream) async fn restore<F>(
        &self,
        id: &str,
        (scope, sender): (Scope, Sender),
        open: impl FnOnce(Arc<Session>, Earlier) -> F,
    ) -> Result<Option<Arc<Session>>, Error>
    where
        F: Future<Output = Result<bool, Error>>,
    {
        let Some(earlier) = self.ids.earlier(id, Endpoint::from(scope.clone()).owner(sender.principal)) else {
            return Ok(None);
        };
        let key = session_key(id);
        // One that was retired here is not opened again.
        if lock(&self.live).contains_key(key) {
            return Ok(self.find(id, &scope, sender.principal));
        }
        let place = Opening { key, cell: Arc::clone(lock(&self.restored).entry(key.into()).or_default()), of: self };
        let opening = async {
            let last = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(1).max(1);
            let session = Session::new(key.into(), scope.clone(), sender, (self.streams, &self.kept, last));
            // Ends with this future, also if the client leaves, until it is one of the live ones.
            let unless_kept = session.closed().clone().drop_guard();
            if !open(Arc::clone(&session), earlier).await.map_err(Some)? || self.ids.has_ended(key) {
                return Err(None);
            }
            let live = self.insert(Arc::clone(&session)).map_err(Some)?;
            if Arc::ptr_eq(&live, &session) {
                unless_kept.disarm();
            }
            Ok(live)
        };
        match place.cell.get_or_try_init(|| opening).await {
            Ok(session) => Ok(Some(Arc::clone(session))),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    /// Ends a session of an earlier process without opening it. Returns true if the id is of one.
    pub(in crate::downstream) fn forget(&self, id: &str, scope: &Scope, principal: Principal) -> bool {
        let is_earlier = self.ids.earlier(id, Endpoint::from(scope.clone()).owner(principal)).is_some();
        if is_earlier {
            self.ids.end(session_key(id));
        }
        is_earlier
    }

    /// Ends the longest silent session among those with a dedicated upstream session at this upstream, and waits for
    /// the end of that upstream session. Returns true if one ended in time.
    async fn evict_at(&self, upstream: &Arc<Upstream>) -> bool {
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

    /// Returns the session with this id, if principal and endpoint match, and updates its caller.
    pub(in crate::downstream) fn find(&self, id: &str, scope: &Scope, principal: Principal) -> Option<Arc<Session>> {
        let session = lock(&self.live).get(session_key(id)).cloned()?;
        let is_own = session.sender.principal == principal && session.endpoint.admits(scope);
        (is_own && !session.closed().is_cancelled()).then(|| {
            session.endpoint.update_caller(scope);
            session
        })
    }

    /// Ends a session: cancels its calls in flight and refuses its open questions.
    pub(in crate::downstream) fn end(&self, session: &Session) {
        lock(&self.live).remove(&session.id);
        if session.is_restored {
            self.ids.end(&session.id);
        }
        session.end();
    }

    pub(in crate::downstream) fn end_all(&self) {
        let all: Vec<_> = lock(&self.live).drain().collect();
        for (_, session) in all {
            session.end();
        }
    }

    /// Returns the sessions to end, each with the reason.
    fn over(&self, timeout: Duration, policy: &Policy) -> Vec<(Arc<Session>, &'static str)> {
        let why = |session: &Session| {
            let Owner { principal, upstream } = session.endpoint.owner(session.sender.principal);
            let is_over = session.closed().is_cancelled() || session.is_idle(timeout);
            let is_lost = policy.has_lost_access(principal, upstream);
            is_lost.then_some("its access token is not valid").or(is_over.then_some("idle"))
        };
        lock(&self.live).values().filter_map(|session| Some((Arc::clone(session), why(session)?))).collect()
    }
}

/// Returns the session to evict among those that are meant and silent.
fn silent_longest<'a>(
    sessions: impl Iterator<Item = &'a Arc<Session>>,
    is_meant: impl Fn(&Session) -> bool,
) -> Option<Arc<Session>> {
    let entry = |session: &'a Arc<Session>| (session.sender.tenant, session.silent_since(), session);
    least_needed(sessions.filter(|session| is_meant(session)).map(entry)).cloned()
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        let mut restored = lock(&self.of.restored);
        // One reference is the map's.
        if Arc::strong_count(&self.cell) <= 2 {
            restored.remove(self.key);
        }
    }
}

impl Evict for Sessions {
    fn evict<'a>(&'a self, upstream: &'a Arc<Upstream>) -> BoxFuture<'a, bool> {
        Box::pin(self.evict_at(upstream))
    }
}

/// Ends idle sessions and those of revoked access tokens, and expires open questions. Runs until the gateway stops.
pub(in crate::downstream) async fn reap(
    sessions: Arc<Sessions>,
    (config, question_timeout): (Live<Config>, Duration),
    policy: Arc<Policy>,
    stopping: CancellationToken,
) {
    let mut tokens = policy.access_tokens().watch();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            Ok(()) = tokens.changed() => {}
            () = sleep(REAP_INTERVAL) => {}
        }
        for (session, reason) in sessions.over(config.idle_timeout, &policy) {
            info!(session = &*session.id, upstream = session.endpoint.name(), reason, "session ended");
            sessions.end(&session);
        }
        let live: Vec<_> = lock(&sessions.live).values().cloned().collect();
        for session in live {
            lock(&session.questions).expire(question_timeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::keys::Keys;
    use crate::policy::{self, Credentials, Policy};

    #[test]
    fn only_a_request_of_the_same_principal_updates_the_caller_of_its_session() {
        let scope = |host: u8| {
            let peer = (Ipv4Addr::new(10, 0, 0, host), 0).into();
            let credentials = Credentials::of_peer(peer, peer);
            let policy = Policy::of(Live::new(policy::Config::default()), Keys::of(1).digest);
            Scope::All(policy.caller(&credentials))
        };
        let limits = LogLimits { bytes: 1, events: 1, patience: Duration::ZERO };
        let policy = Policy::of(Live::new(policy::Config::default()), Keys::of(1).digest);
        let ids = SessionIds::new(Some(Keys::of(1).seal), Arc::new(policy));
        let sessions = Sessions::new(1, limits, Kept::new(1), ids);
        let Ok(session) = sessions.create(scope(1), Sender::of(Principal::Global(0), None)) else {
            panic!("there is room")
        };
        let caller = || match &session.endpoint {
            Endpoint::All(caller) => format!("{:?}", lock(caller)),
            Endpoint::One(_) => String::new(),
        };
        assert!(sessions.find(&session.id, &scope(2), Principal::Global(1)).is_none());
        assert!(caller().contains("10.0.0.1"), "{}", caller());
        assert!(sessions.find(&session.id, &scope(3), Principal::Global(0)).is_some());
        assert!(caller().contains("10.0.0.3"), "{}", caller());
    }
}
