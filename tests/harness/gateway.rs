//! A gateway inside the test's own process, on a free port.

use proxy_server::{Config, Gateway};

use crate::admin::Admin;

/// A gateway that is about to be started.
#[must_use]
pub fn gateway() -> Builder {
    Builder { flags: vec!["--port".to_owned(), "0".to_owned()] }
}

/// Flags of a gateway.
pub struct Builder {
    flags: Vec<String>,
}

/// A running gateway. It ends with the test's runtime; [`InProcess::stop`] is for tests of stopping.
pub struct InProcess {
    /// Where it is.
    pub url: String,
    /// Its admin API.
    pub admin: Admin,
    gateway: Gateway,
}

impl Builder {
    /// Adds flags of `mcp-proxy serve`.
    pub fn flags<S: ToString>(mut self, flags: impl IntoIterator<Item = S>) -> Self {
        self.flags.extend(flags.into_iter().map(|flag| flag.to_string()));
        self
    }

    /// Binds and serves.
    ///
    /// # Panics
    ///
    /// When the flags make no sense, or nothing can be bound.
    pub async fn start(self) -> InProcess {
        let config = Config::from_flags(self.flags.iter().map(String::as_str)).expect("flags that make sense");
        let gateway = Gateway::start(config).await.expect("a gateway");
        // Not `Gateway::url`, which may be a name that only other machines know.
        let url = format!("http://{}", gateway.address());
        InProcess { admin: Admin::new(&url), url, gateway }
    }
}

impl InProcess {
    /// Stops as SIGTERM would.
    pub async fn stop(self) {
        self.gateway.stop().await;
    }
}
