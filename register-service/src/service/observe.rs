//! Measures which of the needed servers are connected, until the service ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proxy_client::{Needs, Readiness};
use schemas::ServerName;
use schemas::admin::{Registration, State};
use tokio::time::sleep;
use tracing::debug;

use crate::service::lease::Shared;
use crate::service::metrics::{Metric, hashed};

/// Time limit of one poll.
const LOOK: Duration = Duration::from_secs(10);

/// Polls the gateway every [`Options::watch_interval`](crate::Options::watch_interval).
pub(super) async fn observe(shared: Arc<Shared>) {
    loop {
        sleep(shared.options.watch_interval.max(Duration::from_millis(1))).await;
        if shared.held().needed.is_empty() {
            continue;
        }
        match shared.client.within(LOOK).list().await {
            Ok(list) => shared.count_connected(&list),
            // Count all servers as disconnected if the gateway is unreachable.
            Err(error) if error.is_unreachable() => shared.count(BTreeSet::clear),
            Err(error) => debug!(%error, "nobody knows which servers are connected"),
        }
    }
}

impl Shared {
    /// Updates the connected servers from the gateway's list.
    pub(super) fn count_connected(&self, list: &[Registration]) {
        let is_connected = |it: &&Registration| it.status.status == State::Connected;
        let names = list.iter().filter(is_connected).filter_map(|it| ServerName::stored(it.definition.name()).ok());
        self.count(|connected| *connected = names.collect());
    }

    /// Updates the connected servers from the result of waiting for them.
    pub(super) fn count_ready(&self, needs: &Needs, readiness: &Readiness) {
        if readiness.source.is_some() {
            return;
        }
        let is_absent =
            |name: &&ServerName| readiness.missing.iter().chain(&readiness.absent).any(|it| it.name == **name);
        self.count(|connected| connected.extend(needs.names().filter(|name| !is_absent(name)).cloned()));
    }

    /// Records which of the needed servers connected or disconnected, and marks the list of tools as outdated if any
    /// did.
    pub(super) fn count(&self, learn: impl FnOnce(&mut BTreeSet<ServerName>)) {
        let (came, went) = {
            let mut held = self.held();
            let before = held.connected.clone();
            let mut now = before.clone();
            learn(&mut now);
            now.retain(|name| held.needed.contains(name));
            held.connected = now.clone();
            (&now - &before, &before - &now)
        };
        if !came.is_empty() || !went.is_empty() {
            self.catalog.outdate();
        }
        let all = came.iter().map(|name| (name, 1.0)).chain(went.iter().map(|name| (name, -1.0)));
        for (name, value) in all {
            let id = hashed(name.as_str());
            self.record(&Metric::SERVER_CONNECTIONS_ACTIVE, &[("server_id", &id)], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use crate::fake::{FakeGateway, named, stdio};
    use crate::service::RegisterService;
    use crate::service::metrics::Metrics;
    use crate::service::options::Options;

    use super::*;

    #[derive(Debug, Default)]
    struct Active(Mutex<f64>);

    impl Metrics for Active {
        fn record(&self, metric: &Metric, _: &[(&'static str, &str)], value: f64) {
            if *metric == Metric::SERVER_CONNECTIONS_ACTIVE {
                *self.0.lock().expect("no panic before") += value;
            }
        }
    }

    impl Active {
        fn now(&self) -> f64 {
            *self.0.lock().expect("no panic before")
        }

        async fn comes_to(&self, expected: f64) {
            for _ in 0..200 {
                if (self.now() - expected).abs() < 0.5 {
                    return;
                }
                sleep(Duration::from_millis(10)).await;
            }
            panic!("{} and not {expected}", self.now());
        }
    }

    fn measured(gateway: &FakeGateway) -> (RegisterService, Arc<Active>) {
        let active = Arc::new(Active::default());
        let metrics: Arc<dyn Metrics> = Arc::clone(&active) as _;
        let interval = Duration::from_millis(10);
        let options = Options { metrics: Some(metrics), watch_interval: interval, ..Options::default() };
        (RegisterService::new(gateway.client(), options), active)
    }

    #[tokio::test]
    async fn servers_that_come_and_go_are_counted_although_nobody_listens() {
        let gateway = FakeGateway::start().await;
        let (service, active) = measured(&gateway);
        gateway.put(stdio("not-ours", "1"));
        service.ensure_all(&[stdio("a", "1"), stdio("b", "1")]).await.expect("ensured");
        active.comes_to(2.0).await;
        service.deregister(&named("b")).await.expect("removed");
        active.comes_to(1.0).await;
        // The gateway reconnects a changed server.
        service.ensure(&stdio("a", "2")).await.expect("ensured");
        active.comes_to(1.0).await;
        service.shutdown(Duration::from_secs(5)).await.expect("removed");
        active.comes_to(0.0).await;
    }

    #[tokio::test]
    async fn nothing_is_connected_through_a_gateway_that_is_gone() {
        let gateway = FakeGateway::start().await;
        let (service, active) = measured(&gateway);
        service.ensure(&stdio("a", "1")).await.expect("ensured");
        active.comes_to(1.0).await;
        drop(gateway);
        active.comes_to(0.0).await;
        drop(service);
    }

    #[tokio::test]
    async fn who_waited_for_a_server_counts_it_and_is_offered_its_tools() {
        let gateway = FakeGateway::start().await;
        let (service, active) = measured(&gateway);
        service.shared.held().needed.insert(named("a"));
        assert!(service.tools().await.expect("tools").functions.is_empty());
        gateway.put(stdio("a", "1"));
        let ready = service.wait_until_ready(&Needs::required([named("a")]), Duration::from_secs(5)).await;
        assert!(ready.is_ready() && active.now() > 0.5, "{ready}");
        assert_eq!(service.tools().await.expect("tools").functions.len(), 1);
    }
}
