//! Settings and facilities that upstreams share.

use std::sync::Arc;
use std::time::Duration;

use schemas::{Definition, Transport};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Kind, Limit};
use crate::http::client::Dialer;
use crate::live::Live;
use crate::tasks::Tasks;
use crate::telemetry::StateChanges;
use crate::upstream::log::UpstreamLog;
use crate::upstream::noise::Noise;
use crate::upstream::processes::Processes;
use crate::upstream::tally::Failures;
use crate::upstream::transport::stdio::ChildEnvironment;

/// `timeout` of an HTTP definition that does not set it.
const HTTP_START_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of servers over HTTP that are connected to at once, so that a start with many is no storm.
const REMOTE_STARTS: usize = 32;
/// Concurrent program starts per core. Most of a start is CPU work.
const STARTS_PER_CORE: usize = 2;

/// Limits towards upstreams.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Timeout for connecting and the handshake, unless the definition sets it.
    pub(crate) start_timeout: Duration,
    /// Time for an upstream to answer the era probe; for a program, counted from when it has read the request.
    pub(crate) era_probe: Duration,
    /// Maximum number of programs that start at once. The others queue; their start timeout begins at their turn.
    pub(crate) starts: usize,
    /// Time for a child process to end after its input was closed, and again after SIGTERM.
    pub(crate) child_patience: Duration,
    /// Maximum silence of an upstream during a call, unless the definition sets it.
    pub(crate) call_timeout: Duration,
    /// Maximum total duration of a call, unless the definition sets it.
    pub(crate) max_call_timeout: Duration,
    /// Timeout for reading all pages of one list, unless the definition sets it.
    pub(crate) list_timeout: Duration,
    /// Interval for reading the lists of an upstream that does not announce changes.
    pub(crate) refresh_interval: Duration,
    /// Maximum number of requests in flight per upstream, unless the definition sets it.
    pub(crate) in_flight: usize,
    /// Maximum number of dedicated sessions per upstream, unless the definition sets it.
    pub(crate) dedicated_sessions: usize,
    /// Idle timeout of connections to upstreams that do not announce one.
    pub(crate) idle_timeout: Duration,
    /// Maximum size of a message (line, event or body) in bytes, unless the definition sets it.
    pub(crate) message_limit: usize,
    /// Maximum size of the queued notifications and questions of one call, in bytes.
    pub(crate) queued_bytes: usize,
    /// Maximum number of upstreams.
    pub(crate) upstreams: usize,
    /// Maximum number of child programs of all upstreams.
    pub(crate) processes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            start_timeout: Duration::from_secs(30),
            era_probe: Duration::from_secs(3),
            starts: STARTS_PER_CORE * std::thread::available_parallelism().map_or(1, usize::from),
            child_patience: Duration::from_secs(2),
            call_timeout: Duration::from_secs(300),
            max_call_timeout: Duration::from_secs(60 * 60),
            list_timeout: Duration::from_secs(10),
            refresh_interval: Duration::from_secs(60),
            in_flight: 256,
            dedicated_sessions: 1_000,
            idle_timeout: Duration::from_millis(1_500),
            message_limit: 16 << 20,
            queued_bytes: 4 << 20,
            upstreams: 1_000,
            processes: 2_000,
        }
    }
}

impl Config {
    /// Returns the timeout for connecting and the handshake. An HTTP definition without a timeout reads as the
    /// ancestors' default of 30 s, so exactly that value selects the gateway's own limit.
    pub(super) fn start_timeout(&self, definition: &Definition) -> Duration {
        let is_default =
            |timeout: &Duration| !matches!(definition.transport, Transport::Stdio(_)) && *timeout == HTTP_START_TIMEOUT;
        definition.timeout.filter(|timeout| !is_default(timeout)).unwrap_or(self.start_timeout)
    }

    /// Returns the maximum message size of an upstream in bytes.
    pub(super) fn message_limit(&self, definition: &Definition) -> usize {
        let declared = definition.limits.message_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        declared.unwrap_or(self.message_limit)
    }
}

/// The resources that an upstream needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Environment {
    pub(crate) config: Live<Config>,
    pub(crate) tasks: Tasks,
    pub(crate) dialer: Dialer,
    pub(crate) children: Arc<ChildEnvironment>,
    /// Permits for program starts, shared by all upstreams.
    pub(super) starts: Arc<Semaphore>,
    /// Permits for connecting to servers over HTTP, shared by all upstreams.
    pub(super) remote_starts: Arc<Semaphore>,
    /// Permits for child programs, shared by all upstreams.
    places: Arc<Semaphore>,
    /// The upstream's processes that have not ended.
    pub(super) processes: Processes,
    /// Failures of requests to all upstreams.
    pub(super) failures: Arc<Failures>,
    /// Output lines of its processes that are not messages.
    pub(super) noise: Arc<Noise>,
    /// State changes of the gateway.
    pub(super) events: StateChanges,
    /// Last lines about the upstream.
    pub(super) log: UpstreamLog,
}

impl Environment {
    pub(crate) fn new(
        config: Live<Config>,
        (tasks, events): (Tasks, StateChanges),
        dialer: Dialer,
        children: ChildEnvironment,
    ) -> Self {
        Self {
            starts: Arc::new(Semaphore::new(config.starts)),
            remote_starts: Arc::new(Semaphore::new(REMOTE_STARTS)),
            places: Arc::new(Semaphore::new(config.processes)),
            config,
            tasks,
            dialer,
            children: Arc::new(children),
            processes: Processes::default(),
            failures: Arc::default(),
            noise: Arc::default(),
            events,
            log: UpstreamLog::default(),
        }
    }

    /// Acquires a permit for a child program; fails at the limit.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let limit = Limit::count(self.config.processes, "--max-processes", None);
            Error::new(Kind::TooManySessions).because("no more programs may run at once").limited(Some(limit))
        })
    }

    /// Creates the environment of another upstream.
    pub(super) fn another(&self) -> Self {
        Self { processes: Processes::default(), noise: Arc::default(), log: UpstreamLog::default(), ..self.clone() }
    }
}
