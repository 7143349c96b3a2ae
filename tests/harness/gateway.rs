//! A gateway in the test's own process, on a free port.

use proxy_server::{Config, Gateway, StartError};

use crate::admin::Admin;

/// Variable with which `tests/run` runs tests once more without the fast path of the HTTP server.
pub const FAST_PATH: &str = "MCP_PROXY_HTTP_FAST_PATH";

/// Returns the value of [`FAST_PATH`] in the environment of the tests.
pub(crate) fn fast_path() -> Option<String> {
    std::env::var(FAST_PATH).ok()
}

/// True unless the tests run without the fast path of the HTTP server.
#[must_use]
pub fn has_fast_path() -> bool {
    fast_path().as_deref() != Some("off")
}

/// Prepares a gateway.
#[must_use]
pub fn gateway() -> Builder {
    let fast_path = fast_path().map(|value| format!("--http-fast-path={value}"));
    Builder { flags: ["--port=0".to_owned()].into_iter().chain(fast_path).collect() }
}

/// Flags of a gateway.
pub struct Builder {
    flags: Vec<String>,
}

/// A running gateway. Ends with the test's runtime; use [`InProcess::stop`] to test stopping.
pub struct InProcess {
    /// URL of the gateway.
    pub url: String,
    /// Client of the gateway's admin API.
    pub admin: Admin,
    gateway: Gateway,
}

impl Builder {
    /// Adds flags of `mcp-proxy serve`.
    pub fn flags<S: ToString>(mut self, flags: impl IntoIterator<Item = S>) -> Self {
        self.flags.extend(flags.into_iter().map(|flag| flag.to_string()));
        self
    }

    /// Starts the gateway.
    ///
    /// # Panics
    ///
    /// If the flags are invalid or no port can be bound.
    pub async fn start(self) -> InProcess {
        let config = Config::from_flags(self.flags.iter().map(String::as_str)).expect("flags that make sense");
        let gateway = Gateway::start(config).await.expect("a gateway");
        // Avoid `Gateway::url`: it may be a name that only other machines can resolve.
        let url = format!("http://{}", gateway.address());
        InProcess { admin: Admin::new(&url), url, gateway }
    }
}

impl InProcess {
    /// Applies the live settings among these flags: those that are not given get their defaults. All other settings stay as
    /// they were at the start.
    ///
    /// # Errors
    ///
    /// If the gateway refuses the settings.
    ///
    /// # Panics
    ///
    /// If the flags are invalid.
    pub fn reload(&self, flags: &[&str]) -> Result<(), StartError> {
        let config = Config::from_flags(flags.iter().copied()).expect("flags that make sense");
        self.gateway.reload(&config)
    }

    /// Stops the gateway as SIGTERM does.
    pub async fn stop(self) {
        self.gateway.stop().await;
    }
}
