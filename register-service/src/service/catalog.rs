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
use tracing::{debug, warn};

use crate::service::{RegisterService, chain};
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
struct Cached {
    at: Instant,
    edition: Edition,
    tools: Arc<Vec<Tool>>,
    servers: BTreeSet<String>,
}

impl Cached {
    fn new(edition: Edition, tools: Vec<Tool>) -> Self {
        let servers = tools.iter().map(|tool| tool.mcp_name.clone()).collect();
        Self { at: Instant::now(), edition, tools: Arc::new(tools), servers }
    }

    fn is_young(&self) -> bool {
        self.at.elapsed() < YOUNG
    }

    /// Returns true if the list must be refreshed.
    fn has_aged(&self, needed: &BTreeSet<ServerName>) -> bool {
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

    fn current(&self) -> Option<Cached> {
        let state = self.state();
        state.cached.clone().filter(|it| it.edition == state.edition)
    }

    /// Requests the list, unless another caller has done so in the meantime.
    async fn ask(
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

impl RegisterService {
    /// Returns the gateway's list of tools.
    pub(super) async fn listed(&self, client: &Client) -> Result<Arc<Vec<Tool>>, proxy_client::Error> {
        let catalog = &self.shared.catalog;
        let Some(cached) = catalog.current() else { return catalog.ask(client, |_current| true).await };
        if cached.has_aged(&self.shared.held().needed) {
            self.refresh();
        }
        Ok(cached.tools)
    }

    /// Returns the tools of a server, from a fresh list if the cached one lacks this tool.
    pub(super) async fn tools_of(
        &self,
        client: &Client,
        server: &ServerName,
        tool: &str,
    ) -> Result<Vec<Tool>, proxy_client::Error> {
        let of_server = |tools: &[Tool]| -> Vec<Tool> {
            tools.iter().filter(|it| it.mcp_name == server.as_str()).cloned().collect()
        };
        let found = of_server(&self.listed(client).await?);
        if found.iter().any(|it| it.name == tool) {
            return Ok(found);
        }
        Ok(of_server(&self.shared.catalog.ask(client, Cached::is_young).await?))
    }

    /// Refreshes the list in the background.
    fn refresh(&self) {
        let mut refresher = lock(&self.refresher);
        while refresher.try_join_next().is_some() {}
        if refresher.is_empty() {
            let shared = Arc::clone(&self.shared);
            refresher.spawn(async move {
                let outcome = shared.catalog.ask(&shared.client, Cached::is_young).await;
                debug!(tools = outcome.ok().map(|tools| tools.len()), "list of tools asked for again");
            });
        }
    }
}

#[cfg(test)]
mod tests;
