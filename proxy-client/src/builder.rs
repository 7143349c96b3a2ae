//! Settings of a client, and the HTTP transport built from them.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use rustls_platform_verifier::BuilderVerifierExt;
use schemas::{InvalidToken, Secret, parse_duration};
use url::Url;

use crate::client::Client;
use crate::error::Error;
use crate::request::Endpoint;
use crate::retry::Schedule;

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_IDLE_CONNECTIONS: usize = 128;
/// Shorter than the idle timeouts of gateways (hyper 30 s, Go 120 s): a request sent on a connection that the server
/// is just closing is lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Builder of a [`Client`].
///
/// ```
/// use std::time::Duration;
///
/// use proxy_client::Client;
///
/// let client = Client::builder("localhost:6001/gateway/")
///     .token("s3cret")
///     .timeout(Duration::from_secs(5))
///     .retries(5)
///     .build()?;
/// assert_eq!(client.base_url().as_str(), "http://localhost:6001/gateway");
/// # Ok::<(), proxy_client::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    base_url: String,
    token: Option<Secret>,
    timeout: Duration,
    deadline: Option<Duration>,
    retries: u32,
    backoff: (Duration, Duration),
    jitter: u32,
    max_idle: usize,
    idle_timeout: Duration,
    user_agent: String,
}

impl ClientBuilder {
    /// Creates settings for the gateway at this URL. Without a scheme, `http://` is assumed; a path is kept as a
    /// prefix.
    ///
    /// ```
    /// use proxy_client::ClientBuilder;
    ///
    /// let client = ClientBuilder::new("gateway:6001").build()?;
    /// assert_eq!(client.base_url().as_str(), "http://gateway:6001/");
    /// # Ok::<(), proxy_client::Error>(())
    /// ```
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            token: None,
            timeout: Duration::from_secs(30),
            deadline: None,
            retries: 3,
            backoff: (Duration::from_millis(200), Duration::from_secs(2)),
            jitter: 10,
            max_idle: MAX_IDLE_CONNECTIONS,
            idle_timeout: IDLE_TIMEOUT,
            user_agent: USER_AGENT.to_owned(),
        }
    }

    /// Reads the settings from environment variables.
    ///
    /// | variable | meaning |
    /// |---|---|
    /// | `MCP_PROXY_URL` | URL of the gateway; required |
    /// | `MCP_PROXY_ADMIN_TOKEN`, else the first of `MCP_PROXY_ADMIN_TOKENS`, else `MCP_ADMIN_TOKEN` | the token |
    /// | `MCP_CLIENT_TIMEOUT` | the [`timeout`](Self::timeout), such as `30s` |
    ///
    /// An empty variable counts as absent, except for a token: a token that is set but empty is an error.
    ///
    /// # Errors
    ///
    /// If `MCP_PROXY_URL` is missing, or a variable has an invalid value.
    ///
    /// ```no_run
    /// use proxy_client::ClientBuilder;
    ///
    /// // Add settings that have no environment variable.
    /// let client = ClientBuilder::from_env()?.retries(5).user_agent("chat-engine/2.1").build()?;
    /// # Ok::<(), proxy_client::Error>(())
    /// ```
    pub fn from_env() -> Result<Self, Error> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads the settings of [`from_env`](Self::from_env) from another source: a `.env` file, a map.
    ///
    /// ```
    /// use proxy_client::ClientBuilder;
    ///
    /// let client = ClientBuilder::from_lookup(|name| match name {
    ///     "MCP_PROXY_URL" => Some("http://gateway:6001".to_owned()),
    ///     _ => None,
    /// })?.build()?;
    ///
    /// let error = ClientBuilder::from_lookup(|_| None).map(|_| ()).map_err(|error| error.to_string());
    /// assert_eq!(error, Err("`MCP_PROXY_URL` is not set".to_owned()));
    /// # Ok::<(), proxy_client::Error>(())
    /// ```
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let read = |name: &str| {
            let value = lookup(name)?.trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        let mut builder = Self::new(read("MCP_PROXY_URL").ok_or_else(|| Error::invalid("`MCP_PROXY_URL` is not set"))?);
        // Reject an empty token variable: continuing without a token would hide the mistake.
        let named = ["MCP_PROXY_ADMIN_TOKEN", "MCP_PROXY_ADMIN_TOKENS", "MCP_ADMIN_TOKEN"];
        if let Some((name, text)) = named.into_iter().find_map(|name| Some((name, lookup(name)?))) {
            let token = match name {
                "MCP_PROXY_ADMIN_TOKENS" => Secret::tokens(&text).map(|tokens| tokens.into_iter().next()),
                _ => Secret::new(text).token().map(Some),
            };
            builder.token = token.map_err(|error| Error::invalid_because(format!("cannot use `{name}`"), error))?;
        }
        if let Some(timeout) = read("MCP_CLIENT_TIMEOUT") {
            builder.timeout = parse_duration(&timeout)
                .map_err(|error| Error::invalid_because("cannot read `MCP_CLIENT_TIMEOUT`", error))?;
        }
        Ok(builder)
    }

    /// Sets the admin token, sent as a bearer token with every request except `/healthz`. No token by default;
    /// [`build`](Self::build) fails if the token is empty or contains an unreplaced `${VARIABLE}`.
    ///
    /// ```
    /// use proxy_client::Client;
    ///
    /// let builder = Client::builder("gateway:6001").token("s3cret");
    /// assert!(!format!("{builder:?}").contains("s3cret"));
    ///
    /// let error = builder.token("two\nlines").build().map(drop).map_err(|error| error.to_string());
    /// let reason = "the token holds a character that HTTP does not allow in a header";
    /// assert_eq!(error, Err(reason.to_owned()));
    /// ```
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the time limit of one attempt, from connecting to the end of the response. 30 s by default.
    ///
    /// Does not apply to tool calls: a slow call is not sent again, so only its deadline ends it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use proxy_client::Client;
    ///
    /// assert!(Client::builder("gateway:6001").timeout(Duration::from_secs(5)).build().is_ok());
    /// assert!(Client::builder("gateway:6001").timeout(Duration::ZERO).build().is_err());
    /// ```
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the time limit of a method, including all attempts and the delays between them. Twice the timeout by
    /// default; [`Client::within`] overrides it for single calls.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use proxy_client::Client;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), proxy_client::Error> {
    /// // Fail at once: a delay of one minute would exceed the deadline.
    /// let minute = Duration::from_secs(60);
    /// let client = Client::builder("127.0.0.1:1").deadline(Duration::from_secs(5)).backoff(minute, minute).build()?;
    /// assert_eq!(client.health().await.map_err(|error| error.retries()), Err(0));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets the maximum number of retries per request. 3 by default, 64 at most.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use proxy_client::Client;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), proxy_client::Error> {
    /// let soon = Duration::from_millis(1);
    /// let client = Client::builder("127.0.0.1:1").retries(2).backoff(soon, soon).build()?;
    /// assert_eq!(client.health().await.map_err(|error| error.retries()), Err(2));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Sets the delay before the first retry, which doubles with each retry, and its maximum. 200 ms and 2 s by
    /// default. Each delay varies by the [`jitter`](Self::jitter); a longer `Retry-After` takes precedence.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use proxy_client::Client;
    ///
    /// // Delays of 0.5, 1, 2, 4, 5 and 5 seconds, for a gateway that starts slowly.
    /// let (base, cap) = (Duration::from_millis(500), Duration::from_secs(5));
    /// let builder = Client::builder("gateway:6001").retries(6).backoff(base, cap);
    /// let client = builder.deadline(Duration::from_secs(60)).build()?;
    /// # Ok::<(), proxy_client::Error>(())
    /// ```
    #[must_use]
    pub fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.backoff = (base, cap);
        self
    }

    /// Sets the random variation of the delay before a retry, in per cent, in both directions. 10 by default, 100 at
    /// most.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// use proxy_client::Client;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), proxy_client::Error> {
    /// let (start, wait) = (Instant::now(), Duration::from_millis(20));
    /// let client = Client::builder("127.0.0.1:1").retries(1).backoff(wait, wait).jitter(0).build()?;
    /// assert!(client.health().await.is_err());
    /// assert!(start.elapsed() >= wait);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn jitter(mut self, percent: u32) -> Self {
        self.jitter = percent;
        self
    }

    /// Sets the maximum number of idle connections to keep; 0 keeps none. 128 by default. The number of connections in
    /// use is unbounded: one per concurrent request.
    ///
    /// ```
    /// use proxy_client::Client;
    ///
    /// // Keep few connections: for one of many clients that sends requests rarely.
    /// assert!(Client::builder("gateway:6001").max_idle_connections(2).build().is_ok());
    /// ```
    #[must_use]
    pub fn max_idle_connections(mut self, count: usize) -> Self {
        self.max_idle = count;
        self
    }

    /// Sets the time after which an idle connection is closed. 20 s by default, shorter than gateways' own timeouts: a
    /// request sent on a connection that the server is just closing is lost.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use proxy_client::Client;
    ///
    /// // Stay below the 10 s after which a load balancer drops idle connections.
    /// assert!(Client::builder("gateway:6001").idle_timeout(Duration::from_secs(8)).build().is_ok());
    /// ```
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets the `User-Agent` header. Name and version of this package by default.
    ///
    /// ```
    /// use proxy_client::Client;
    ///
    /// assert!(Client::builder("gateway:6001").user_agent("chat-engine/2.1 (team-a)").build().is_ok());
    /// assert!(Client::builder("gateway:6001").user_agent("two\nlines").build().is_err());
    /// ```
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Builds the client, without sending anything.
    ///
    /// # Errors
    ///
    /// If a setting is invalid; the message names it.
    ///
    /// ```
    /// use proxy_client::Client;
    ///
    /// let error = Client::builder("gateway:6001/?token=s3cret").build().map(drop).map_err(|error| error.to_string());
    /// let reason = "invalid base URL `gateway:6001/`: it has a query or a fragment";
    /// assert_eq!(error, Err(reason.to_owned()));
    /// ```
    pub fn build(self) -> Result<Client, Error> {
        let base = base_url(&self.base_url)?;
        let deadline = self.deadline.unwrap_or(self.timeout.saturating_mul(2));
        if self.timeout.is_zero() || deadline.is_zero() {
            return Err(Error::invalid("a timeout or deadline of zero leaves no time for an answer"));
        }
        let tls = tls(&base).map_err(|error| Error::invalid_because("cannot set up TLS", error))?;
        // Contact only the configured URL: a redirect could carry the token to another host, and system proxies are
        // ignored. Retries are ours; hyper repeats a request only if a closed pooled connection never sent it.
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT.min(self.timeout))
            .pool_idle_timeout(self.idle_timeout)
            .pool_max_idle_per_host(self.max_idle)
            .user_agent(self.user_agent)
            .build()
            .map_err(|error| Error::invalid_because("cannot set up the HTTP client", error))?;
        let endpoint = Endpoint {
            send: Box::new(move |request| Box::pin(http.execute(request))),
            authorization: self.token.as_ref().map(authorization).transpose()?,
            timeout: self.timeout,
            schedule: Schedule::new(self.retries, self.backoff, self.jitter),
            base,
        };
        Ok(Client::new(endpoint, deadline))
    }
}

impl Client {
    /// Creates settings for the gateway at this URL.
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

    /// Creates a client of the gateway named in environment variables; see [`ClientBuilder::from_env`].
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
}

fn base_url(text: &str) -> Result<Url, Error> {
    let text = text.trim();
    // Keep credentials and queries out of error messages.
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let shown = if text.contains('@') { "…" } else { path };
    let refuse = |reason: &str| Error::invalid(format!("invalid base URL `{shown}`: {reason}"));
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut url =
        Url::parse(&whole).map_err(|error| Error::invalid_because(format!("invalid base URL `{shown}`"), error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("the scheme is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it holds credentials; the token is a setting of its own"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it has a query or a fragment"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn authorization(token: &Secret) -> Result<HeaderValue, Error> {
    token.token().map_err(|error| Error::invalid(error.to_string()))?;
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .map_err(|_| Error::invalid(InvalidToken::Control.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Configures TLS with ring as the crypto provider of this client only: a process-wide provider could conflict with
/// one that another library installs.
///
/// Loads the system's root certificates only for https, so that plain HTTP works on machines without any.
fn tls(base: &Url) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = match base.scheme() {
        "https" => config.with_platform_verifier()?,
        _ => config.with_root_certificates(rustls::RootCertStore::empty()),
    };
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests;
