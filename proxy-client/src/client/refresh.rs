//! Refresh of an upstream's lists.

use schemas::ServerName;
use schemas::admin::Refreshed;

use crate::client::Client;
use crate::error::Error;
use crate::request::{Call, registration};

impl Client {
    /// Asks the gateway to read all lists of an upstream again and waits until it has; for servers that do not
    /// announce changes.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if there is no registration of that name, or if the gateway cannot
    /// refresh.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let refreshed = client.refresh(&"docs".parse()?).await?;
    /// println!("{} has {} tools now", refreshed.name, refreshed.tools);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn refresh(&self, name: &ServerName) -> Result<Refreshed, Error> {
        self.send(Call::prompt(format!("{}/refresh", registration(name)?))).await?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Scripted, answer};

    #[tokio::test]
    async fn a_refresh_is_asked_for_and_tried_again() {
        let lists = r#"{"name":"a b","tools":2,"prompts":0,"resources":1,"resourceTemplates":0}"#;
        let gateway = Scripted::start([answer(503, ""), answer(200, lists)]).await;
        let name = ServerName::stored("a b").unwrap();
        let refreshed = gateway.client().refresh(&name).await.unwrap();
        assert_eq!((refreshed.tools, refreshed.resources), (2, 1));
        let requests = gateway.requests();
        assert_eq!(requests.len(), 2);
        assert!(requests[1].starts_with("POST /admin/mcps/a%20b/refresh HTTP/1.1\r\n"), "{}", requests[1]);
    }

    #[tokio::test]
    async fn an_upstream_that_is_not_registered_is_not_found() {
        let gateway = Scripted::start([answer(404, r#"{"error":"MCP not found"}"#)]).await;
        let error = gateway.client().refresh(&"a".parse().unwrap()).await.unwrap_err();
        assert!(error.is_not_found());
    }
}
