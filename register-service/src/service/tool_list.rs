//! Reads the list of tools through the cache.

use std::sync::Arc;

use proxy_client::Client;
use schemas::ServerName;
use schemas::admin::Tool;
use tracing::debug;

use crate::service::RegisterService;
use crate::service::catalog::Cached;
use crate::sync::lock;

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
