//! Cache of the gateway's list of tools.
//!
//! An old list is still returned, and refreshed in the background. If the list is known to have changed, because this
//! worker registered something or a server has connected, callers wait for the new one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use proxy_client::Client;
use schemas::ServerName;
use schemas::admin::Tool;
use tokio::sync::RwLock;
use tokio::time::Instant;
use tracing::warn;

use crate::service::failure::chain;
use crate::sync::lock;

/// Age at which a list is refreshed.
const GOOD_FOR: Duration = Duration::from_secs(300);
const EMPTY_IS_GOOD_FOR: Duration = Duration::from_secs(30);
/// Age at which a list is refreshed if it lacks a needed server: the gateway is probably still connecting to it. A
/// tool missing in a younger list does not exist.
const YOUNG: Duration = Duration::from_secs(1);

/// The last list, shared by all callers.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    state: Mutex<State>,
    /// Held during a request, so that concurrent callers share its result.
    asking: RwLock<()>,
}

#[derive(Debug, Default)]
struct State {
    cached: Option<Cached>,
    edition: Edition,
}

/// Counter that increases with every event that changes the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Edition(u64);

#[derive(Debug, Clone)]
pub(super) struct Cached {
    at: Instant,
    edition: Edition,
    pub(super) tools: Arc<Vec<Tool>>,
    servers: BTreeSet<String>,
}

impl Cached {
    fn new(edition: Edition, tools: Vec<Tool>) -> Self {
        let servers = tools.iter().map(|tool| tool.mcp_name.clone()).collect();
        Self { at: Instant::now(), edition, tools: Arc::new(tools), servers }
    }

    pub(super) fn is_young(&self) -> bool {
        self.at.elapsed() < YOUNG
    }

    /// Returns true if the list must be refreshed.
    pub(super) fn has_aged(&self, needed: &BTreeSet<ServerName>) -> bool {
        let has_all = needed.iter().all(|name| self.servers.contains(name.as_str()));
        let limit = match (has_all, self.tools.is_empty()) {
            (false, _) => YOUNG,
            (true, true) => EMPTY_IS_GOOD_FOR,
            (true, false) => GOOD_FOR,
        };
        self.at.elapsed() >= limit
    }
}

impl Catalog {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Returns the edition that a list requested now will have.
    pub(super) fn edition(&self) -> Edition {
        self.state().edition
    }

    /// Marks the last list as outdated.
    pub(super) fn outdate(&self) {
        self.state().edition.0 += 1;
    }

    /// Stores a list that was requested at this edition.
    pub(super) fn put(&self, edition: Edition, tools: Vec<Tool>) -> Arc<Vec<Tool>> {
        let cached = Cached::new(edition, tools);
        let tools = Arc::clone(&cached.tools);
        let mut state = self.state();
        if state.cached.as_ref().is_none_or(|last| last.edition <= edition) {
            state.cached = Some(cached);
        }
        tools
    }

    pub(super) fn current(&self) -> Option<Cached> {
        let state = self.state();
        state.cached.clone().filter(|it| it.edition == state.edition)
    }

    /// Requests the list, unless another caller has done so in the meantime.
    pub(super) async fn ask(
        &self,
        client: &Client,
        is_good: impl Fn(&Cached) -> bool,
    ) -> Result<Arc<Vec<Tool>>, proxy_client::Error> {
        let _turn = self.asking.write().await;
        if let Some(cached) = self.current().filter(|it| is_good(it)) {
            return Ok(cached.tools);
        }
        let edition = self.edition();
        let error = match client.list_tools().await {
            Ok(tools) => return Ok(self.put(edition, tools)),
            Err(error) => error,
        };
        match self.state().cached.as_ref() {
            Some(last) => {
                warn!(error = chain(&error), "the list of tools cannot be had again; the last one stays");
                Ok(Arc::clone(&last.tools))
            }
            None => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
