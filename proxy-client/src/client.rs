//! The client and its methods, one per admin endpoint.

pub(crate) mod conditional;
pub(crate) mod generation;
pub(crate) mod lease;
pub(crate) mod lock;
pub(crate) mod outcome;
pub(crate) mod ready;
pub(crate) mod refresh;
pub(crate) mod wait;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use schemas::admin::{Health, MetricsSnapshot, Registration, RegistrationList, Tool, ToolCall, ToolList};
use schemas::{Definition, ServerName};
use url::Url;

use crate::builder::ClientBuilder;
use crate::client::outcome::{Registered, ToolOutcome, Updated};
use crate::error::Error;
use crate::request::{Call, registration};
use crate::retry::{Rule, Schedule, SendOnce};

/// A client of one gateway's admin API. Cheap to clone; clones share their connections.
///
/// What is sent again, at most [`retries`](ClientBuilder::retries) times and never past the deadline:
///
/// | method | after |
/// |---|---|
/// | all | failing to connect |
/// | reading, [`refresh`](Self::refresh), [`update`](Self::update), [`deregister`](Self::deregister) and their conditional forms, locks, leases | also a timeout, a broken connection, 429, 5xx |
/// | [`register`](Self::register), [`register_leased`](Self::register_leased) | also 5xx |
/// | [`call_tool`](Self::call_tool) | also 503, which says that the call did not reach its upstream |
///
/// ```no_run
/// # async fn run() -> Result<(), proxy_client::Error> {
/// let client = proxy_client::Client::builder("http://localhost:6001").token("s3cret").build()?;
/// for registration in client.list().await? {
///     println!("{}: {:?}", registration.definition.name(), registration.status.status);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    deadline: Duration,
}

/// What clones have in common.
pub(crate) struct Shared {
    pub(crate) send: Box<SendOnce>,
    pub(crate) base: Url,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) timeout: Duration,
    pub(crate) schedule: Schedule,
}

impl Client {
    /// Settings for the gateway at this address.
    ///
    /// ```
    /// use proxy_client::Client;
    ///
    /// let client = Client::builder("https://gateway.example.com").token("s3cret").build()?;
    /// assert_eq!(client.base_url().scheme(), "https");
    /// # Ok::<(), proxy_client::Error>(())
    /// ```
    pub fn builder(base_url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(base_url)
    }

    /// A client of the gateway that the environment names; see [`ClientBuilder::from_env`].
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), proxy_client::Error> {
    /// let client = proxy_client::Client::from_env()?;
    /// println!("{} has {} registrations", client.base_url(), client.list().await?.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_env()?.build()
    }

    /// The same client with another deadline per method.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client, call: schemas::admin::ToolCall) -> Result<(), proxy_client::Error> {
    /// let outcome = client.within(std::time::Duration::from_secs(300)).call_tool(&call).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The gateway's address, without a slash at its end unless it has no path.
    ///
    /// ```
    /// use proxy_client::Client;
    ///
    /// let client = Client::builder("http://gateway:6001/prefix/").build()?;
    /// // Where an engine connects to one upstream.
    /// assert_eq!(format!("{}/time/stream", client.base_url()), "http://gateway:6001/prefix/time/stream");
    /// # Ok::<(), proxy_client::Error>(())
    /// ```
    pub fn base_url(&self) -> &Url {
        &self.shared.base
    }

    /// Whether the gateway is alive. Never carries the token.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), proxy_client::Error> {
    /// let health = client.health().await?;
    /// println!("gateway {} is {}", health.version, health.status);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn health(&self) -> Result<Health, Error> {
        self.send(Call::get("healthz").public()).await?.ok()
    }

    /// Registers an upstream. A name that is taken is no error, and nothing is changed then.
    ///
    /// After a retry, [`Registered::AlreadyExists`] may also mean that an earlier attempt did register it.
    ///
    /// ```no_run
    /// use proxy_client::Registered;
    ///
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let definition = serde_json::from_str(r#"{"name":"time","transport":"stdio","command":"mcp-server-time"}"#)?;
    /// match client.register(&definition).await? {
    ///     Registered::Created => println!("the gateway connects to it now"),
    ///     Registered::AlreadyExists => println!("there is one, perhaps another"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn register(&self, definition: &Definition) -> Result<Registered, Error> {
        let answer = self.send(Call::post("admin/mcps", Rule::Register, definition)?).await?;
        match answer.status {
            StatusCode::CREATED => Ok(Registered::Created),
            StatusCode::CONFLICT => Ok(Registered::AlreadyExists),
            _ => Err(answer.refused()),
        }
    }

    /// Replaces a registration. It must exist; otherwise the error [`is_not_found`](Error::is_not_found).
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client, wanted: schemas::Definition) -> Result<(), proxy_client::Error> {
    /// if let Some(warning) = client.update(&wanted).await?.warning {
    ///     eprintln!("{} is saved, but not started: {warning}", wanted.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn update(&self, definition: &Definition) -> Result<Updated, Error> {
        self.send(Call::put(registration(&definition.name)?, definition)?).await?.updated()
    }

    /// One registration, if there is one of that name.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// match client.get(&"time".parse()?).await? {
    ///     Some(registration) => println!("{:?}", registration.status.status),
    ///     None => println!("not registered"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get(&self, name: &ServerName) -> Result<Option<Registration>, Error> {
        let answer = self.send(Call::get(registration(name)?)).await?;
        match answer.status {
            StatusCode::OK => answer.json().map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(answer.refused()),
        }
    }

    /// Every registration, in the gateway's order.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), proxy_client::Error> {
    /// let registrations = client.list().await?;
    /// for one in registrations.iter().filter(|one| one.owner.as_deref() == Some("team-a")) {
    ///     println!("{} is declared at {:?}", one.definition.name(), one.source);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list(&self) -> Result<Vec<Registration>, Error> {
        let list: RegistrationList = self.send(Call::get("admin/mcps")).await?.ok()?;
        Ok(list.mcps)
    }

    /// Every registration with the secrets of its definition in the clear, for a backup. The gateway shows them to who has an
    /// admin token, and to nobody if it has none (status 403). An earlier version takes no notice of what is asked and masks
    /// them as ever: [`is_redacted`](schemas::Secret::is_redacted) tells.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), proxy_client::Error> {
    /// for one in client.list_with_secrets().await? {
    ///     let document = one.definition.document();
    ///     let is_whole = document.headers.values().chain(document.env.values()).all(|secret| !secret.is_redacted());
    ///     println!("{}: {}", document.name, if is_whole { "whole" } else { "without its secrets" });
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list_with_secrets(&self) -> Result<Vec<Registration>, Error> {
        let list: RegistrationList = self.send(Call::get("admin/mcps").with("secrets", "true")).await?.ok()?;
        Ok(list.mcps)
    }

    /// Removes a registration. `false` if there is none of that name, which after a retry may be the work of an
    /// earlier attempt.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// if !client.deregister(&"time".parse()?).await? {
    ///     println!("it was gone already");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn deregister(&self, name: &ServerName) -> Result<bool, Error> {
        self.send(Call::delete(registration(name)?)).await?.removed()
    }

    /// The tools of every connected upstream, by their own names.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), proxy_client::Error> {
    /// for tool in client.list_tools().await? {
    ///     println!("$mcp({}#{}): {}", tool.mcp_name, tool.name, tool.description);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list_tools(&self) -> Result<Vec<Tool>, Error> {
        let list: ToolList = self.send(Call::get("admin/tools")).await?.ok()?;
        Ok(list.tools)
    }

    /// The same with the tools that a filter hides, and with what each is called where all servers have one address.
    /// Other proxies know no such list and give the short one.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), proxy_client::Error> {
    /// for tool in client.list_all_tools().await?.into_iter().filter(|tool| tool.hidden) {
    ///     println!("{} of {} is hidden: {:?}", tool.name, tool.mcp_name, tool.reason);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list_all_tools(&self) -> Result<Vec<Tool>, Error> {
        let list: ToolList = self.send(Call::get("admin/tools?all=true")).await?.ok()?;
        Ok(list.tools)
    }

    /// Calls a tool. An error says that no answer came from it; that it ran and failed is an [outcome](ToolOutcome).
    ///
    /// The deadline alone limits how long it may run: see [`within`](Self::within).
    ///
    /// ```no_run
    /// use proxy_client::ToolOutcome;
    ///
    /// # async fn run(client: proxy_client::Client, call: schemas::admin::ToolCall) -> Result<(), proxy_client::Error> {
    /// match client.call_tool(&call).await? {
    ///     ToolOutcome::Success(result) => println!("{}", result.to_text()),
    ///     ToolOutcome::Failure(failure) => eprintln!("{failure}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call_tool(&self, call: &ToolCall) -> Result<ToolOutcome, Error> {
        let call = Call::post("admin/tools/call", Rule::CallTool, call)?;
        self.send(call).await?.ok().map(ToolOutcome::new)
    }

    /// Counts over all upstreams.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), proxy_client::Error> {
    /// let counts = client.metrics().await?.metrics;
    /// println!("{} of {} upstreams are connected", counts.connected, counts.total_clients);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn metrics(&self) -> Result<MetricsSnapshot, Error> {
        self.send(Call::get("admin/metrics")).await?.ok()
    }

    pub(crate) fn new(shared: Shared, deadline: Duration) -> Self {
        Self { shared: Arc::new(shared), deadline }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.shared.base.as_str();
        f.debug_struct("Client").field("base_url", &base).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
