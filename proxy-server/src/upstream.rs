//! Upstreams: one supervised task each, their sessions, and the transports below.
//!
//! This module knows nothing of callers: no HTTP of a client, no tool policy. One upstream's failure is never
//! another's.

mod attachment;
mod changes;
mod connection;
mod deadline;
mod era;
mod event;
mod events;
mod health;
mod ids;
mod inbox;
mod legacy_session;
mod legacy_side;
mod level;
mod listen;
mod noise;
mod one;
mod parameters;
mod question;
mod session;
mod state;
mod status;
mod supervisor;
mod transport;
mod upstream_call;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::sync::lock;
use indexmap::IndexMap;
use schemas::{Definition, ServerName, Transport};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::attachment::Attachment;
pub(crate) use self::changes::{ListChanges, list_changed, updated};
pub(crate) use self::deadline::Deadline;
pub(crate) use self::event::Event;
pub(crate) use self::events::{EventQueue, Events, event_queue, loss};
pub(crate) use self::level::{is_level, is_severe};
pub(crate) use self::one::Upstream;
pub(crate) use self::question::{Question, Reply};
pub(crate) use self::session::{OpenError, Session};
pub(crate) use self::transport::descriptors::raise_descriptor_limit;
pub use self::transport::stdio::warden;
pub(crate) use self::transport::stdio::{ChildEnvironment, INHERITED, StartError};
pub(crate) use self::upstream_call::{UpstreamCall, forward_cancellation};

use crate::http::client::Dialer;
use crate::live::Live;
use crate::tasks::Tasks;
use crate::upstream::noise::Noise;
use crate::upstream::one::Succession;

/// `timeout` of an HTTP definition that does not set it.
const HTTP_START_TIMEOUT: Duration = Duration::from_secs(30);
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
        }
    }
}

impl Config {
    /// Returns the timeout for connecting and the handshake. An HTTP definition without a timeout reads as the
    /// ancestors' default of 30 s, so exactly that value selects the gateway's own limit.
    fn start_timeout(&self, definition: &Definition) -> Duration {
        let is_default =
            |timeout: &Duration| !matches!(definition.transport, Transport::Stdio(_)) && *timeout == HTTP_START_TIMEOUT;
        definition.timeout.filter(|timeout| !is_default(timeout)).unwrap_or(self.start_timeout)
    }

    /// Returns the maximum message size of an upstream in bytes.
    fn message_limit(&self, definition: &Definition) -> usize {
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
    starts: Arc<Semaphore>,
    /// Counts the upstream's processes that have not ended.
    processes: TaskTracker,
    /// Output lines of its processes that are not messages.
    noise: Arc<Noise>,
}

impl Environment {
    pub(crate) fn new(config: Live<Config>, tasks: Tasks, dialer: Dialer, children: ChildEnvironment) -> Self {
        Self {
            starts: Arc::new(Semaphore::new(config.starts)),
            config,
            tasks,
            dialer,
            children: Arc::new(children),
            processes: TaskTracker::new(),
            noise: Arc::default(),
        }
    }

    /// Creates the environment of another upstream.
    fn another(&self) -> Self {
        Self { processes: TaskTracker::new(), noise: Arc::default(), ..self.clone() }
    }
}

/// The live set of upstreams, in registration order. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Upstreams {
    environment: Environment,
    /// Tokens per name, cancelled once the newest upstream of that name has ended completely.
    ends: Arc<Mutex<HashMap<ServerName, CancellationToken>>>,
    live: watch::Sender<Arc<IndexMap<ServerName, Arc<Upstream>>>>,
}

/// The right to start and retire upstreams. There is one per set, so that nobody but its owner changes the set.
pub(crate) struct Lifecycle(Upstreams);

impl Upstreams {
    pub(crate) fn new(environment: Environment) -> (Self, Lifecycle) {
        let upstreams = Self { environment, ends: Arc::default(), live: watch::Sender::default() };
        (upstreams.clone(), Lifecycle(upstreams))
    }

    /// Checks that the definition's program, if it has one, can be found. Starts nothing.
    pub(crate) fn check(&self, definition: &Definition) -> Result<(), StartError> {
        match &definition.transport {
            Transport::Stdio(program) => {
                transport::stdio::locate(definition, program, &self.environment.children).map(drop)
            }
            Transport::Sse(_) | Transport::StreamableHttp(_) => Ok(()),
        }
    }

    /// Returns the maximum number of upstreams.
    pub(crate) fn capacity(&self) -> usize {
        self.environment.config.upstreams
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Upstream>> {
        self.live.borrow().get(name).cloned()
    }

    pub(crate) fn all(&self) -> Arc<IndexMap<ServerName, Arc<Upstream>>> {
        Arc::clone(&self.live.borrow())
    }

    /// Subscribes to changes of the set.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<IndexMap<ServerName, Arc<Upstream>>>> {
        self.live.subscribe()
    }
}

impl Lifecycle {
    /// Starts an upstream, and retires one of the same name with its sessions in the same step. The new one connects
    /// after the old one has ended completely, because programs hold locks and ports.
    pub(crate) fn start(&self, definition: Definition) {
        let ended = CancellationToken::new();
        let mut ends = lock(&self.0.ends);
        ends.retain(|_, ended| !ended.is_cancelled());
        let predecessor = ends.insert(definition.name.clone(), ended.clone());
        drop(ends);
        let known = self.0.get(definition.name.as_str()).and_then(|old| old.verdict_for(&definition));
        let succession = Succession { predecessor, ended: ended.drop_guard(), known };
        let upstream = Upstream::start(&self.0.environment, definition, succession);
        self.0.live.send_modify(|live| {
            let mut next = IndexMap::clone(live);
            if let Some(old) = next.insert(upstream.definition.name.clone(), upstream) {
                old.retired.cancel();
            }
            *live = Arc::new(next);
        });
    }

    /// Stops an upstream and ends every session that uses it.
    pub(crate) fn retire(&self, name: &str) {
        self.0.live.send_modify(|live| {
            let mut next = IndexMap::clone(live);
            if let Some(old) = next.shift_remove(name) {
                old.retired.cancel();
            }
            *live = Arc::new(next);
        });
    }
}
