//! What an engine's worker holds from start to stop: it makes sure of what its files declare, and takes with it only
//! what it brought.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use proxy_client::{Client, NotReady};
use schemas::admin::Health;
use schemas::{Definition, Owner, ServerName};
use tokio::time::Instant;
use tracing::debug;

use crate::apply::{ApplyError, Done, create, update};
use crate::plan::{Adopt, Change, Policy, change};

/// A name can vanish between two requests, not again and again.
const ATTEMPTS: usize = 3;

/// How a [`RegisterService`] works.
#[derive(Debug, Clone)]
pub struct Options {
    /// In whose name registrations are made.
    pub owner: Owner,
    /// Which registrations of others may be replaced. By default those without an owner, which is what a Go engine
    /// leaves behind.
    pub adopt: Adopt,
    /// How many registrations are under way at once; at least one.
    pub concurrency: usize,
    /// How often the gateway is asked while waiting.
    pub poll_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            owner: Owner::default(),
            adopt: Adopt::Unowned,
            concurrency: 5,
            poll_interval: Duration::from_millis(200),
        }
    }
}

/// Keeps a gateway in step with what a worker needs.
///
/// It remembers what it itself created. [`shutdown`](Self::shutdown) removes that and nothing else: what was there
/// before, and what a sibling registered, stays.
///
/// ```no_run
/// use std::time::Duration;
///
/// use proxy_client::Client;
/// use register_service::{Environment, Options, RegisterService, Settings, load};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let gateway: register_service::GatewayUrl = "http://127.0.0.1:6001".parse()?;
/// let client = Client::builder(gateway.as_str()).build()?;
/// let desired = load(&["workflows".into()], &Settings::new(gateway, Environment::default()))?.desired;
///
/// let service = RegisterService::new(client, Options::default());
/// service.health_check().await?;
/// service.ensure_all(&desired.definitions()).await?;
/// service.wait_until_ready(&desired.names(), Duration::from_secs(60)).await?;
/// // ... work ...
/// service.shutdown(Duration::from_secs(10)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RegisterService {
    client: Client,
    options: Options,
    created: Mutex<BTreeSet<ServerName>>,
}

/// Some of what was to be ensured was not. The rest was.
#[derive(Debug, thiserror::Error)]
#[error("failed to register {} MCPs: {}", .failures.len(), told(.failures))]
#[non_exhaustive]
pub struct NotEnsured {
    /// What was done, in the order asked.
    pub done: Vec<(ServerName, Done)>,
    /// What was not, in the order asked.
    pub failures: Vec<ApplyError>,
}

/// Some of what this worker created could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("failed to deregister {} MCPs: {}", .failures.len(), told(.failures))]
#[non_exhaustive]
pub struct NotRemoved {
    /// What was removed.
    pub removed: Vec<ServerName>,
    /// What was not. It is still remembered, so that shutting down can be tried again.
    pub failures: Vec<ApplyError>,
}

/// A list of failures, each with its causes.
fn told(failures: &[ApplyError]) -> String {
    let chain = |failure: &ApplyError| {
        let mut text = format!("MCP {}: {failure}", failure.name());
        let mut cause = std::error::Error::source(failure);
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        text
    };
    failures.iter().map(chain).collect::<Vec<_>>().join("; ")
}

impl RegisterService {
    /// A service that has not registered anything yet. Nothing is sent.
    pub fn new(client: Client, options: Options) -> Self {
        Self { client, options, created: Mutex::default() }
    }

    /// The client it uses, to list and call tools with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the gateway is alive.
    pub async fn health_check(&self) -> Result<Health, proxy_client::Error> {
        self.client.health().await
    }

    /// Makes sure that this is registered: created if it is not there, replaced if it differs, left alone if not.
    pub async fn ensure(&self, definition: &Definition) -> Result<Done, ApplyError> {
        let name = &definition.name;
        let mut observed = None;
        for _ in 0..ATTEMPTS {
            let done = match change(definition, observed.as_ref(), &self.policy()) {
                Change::Create { definition } => create(&self.client, &definition).await,
                Change::Update { definition, revision, .. } => update(&self.client, &definition, revision).await,
                Change::Refuse { name, why, reasons, .. } => Err(ApplyError::Refused { name, why, reasons }),
                Change::Keep { .. } | Change::Delete { .. } => Ok(Done::Kept),
            };
            match done {
                Err(ApplyError::Stale { .. }) => {
                    observed = self.client.get(name).await.map_err(ApplyError::at_gateway("read", name))?;
                }
                Ok(done) => {
                    debug!(upstream = %name, ?done, "upstream ensured");
                    if done == Done::Created {
                        self.remember(name.clone());
                    }
                    return Ok(done);
                }
                Err(error) => return Err(error),
            }
        }
        Err(ApplyError::Stale { name: name.clone() })
    }

    /// [`ensure`](Self::ensure)s all of these, several at a time. One failure stops none of the others; all are
    /// reported.
    pub async fn ensure_all(&self, definitions: &[Definition]) -> Result<Vec<(ServerName, Done)>, NotEnsured> {
        let (mut done, mut failures) = (Vec::new(), Vec::new());
        let mut results = stream::iter(definitions)
            .map(|definition| async move { (definition.name.clone(), self.ensure(definition).await) })
            .buffered(self.options.concurrency.max(1));
        while let Some((name, result)) = results.next().await {
            match result {
                Ok(what) => done.push((name, what)),
                Err(failure) => failures.push(failure),
            }
        }
        if failures.is_empty() { Ok(done) } else { Err(NotEnsured { done, failures }) }
    }

    /// Waits until all of these are connected, or says which are not and why.
    pub async fn wait_until_ready(&self, names: &[ServerName], within: Duration) -> Result<(), NotReady> {
        self.client.wait_for_connections(names, self.options.poll_interval, within).await
    }

    /// Removes a registration, whoever made it. `false` if there was none.
    pub async fn deregister(&self, name: &ServerName) -> Result<bool, ApplyError> {
        let removed = self.client.deregister(name).await.map_err(ApplyError::at_gateway("deregister", name))?;
        self.forget(name);
        Ok(removed)
    }

    /// The names that the gateway has, whoever registered them.
    pub async fn list_registered(&self) -> Result<Vec<ServerName>, proxy_client::Error> {
        let list = self.client.list().await?;
        Ok(list.iter().filter_map(|it| ServerName::stored(it.definition.name()).ok()).collect())
    }

    /// Whether the gateway has this name, whoever registered it.
    pub async fn is_registered(&self, name: &ServerName) -> Result<bool, ApplyError> {
        let found = self.client.get(name).await.map_err(ApplyError::at_gateway("read", name))?;
        Ok(found.is_some())
    }

    /// Removes what this service created, within a deadline, and says what that was. What was already gone counts.
    pub async fn shutdown(&self, within: Duration) -> Result<Vec<ServerName>, NotRemoved> {
        let end = Instant::now() + within;
        let names: Vec<ServerName> = self.created().iter().cloned().collect();
        let (mut removed, mut failures) = (Vec::new(), Vec::new());
        let mut results = stream::iter(names)
            .map(|name| async move {
                // A millisecond, because a deadline of zero would not even be tried.
                let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
                let result = self.client.within(left).deregister(&name).await;
                (result, name)
            })
            .buffered(self.options.concurrency.max(1));
        while let Some((result, name)) = results.next().await {
            match result {
                Ok(_) => {
                    debug!(upstream = %name, "upstream deregistered");
                    self.forget(&name);
                    removed.push(name);
                }
                Err(error) => failures.push(ApplyError::at_gateway("deregister", &name)(error)),
            }
        }
        if failures.is_empty() { Ok(removed) } else { Err(NotRemoved { removed, failures }) }
    }

    fn policy(&self) -> Policy {
        Policy { adopt: self.options.adopt, ..Policy::new(self.options.owner.clone()) }
    }

    fn created(&self) -> std::sync::MutexGuard<'_, BTreeSet<ServerName>> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, name: ServerName) {
        self.created().insert(name);
    }

    fn forget(&self, name: &ServerName) {
        self.created().remove(name);
    }
}

#[cfg(test)]
mod tests;
