//! The client, with one method per admin endpoint.

pub(crate) mod conditional;
pub(crate) mod generation;
pub(crate) mod lease;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod needs;
pub(crate) mod outcome;
pub(crate) mod refresh;
pub(crate) mod token;
pub(crate) mod wait;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use schemas::admin::{
    GatewayStatus, Health, ImportAnswer, ImportRequest, MetricsSnapshot, Registration, RegistrationList, Tool,
    ToolCall, ToolList,
};
use schemas::{Definition, ServerName};
use url::Url;

use crate::client::outcome::{Registered, ToolOutcome, Updated};
use crate::error::Error;
use crate::request::{Answer, Call, Endpoint, registration};
use crate::retry::Rule;

/// A client of one gateway's admin API. Cheap to clone; clones share their connections.
///
/// Retries requests at most [`retries`](crate::ClientBuilder::retries) times and never past the deadline, depending on the
/// method:
///
/// | method | retried after |
/// |---|---|
/// | all | a failure to connect |
/// | reading, [`refresh`](Self::refresh), [`update`](Self::update), [`deregister`](Self::deregister) and their conditional forms, locks, leases | also a timeout, a broken connection, 429, 5xx |
/// | [`register`](Self::register), [`register_leased`](Self::register_leased) | also 5xx |
/// | [`call_tool`](Self::call_tool) | also 503, which means that the call did not reach its upstream |
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
    endpoint: Arc<Endpoint>,
    deadline: Duration,
}

impl Client {
    /// Returns a client with another deadline per method, which shares this client's connections.
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

    /// Returns the URL of the gateway. It has no trailing slash unless its path is empty.
    ///
    /// ```
    /// use proxy_client::Client;
    ///
    /// let client = Client::builder("http://gateway:6001/prefix/").build()?;
    /// // Endpoint of one upstream, for MCP clients.
    /// assert_eq!(format!("{}/time/stream", client.base_url()), "http://gateway:6001/prefix/time/stream");
    /// # Ok::<(), proxy_client::Error>(())
    /// ```
    pub fn base_url(&self) -> &Url {
        &self.endpoint.base
    }

    /// Asks the gateway for its health. Sends no token.
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

    /// Registers an upstream. If the name is taken, nothing is changed and [`Registered::AlreadyExists`] is returned.
    ///
    /// After a retry, [`Registered::AlreadyExists`] may also mean that an earlier attempt succeeded.
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

    /// Replaces a registration.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if there is no registration of that name.
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

    /// Returns the registration of that name, or `None`.
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

    /// Returns all registrations, in the gateway's order.
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

    /// Lists the registrations with the secrets of their definitions in clear text, for a backup. The gateway returns them
    /// to callers with an admin token only, and answers 403 if it has no admin tokens. Earlier gateways ignore the request for
    /// secrets and mask them; check [`is_redacted`](schemas::Secret::is_redacted).
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

    /// Removes a registration. Returns `false` if there is none of that name; after a retry, an earlier attempt may
    /// have removed it.
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

    /// Lists the tools of all connected upstreams, under the names that the upstreams give them.
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

    /// Lists all tools, including those hidden by a filter, with their names on the aggregated endpoint. Other proxies
    /// ignore the option and return the tools of [`list_tools`](Self::list_tools).
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

    /// Calls a tool. A tool that ran and failed is an [outcome](ToolOutcome), not an error.
    ///
    /// Only the deadline limits the duration of the call: see [`within`](Self::within).
    ///
    /// # Errors
    ///
    /// If no response came from the gateway, or the gateway refused the call.
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
        let call = Call::post("admin/tools/call", Rule::Effect, call)?;
        self.send(call).await?.ok().map(ToolOutcome::new)
    }

    /// Returns counters over all upstreams.
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

    /// Returns the status of the gateway: its upstreams, and the configuration file in effect.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), proxy_client::Error> {
    /// if let Some(mistakes) = client.status().await?.configuration.and_then(|file| file.rejected) {
    ///     eprintln!("the last edit is not in effect: {mistakes}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn status(&self) -> Result<GatewayStatus, Error> {
        self.send(Call::get("admin/status")).await?.ok()
    }

    /// Shows what the configuration file of another program comes to, and registers its servers if the request says so.
    ///
    /// ```no_run
    /// use schemas::admin::ImportRequest;
    ///
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let content = std::fs::read_to_string("claude_desktop_config.json")?;
    /// let answer = client.import(&ImportRequest { content, ..ImportRequest::default() }).await?;
    /// for server in answer.servers {
    ///     println!("{} {:?} {}", server.name, server.outcome, server.reason.unwrap_or_default());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn import(&self, request: &ImportRequest) -> Result<ImportAnswer, Error> {
        self.send(Call::post("admin/import", Rule::Register, request)?).await?.ok()
    }

    pub(crate) fn new(endpoint: Endpoint, deadline: Duration) -> Self {
        Self { endpoint: Arc::new(endpoint), deadline }
    }

    /// Sends a request within the client's deadline, with retries as the request's rule allows.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, Error> {
        self.endpoint.send(call, self.deadline).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.endpoint.base.as_str();
        f.debug_struct("Client").field("base_url", &base).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
