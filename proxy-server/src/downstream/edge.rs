//! State that all endpoints share.

use std::sync::Arc;
use std::time::Duration;

use schemas::Eras;

use crate::call::{AccessLog, Kept, Limits, Parts, Services, SessionIds};
use crate::catalog::Catalog;
use crate::downstream::config::Config;
use crate::downstream::legacy::event_log::LogLimits;
use crate::downstream::legacy::session::Scope;
use crate::downstream::legacy::sessions::{Sessions, reap};
use crate::keys::Keys;
use crate::live::Live;
use crate::policy::Policy;
use crate::sync::lock;
use crate::tasks::Tasks;
use crate::upstream::Upstreams;

/// Shared state of all endpoints. Each lane has a copy, because threads contend for a shared reference count.
pub(crate) struct Edge {
    pub(crate) services: Arc<Services>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) config: Live<Config>,
}

impl Edge {
    pub(crate) fn new(
        upstreams: Upstreams,
        catalog: Catalog,
        policy: Arc<Policy>,
        tasks: Tasks,
        ((config, limits), keys, access_log): ((Live<Config>, Live<Limits>), &Keys, AccessLog),
    ) -> Arc<Self> {
        let kept = Kept::new(config.kept_bytes);
        let ids = SessionIds::new(keys.are_stored.then(|| keys.seal.clone()), Arc::clone(&policy));
        let streams =
            LogLimits { bytes: config.stream_bytes, events: config.stream_events, patience: config.write_timeout };
        let sessions = Arc::new(Sessions::new(config.max_sessions, streams, Arc::clone(&kept), ids));
        let idle = (config.clone(), limits.question_timeout);
        let reaping = reap(Arc::clone(&sessions), idle, Arc::clone(&policy), tasks.stopping().clone());
        tasks.spawn("session reaper", reaping);
        let services = Services::new(Parts {
            upstreams,
            catalog,
            policy,
            tasks,
            sessions: Arc::<Sessions>::clone(&sessions),
            kept,
            limits,
            seal: keys.seal.clone(),
            access_log,
        });
        Arc::new(Self { services: Arc::new(services), sessions, config })
    }

    /// Returns a copy for one more lane.
    pub(super) fn another(&self) -> Self {
        let services = Arc::new(Services::clone(&self.services));
        Self { services, sessions: Arc::clone(&self.sessions), config: self.config.clone() }
    }

    /// True if an endpoint supports the modern era.
    pub(super) fn speaks_modern(&self, scope: &Scope) -> bool {
        let eras = match scope {
            Scope::One(upstream) => upstream.definition().eras,
            Scope::All(_) => self.config.eras,
        };
        eras == Eras::Both
    }

    /// Returns the number of live sessions of the legacy era.
    pub(crate) fn session_count(&self) -> usize {
        lock(&self.sessions.live).len()
    }

    /// Waits until no call is in flight, at most for `grace`.
    pub(crate) async fn drain(&self, grace: Duration) {
        self.services.drain(grace).await;
    }

    /// Ends every session and every open stream.
    pub(crate) fn end_sessions(&self) {
        self.sessions.end_all();
        self.services.end_all();
    }
}
