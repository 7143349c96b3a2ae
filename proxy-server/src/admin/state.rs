//! State of the admin API, shared by its handlers.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::{Request, State};
use schemas::FingerprintSalt;
use tokio::time::Instant;

use crate::call::Services;
use crate::catalog::Catalog;
use crate::control::Control;
use crate::policy::{Credentials, Policy};
use crate::telemetry::StateChanges;
use crate::telemetry::usage::Trees;
use crate::upstream::Upstreams;

/// State shared by the handlers of the admin API.
pub(crate) struct Admin {
    pub(crate) control: Arc<Control>,
    pub(crate) upstreams: Upstreams,
    pub(crate) catalog: Catalog,
    pub(crate) policy: Arc<Policy>,
    pub(crate) salt: FingerprintSalt,
    pub(crate) started: Instant,
    pub(crate) connections: Arc<Connections>,
    pub(crate) max_definition_bytes: usize,
    pub(crate) max_body_bytes: usize,
    /// True once the gateway has announced its shutdown.
    pub(crate) is_draining: Box<dyn Fn() -> bool + Send + Sync>,
    /// Returns the number of client sessions of the legacy era.
    pub(crate) sessions: Box<dyn Fn() -> usize + Send + Sync>,
    /// Returns the longest silence of an event stream.
    pub(crate) keep_alive: Box<dyn Fn() -> Duration + Send + Sync>,
    pub(crate) calls: Arc<Services>,
    pub(crate) events: StateChanges,
    /// Resources of the upstreams' processes.
    pub(crate) trees: Trees,
    /// True if `/metrics` asks for no token.
    pub(crate) has_public_metrics: bool,
    /// Extracts the caller's credentials from a request.
    pub(crate) credentials: for<'a> fn(&'a Request) -> Credentials<'a>,
}

/// Counters of downstream connections, kept by the accept loop.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    pub(crate) active: AtomicU64,
    pub(crate) total: AtomicU64,
    /// Maximum number that is open.
    pub(crate) limit: usize,
}

/// The state, as handlers extract it.
pub(super) type Shared = State<Arc<Admin>>;
