//! Facilities that every call uses: upstreams, catalog, policy, tasks and limits.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::call::access_log::AccessLog;
use crate::call::tally::CallTally;
use crate::catalog::{Catalog, View};
use crate::error::{Error, Kind, Limit};
use crate::live::Live;
use crate::policy::{Caller, Policy};
use crate::tasks::Tasks;
use crate::upstream::{Upstream, Upstreams};

/// Limits of calls.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Timeout for the upstream's part in a client's `initialize`, and for everything that precedes a modern call.
    pub(crate) initialize_timeout: Duration,
    /// Timeout for a client's answer to a question.
    pub(crate) question_timeout: Duration,
    /// Maximum number of pooled upstream sessions, and of listeners.
    pub(crate) max_sessions: usize,
    /// Maximum size of the events queued for one client, in bytes.
    pub(crate) queued_bytes: usize,
    /// Maximum number of parked calls, which wait for their clients' answers.
    pub(crate) parked_calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            initialize_timeout: Duration::from_secs(30),
            question_timeout: Duration::from_secs(300),
            max_sessions: 10_000,
            queued_bytes: 16 << 20,
            parked_calls: 1_000,
        }
    }
}

/// Holder of dedicated upstream sessions, which others may need.
pub(crate) trait Evict: Send + Sync {
    /// Ends the least recently used session with this upstream. Returns true if one has ended.
    fn evict<'a>(&'a self, upstream: &'a Arc<Upstream>) -> BoxFuture<'a, bool>;
}

/// Facilities of calls.
pub(crate) struct Context {
    pub(crate) upstreams: Upstreams,
    pub(crate) catalog: Catalog,
    pub(crate) policy: Arc<Policy>,
    pub(crate) tasks: Tasks,
    /// Clients' sessions.
    pub(crate) sessions: Arc<dyn Evict>,
    /// Cancelled to end every stream.
    pub(crate) closing: CancellationToken,
    pub(crate) limits: Live<Limits>,
    /// Permits for listeners.
    pub(super) listeners: Arc<Semaphore>,
    /// Numbers of calls.
    pub(crate) tally: CallTally,
    pub(crate) access_log: AccessLog,
}

impl Context {
    /// Returns this caller's view of all upstreams.
    pub(crate) fn view(&self, caller: &Caller) -> Arc<View> {
        self.catalog.view(&|definition| self.policy.reaches(caller, definition))
    }

    /// Returns an upstream by its name, if it is registered and this caller may use it.
    pub(crate) fn reachable(&self, caller: &Caller, name: &str) -> Option<Arc<Upstream>> {
        self.upstreams.get(name).filter(|upstream| self.policy.reaches(caller, upstream.definition()))
    }

    /// Takes a permit for a listener. Fails with `TooManySessions` if all are taken.
    pub(super) fn listener(&self) -> Result<OwnedSemaphorePermit, Error> {
        let permit = Arc::clone(&self.listeners).try_acquire_owned();
        let limit = || Limit::count(self.limits.max_sessions, "--max-sessions", None);
        permit.map_err(|_| Error::new(Kind::TooManySessions).limited(Some(limit())))
    }
}
