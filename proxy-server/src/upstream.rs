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
mod legacy_side;
mod level;
mod listen;
mod noise;
mod parameters;
mod question;
mod session;
mod state;
mod status;
mod supervisor;
mod transport;
mod upstream_call;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::sync::lock;
use indexmap::IndexMap;
use schemas::{Definition, ServerName, Transport, admin};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub(crate) use self::attachment::Attachment;
pub(crate) use self::changes::{ListChanges, list_changed, updated};
pub(crate) use self::deadline::Deadline;
pub(crate) use self::event::Event;
pub(crate) use self::events::{EventQueue, Events, event_queue, loss};
pub(crate) use self::level::{is_level, is_severe};
pub(crate) use self::question::{Question, Reply};
pub(crate) use self::session::{OpenError, Session};
pub(crate) use self::transport::descriptors::raise_descriptor_limit;
pub use self::transport::stdio::warden;
pub(crate) use self::transport::stdio::{ChildEnvironment, INHERITED, StartError};
pub(crate) use self::upstream_call::{UpstreamCall, forward_cancellation};

use crate::error::{Error, Kind, Limit};
use crate::http::client::Dialer;
use crate::live::Live;
use crate::protocol::{Era, Message};
use crate::tasks::Tasks;
use crate::telemetry::Secrets;
use crate::upstream::era::Verdict;
use crate::upstream::ids::next_id;
use crate::upstream::legacy_side::LegacySide;
use crate::upstream::noise::Noise;
use crate::upstream::session::Exchange;

/// `timeout` of an HTTP definition that does not set it.
const HTTP_START_TIMEOUT: Duration = Duration::from_secs(30);
/// Caller id of the gateway's own requests.
const NOBODY: u64 = 0;
/// Maximum time to end a process, from closing its input to SIGKILL. Only an unkillable process takes longer.
const LONGEST_END: Duration = Duration::from_secs(15);
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

pub(crate) struct Upstream {
    definition: Arc<Definition>,
    /// Masks the definition's secrets in texts.
    secrets: Arc<Secrets>,
    environment: Environment,
    observed: watch::Receiver<supervisor::Observed>,
    in_flight: AtomicUsize,
    places: Arc<Semaphore>,
    retired: CancellationToken,
    doubt: Arc<Notify>,
    /// The legacy era of an upstream whose own session is modern.
    legacy: LegacySide,
    /// Counts changes of its lists that it did not announce.
    unannounced: watch::Sender<ListChanges>,
    stats: Stats,
}

/// State that an upstream inherits from its predecessor of the same name.
struct Succession {
    /// Cancelled once the predecessor has ended completely.
    predecessor: Option<CancellationToken>,
    /// Cancels the upstream's own token when dropped, after it has ended completely.
    ended: DropGuard,
    /// The predecessor's era, if both definitions reach the same server.
    known: Option<Verdict>,
}

/// A permit for a request in flight, released when dropped.
pub(crate) struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counters of requests.
#[derive(Default)]
struct Stats {
    requests: AtomicU64,
    errors: AtomicU64,
    /// Moving average of response times in nanoseconds.
    average: AtomicU64,
}

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

impl Upstream {
    fn start(environment: &Environment, definition: Definition, succession: Succession) -> Arc<Self> {
        let (environment, definition) = (environment.another(), Arc::new(definition));
        let secrets = Arc::new(Secrets::of(&definition));
        let era = Verdict::declared(&definition).or(succession.known);
        let first = supervisor::Observed { state: admin::State::Connecting, era, ..Default::default() };
        let (sender, observed) = watch::channel(first);
        let (retired, doubt) = (CancellationToken::new(), Arc::<Notify>::default());
        let supervisor = supervisor::Supervisor {
            environment: environment.clone(),
            definition: Arc::clone(&definition),
            secrets: Arc::clone(&secrets),
            observed: sender,
            retired: retired.clone(),
            doubt: Arc::clone(&doubt),
            predecessor: succession.predecessor,
            ended: succession.ended,
        };
        environment.tasks.spawn("supervise upstream", supervisor.run());
        let places = definition.sessions.max.map_or(environment.config.dedicated_sessions, |max| max as usize);
        Arc::new(Self {
            definition,
            secrets,
            environment,
            observed,
            in_flight: AtomicUsize::new(0),
            places: Arc::new(Semaphore::new(places)),
            retired,
            doubt,
            legacy: LegacySide::default(),
            unannounced: watch::Sender::default(),
            stats: Stats::default(),
        })
    }

    pub(crate) fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Masks all secrets in a text that the upstream wrote, or in an error that may quote one, for display.
    pub(crate) fn masked(&self, text: &str) -> String {
        self.secrets.mask(text)
    }

    /// Masks the definition's secrets in a text that the upstream offers to clients.
    pub(crate) fn without_secrets(&self, text: &str) -> String {
        self.secrets.mask_known(text)
    }

    fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns the detected era, if the other definition reaches the same server.
    fn verdict_for(&self, other: &Definition) -> Option<Verdict> {
        let own = &self.definition;
        let is_same = (own.era, &own.transport, &own.env) == (other.era, &other.transport, &other.env);
        self.observed.borrow().era.filter(|verdict| is_same && verdict.stands())
    }

    /// Returns the token that is cancelled when the upstream is deregistered or replaced.
    pub(crate) fn retired(&self) -> &CancellationToken {
        &self.retired
    }

    /// Subscribes to the state that the supervisor publishes.
    pub(crate) fn observed(&self) -> watch::Receiver<supervisor::Observed> {
        self.observed.clone()
    }

    /// Returns the upstream's own session. Waits while it is being opened, but not after a failure.
    pub(crate) async fn own_session(&self, deadline: Instant) -> Result<Arc<Session>, Error> {
        let mut observed = self.observed.clone();
        let settled = observed.wait_for(|observed| match &observed.session {
            Some(session) => !session.is_closed(),
            None => matches!(observed.state, admin::State::Error | admin::State::Disconnected),
        });
        let settled = timeout_at(deadline, settled).await;
        let session = settled.ok().and_then(Result::ok).and_then(|observed| observed.session.clone());
        session.ok_or_else(|| Error::new(Kind::NotReady).at(&self.definition.name))
    }

    /// Sends a modern request on the upstream's own session, which belongs to no client.
    pub(crate) async fn forward(&self, call: UpstreamCall<'_>) -> Result<Message, Error> {
        let UpstreamCall { message, events, mut cancelled, deadline } = call;
        let session = self.own_session(deadline.next()).await?;
        if session.era() != Era::Modern {
            return Err(Error::new(Kind::NotReady).because("the upstream has become a legacy one"));
        }
        session.request(Exchange { message, caller: next_id(), events, cancelled: &mut cancelled, deadline }).await
    }

    /// Returns the upstream's era. Waits while it is being detected, but not after a failure.
    pub(crate) async fn era(&self, deadline: Instant) -> Result<Era, Error> {
        let mut observed = self.observed.clone();
        let settled = observed.wait_for(|observed| {
            observed.era.is_some() || matches!(observed.state, admin::State::Error | admin::State::Disconnected)
        });
        let settled = timeout_at(deadline, settled).await;
        let verdict = settled.ok().and_then(Result::ok).and_then(|observed| observed.era);
        verdict.map(|verdict| verdict.era).ok_or_else(|| Error::new(Kind::NotReady).at(&self.definition.name))
    }

    /// Returns the time to wait for the stream of a client's dedicated session.
    fn stream_patience(&self) -> Duration {
        let own = self.observed.borrow().session.clone();
        own.map_or(session::STREAM_PATIENCE, |own| own.stream_patience())
    }

    /// Returns the deadline for connecting and the handshake, starting now.
    fn start_deadline(&self) -> Instant {
        Instant::now() + self.environment.config.start_timeout(&self.definition)
    }

    /// Returns the deadline of a call that starts now.
    pub(crate) fn call_deadline(&self) -> Deadline {
        let (limits, config) = (&self.definition.limits, &self.environment.config);
        let in_all = limits.call_in_all.unwrap_or(config.max_call_timeout);
        Deadline::of_call(limits.call.unwrap_or(config.call_timeout), in_all)
    }

    /// Returns the timeout for reading a list: the definition's, or else the gateway's, or its connect timeout if
    /// longer.
    pub(crate) fn list_timeout(&self) -> Duration {
        let general = self.environment.config.list_timeout;
        self.definition.limits.list.unwrap_or(self.definition.timeout.unwrap_or_default().max(general))
    }

    /// Returns the maximum size of the queued notifications and questions of one call, in bytes.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.environment.config.queued_bytes
    }

    /// Returns the interval for reading the lists again if the upstream does not announce changes.
    pub(crate) fn refresh_interval(&self) -> Duration {
        self.definition.limits.refresh.unwrap_or(self.environment.config.refresh_interval)
    }

    /// Acquires a permit for a request in flight; fails at the limit.
    pub(crate) fn admit(&self) -> Result<Place<'_>, Error> {
        let place = Place(&self.in_flight);
        let most = self.definition.limits.in_flight.map_or(self.environment.config.in_flight, |most| most as usize);
        if self.in_flight.fetch_add(1, Ordering::Relaxed) < most {
            Ok(place)
        } else {
            let limit = Limit::count(most, "--max-in-flight", "maxInFlight");
            Err(Error::new(Kind::Busy).at(&self.definition.name).limited(Some(limit)))
        }
    }

    /// True if no request is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0
    }

    /// Acquires a permit for a dedicated session or a listener; fails at the limit.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|_| {
            let limit = Limit::count(self.most_sessions(), "--max-server-sessions", "maxSessions");
            Error::new(Kind::TooManySessions).at(&self.definition.name).limited(Some(limit))
        })
    }

    fn most_sessions(&self) -> usize {
        self.definition.sessions.max.map_or(self.environment.config.dedicated_sessions, |max| max as usize)
    }

    /// Counts a request and its duration.
    pub(crate) fn count(&self, took: Duration, ok: bool) {
        self.stats.requests.fetch_add(1, Ordering::Relaxed);
        if !ok {
            self.stats.errors.fetch_add(1, Ordering::Relaxed);
        }
        let sample = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let next = |old: u64| if old == 0 { sample } else { old - old / 10 + sample / 10 };
        self.stats.average.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(next(old))).ok();
    }

    /// Makes the supervisor ping the upstream, because a call lost the connection or the session.
    pub(crate) fn doubt(&self) {
        self.doubt.notify_one();
    }
}
