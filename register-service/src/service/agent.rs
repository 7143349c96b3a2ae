//! Servers that an agent needs while it runs.

use schemas::{Definition, ServerName};

use crate::apply::{ApplyError, Done};
use crate::service::wanted::Wanted;
use crate::service::{NotEnsured, RegisterService};

impl RegisterService {
    /// Calls [`ensure`](Self::ensure) and makes `id` a name of the server: `$mcp(id#tool)` and the lists of a
    /// [`Selection`](crate::worker::Selection) refer to it from then on, whatever its name at the gateway. A later call
    /// with the same `id` replaces its meaning.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService) -> Result<(), Box<dyn std::error::Error>> {
    /// let definition = serde_json::from_str(r#"{"name":"agent-7-time","transport":"stdio","command":"mcp-server-time"}"#)?;
    /// service.ensure_as("time", &definition).await?;
    /// let answer = service.call(&"$mcp(time#now)".parse()?, "{}").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ensure_as(&self, id: &str, definition: &Definition) -> Result<Done, ApplyError> {
        self.ids().insert(id.to_owned(), definition.name.clone());
        self.ensure(definition).await
    }

    /// Calls [`ensure_all`](Self::ensure_all) for the wanted definitions and adds the engine's ids, including those of
    /// servers that the gateway already has. Does not wait for connections; use
    /// [`wait_until_ready`](Self::wait_until_ready).
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use register_service::files::load_value;
    /// use register_service::{RegisterService, Settings, Wanted};
    ///
    /// # async fn run(service: RegisterService, settings: Settings, agent: serde_json::Value)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// let wanted = Wanted::from(&load_value("agent researcher", &agent, &settings)?.desired);
    /// service.ensure_wanted(&wanted).await?;
    /// let readiness = service.wait_until_ready(&wanted.needs, Duration::from_secs(15)).await;
    /// println!("{readiness}");
    /// // ... run the agent until it ends ...
    /// for name in wanted.definitions.iter().map(|it| &it.name) {
    ///     service.release(name).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ensure_wanted(&self, wanted: &Wanted) -> Result<Vec<(ServerName, Done)>, NotEnsured> {
        self.ids().extend(wanted.ids.clone());
        self.shared.held().needed.extend(wanted.needs.names().cloned());
        self.ensure_all(&wanted.definitions).await
    }

    /// Releases this worker's lease on one name and forgets its ids. Returns true if the registration was removed. It
    /// stays while another worker leases it, or if it was registered without a lease. At a gateway without leases, it
    /// is removed if this worker created it.
    ///
    /// After an error the lease ends too: with the next renewal of the other leases, or by expiry.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService) -> Result<(), Box<dyn std::error::Error>> {
    /// let name = "agent-7-time".parse()?;
    /// if !service.release(&name).await? {
    ///     println!("{name} stays: somebody else needs it");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn release(&self, name: &ServerName) -> Result<bool, ApplyError> {
        self.ids().retain(|_, known| known != name);
        let at_gateway = ApplyError::at_gateway("release", name);
        let (was_created, may_hold) = {
            let mut held = self.shared.held();
            let was_wanted = held.forget(name);
            (held.created.contains(name), was_wanted && held.may_hold())
        };
        self.shared.count(|_same| {});
        self.shared.catalog.outdate();
        if was_created {
            return self.deregister(name).await;
        }
        if !may_hold {
            return Ok(false);
        }
        let client = &self.shared.client;
        let gone = async {
            self.shared.hold().await?;
            Ok(client.get(name).await?.is_none())
        };
        gone.await.map_err(at_gateway)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::fake::{FakeGateway, named, stdio};
    use crate::service::options::Options;

    use super::*;

    #[tokio::test]
    async fn what_is_released_goes_only_if_this_worker_created_it_and_is_not_kept_any_more() {
        let gateway = FakeGateway::start().await;
        gateway.put(stdio("nobodys", "1"));
        let options = Options { check_interval: Duration::from_millis(5), ..Options::default() };
        let service = RegisterService::new(gateway.client(), options);
        service.ensure_all(&["a", "b", "nobodys"].map(|name| stdio(name, "1"))).await.expect("ensured");
        assert!(service.release(&named("a")).await.expect("released"));
        assert!(!service.release(&named("nobodys")).await.expect("released"));
        assert!(!service.release(&named("never-heard-of")).await.expect("nothing to do"));
        gateway.client().deregister(&named("nobodys")).await.expect("removed");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(gateway.names(), ["b"], "neither is registered again");
        assert_eq!(service.shutdown(Duration::from_secs(5)).await.expect("removed"), [named("b")]);
    }

    #[tokio::test]
    async fn an_id_means_the_server_until_that_is_released() {
        let gateway = FakeGateway::start().await;
        let service = RegisterService::new(gateway.client(), Options::default());
        service.ensure_as("mine", &stdio("agent-7-mine", "1")).await.expect("ensured");
        let address = "$mcp(mine#t)".parse().expect("an address");
        service.call(&address, "").await.expect("an answer");
        let selection =
            crate::worker::Selection { allowed: vec!["MINE".to_owned()], ..crate::worker::Selection::default() };
        assert_eq!(service.tools_for(&selection).await.expect("tools").functions.len(), 1);
        service.release(&named("agent-7-mine")).await.expect("released");
        assert!(service.ids().is_empty());
    }
}
