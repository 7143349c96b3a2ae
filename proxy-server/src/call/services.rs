//! Services that carry out calls, with the state that outlives one call.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use schemas::admin;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::call::access_log::AccessLog;
use crate::call::context::{Context, Evict, Limits};
use crate::call::kept::Kept;
use crate::call::modern_client::ModernClient;
use crate::call::modern_to_legacy::parked::Parked;
use crate::call::modern_to_legacy::pool::{self, Pool};
use crate::call::tally::CallTally;
use crate::catalog::{Catalog, View};
use crate::error::Kind;
use crate::keys::seal::Seal;
use crate::live::Live;
use crate::policy::{Caller, Policy, Principal};
use crate::protocol::Message;
use crate::tasks::Tasks;
use crate::upstream::{Attachment, EventQueue, OpenError, Upstream, Upstreams};

const DRAIN_INTERVAL: Duration = Duration::from_millis(20);

/// Services of calls. Cheap to clone. Each lane has its own copy, because threads that share a reference count contend
/// for it.
#[derive(Clone)]
pub(crate) struct Services {
    context: Arc<Context>,
    /// Upstream sessions for clients of the modern era.
    pub(super) pool: Arc<Pool>,
    pub(super) parked: Arc<Parked>,
}

impl Deref for Services {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.context
    }
}

/// Parts that the services are made of.
pub(crate) struct Parts {
    pub(crate) upstreams: Upstreams,
    pub(crate) catalog: Catalog,
    pub(crate) policy: Arc<Policy>,
    pub(crate) tasks: Tasks,
    pub(crate) sessions: Arc<dyn Evict>,
    pub(crate) kept: Arc<Kept>,
    pub(crate) limits: Live<Limits>,
    /// Key of the states that clients return to continue calls.
    pub(crate) seal: Seal,
    pub(crate) access_log: AccessLog,
}

impl Services {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { upstreams, catalog, policy, tasks, sessions, kept, limits, seal, access_log } = parts;
        let parked = Parked::new(limits.parked_calls, limits.question_timeout, kept, seal);
        let listeners = Arc::new(Semaphore::new(limits.max_sessions.min(Semaphore::MAX_PERMITS)));
        let closing = CancellationToken::new();
        let tally = CallTally::default();
        let context = Arc::new(Context {
            upstreams,
            catalog,
            policy,
            tasks,
            sessions,
            closing,
            limits,
            listeners,
            tally,
            access_log,
        });
        let pool = Pool::new(Arc::clone(&context));
        context.tasks.spawn("pool reaper", pool::reap(Arc::clone(&pool)));
        Self { context, pool, parked }
    }

    /// Returns a modern client's view of all upstreams.
    pub(crate) fn view_of(&self, caller: &Caller, principal: Principal, client: &ModernClient) -> Arc<View> {
        self.pool.view(caller, principal, &client.capabilities)
    }

    /// Attaches a client to an upstream, with its raw `initialize` parameters. If all permits are taken, evicts idle
    /// sessions.
    pub(crate) async fn attach(
        &self,
        upstream: &Arc<Upstream>,
        hello: &str,
        deadline: Instant,
    ) -> Result<(Arc<Attachment>, Message, EventQueue), OpenError> {
        loop {
            match Attachment::open(Arc::clone(upstream), hello, deadline).await {
                Err(OpenError::Failed(error))
                    if error.kind() == Kind::TooManySessions
                        && Instant::now() < deadline
                        && Box::pin(self.pool.make_room_at(upstream)).await => {}
                outcome => return outcome,
            }
        }
    }

    /// Returns the number of parked calls, which wait for their clients' answers.
    pub(crate) fn parked_calls(&self) -> usize {
        self.parked.len()
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
    pub(crate) async fn settle(&self, deadline: Instant) -> bool {
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

    /// Ends every stream and every pooled session.
    pub(crate) fn end_all(&self) {
        self.closing.cancel();
        self.pool.end_all();
    }
}
