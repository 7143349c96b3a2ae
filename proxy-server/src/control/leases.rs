//! Takes, renews and ends leases, and removes the registrations that have lost their last one.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemas::Holder;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::control::Control;
use crate::registry::{EndedLeases, Grant, StorageError, TransactError};
use crate::telemetry::Actor;

/// Longest time between two looks at the wall clock while leases are held.
const CLOCK_CHECK: Duration = Duration::from_secs(30);
/// Delay before leases are ended again that could not be ended because the storage was lost.
const STORAGE_RETRY: Duration = Duration::from_secs(1);

impl Control {
    /// Sets the leases of a holder to exactly these names, or renews those it has.
    pub(crate) async fn hold(
        &self,
        by: &Actor,
        holder: &Holder,
        names: Option<Vec<String>>,
        ttl: Duration,
    ) -> Result<Grant, TransactError> {
        let is_renewal = names.is_none();
        let grant = self.registry.hold(holder, names, ttl, &self.context(by)).await?;
        self.follow_ended(&grant.ended);
        if !is_renewal {
            debug!(%holder, leases = grant.held.len(), "leases taken");
        }
        Ok(grant)
    }

    /// Ends all leases of a holder.
    pub(crate) async fn release(&self, by: &Actor, holder: &Holder) -> Result<EndedLeases, StorageError> {
        let ended = self.registry.release(holder, &self.context(by)).await?;
        debug!(%holder, leases = ended.removed.len() + ended.kept.len(), "leases given back");
        self.follow_ended(&ended);
        Ok(ended)
    }

    /// Retires the upstreams whose registrations went with their last lease.
    fn follow_ended(&self, ended: &EndedLeases) {
        if ended.removed.is_empty() {
            return;
        }
        self.reconciler.reconcile();
        for upstream in &ended.removed {
            info!(%upstream, "deregistered with its last lease");
        }
    }
}

/// Ends leases whose time has come. One task serves all leases.
///
/// Leases end by the wall clock, which may be set while the task sleeps by the monotonic one. So each expiry asks the
/// wall clock again: after it was set back, leases end later, and never early.
pub(super) async fn expire(control: Arc<Control>, stopping: CancellationToken) {
    loop {
        let published = control.registry.published();
        tokio::pin!(published);
        // Before the next expiry is computed, so that no change after that is missed.
        published.as_mut().enable();
        let due = match control.registry.next_expiry() {
            Some(ends_at) => time_until(ends_at, control.now()),
            None => CLOCK_CHECK,
        };
        tokio::select! {
            () = stopping.cancelled() => return,
            // Another lease may end first now, also one that another gateway has granted.
            () = published => continue,
            () = sleep(due) => {}
        }
        match control.registry.expire(&control.context(&Actor::Gateway)).await {
            Ok(ended) => control.follow_ended(&ended),
            // The storage is lost, which the registry has logged. Leases end once it is back.
            Err(_) => drop(stopping.run_until_cancelled(sleep(STORAGE_RETRY)).await),
        }
    }
}

/// Computes the time to sleep until a lease may have ended. It is bounded, so that a wall clock that is set forward, or
/// goes on while the machine is suspended, is noticed.
fn time_until(ends_at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(ends_at.duration_since(now)).unwrap_or_default().min(CLOCK_CHECK)
}
