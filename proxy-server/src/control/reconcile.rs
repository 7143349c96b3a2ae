//! Makes the running upstreams match the registry. Level-triggered: it compares the registry's newest state with all that
//! runs, so that it may run at any time, more often than needed, and once for many changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use schemas::ServerName;
use schemas::admin::Revision;

use crate::registry::{Registration, Registry, Snapshot};
use crate::sync::lock;
use crate::upstream::Lifecycle;

/// The only holder of the right to start and retire upstreams.
pub(super) struct Reconciler {
    registry: Registry,
    lifecycle: Lifecycle,
    running: Mutex<Running>,
}

/// The running upstreams, each with the registration that it was started for.
type Running = BTreeMap<ServerName, Origin>;

/// The part of a registration's state that decides if its upstream must be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin {
    created_at: Timestamp,
    incarnation: Revision,
}

/// Steps towards the desired state.
struct Steps {
    retired: Vec<ServerName>,
    /// Registrations whose upstreams are started, in the place of running ones of the same names.
    started: Vec<Arc<Registration>>,
}

impl Reconciler {
    pub(super) fn new(registry: Registry, lifecycle: Lifecycle) -> Self {
        Self { registry, lifecycle, running: Mutex::default() }
    }

    /// Starts, restarts and retires upstreams until they match the registry's newest state.
    pub(super) fn reconcile(&self) {
        let mut running = lock(&self.running);
        // Taken under the lock: an older state must not be reconciled after a newer one.
        let desired = self.registry.snapshot();
        let Steps { retired, started } = steps(&desired, &running);
        // Started even if its program is missing: it may be installed later, and the status shows the error until then.
        self.lifecycle.apply(&retired, started.iter().map(|registration| registration.definition.clone()).collect());
        for name in &retired {
            running.remove(name);
        }
        for registration in &started {
            running.insert(registration.definition.name.clone(), Origin::of(registration));
        }
    }
}

/// Computes the steps from the running upstreams to the desired ones.
fn steps(desired: &Snapshot, running: &Running) -> Steps {
    let is_kept = |name: &str, origin: &Origin| {
        desired.get(name).is_some_and(|registration| registration.created_at == origin.created_at)
    };
    let gone = running.iter().filter(|(name, origin)| !is_kept(name.as_str(), origin));
    let is_current =
        |registration: &Registration| running.get(&registration.definition.name) == Some(&Origin::of(registration));
    let outdated = desired.all().filter(|registration| !is_current(registration));
    Steps { retired: gone.map(|(name, _)| name.clone()).collect(), started: outdated.cloned().collect() }
}

impl Origin {
    fn of(registration: &Registration) -> Self {
        Self { created_at: registration.created_at, incarnation: registration.incarnation }
    }
}
