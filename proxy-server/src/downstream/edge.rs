//! State that all endpoints share.

use std::sync::Arc;
use std::time::Duration;

use schemas::{Eras, admin};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, View};
use crate::downstream::event_log::LogLimits;
use crate::downstream::kept::Kept;
use crate::downstream::parked::Parked;
use crate::downstream::pool::{self, Pool};
use crate::downstream::session::{self, Scope, Sessions};
use crate::error::Kind;
use crate::policy::{Caller, Policy};
use crate::protocol::Message;
use crate::tasks::Tasks;
use crate::upstream::{Attachment, EventQueue, OpenError, Upstream, Upstreams};

const DRAIN_INTERVAL: Duration = Duration::from_millis(20);

/// Limits towards clients.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Maximum size of a request body in bytes.
    pub(crate) max_body_bytes: usize,
    /// Timeout for reading a body.
    pub(crate) body_timeout: Duration,
    /// Timeout for the upstream's part in a client's `initialize`.
    pub(crate) initialize_timeout: Duration,
    /// Idle timeout of a session.
    pub(crate) idle_timeout: Duration,
    /// Interval of keep-alive comments on an idle event stream.
    pub(crate) keep_alive: Duration,
    /// Interval of keep-alive comments while a call waits for its answer.
    pub(crate) call_keep_alive: Duration,
    /// Minimum time without a request after which a connection is closed.
    pub(crate) connection_idle_timeout: Duration,
    /// True if usual requests take the fast path instead of hyper.
    pub(crate) has_fast_path: bool,
    /// Maximum number of sessions; the same limit holds for pooled upstream sessions and for listeners.
    pub(crate) max_sessions: usize,
    /// Timeout for a client's answer to a question.
    pub(crate) question_timeout: Duration,
    /// Timeout for a write of which the client accepts nothing.
    pub(crate) write_timeout: Duration,
    /// Maximum size of one event stream's log, kept for resumption: in bytes and in events.
    pub(crate) stream_bytes: usize,
    pub(crate) stream_events: usize,
    /// Maximum total size of all kept streams and parked calls, in bytes.
    pub(crate) kept_bytes: usize,
    /// Maximum number of parked calls, which wait for their clients' answers.
    pub(crate) parked_calls: usize,
    /// Time after which an unfinished response becomes an event stream, which legacy clients can resume.
    pub(crate) patience: Duration,
    /// Eras that the endpoint of all upstreams supports.
    pub(crate) eras: Eras,
    /// Base URL for the path in the `endpoint` event, which needs none, and for cards, which otherwise use `Host`.
    pub(crate) base_url: Option<String>,
    /// True if endpoints have server cards.
    pub(crate) server_cards: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_body_bytes: 16 << 20,
            body_timeout: Duration::from_secs(30),
            initialize_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30 * 60),
            keep_alive: Duration::from_secs(15),
            call_keep_alive: Duration::from_secs(5),
            connection_idle_timeout: Duration::from_secs(130),
            has_fast_path: true,
            max_sessions: 10_000,
            question_timeout: Duration::from_secs(300),
            write_timeout: Duration::from_secs(30),
            stream_bytes: 16 << 20,
            stream_events: 10_000,
            kept_bytes: 192 << 20,
            parked_calls: 1_000,
            patience: Duration::from_secs(1),
            eras: Eras::default(),
            base_url: None,
            server_cards: true,
        }
    }
}

/// Shared state of all endpoints. Cheap to clone. Each lane has its own copy, because threads that share a reference
/// count contend for it.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(super) upstreams: Upstreams,
    pub(super) catalog: Catalog,
    pub(super) policy: Arc<Policy>,
    pub(super) tasks: Tasks,
    pub(super) sessions: Arc<Sessions>,
    /// Upstream sessions for clients of the modern era.
    pub(super) pool: Arc<Pool>,
    pub(super) parked: Arc<Parked>,
    /// Permits for listeners.
    pub(super) listeners: Arc<Semaphore>,
    /// Cancelled to end every stream.
    pub(super) closing: CancellationToken,
    pub(super) config: Arc<Config>,
}

impl Edge {
    pub(crate) fn new(
        upstreams: Upstreams,
        catalog: Catalog,
        policy: Arc<Policy>,
        tasks: Tasks,
        config: Config,
    ) -> Arc<Self> {
        let kept = Kept::new(config.kept_bytes);
        let streams =
            LogLimits { bytes: config.stream_bytes, events: config.stream_events, patience: config.write_timeout };
        let sessions = Arc::new(Sessions::new(config.max_sessions, streams, Arc::clone(&kept)));
        let pool = Arc::new(Pool::new(config.max_sessions));
        let parked = Parked::new(config.parked_calls, config.question_timeout, kept);
        let listeners = Arc::new(Semaphore::new(config.max_sessions.min(Semaphore::MAX_PERMITS)));
        let closing = CancellationToken::new();
        let (spawn, config) = (tasks.clone(), Arc::new(config));
        let edge = Self { upstreams, catalog, policy, tasks, sessions, pool, parked, listeners, closing, config };
        let edge = Arc::new(edge);
        spawn.spawn("session reaper", session::reap(Arc::clone(&edge)));
        spawn.spawn("pool reaper", pool::reap(Arc::clone(&edge)));
        edge
    }

    /// True if an endpoint supports the modern era.
    pub(super) fn speaks_modern(&self, scope: &Scope) -> bool {
        let eras = match scope {
            Scope::One(upstream) => upstream.definition().eras,
            Scope::All(_) => self.config.eras,
        };
        eras == Eras::Both
    }

    /// Returns this caller's view of all upstreams.
    pub(super) fn view(&self, caller: &Caller) -> Arc<View> {
        self.catalog.view(&|definition| self.policy.reaches(caller, definition))
    }

    /// Returns an upstream by its name, if it is registered and this caller may use it.
    pub(super) fn reachable(&self, caller: &Caller, name: &str) -> Option<Arc<Upstream>> {
        self.upstreams.get(name).filter(|upstream| self.policy.reaches(caller, upstream.definition()))
    }

    /// Evicts the least recently used upstream session at this upstream, a pooled one if possible. Returns true if one
    /// has ended.
    pub(super) async fn make_room(&self, upstream: &Arc<Upstream>) -> bool {
        self.pool.evict(Arc::as_ptr(upstream).addr()).await || self.sessions.evict(upstream).await
    }

    /// Attaches a client to an upstream. If all permits are taken, evicts idle sessions.
    pub(super) async fn attach(
        &self,
        upstream: &Arc<Upstream>,
        hello: &str,
    ) -> Result<(Arc<Attachment>, Message, EventQueue), OpenError> {
        let deadline = Instant::now() + self.config.initialize_timeout;
        loop {
            match Attachment::open(Arc::clone(upstream), hello, deadline).await {
                Err(OpenError::Failed(error))
                    if error.kind() == Kind::TooManySessions
                        && Instant::now() < deadline
                        && Box::pin(self.make_room(upstream)).await => {}
                outcome => return outcome,
            }
        }
    }

    /// Waits until no call is in flight, at most for `grace`.
    pub(crate) async fn drain(&self, grace: Duration) {
        // Clients can no longer answer questions.
        self.parked.end_all();
        let idle = async {
            while self.upstreams.all().values().any(|upstream| !upstream.is_idle()) {
                sleep(DRAIN_INTERVAL).await;
            }
        };
        timeout(grace, idle).await.ok();
    }

    /// Waits until every upstream is connected and listed, or has failed, at most until `deadline`. Returns true if all
    /// are connected.
    pub(super) async fn settle(&self, deadline: Instant) -> bool {
        let mut connected = true;
        for upstream in self.upstreams.all().values() {
            let mut observed = upstream.observed();
            let settled = observed.wait_for(|observed| observed.state != admin::State::Connecting);
            connected &=
                matches!(timeout_at(deadline, settled).await, Ok(Ok(now)) if now.state == admin::State::Connected);
        }
        // `tools` itself waits for the lists of upstreams that have just connected.
        drop(timeout_at(deadline, self.catalog.tools()).await);
        connected
    }

    /// Ends every session and every open stream.
    pub(crate) fn end_sessions(&self) {
        self.sessions.end_all();
        self.closing.cancel();
        self.pool.end_all();
    }
}
