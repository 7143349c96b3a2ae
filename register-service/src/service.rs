//! What an engine's worker holds from start to stop: it makes sure of what its files declare, keeps it for as long as it
//! lives, offers and calls the tools, and takes with it only what it brought.

mod agent;
pub(crate) mod call;
mod catalog;
pub(crate) mod changes;
pub(crate) mod configured;
pub(crate) mod lease;
pub(crate) mod metrics;
mod observe;
pub(crate) mod options;
pub(crate) mod shutdown;
pub(crate) mod start;
pub(crate) mod tools;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proxy_client::{Client, Needs, Readiness};
use schemas::admin::Health;
use schemas::{Definition, Holder, ServerName};
use tokio::task::JoinSet;

use crate::apply::{ApplyError, Done};
use crate::service::changes::Watch;
use crate::service::lease::{Shared, Tenure, keep};
use crate::service::observe::observe;
use crate::service::options::{InvalidSetting, Options, client, invalid};
use crate::service::start::{NotStarted, Started, Wanted};

/// Keeps a gateway in step with what a worker needs.
///
/// What it registers is leased: it is renewed for as long as the service lives, survives while any worker needs it, and
/// goes by itself with the last of them, also after SIGKILL. A gateway that has lost it, because it was restarted, is
/// given it again. At a gateway without leases it removes at [`shutdown`](Self::shutdown) what it itself created, and
/// nothing else: what was there before, and what a sibling registered, stays.
///
/// ```no_run
/// use std::time::Duration;
///
/// use proxy_client::Client;
/// use register_service::{Environment, Options, RegisterService, Settings, Wanted, load};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let gateway: register_service::GatewayUrl = "http://127.0.0.1:6001".parse()?;
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
/// Methods that register start a task, so they are to be called within a tokio runtime.
#[derive(Debug)]
pub struct RegisterService {
    shared: Arc<Shared>,
    ids: Mutex<BTreeMap<String, ServerName>>,
    watch: Watch,
    /// The tasks that keep what is registered and count what is connected. They end with the service.
    keeper: Mutex<JoinSet<()>>,
    /// The task that asks for the list of tools again.
    refresher: Mutex<JoinSet<()>>,
}

/// Some of what was to be ensured was not. The rest was.
///
/// ```no_run
/// use register_service::NotEnsured;
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
    /// What was done, in the order asked.
    pub done: Vec<(ServerName, Done)>,
    /// What was not, in the order asked.
    pub failures: Vec<ApplyError>,
}

/// A list of failures, each with its causes.
pub(crate) fn told(failures: &[ApplyError]) -> String {
    let told = |failure: &ApplyError| format!("MCP {}: {}", failure.name(), chain(failure));
    failures.iter().map(told).collect::<Vec<_>>().join("; ")
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl RegisterService {
    /// A service that has not registered anything yet. Nothing is sent.
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

    /// A service with the settings that these variables hold, or nothing without `MCP_PROXY_URL`: then there is no
    /// gateway. See [`Options::from_lookup`] for the options, [`ClientBuilder`](proxy_client::ClientBuilder) for the
    /// token and `MCP_CLIENT_TIMEOUT`. What else is set of the client:
    ///
    /// | variable | default | what |
    /// |---|---|---|
    /// | `LLM_RETRY_ATTEMPTS` | 3 | how often a request is sent again that may be |
    /// | `LLM_RETRY_BACKOFF_BASE`, `LLM_RETRY_BACKOFF_MAX` | `100ms`, `10s` | the wait before, which doubles, and the longest |
    /// | `LLM_RETRY_JITTER`, `LLM_RETRY_JITTER_PERCENT` | `true`, 10 | by how much it varies |
    /// | `MCP_PROXY_MAX_IDLE_CONNS`, `MCP_PROXY_MAX_IDLE_CONNS_PER_HOST` | 128 | connections that are kept; with one gateway the lower one counts, and 0 is the default |
    /// | `MCP_PROXY_IDLE_CONN_TIMEOUT` | `20s` | how long; below what gateways keep them for |
    /// | `MCP_PROXY_MAX_CONNS_PER_HOST` | | checked and without effect, which is logged: connections are not bounded, but what uses them is by `LLM_MAX_CONCURRENT_TOOLS` |
    ///
    /// ```
    /// use register_service::RegisterService;
    ///
    /// let service = RegisterService::from_lookup(|name| std::env::var(name).ok())?;
    /// if service.is_none() {
    ///     eprintln!("MCP_PROXY_URL is not set: working without a gateway");
    /// }
    /// # Ok::<(), register_service::InvalidSetting>(())
    /// ```
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, InvalidSetting> {
        Self::from_lookup_with(lookup, |options| options)
    }

    /// The same, with those options that only code can set, or that it knows better.
    ///
    /// ```
    /// use register_service::{Adopt, Naming, Options, RegisterService};
    ///
    /// let service = RegisterService::from_lookup_with(
    ///     |name| std::env::var(name).ok(),
    ///     |mut options| {
    ///         options.selection.own = vec!["calculator".to_owned()];
    ///         options.selection.naming = Naming::Qualified;
    ///         Options { adopt: Adopt::Anything, ..options }
    ///     },
    /// )?;
    /// # Ok::<(), register_service::InvalidSetting>(())
    /// ```
    pub fn from_lookup_with(
        lookup: impl Fn(&str) -> Option<String>,
        adjust: impl FnOnce(Options) -> Options,
    ) -> Result<Option<Self>, InvalidSetting> {
        let Some(builder) = client(&lookup)? else { return Ok(None) };
        let client = builder.build().map_err(|error| invalid("MCP_PROXY_URL", error))?;
        Ok(Some(Self::new(client, adjust(Options::from_lookup(lookup)?))))
    }

    /// The client it uses, for whatever this service does not do.
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

    /// Who holds its leases.
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

    /// What ends the registrations it made, as far as that is known.
    ///
    /// ```no_run
    /// # fn run(service: register_service::RegisterService) {
    /// if service.tenure() == register_service::Tenure::Unleased {
    ///     eprintln!("if this worker is killed, its registrations stay");
    /// }
    /// # }
    /// ```
    pub fn tenure(&self) -> Tenure {
        self.shared.held().tenure
    }

    /// Whether the gateway is alive.
    ///
    /// ```
    /// use proxy_client::Client;
    /// use register_service::{Options, RegisterService};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Nobody listens there.
    /// let client = Client::builder("http://127.0.0.1:1").retries(0).build()?;
    /// let health = RegisterService::new(client, Options::default()).health_check().await;
    /// assert!(health.is_err_and(|error| error.is_unreachable()));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn health_check(&self) -> Result<Health, proxy_client::Error> {
        self.shared.client.health().await
    }

    /// Goes as far as a worker has to before it works: the gateway healthy, every definition registered, every required
    /// server connected. Whatever comes late is waited for, up to [`Options::readiness_timeout`]; what only people can
    /// mend ends it at once.
    ///
    /// Nothing waits for a gateway or a server that is not required. What could not be registered by the end, well or
    /// not, is as soon as the gateway takes it; [`Started::pending`] names it.
    ///
    /// ```no_run
    /// use register_service::Wanted;
    ///
    /// # async fn run(service: register_service::RegisterService, definition: schemas::Definition) {
    /// match service.start(&Wanted::new(vec![definition])).await {
    ///     Ok(started) => println!("{}", started.readiness),
    ///     Err(late) => {
    ///         for missing in &late.readiness.missing {
    ///             eprintln!("{missing}");
    ///         }
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn start(&self, wanted: &Wanted) -> Result<Started, NotStarted> {
        self.ids().extend(wanted.ids.clone());
        self.shared.held().needed.extend(wanted.needs.names().cloned());
        self.keep();
        start::start(self, wanted, self.shared.options.readiness_timeout).await
    }

    /// Makes sure that this is registered: created if it is not there, replaced if it differs, left alone if not; and
    /// that it stays for as long as this service lives.
    ///
    /// What failed because the gateway was not there is done when it is.
    ///
    /// ```no_run
    /// use register_service::Done;
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

    /// [`ensure`](Self::ensure)s all of these, several at a time. One failure stops none of the others; all are
    /// reported.
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

    /// Waits until all that is required is connected, and says what of it is not, and what of the rest.
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

    /// Removes a registration, whoever made it. `false` if there was none.
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

    /// The names that the gateway has, whoever registered them.
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

    /// Whether the gateway has this name, whoever registered it.
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

    pub(crate) async fn settle(&self, definitions: &[Definition]) -> Vec<Result<Done, ApplyError>> {
        self.keep();
        self.shared.settle(definitions).await
    }

    /// From now on what is wanted is kept at the gateway.
    fn keep(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.is_empty() {
            keeper.spawn(keep(Arc::clone(&self.shared)));
            keeper.spawn(observe(Arc::clone(&self.shared)));
        }
    }

    fn ids(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, ServerName>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name that no other worker has. The state of a hash map's hasher is random and needs no source that can fail.
#[expect(clippy::expect_used, reason = "digits and dashes are a name")]
fn draw() -> Holder {
    let random = RandomState::new().hash_one(std::process::id());
    format!("worker-{}-{random:016x}", std::process::id()).parse().expect("a name")
}

#[cfg(test)]
mod tests;
