//! One upstream: its definition, the state that its supervisor publishes, its limits and its counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemas::{Definition, admin};
use serde_json::Value;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::{Blame, Error, Kind, Limit};
use crate::protocol::{Era, Message};
use crate::telemetry::{EventType, Secrets};
use crate::tenant::Tenant;
use crate::upstream::changes::ListChanges;
use crate::upstream::deadline::Deadline;
use crate::upstream::era::Verdict;
use crate::upstream::ids::next_id;
use crate::upstream::in_flight::{Flights, Full, InFlight};
use crate::upstream::legacy_side::LegacySide;
use crate::upstream::log::UpstreamLog;
use crate::upstream::session::{Exchange, Session};
use crate::upstream::tally::{EndedRequest, RequestCounts, Tally};
use crate::upstream::upstream_call::UpstreamCall;
use crate::upstream::{Environment, session, supervisor};

/// One upstream, with the state that its supervisor publishes.
pub(crate) struct Upstream {
    pub(super) definition: Arc<Definition>,
    /// Masks the definition's secrets in texts.
    secrets: Arc<Secrets>,
    pub(super) environment: Environment,
    pub(super) observed: watch::Receiver<supervisor::Observed>,
    in_flight: Flights,
    places: Arc<Semaphore>,
    pub(super) retired: CancellationToken,
    doubt: Arc<Notify>,
    /// The legacy era of an upstream whose own session is modern.
    pub(super) legacy: LegacySide,
    /// Counts changes of its lists that it did not announce.
    unannounced: watch::Sender<ListChanges>,
    pub(super) stats: Stats,
    tally: Tally,
}

/// State that an upstream inherits from its predecessor of the same name.
pub(super) struct Succession {
    /// Cancelled once the predecessor has ended completely.
    pub(super) predecessor: Option<CancellationToken>,
    /// Cancels the upstream's own token when dropped, after it has ended completely.
    pub(super) ended: DropGuard,
    /// The predecessor's era, if both definitions reach the same server.
    pub(super) known: Option<Verdict>,
}

/// Counters of requests.
#[derive(Default)]
pub(super) struct Stats {
    pub(super) requests: AtomicU64,
    pub(super) errors: AtomicU64,
    /// Moving average of response times in nanoseconds.
    pub(super) average: AtomicU64,
}

impl Upstream {
    pub(super) fn start(environment: &Environment, definition: Definition, succession: Succession) -> Arc<Self> {
        let (environment, definition) = (environment.another(), Arc::new(definition));
        let secrets = Arc::new(environment.children.secrets(&definition));
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
            in_flight: Flights::default(),
            places: Arc::new(Semaphore::new(places)),
            retired,
            doubt,
            legacy: LegacySide::default(),
            unannounced: watch::Sender::default(),
            stats: Stats::default(),
            tally: Tally::default(),
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

    /// Announces that its lists have changed.
    pub(crate) fn announce_lists(&self, details: &[(&str, Value)]) {
        self.environment.events.note(EventType::ListsChanged, self.definition.name.as_str(), details);
    }

    /// Returns the last lines about the upstream.
    pub(crate) fn log(&self) -> &UpstreamLog {
        &self.environment.log
    }

    /// Returns the name by which the upstream's own logs know the own session.
    pub(crate) fn session_label(&self) -> Option<String> {
        self.observed.borrow().session.as_ref()?.label()
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns the detected era, if the other definition reaches the same server.
    pub(super) fn verdict_for(&self, other: &Definition) -> Option<Verdict> {
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
    pub(super) fn stream_patience(&self) -> Duration {
        let own = self.observed.borrow().session.clone();
        own.map_or(session::STREAM_PATIENCE, |own| own.stream_patience())
    }

    /// Returns the deadline for connecting and the handshake, starting now.
    pub(super) fn start_deadline(&self) -> Instant {
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

    /// Acquires a permit for a request in flight; fails at the limit, or if the tenant holds its share.
    pub(crate) fn admit(&self, tenant: Tenant) -> Result<InFlight<'_>, Error> {
        let most = self.most_in_flight();
        self.in_flight.admit(tenant, most).map_err(|full| {
            let limit = match full {
                Full::Limit => Limit::count(most, "--max-in-flight", "maxInFlight"),
                Full::Share => Limit::shared(most, "--max-in-flight", "maxInFlight"),
            };
            Error::new(Kind::Busy).because(full).at(&self.definition.name).limited(Some(limit))
        })
    }

    /// Returns the maximum number of requests in flight.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.definition.limits.in_flight.map_or(self.environment.config.in_flight, |most| most as usize)
    }

    /// True if no request is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.len() == 0
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

    /// Counts a request that was refused before it was sent.
    pub(crate) fn count_refused(&self, method: &'static str, kind: Kind) {
        let (outcome, request_bytes, response_bytes) = (kind.word(), 0, 0);
        if kind.blame() != Blame::Downstream {
            self.environment.failures.count(outcome);
        }
        self.tally.count(EndedRequest { method, outcome, took: None, request_bytes, response_bytes });
    }

    /// Counts a request whose client has left.
    pub(crate) fn count_cancelled(&self, ended: EndedRequest) {
        self.tally.count(ended);
    }

    /// Returns the numbers of requests.
    pub(crate) fn counts(&self) -> RequestCounts {
        self.tally.sum()
    }

    /// Returns the number of requests in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Returns the number of completed handshakes of the own session.
    pub(crate) fn handshakes(&self) -> u64 {
        self.observed.borrow().handshakes
    }

    /// Returns the ids of its processes that have not ended.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.environment.processes.ids()
    }

    /// Counts a request that took this time.
    pub(crate) fn count(&self, took: Duration, ok: bool, ended: EndedRequest) {
        if !ok {
            self.environment.failures.count(ended.outcome);
        }
        self.tally.count(ended);
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

    /// Records that a list of this kind has changed without an announcement.
    pub(crate) fn note_unannounced(&self, kind: &str) {
        self.unannounced.send_modify(|changes| changes.count(kind));
    }

    /// Subscribes to changes that the upstream did not announce: those while no stream was open, and those of an
    /// upstream that announces none.
    pub(crate) fn unannounced(&self) -> watch::Receiver<ListChanges> {
        self.unannounced.subscribe()
    }
}
