//! The gateway's list of tools, asked for no more often than it has to be.
//!
//! A list that has aged is still given, and asked for again meanwhile. Where it is known to be another by now, because
//! this worker registered something or a server has connected, whoever asks waits for the new one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proxy_client::Client;
use schemas::ServerName;
use schemas::admin::Tool;
use tokio::sync::RwLock;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::service::{RegisterService, chain};

/// How long a list is good for.
const GOOD_FOR: Duration = Duration::from_secs(300);
const EMPTY_IS_GOOD_FOR: Duration = Duration::from_secs(30);
/// One without any tool of a server that is needed is of a gateway that is still connecting to it. And a tool that is
/// not in a list so young is not there.
const YOUNG: Duration = Duration::from_secs(1);

/// The last list, for all who ask.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    state: Mutex<State>,
    /// Whoever asks the gateway holds it, so that one asks for all.
    asking: RwLock<()>,
}

#[derive(Debug, Default)]
struct State {
    cached: Option<Cached>,
    edition: Edition,
}

/// Rises with everything that makes the last list another.
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

    /// Whether it is to be asked for again.
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a list that is asked for now will be of.
    pub(super) fn edition(&self) -> Edition {
        self.state().edition
    }

    /// The last list is another by now.
    pub(super) fn outdate(&self) {
        self.state().edition.0 += 1;
    }

    /// Takes what the gateway said to who asked at that edition.
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

    /// Asks the gateway, unless somebody has while this waited for its turn.
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
    /// The gateway's list of tools.
    pub(super) async fn listed(&self, client: &Client) -> Result<Arc<Vec<Tool>>, proxy_client::Error> {
        let catalog = &self.shared.catalog;
        let Some(cached) = catalog.current() else { return catalog.ask(client, |_current| true).await };
        if cached.has_aged(&self.shared.held().needed) {
            self.refresh();
        }
        Ok(cached.tools)
    }

    /// The tools of a server, from a list that is young enough if it does not have this one.
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

    /// Has the list asked for again, while nobody waits for it.
    fn refresh(&self) {
        let mut refresher = self.refresher.lock().unwrap_or_else(PoisonError::into_inner);
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
