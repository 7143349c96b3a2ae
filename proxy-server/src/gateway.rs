//! Composition: bind, mount the routers, run, and shut down in order.

mod accept;
mod address;
mod compose;
mod listen;
mod settings;
mod start_error;
#[cfg(test)]
mod tests;
mod unix;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::HeaderValue;
use jiff::Timestamp;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::call::AccessLog;
use crate::config::Config;
use crate::control::{Control, DeclaredServers};
use crate::downstream::{self, Edge, Origins, Servers, Service};
use crate::gateway::accept::Acceptor;
pub use crate::gateway::address::Address;
use crate::gateway::compose::{Composed, compose};
use crate::gateway::listen::Bound;
pub(crate) use crate::gateway::listen::{Inherited, check_address};
use crate::gateway::settings::Settings;
pub use crate::gateway::start_error::StartError;
use crate::http::client::{Dialer, Limits as DialLimits};
use crate::http::server::{Drain, Route, Tls};
use crate::keys::Keys;
use crate::policy::Policy;
use crate::registry::{OpenError, Opened, Registry};
use crate::sync::lock;
use crate::tasks::{Lanes, Tasks};
use crate::telemetry::{Actor, Audit, Entry, EventType, StateChanges};

/// Time for connections that were accepted last to get their first response, also from a client that never sends a request.
const FIRST_RESPONSES: Duration = Duration::from_secs(1);
/// Time for child processes to end after all calls are done; longer than the time until a child is killed.
const CHILD_GRACE: Duration = Duration::from_secs(7);

/// Like [`CHILD_GRACE`] for a gateway on standard streams, whose parent waits 2 s at most.
const STDIO_GRACE: Duration = Duration::from_millis(900);

/// A running gateway. It runs until [`Gateway::stop`], or until its runtime ends.
///
/// ```no_run
/// # async fn example() -> Result<(), proxy_server::StartError> {
/// let gateway = proxy_server::Gateway::start(proxy_server::Config::ephemeral()).await?;
/// println!("clients connect to {}/NAME/stream", gateway.url());
/// gateway.stop().await;
/// # Ok(())
/// # }
/// ```
pub struct Gateway {
    address: Address,
    admin_address: Address,
    url: String,
    tasks: Tasks,
    edge: Arc<Edge>,
    drain: Drain,
    accepting: Tasks,
    connections: Tasks,
    lanes: Arc<Lanes>,
    registry: Registry,
    control: Arc<Control>,
    policy: Arc<Policy>,
    settings: Settings,
    /// The configuration at start, whose fixed settings stay in effect.
    started: Config,
    /// The configuration that was applied last.
    applied: Mutex<Config>,
    audit: Audit,
    access_log: AccessLog,
    events: StateChanges,
    tls: Option<Tls>,
    #[cfg_attr(not(test), expect(dead_code, reason = "a test tries each with each credential"))]
    routes: Vec<Route>,
}

impl Gateway {
    /// Binds the address and starts serving.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        // Boxed, because the futures of embedding programs would hold it, and that of the start is large.
        Box::pin(Self::start_on(None, config)).await
    }

    /// Starts serving on the socket that the service manager passed, or on the configured address if there is none.
    pub(crate) async fn start_on(inherited: Option<Inherited>, config: Config) -> Result<Self, StartError> {
        let tls = Tls::load(&config.tls).map_err(|error| StartError::Tls(error.into()))?;
        let bound = match inherited {
            Some(inherited) => inherited.bound(&config)?,
            None => Bound::bind(&config).await?,
        };
        let bound_admin = Bound::bind_admin(&config).await?;
        let (audit, access_log, events) = open_logs(&config)?;
        let opened = Opened::open(&config.storage, bound.storage_port(&config), config.upstream.upstreams).await?;
        let keys = opened.keys().map_err(OpenError::from)?;
        let mark = own_mark(&keys)?;
        let dialer = Dialer::new(limits(&config), config.network.clone(), mark.clone());
        let listening = bound.listen(&config)?;
        let listening_admin = bound_admin.map(|bound| bound.listen(&config)).transpose()?;
        let address = listening.address.clone();
        let admin_address = listening_admin.as_ref().map_or(&address, |listening| &listening.address).clone();
        dialer.set_own([&address, &admin_address].into_iter().filter_map(Address::tcp).collect());
        let (tasks, connections, drain) = (Tasks::default(), Tasks::default(), Drain::default());
        let settings = Settings::new(&config);
        let registry = Registry::start(opened, (audit.clone(), events.clone()), &tasks);
        let Composed { edge, control, policy, counts, routers, routes } = compose(
            (&config, &settings, &keys),
            (registry.clone(), dialer, (audit.clone(), access_log.clone(), events.clone())),
            &tasks,
            &drain,
        );
        control.declare(config.servers.clone().unwrap_or_else(DeclaredServers::none));
        let lanes = Arc::new(Lanes::start().map_err(StartError::Threads)?);
        let accepting = Tasks::default();
        for (listening, router, has_endpoints) in
            [(Some(listening), routers.main, true), (listening_admin, routers.admin, false)]
        {
            let Some(listening) = listening else { continue };
            let origins = Origins {
                sites: config.sites(ip(&listening.address)),
                own_mark: Some(mark.clone()),
                has_cards: config.downstream.server_cards,
            };
            let service = Service { origins, edge: Arc::clone(&edge), router, has_endpoints };
            let tls = tls.clone().filter(|_| listening.address.tcp().is_some());
            let shared = (Arc::clone(&lanes), connections.clone(), Arc::clone(&counts));
            let acceptor = Acceptor::new(service, shared, config.max_connections, (drain.clone(), tls));
            accepting.spawn("accept", acceptor.run(listening));
        }
        let url = public_url(&config, &address);
        audit.note(start_entry(&registry, &url));
        events.note_all(vec![start_entry(&registry, &url)]);
        Ok(Self {
            address,
            admin_address,
            url,
            tasks,
            edge,
            drain,
            accepting,
            connections,
            lanes,
            registry,
            control,
            policy,
            settings,
            applied: Mutex::new(config.clone()),
            started: config,
            audit,
            access_log,
            events,
            tls,
            routes,
        })
    }

    /// Returns the address that the gateway listens on.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the address of the admin API.
    pub(crate) fn admin_address(&self) -> &Address {
        &self.admin_address
    }

    /// Returns the URL under which clients reach the gateway, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Applies the settings that can change while the gateway runs, `mcp-proxy config show --output json` tells which, and
    /// registers the servers of the configuration file as it is now. All other settings stay as they were at start.
    /// Refuses settings that would open the admin API to other machines, and then changes nothing.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use proxy_server::{Config, Gateway};
    ///
    /// let gateway = Gateway::start(Config::from_flags(["--port", "0"])?).await?;
    /// gateway.reload(&Config::from_flags(["--call-timeout", "1m"])?)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        let renewed = self.started.renewed(config);
        if let Some(address) = self.admin_address.tcp().filter(|address| renewed.is_open_to_strangers(address.ip())) {
            return Err(StartError::OpenAdmin(address));
        }
        if let Some(tls) = &self.tls {
            tls.reload(&self.started.tls).map_err(|error| StartError::Tls(error.into()))?;
        }
        let fixed = self.started.fixed_changes(config);
        if !fixed.is_empty() {
            warn!(settings = fixed.join(", "), "changed settings apply at the next start");
        }
        if renewed.policy.admin_tokens.is_empty() && !self.settings.policy.admin_tokens.is_empty() {
            warn!("the admin API asks for no token any more: the configuration has none");
        }
        let changed = lock(&self.applied).live_changes(&renewed);
        if !changed.is_empty() {
            self.note(Entry::new(EventType::Configured, &Actor::Gateway, Timestamp::now()).with("settings", changed));
        }
        lock(&self.applied).clone_from(&renewed);
        self.settings.replace(&renewed);
        config.servers.iter().for_each(|servers| self.control.declare(servers.clone()));
        Ok(())
    }

    /// Notes for status reports why a newer version of the configuration file is not used.
    pub(crate) fn reject_file(&self, reason: String) {
        let entry = Entry::new(EventType::ConfigurationRefused, &Actor::Gateway, Timestamp::now());
        self.note(entry.with("reason", reason.as_str()));
        self.control.reject_file(reason);
    }

    /// Records something that has happened, and tells those who follow the state.
    fn note(&self, entry: Entry) {
        self.events.note_all(vec![entry.clone()]);
        self.audit.note(entry);
    }

    /// Announces the shutdown and waits for `--drain-delay`: `/readyz` answers 503 and every response closes its
    /// connection, but requests are still accepted, so that load balancers can remove this gateway. With `--reuse-port`, the
    /// embedded storage is left to the next gateway, which can begin to listen at the same address meanwhile.
    pub async fn drain(&self) {
        self.drain.announce();
        self.events.note(EventType::Draining, "", &[]);
        if self.started.reuse_port {
            self.control.store_token_uses(self.policy.access_tokens()).await;
            self.registry.hand_over().await;
        }
        sleep(self.started.drain_delay).await;
    }

    /// Stops the gateway: refuses connections, lets calls end within the grace period, then ends sessions and child
    /// processes.
    pub async fn stop(self) {
        let grace = self.started.shutdown_timeout;
        self.drain.close();
        // Connections in the backlog are accepted before anything that they may need ends.
        self.accepting.stop(FIRST_RESPONSES).await;
        tokio::join!(self.edge.drain(grace), self.drain.answered(FIRST_RESPONSES.min(grace)));
        self.edge.end_sessions();
        self.control.store_token_uses(self.policy.access_tokens()).await;
        self.registry.hand_over().await;
        if !self.connections.stop(Duration::from_secs(1)).await {
            debug!("connections still open at the end of the grace period");
        }
        if !self.tasks.stop(CHILD_GRACE).await {
            warn!("tasks still running at the end of the grace period");
        }
        self.lanes.stop().await;
        self.audit.note(Entry::new(EventType::Stopped, &Actor::Gateway, Timestamp::now()));
        self.audit.flush().await;
        self.access_log.flush().await;
    }
}

/// Serves one client on the streams of this process. Returns after the input ended or `unwanted` completed, and
/// everything that was started has ended.
pub(crate) async fn serve_stdio(
    config: Config,
    servers: Servers,
    unwanted: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let opened = Opened::memory(config.upstream.upstreams).map_err(OpenError::from)?;
    let keys = opened.keys().map_err(OpenError::from)?;
    let dialer = Dialer::new(limits(&config), config.network.clone(), own_mark(&keys)?);
    let (tasks, drain) = (Tasks::default(), Drain::default());
    let registry = Registry::start(opened, Default::default(), &tasks);
    let settings = Settings::new(&config);
    let Composed { edge, control, .. } =
        compose((&config, &settings, &keys), (registry, dialer, Default::default()), &tasks, &drain);
    let streams = (tokio::io::stdin(), tokio::io::stdout());
    tokio::select! {
        () = downstream::serve_stdio(Arc::clone(&edge), &control, servers, streams) => {}
        () = unwanted => {}
    }
    edge.end_sessions();
    if !tasks.stop(STDIO_GRACE).await {
        warn!("tasks still running at the end of the grace period");
    }
    Ok(())
}

/// Opens the audit log and the access log, as far as there are any, and begins the state changes.
fn open_logs(config: &Config) -> Result<(Audit, AccessLog, StateChanges), StartError> {
    let audit = config.audit_log.as_deref().map(Audit::open).transpose();
    let audit = audit.map_err(|error| StartError::Audit(error.into()))?;
    let access = config.access_log.as_deref().map(|path| {
        let failed = |source| StartError::AccessLog { path: path.to_owned(), source };
        AccessLog::open(path).map_err(failed)
    });
    Ok((audit.unwrap_or_default(), access.transpose()?.unwrap_or_default(), StateChanges::default()))
}

/// Returns the audit record of a start. Its revision tells which changes came while no record was written.
fn start_entry(registry: &Registry, url: &str) -> Entry {
    let snapshot = registry.snapshot();
    let entry = Entry::new(EventType::Started, &Actor::Gateway, Timestamp::now()).about(url);
    let entry = entry.with("version", env!("CARGO_PKG_VERSION")).with("revision", snapshot.revision().to_string());
    entry.with("registrations", snapshot.len())
}

/// Returns the URL under which clients reach the gateway, without a slash at the end.
fn public_url(config: &Config, address: &Address) -> String {
    let own = || match address {
        Address::Tcp(address) => format!("{}://{address}", config.scheme()),
        Address::Unix(_) => "http://localhost".to_owned(),
    };
    config.base_url.as_ref().map_or_else(own, ToString::to_string).trim_end_matches('/').to_owned()
}

fn limits(config: &Config) -> DialLimits {
    DialLimits { connect_timeout: config.connect_timeout, idle_timeout: config.upstream.idle_timeout }
}

/// Returns the address by which the kinds of clients of a listener are known.
fn ip(address: &Address) -> IpAddr {
    address.tcp().map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}

/// Returns the value that identifies this gateway's own requests.
fn own_mark(keys: &Keys) -> Result<HeaderValue, StartError> {
    let text = format!("{:032x}", u128::from_be_bytes(keys.own_mark));
    HeaderValue::from_str(&text).map_err(|error| StartError::Random(error.into()))
}
