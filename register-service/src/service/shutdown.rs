//! Shutdown of a worker within a deadline, whatever the gateway does.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use schemas::ServerName;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::apply::ApplyError;
use crate::service::RegisterService;
use crate::service::failure::{chain, told};
use crate::sync::lock;

/// Error of a shutdown: some registrations could not be removed.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn run(service: register_service::RegisterService) {
/// if let Err(left) = service.shutdown(Duration::from_secs(10)).await {
///     for failure in &left.failures {
///         eprintln!("{} stays at the gateway: {failure}", failure.name());
///     }
///     if left.leases.is_some() {
///         eprintln!("the rest goes by itself when the leases end");
///     }
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{}", self.words())]
#[non_exhaustive]
pub struct NotRemoved {
    /// Registrations that were removed.
    pub removed: Vec<ServerName>,
    /// Registrations not removed at a gateway without leases. They are remembered, so that the shutdown can be
    /// repeated.
    pub failures: Vec<ApplyError>,
    /// The reason why the leases could not be released. They expire, and registrations without other leases are
    /// removed then.
    pub leases: Option<proxy_client::Error>,
}

impl NotRemoved {
    fn words(&self) -> String {
        let failed = (!self.failures.is_empty())
            .then(|| format!("failed to deregister {} MCPs: {}", self.failures.len(), told(&self.failures)));
        let kept =
            self.leases.as_ref().map(|error| format!("cannot give back the leases, which end soon: {}", chain(error)));
        failed.into_iter().chain(kept).collect::<Vec<_>>().join("; ")
    }
}

impl RegisterService {
    /// Releases all leases of this service within a deadline. Returns the registrations that were removed as a result:
    /// those without leases of other workers. At a gateway without leases, removes the registrations that this service
    /// created; those already missing count as removed.
    ///
    /// Ends within the deadline even if the gateway is gone or hangs; the leases expire then.
    ///
    /// # Errors
    ///
    /// [`NotRemoved`] if a registration could not be removed or the leases could not be released.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(service: register_service::RegisterService) {
    /// match service.shutdown(Duration::from_secs(10)).await {
    ///     Ok(removed) => println!("removed: {removed:?}"),
    ///     Err(error) => eprintln!("{error}"),
    /// }
    /// # }
    /// ```
    pub async fn shutdown(&self, within: Duration) -> Result<Vec<ServerName>, NotRemoved> {
        let end = Instant::now() + within;
        // Stop the renewal first: it would take the released leases again.
        let mut keeper = std::mem::take(&mut *lock(&self.keeper));
        keeper.shutdown().await;
        self.watch.stop();
        let (names, may_hold) = {
            let mut held = self.shared.held();
            held.forget_all();
            (held.created.iter().cloned().collect::<Vec<_>>(), held.may_hold())
        };
        self.shared.count(BTreeSet::clear);
        // Wait for registrations in progress, which would take a lease afterwards; at most half of the time, as one
        // may hang.
        timeout_at(end - within / 2, self.shared.quiet()).await.ok();
        let leases = async {
            match may_hold {
                true => self.release_all(end).await,
                false => Ok(Vec::new()),
            }
        };
        let (released, (mut removed, failures)) = tokio::join!(leases, self.remove(names, end));
        let leases = match released {
            Ok(names) => {
                removed.extend(names);
                None
            }
            Err(error) => Some(error),
        };
        match failures.is_empty() && leases.is_none() {
            true => Ok(removed),
            false => Err(NotRemoved { removed, failures, leases }),
        }
    }

    async fn release_all(&self, end: Instant) -> Result<Vec<ServerName>, proxy_client::Error> {
        let released = match self.shared.client.within(left(end)).release(&self.shared.holder).await {
            Err(error) if error.is_unsupported() => return Ok(Vec::new()),
            released => released?,
        };
        debug!(removed = released.removed.len(), kept = released.kept.len(), "leases given back");
        Ok(released.removed.iter().filter_map(|name| ServerName::stored(name).ok()).collect())
    }

    async fn remove(&self, names: Vec<ServerName>, end: Instant) -> (Vec<ServerName>, Vec<ApplyError>) {
        let (mut removed, mut failures) = (Vec::new(), Vec::new());
        let mut results = stream::iter(names)
            .map(|name| async move { (self.shared.client.within(left(end)).deregister(&name).await, name) })
            .buffered(self.shared.options.concurrency.max(1));
        while let Some((result, name)) = results.next().await {
            match result {
                Ok(_) => {
                    debug!(upstream = %name, "upstream deregistered");
                    self.shared.held().created.remove(&name);
                    removed.push(name);
                }
                Err(error) => failures.push(ApplyError::at_gateway("deregister", &name)(error)),
            }
        }
        (removed, failures)
    }
}

/// Returns the time left, at least 1 ms: with a deadline of zero the request would not be tried.
fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}
