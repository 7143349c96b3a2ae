//! The settings that can change while the gateway runs, as handles that the modules read.

use crate::call::Limits;
use crate::catalog::Naming;
use crate::config::Config;
use crate::live::Live;
use crate::{downstream, policy, telemetry, upstream};

/// Live settings, by the module that reads them. Cheap to clone.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) policy: Live<policy::Config>,
    pub(super) naming: Live<Naming>,
    pub(super) upstream: Live<upstream::Config>,
    pub(super) downstream: Live<downstream::Config>,
    pub(super) calls: Live<Limits>,
}

impl Settings {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            policy: Live::new(config.policy.clone()),
            naming: Live::new(config.naming.clone()),
            upstream: Live::new(config.upstream.clone()),
            downstream: Live::new(config.downstream.clone()),
            calls: Live::new(call_limits(config)),
        }
    }

    /// Publishes the settings of a configuration. What readers have copied at start must be unchanged in it.
    pub(super) fn replace(&self, config: &Config) {
        telemetry::configure(config.telemetry.levels.clone());
        self.policy.replace(config.policy.clone());
        if *self.naming != config.naming {
            self.naming.replace(config.naming.clone());
        }
        self.upstream.replace(config.upstream.clone());
        self.downstream.replace(config.downstream.clone());
        self.calls.replace(call_limits(config));
    }
}

/// Returns the limits of calls, with those that the edges share.
fn call_limits(config: &Config) -> Limits {
    let edges = &config.downstream;
    Limits { max_sessions: edges.max_sessions, queued_bytes: edges.stream_bytes, ..config.calls.clone() }
}
