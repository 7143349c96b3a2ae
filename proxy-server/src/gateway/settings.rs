//! The settings that can change while the gateway runs, as handles that the modules read.

use crate::call::Limits;
use crate::catalog::Naming;
use crate::config::Config;
use crate::live::Live;
use crate::{downstream, policy, upstream};

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
            calls: Live::new(call_limits(&config.downstream)),
        }
    }

    /// Publishes the settings of a configuration. What readers have copied at start must be unchanged in it.
    pub(super) fn replace(&self, config: &Config) {
        self.policy.replace(config.policy.clone());
        if *self.naming != config.naming {
            self.naming.replace(config.naming.clone());
        }
        self.upstream.replace(config.upstream.clone());
        self.downstream.replace(config.downstream.clone());
        self.calls.replace(call_limits(&config.downstream));
    }
}

/// Selects the limits of calls from the settings of the edges.
fn call_limits(config: &downstream::Config) -> Limits {
    Limits {
        initialize_timeout: config.initialize_timeout,
        question_timeout: config.question_timeout,
        max_sessions: config.max_sessions,
        queued_bytes: config.stream_bytes,
        parked_calls: config.parked_calls,
    }
}
