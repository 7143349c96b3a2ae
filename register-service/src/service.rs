//! The registrations of one worker of an engine, from start to stop: registers the declared definitions, keeps them
//! registered while the worker lives, offers and calls their tools, and finally removes only what the worker created.

mod agent;
pub(crate) mod call;
mod catalog;
pub(crate) mod changes;
pub(crate) mod configured;
mod failure;
pub(crate) mod lease;
pub(crate) mod metrics;
mod observe;
pub(crate) mod options;
pub(crate) mod shutdown;
pub(crate) mod start;
mod tool_list;
pub(crate) mod tools;
pub(crate) mod wanted;
mod watch;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proxy_client::{Client, Needs, Readiness};
use schemas::admin::Health;
use schemas::{Definition, Holder, ServerName};
use tokio::task::JoinSet;

use crate::apply::{ApplyError, Done};
use crate::service::changes::Changes;
use crate::service::failure::told;
use crate::service::lease::{Shared, Tenure, keep};
use crate::service::observe::observe;
use crate::service::options::client::client;
use crate::service::options::{InvalidSetting, Options, invalid};
use crate::service::watch::Watch;
use crate::sync::lock;

/// Keeps a worker's registrations at the gateway.
///
/// Takes leases on the registrations and renews them while the service lives. A registration stays as long as any
/// worker leases it, and is removed when the last lease ends, also after SIGKILL. The service registers again what a
/// restarted gateway has lost. At a gateway without leases, [`shutdown`](Self::shutdown) removes the registrations
/// that this service created, and no others.
///
/// ```no_run
/// use std::time::Duration;
///
/// use proxy_client::Client;
/// use register_service::{Environment, Options, RegisterService, Settings, Wanted, load};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let gateway: register_service::files::GatewayUrl = "http://127.0.0.1:6001".parse()?;
/// let client = Client::builder(gateway.as_str()).build()?;
/// let desired = load(&["workflows".into()], &Settings::new(gateway, Environment::default()))?.desired;
///
/// let service = RegisterService::new(client, Options::default());
/// let started = service.start(&Wanted::from(&desired)).await?;
/// println!("{}", started.readiness);
///
/// let answer = service.call(&"$mcp(search#web)".parse()?, r#"{"query":"rust"}"#).await?;
/// println!("{}", answer.to_text());
///
/// service.shutdown(Duration::from_secs(10)).await?;
/// # Ok(())
/// # }
/// ```
///
/// Methods that register spawn tasks, so they must be called within a tokio runtime.
#[derive(Debug)]
pub struct RegisterService {
    shared: Arc<Shared>,
    ids: Mutex<BTreeMap<String, ServerName>>,
    watch: Watch,
    /// Tasks that keep the registrations and measure connections. They end with the service.
    keeper: Mutex<JoinSet<()>>,
    /// Task that refreshes the list of tools.
    refresher: Mutex<JoinSet<()>>,
}

/// Error of [`RegisterService::ensure_all`]: some definitions could not be registered. The others were.
///
/// ```no_run
/// use register_service::worker::NotEnsured;
///
/// # async fn run(service: register_service::RegisterService, definitions: Vec<schemas::Definition>) {
/// if let Err(NotEnsured { done, failures, .. }) = service.ensure_all(&definitions).await {
///     eprintln!("{} are registered; {} are not:", done.len(), failures.len());
///     for failure in failures {
///         eprintln!("{}: {failure}", failure.name());
///     }
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("failed to register {} MCPs: {}", .failures.len(), told(.failures))]
#[non_exhaustive]
pub struct NotEnsured {
    /// Successful registrations, in the order of the request.
    pub done: Vec<(ServerName, Done)>,
    /// Failures, in the order of the request.
    pub failures: Vec<ApplyError>,
}

impl RegisterService {
    /// Creates a service, without sending anything.
    ///
    /// ```
    /// use proxy_client::Client;
    /// use register_service::{Options, RegisterService};
    ///
    /// let client = Client::builder("http://127.0.0.1:6001").build()?;
    /// let service = RegisterService::new(client, Options::default());
    /// assert!(service.holder().as_str().starts_with("worker-"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(client: Client, options: Options) -> Self {
        let holder = options.holder.clone().unwrap_or_else(draw);
        let shared = Arc::new(Shared::new(client, options, holder));
        let watch = Watch::new(Arc::clone(&shared));
        Self { shared, ids: Mutex::default(), watch, keeper: Mutex::default(), refresher: Mutex::default() }
    }

    /// Creates a service from environment variables; `None` without `MCP_PROXY_URL`, which means that there is no
    /// gateway. See [`Options::from_lookup`] for the options and [`ClientBuilder`](proxy_client::ClientBuilder) for
    /// the token and `MCP_CLIENT_TIMEOUT`. Further variables configure the client:
    ///
    /// | variable | default | meaning |
    /// |---|---|---|
    /// | `LLM_RETRY_ATTEMPTS` | 3 | maximum number of retries of a request that may be retried |
    /// | `LLM_RETRY_BACKOFF_BASE`, `LLM_RETRY_BACKOFF_MAX` | `100ms`, `10s` | first delay, which doubles, and longest delay |
    /// | `LLM_RETRY_JITTER`, `LLM_RETRY_JITTER_PERCENT` | `true`, 10 | random variation of the delay |
    /// | `MCP_PROXY_MAX_IDLE_CONNS`, `MCP_PROXY_MAX_IDLE_CONNS_PER_HOST` | 128 | maximum number of idle connections; the lower value counts, and 0 means the default |
    /// | `MCP_PROXY_IDLE_CONN_TIMEOUT` | `20s` | idle time after which a connection is closed; shorter than gateways' own |
    /// | `MCP_PROXY_MAX_CONNS_PER_HOST` | | checked and logged, but without effect: `LLM_MAX_CONCURRENT_TOOLS` limits the calls that use connections |
    ///
    /// ```
    /// use register_service::RegisterService;
    ///
    /// let service = RegisterService::from_lookup(|name| std::env::var(name).ok())?;
    /// if service.is_none() {
    ///     eprintln!("MCP_PROXY_URL is not set: working without a gateway");
    /// }
    /// # Ok::<(), register_service::worker::InvalidSetting>(())
    /// ```
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, InvalidSetting> {
        Self::from_lookup_with(lookup, |options| options)
    }

    /// Creates a service from environment variables, with options adjusted in code.
    ///
    /// ```
    /// use register_service::plan::Adopt;
    /// use register_service::worker::Naming;
    /// use register_service::{Options, RegisterService};
    ///
    /// let service = RegisterService::from_lookup_with(
    ///     |name| std::env::var(name).ok(),
    ///     |mut options| {
    ///         options.selection.own = vec!["calculator".to_owned()];
    ///         options.selection.naming = Naming::Qualified;
    ///         Options { adopt: Adopt::Anything, ..options }
    ///     },
    /// )?;
    /// # Ok::<(), register_service::worker::InvalidSetting>(())
    /// ```
    pub fn from_lookup_with(
        lookup: impl Fn(&str) -> Option<String>,
        adjust: impl FnOnce(Options) -> Options,
    ) -> Result<Option<Self>, InvalidSetting> {
        let Some(builder) = client(&lookup)? else { return Ok(None) };
        let client = builder.build().map_err(|error| invalid("MCP_PROXY_URL", error))?;
        Ok(Some(Self::new(client, adjust(Options::from_lookup(lookup)?))))
    }

    /// Returns the client of the gateway, for requests that this service does not make.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService) -> Result<(), proxy_client::Error> {
    /// let counts = service.client().metrics().await?.metrics;
    /// println!("{} of {} servers are connected", counts.connected, counts.total_clients);
    /// # Ok(())
    /// # }
    /// ```
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// Returns the holder of the service's leases.
    ///
    /// ```
    /// use proxy_client::Client;
    /// use register_service::{Options, RegisterService};
    ///
    /// let client = Client::builder("http://127.0.0.1:6001").build()?;
    /// let options = Options { holder: Some("worker-7".parse()?), ..Options::default() };
    /// assert_eq!(RegisterService::new(client, options).holder().as_str(), "worker-7");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn holder(&self) -> &Holder {
        &self.shared.holder
    }

    /// Returns the way in which the service's registrations end, as far as it is known.
    ///
    /// ```no_run
    /// # fn run(service: register_service::RegisterService) {
    /// if service.tenure() == register_service::worker::Tenure::Unleased {
    ///     eprintln!("if this worker is killed, its registrations stay");
    /// }
    /// # }
    /// ```
    pub fn tenure(&self) -> Tenure {
        self.shared.held().tenure
    }

    /// Asks the gateway for its health.
    ///
    /// ```
    /// use proxy_client::Client;
    /// use register_service::{Options, RegisterService};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // No server listens there.
    /// let client = Client::builder("http://127.0.0.1:1").retries(0).build()?;
    /// let health = RegisterService::new(client, Options::default()).health_check().await;
    /// assert!(health.is_err_and(|error| error.is_unreachable()));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn health_check(&self) -> Result<Health, proxy_client::Error> {
        self.shared.client.health().await
    }

    /// Ensures that a definition is registered: creates it if absent, replaces it if different, otherwise leaves it.
    /// Keeps it registered while this service lives.
    ///
    /// If the gateway is unreachable, the definition is registered once it is reachable.
    ///
    /// ```no_run
    /// use register_service::plan::Done;
    ///
    /// # async fn run(service: register_service::RegisterService) -> Result<(), Box<dyn std::error::Error>> {
    /// let definition = serde_json::from_str(r#"{"name":"time","transport":"stdio","command":"mcp-server-time"}"#)?;
    /// match service.ensure(&definition).await? {
    ///     Done::Kept => println!("it was there already, as declared"),
    ///     Done::Updated { warning: Some(warning) } => eprintln!("registered, but: {warning}"),
    ///     done => println!("{done:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ensure(&self, definition: &Definition) -> Result<Done, ApplyError> {
        let mut results = self.settle(std::slice::from_ref(definition)).await;
        results.pop().unwrap_or_else(|| Err(ApplyError::Stale { name: definition.name.clone() }))
    }

    /// Calls [`ensure`](Self::ensure) for all definitions, several at a time. A failure does not stop the others; the
    /// error reports all failures.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService, of_an_agent: Vec<schemas::Definition>)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// for (name, done) in service.ensure_all(&of_an_agent).await? {
    ///     println!("{name}: {done:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ensure_all(&self, definitions: &[Definition]) -> Result<Vec<(ServerName, Done)>, NotEnsured> {
        let (mut done, mut failures) = (Vec::new(), Vec::new());
        for (definition, result) in definitions.iter().zip(self.settle(definitions).await) {
            match result {
                Ok(what) => done.push((definition.name.clone(), what)),
                Err(failure) => failures.push(failure),
            }
        }
        if failures.is_empty() { Ok(done) } else { Err(NotEnsured { done, failures }) }
    }

    /// Waits until all required servers are connected. Reports the required and optional servers that are not.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(service: register_service::RegisterService) -> Result<(), Box<dyn std::error::Error>> {
    /// let needs = proxy_client::Needs::required(["search".parse()?]).with_optional(["time".parse()?]);
    /// let readiness = service.wait_until_ready(&needs, Duration::from_secs(60)).await;
    /// if !readiness.is_ready() {
    ///     eprintln!("{readiness}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_until_ready(&self, needs: &Needs, within: Duration) -> Readiness {
        let poll = self.shared.options.poll_interval;
        let readiness = self.shared.client.wait_until_ready(needs, poll, within).await;
        self.shared.count_ready(needs, &readiness);
        readiness
    }

    /// Removes a registration of any owner. Returns `false` if there was none.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService) -> Result<(), Box<dyn std::error::Error>> {
    /// let name = "time".parse()?;
    /// if !service.deregister(&name).await? {
    ///     println!("{name} was gone already");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn deregister(&self, name: &ServerName) -> Result<bool, ApplyError> {
        let before = self.shared.held().wanted.remove(name);
        let removed = self.shared.client.deregister(name).await;
        match removed {
            Ok(removed) => {
                self.shared.held().created.remove(name);
                self.shared.catalog.outdate();
                Ok(removed)
            }
            Err(error) => {
                self.shared.held().wanted.extend(before.map(|definition| (name.clone(), definition)));
                Err(ApplyError::at_gateway("deregister", name)(error))
            }
        }
    }

    /// Returns the names of all registrations, of any owner.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService) -> Result<(), proxy_client::Error> {
    /// for name in service.list_registered().await? {
    ///     println!("{name}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list_registered(&self) -> Result<Vec<ServerName>, proxy_client::Error> {
        let list = self.shared.client.list().await?;
        Ok(list.iter().filter_map(|it| ServerName::stored(it.definition.name()).ok()).collect())
    }

    /// Returns true if the name is registered, by any owner.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService) -> Result<(), Box<dyn std::error::Error>> {
    /// if !service.is_registered(&"search".parse()?).await? {
    ///     eprintln!("`search` has to be registered by whoever runs it");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn is_registered(&self, name: &ServerName) -> Result<bool, ApplyError> {
        let found = self.shared.client.get(name).await.map_err(ApplyError::at_gateway("read", name))?;
        Ok(found.is_some())
    }

    /// Subscribes to changes of the servers that this worker needs, or of all servers while it needs none. While there
    /// is a receiver, the gateway is polled every [`Options::watch_interval`](crate::Options::watch_interval), once
    /// for all receivers.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService) {
    /// let mut changes = service.changes();
    /// while let Some(change) = changes.next().await {
    ///     println!("{} servers, {} tools", change.servers.len(), change.tools.len());
    /// }
    /// # }
    /// ```
    pub fn changes(&self) -> Changes {
        self.watch.listen()
    }

    pub(crate) async fn settle(&self, definitions: &[Definition]) -> Vec<Result<Done, ApplyError>> {
        self.keep();
        self.shared.settle(definitions).await
    }

    /// Starts the background tasks, if they are not running.
    fn keep(&self) {
        let mut keeper = lock(&self.keeper);
        if keeper.is_empty() {
            keeper.spawn(keep(Arc::clone(&self.shared)));
            keeper.spawn(observe(Arc::clone(&self.shared)));
        }
    }

    fn ids(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, ServerName>> {
        lock(&self.ids)
    }
}

/// Generates a unique holder name. Uses the random state of a hasher, which cannot fail.
#[expect(clippy::expect_used, reason = "digits and dashes are a name")]
fn draw() -> Holder {
    let random = RandomState::new().hash_one(std::process::id());
    format!("worker-{}-{random:016x}", std::process::id()).parse().expect("a name")
}

#[cfg(test)]
mod tests;
