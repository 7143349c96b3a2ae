//! Leases of a worker, and the task that renews them.
//!
//! A registration is made with a lease, so it is removed when the last worker that needs it ends, in any way. A
//! gateway that has lost registrations gets them again. A gateway without leases keeps them until the worker removes
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use proxy_client::{Client, Conditional, RegisteredLeased};
use schemas::admin::{MAX_LEASE_TTL, MIN_TTL, Revision};
use schemas::{Definition, Holder, ServerName};
use tokio::sync::{RwLock, Semaphore};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::apply::{ApplyError, Done};
use crate::plan::change::Change;
use crate::plan::plan_one;
use crate::plan::policy::Policy;
use crate::service::catalog::Catalog;
use crate::service::failure::chain;
use crate::service::metrics::Metric;
use crate::service::options::Options;
use crate::sync::lock;

/// Attempts to create or update a registration: a name can vanish between two requests, but not repeatedly.
const ATTEMPTS: usize = 3;
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// End of a worker's registrations.
///
/// ```
/// use proxy_client::Client;
/// use register_service::worker::Tenure;
/// use register_service::{Options, RegisterService};
///
/// let client = Client::builder("http://127.0.0.1:6001").build()?;
/// let service = RegisterService::new(client, Options::default());
/// assert_eq!(service.tenure(), Tenure::Unknown, "nothing was registered yet");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Tenure {
    /// Nothing was registered yet, so it is unknown if the gateway has leases.
    #[default]
    Unknown,
    /// The gateway has leases: registrations end with the last worker that needs them, also after SIGKILL.
    Leased,
    /// The gateway has no leases: a worker's registrations are removed at its
    /// [`shutdown`](crate::RegisterService::shutdown), even if another worker still needs them, and stay if the worker
    /// is killed.
    Unleased,
}

/// State shared by the service and its tasks.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) options: Options,
    pub(super) holder: Holder,
    pub(super) catalog: Catalog,
    /// Slots for concurrent tool calls.
    pub(super) calls: Semaphore,
    held: Mutex<Held>,
    /// Held for reading while a name is registered, and for writing while the exact set of leases is sent: that set
    /// would return the leases of names being registered.
    turn: RwLock<()>,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    /// Definitions that the gateway must have.
    pub(super) wanted: BTreeMap<ServerName, Definition>,
    /// Wanted names not registered yet. The gateway may have a different definition by such a name.
    pending: BTreeSet<ServerName>,
    /// Number of requests that may have taken a lease: all except unreachable ones.
    asked: usize,
    /// Registrations that this worker created at a gateway without leases.
    pub(super) created: BTreeSet<ServerName>,
    pub(super) tenure: Tenure,
    /// Servers that the worker needs.
    pub(super) needed: BTreeSet<ServerName>,
    /// Needed servers that were connected at the last poll.
    pub(super) connected: BTreeSet<ServerName>,
}

impl Shared {
    pub(super) fn new(client: Client, options: Options, holder: Holder) -> Self {
        let calls = Semaphore::new(options.max_concurrent_calls.clamp(1, Semaphore::MAX_PERMITS));
        let (catalog, held, turn) = Default::default();
        Self { client, options, holder, catalog, calls, held, turn }
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }

    /// Leaves definitions to the background task.
    pub(super) fn postpone(&self, definitions: &[Definition]) {
        let mut held = self.held();
        held.pending.extend(definitions.iter().map(|it| it.name.clone()));
        held.wanted.extend(definitions.iter().map(|it| (it.name.clone(), it.clone())));
    }

    /// Sends a request that may take a lease.
    async fn ask<T>(
        &self,
        request: impl Future<Output = Result<T, proxy_client::Error>>,
    ) -> Result<T, proxy_client::Error> {
        self.held().asked += 1;
        let outcome = request.await;
        if outcome.as_ref().is_err_and(proxy_client::Error::is_unreachable) {
            self.held().asked -= 1;
        }
        outcome
    }

    fn ttl(&self) -> Duration {
        self.options.lease_ttl.clamp(MIN_TTL, MAX_LEASE_TTL)
    }

    pub(super) fn record(&self, metric: &Metric, labels: &[(&'static str, &str)], value: f64) {
        if let Some(metrics) = &self.options.metrics {
            metrics.record(metric, labels, value);
        }
    }

    /// Waits until no registration is in progress.
    pub(super) async fn quiet(&self) {
        drop(self.turn.write().await);
    }

    /// Registers definitions, several at a time, and takes leases on all of them.
    pub(super) async fn settle(&self, definitions: &[Definition]) -> Vec<Result<Done, ApplyError>> {
        {
            let mut held = self.held();
            held.wanted.extend(definitions.iter().map(|it| (it.name.clone(), it.clone())));
            held.needed.extend(definitions.iter().map(|it| it.name.clone()));
        }
        let each = stream::iter(definitions.to_vec()).map(|definition| async move { self.ensure(&definition).await });
        let results: Vec<_> = each.buffered(self.options.concurrency.max(1)).collect().await;
        let mut done = Vec::new();
        let (mut is_all_held, mut changed) = (true, BTreeSet::new());
        for (definition, result) in definitions.iter().zip(results) {
            is_all_held &= result.as_ref().is_ok_and(|(_, is_held)| *is_held);
            self.note(&definition.name, &result);
            if matches!(result, Ok((Done::Created | Done::Updated { .. }, _))) {
                changed.insert(definition.name.clone());
            }
            done.push(result.map(|(done, _)| done));
        }
        if !changed.is_empty() {
            self.catalog.outdate();
            // Mark changed servers as disconnected: the gateway connects to them again.
            self.count(|connected| connected.retain(|name| !changed.contains(name)));
        }
        // Take leases on existing registrations. If that fails, the next check retries.
        let may_lease = self.held().tenure != Tenure::Unleased;
        if !is_all_held
            && may_lease
            && let Err(error) = self.hold().await
        {
            warn!(error = chain(&error), "leases cannot be taken yet");
        }
        done
    }

    fn note<T>(&self, name: &ServerName, result: &Result<T, ApplyError>) {
        let mut held = self.held();
        match result {
            Ok(_) => drop(held.pending.remove(name)),
            // Forget a definition that cannot succeed without intervention.
            Err(error) if is_final(error) => {
                held.pending.remove(name);
                held.wanted.remove(name);
            }
            Err(_) => drop(held.pending.insert(name.clone())),
        }
    }

    /// Creates, replaces or keeps a registration. Returns true as the second value if the worker has a lease on it.
    async fn ensure(&self, definition: &Definition) -> Result<(Done, bool), ApplyError> {
        let _share = self.turn.read().await;
        let name = &definition.name;
        let mut observed = None;
        for _ in 0..ATTEMPTS {
            let done = match plan_one(definition, observed.as_ref(), &self.policy()) {
                Change::Create { definition } => self.create(&definition).await,
                Change::Update { definition, revision, .. } => self.update(&definition, revision).await,
                Change::Refuse { name, why, reasons, .. } => Err(ApplyError::Refused { name, why, reasons }),
                Change::Keep { .. } | Change::Delete { .. } => Ok((Done::Kept, false)),
            };
            match done {
                Err(ApplyError::Stale { .. }) => {
                    observed = self.client.get(name).await.map_err(ApplyError::at_gateway("read", name))?;
                }
                done => {
                    debug!(upstream = %name, ?done, "upstream ensured");
                    return done;
                }
            }
        }
        Err(ApplyError::Stale { name: name.clone() })
    }

    async fn create(&self, definition: &Definition) -> Result<(Done, bool), ApplyError> {
        let name = &definition.name;
        let registered = self.ask(self.client.register_leased(definition, &self.holder, self.ttl())).await;
        match registered.map_err(ApplyError::at_gateway("register", name))? {
            RegisteredLeased::Created { .. } => {
                self.learn(Tenure::Leased);
                Ok((Done::Created, true))
            }
            RegisteredLeased::CreatedForGood => {
                self.learn(Tenure::Unleased);
                self.held().created.insert(name.clone());
                Ok((Done::Created, false))
            }
            RegisteredLeased::AlreadyExists => Err(ApplyError::Stale { name: name.clone() }),
        }
    }

    async fn update(&self, definition: &Definition, revision: Option<Revision>) -> Result<(Done, bool), ApplyError> {
        let name = &definition.name;
        match self.ask(self.client.update_leased(definition, revision, &self.holder, self.ttl())).await {
            Ok(Conditional::Done(updated)) => {
                let is_held = updated.revision.is_some();
                Ok((Done::Updated { warning: updated.warning }, is_held))
            }
            Ok(Conditional::Stale(_)) => Err(ApplyError::Stale { name: name.clone() }),
            Err(error) if error.is_not_found() => Err(ApplyError::Stale { name: name.clone() }),
            Err(error) => Err(ApplyError::at_gateway("update", name)(error)),
        }
    }

    /// Sets the leases to exactly the wanted names, for one more time to live. Returns the wanted names that are not
    /// registered.
    pub(super) async fn hold(&self) -> Result<Vec<ServerName>, proxy_client::Error> {
        let ttl = self.ttl();
        let client = self.client.within((ttl / 3).max(MIN_TTL));
        if self.held().tenure != Tenure::Unleased {
            let leased = match timeout(ttl / 3, self.turn.write()).await {
                Ok(_all) => {
                    let names: Vec<_> = self.held().wanted.keys().cloned().collect();
                    self.ask(client.lease(&self.holder, ttl, &names)).await
                }
                // Renew the present leases at least: a slow registration must not let them expire.
                Err(_elapsed) => client.renew_leases(&self.holder, ttl).await,
            };
            match leased {
                Ok(grant) => {
                    self.learn(Tenure::Leased);
                    let missing = grant.missing.iter().filter_map(|name| ServerName::stored(name).ok());
                    return Ok(missing.collect());
                }
                Err(error) if error.is_unsupported() => self.learn(Tenure::Unleased),
                Err(error) => return Err(error),
            }
        }
        let there = client.list().await?;
        let is_missing = |name: &&ServerName| !there.iter().any(|it| it.definition.name() == name.as_str());
        Ok(self.held().wanted.keys().filter(is_missing).cloned().collect())
    }

    /// Records if the gateway has leases, and warns once if not.
    fn learn(&self, tenure: Tenure) {
        let before = std::mem::replace(&mut self.held().tenure, tenure);
        if tenure == Tenure::Unleased && before != tenure {
            warn!("this gateway has no leases: registrations of a worker that is killed stay");
        }
    }

    fn policy(&self) -> Policy {
        Policy { adopt: self.options.adopt, ..Policy::new(self.options.owner.clone()) }
    }
}

/// Returns true if only people can resolve the error: an invalid definition, missing permission, another owner.
pub(super) fn is_final(error: &ApplyError) -> bool {
    const FOR_A_WHILE: [u16; 3] = [408, 409, 429];
    match error {
        ApplyError::Refused { .. } => true,
        ApplyError::Gateway { source, .. } => {
            source.status().is_some_and(|status| (400..500).contains(&status) && !FOR_A_WHILE.contains(&status))
        }
        ApplyError::Stale { .. } | ApplyError::Unusable { .. } | ApplyError::Withheld { .. } => false,
    }
}

impl Held {
    /// Forgets a wanted name. Returns true if it was wanted.
    pub(super) fn forget(&mut self, name: &ServerName) -> bool {
        self.pending.remove(name);
        self.needed.remove(name);
        self.wanted.remove(name).is_some()
    }

    /// Forgets all wanted names.
    pub(super) fn forget_all(&mut self) {
        self.wanted.clear();
        self.pending.clear();
        self.needed.clear();
    }

    /// Returns true if the worker may hold leases. A request that was never answered counts.
    pub(super) fn may_hold(&self) -> bool {
        match self.tenure {
            Tenure::Leased => true,
            Tenure::Unknown => self.asked > 0,
            Tenure::Unleased => false,
        }
    }
}

/// Renews the leases and registers missing definitions, until the service ends.
pub(super) async fn keep(shared: Arc<Shared>) {
    let longest = shared.ttl() / 3;
    let usual = shared.options.check_interval.clamp(SHORTEST_PAUSE, longest);
    let soon = usual.min(shared.options.poll_interval.max(SHORTEST_PAUSE));
    let mut pause = usual;
    loop {
        sleep(pause).await;
        if shared.held().wanted.is_empty() {
            continue;
        }
        pause = match shared.hold().await {
            Ok(missing) if restore(&shared, &missing).await => usual,
            // Back off while the gateway cannot register something.
            Ok(_) => (pause * 2).min(longest),
            Err(error) => {
                debug!(error = chain(&error), "leases cannot be renewed");
                soon
            }
        };
    }
}

/// Registers the wanted definitions that are missing or pending. Returns true if none is left.
async fn restore(shared: &Shared, missing: &[ServerName]) -> bool {
    let lost: Vec<Definition> = {
        let held = shared.held();
        let is_lost = |name: &ServerName| missing.contains(name) || held.pending.contains(name);
        held.wanted.iter().filter(|(name, _)| is_lost(name)).map(|(_, definition)| definition.clone()).collect()
    };
    if lost.is_empty() {
        return true;
    }
    warn!(upstreams = lost.len(), "the gateway lacks registrations; they are made now");
    let failures: Vec<ApplyError> = shared.settle(&lost).await.into_iter().filter_map(Result::err).collect();
    for failure in &failures {
        warn!(upstream = %failure.name(), error = chain(failure), "cannot be registered");
    }
    failures.is_empty()
}
