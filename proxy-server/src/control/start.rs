//! Starts the control with its tasks.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::control::{Control, files, leases};
use crate::registry::Registry;
use crate::tasks::Tasks;
use crate::upstream::Lifecycle;

/// Delay between a change and its reconciliation by [`follow`], in which the commit that made the change does it itself.
const OTHERS_TURN: Duration = Duration::from_secs(1);

impl Control {
    /// Takes over the registry and the upstreams, and starts the tasks that end leases and keep both in step.
    pub(crate) fn start(registry: Registry, lifecycle: Lifecycle, tasks: &Tasks) -> Arc<Self> {
        let control = Arc::new(Self::new(registry, lifecycle, Timestamp::now));
        tasks.spawn("expire leases", leases::expire(Arc::clone(&control), tasks.stopping().clone()));
        tasks.spawn("reconcile upstreams", follow(Arc::clone(&control), tasks.stopping().clone()));
        tasks.spawn("declared servers", files::follow(Arc::clone(&control), tasks.stopping().clone()));
        control
    }
}

/// Reconciles whenever the registry has changed, for changes whose commit does not: its caller has dropped it half way, or
/// it is another process's.
pub(super) async fn follow(control: Arc<Control>, stopping: CancellationToken) {
    let mut newest = control.watch();
    loop {
        // Before waiting, because the registry may have changed before this task began to watch.
        debug!(revision = %newest.borrow_and_update().revision(), "reconciling upstreams");
        control.reconciler.reconcile();
        tokio::select! {
            () = stopping.cancelled() => return,
            changed = newest.changed() => if changed.is_err() { return },
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = sleep(OTHERS_TURN) => {}
        }
    }
}
