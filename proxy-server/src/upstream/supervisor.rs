//! The task that keeps an upstream's own session alive: the I/O around `state`.
//!
//! The own session is initialised by the gateway and declares no client capability. It feeds the catalog and the admin
//! API, shows whether the upstream is usable, and serves downstream sessions that share it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemas::{Transport, admin};
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use crate::error::{Chain, Error};
use crate::protocol::{Message, server_of};
use crate::telemetry::{EventType, Secrets};
use crate::text::shortened;
use crate::upstream::environment::Environment;
use crate::upstream::era::{self, Verdict};
use crate::upstream::health;
use crate::upstream::log::{LineSource, note};
use crate::upstream::session::Session;
use crate::upstream::state::{Action, Event, Policy, STABLE, State, step};
use crate::upstream::transport::exit::LONGEST_END;

/// Maximum time for which a start occupies its permit while others queue.
const LONGEST_TURN: Duration = Duration::from_secs(5);
/// Time after which a connection to a server over HTTP gives its permit back.
const LONGEST_REMOTE_TURN: Duration = Duration::from_millis(500);
/// Maximum length of the reason of a failure, in bytes.
const LONGEST_REASON: usize = 4 << 10;
/// Number of consecutive short sessions after which a new session must last for a while before it is published.
const SUSPICIOUS: u32 = 3;
/// Number of consecutive failed attempts after which the era is probed again.
const ATTEMPTS_PER_VERDICT: u32 = 4;

/// Observed state of an upstream, published to all readers.
#[derive(Clone, Default)]
pub(crate) struct Observed {
    pub(crate) state: admin::State,
    /// The own session while connected.
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) connected_at: Option<(Timestamp, Instant)>,
    /// The last failure; `None` while connected.
    pub(crate) last_error: Option<(Timestamp, Arc<str>)>,
    /// The end of the last session, with its reason.
    pub(crate) last_loss: Option<(Timestamp, Arc<str>)>,
    /// Number of attempts since the last handshake.
    pub(crate) attempts: u32,
    /// True if no further attempt follows.
    pub(super) gave_up: bool,
    /// Number of consecutive sessions that ended soon after their handshake.
    pub(super) short_sessions: u32,
    /// The upstream's era, once it is known.
    pub(crate) era: Option<Verdict>,
    /// Number of handshakes.
    pub(super) handshakes: u64,
}

impl Observed {
    /// Returns the number of consecutive short sessions; 0 once the current session is stable.
    pub(crate) fn short_sessions(&self) -> u32 {
        let holds = |(_, since): (Timestamp, Instant)| since.elapsed() >= STABLE;
        if self.session.is_some() && self.connected_at.is_some_and(holds) { 0 } else { self.short_sessions }
    }
}

/// The state of a supervisor task.
pub(super) struct Supervisor {
    pub(super) environment: Environment,
    pub(super) definition: Arc<schemas::Definition>,
    pub(super) secrets: Arc<Secrets>,
    pub(super) observed: watch::Sender<Observed>,
    pub(super) retired: CancellationToken,
    /// Notified when a call lost the connection or the session.
    pub(super) doubt: Arc<Notify>,
    /// Cancelled once the predecessor of the same name has ended completely.
    pub(super) predecessor: Option<CancellationToken>,
    /// Cancels the upstream's own token when dropped, after it has ended completely.
    pub(super) ended: DropGuard,
}

impl Supervisor {
    /// Runs until the upstream is retired or the gateway stops.
    pub(super) async fn run(self) {
        let policy = Policy::from(&self.definition.reconnect);
        let mut state = State::Connecting { failures: 0 };
        let mut action = Action::Connect;
        self.wait_for_predecessor().await;
        loop {
            let event = tokio::select! {
                () = self.retired.cancelled() => break,
                () = self.environment.tasks.stopping().cancelled() => break,
                event = self.perform(action) => event,
            };
            (state, action) = step(state, event, policy, jitter());
            if state == State::GaveUp {
                warn!(upstream = %self.definition.name, "gave up connecting");
                note(&self.environment.log, LineSource::Gateway, None, "gave up connecting");
                self.gave_up();
            }
        }
        let session = self.observed.send_replace(Observed::default()).session;
        self.announce(EventType::Ended, &[]);
        if let Some(session) = session {
            session.close().await;
        }
        // Dedicated sessions end by themselves when the upstream is retired.
        timeout(LONGEST_END, self.environment.processes.ended()).await.ok();
        drop(self.ended);
    }

    async fn wait_for_predecessor(&self) {
        let Some(predecessor) = &self.predecessor else { return };
        // Also if this one is retired meanwhile: its own end tells the next one that the predecessor has ended too.
        tokio::select! {
            () = predecessor.cancelled() => {}
            () = self.environment.tasks.stopping().cancelled() => {}
            () = sleep(LONGEST_END) => {}
        }
    }

    async fn perform(&self, action: Action) -> Event {
        match action {
            Action::Connect => self.connect().await,
            Action::Serve => self.serve().await,
            Action::Wait(delay) => {
                sleep(delay).await;
                Event::RetryDue
            }
            Action::Rest => std::future::pending().await,
        }
    }

    fn announce(&self, kind: EventType, details: &[(&str, Value)]) {
        self.environment.events.note(kind, self.definition.name.as_str(), details);
    }

    async fn connect(&self) -> Event {
        self.announce(EventType::Connecting, &[]);
        self.observed.send_modify(|observed| {
            observed.state = admin::State::Connecting;
            observed.attempts += 1;
        });
        let noise = self.environment.noise.heard().lines;
        match self.open_in_turn().await {
            Ok(session) => self.connected(session).await,
            Err(error) => {
                let noise = self.environment.noise.since(noise).map(|noise| format!("; {noise}"));
                self.failed(&format!("{}{}", Chain(&error), noise.unwrap_or_default()));
                Event::Failed
            }
        }
    }

    /// Opens the session after acquiring a start permit; its timeout starts then. A slow start gives the permit back early,
    /// because it most likely waits for something.
    async fn open_in_turn(&self) -> Result<Arc<Session>, Error> {
        let (starts, longest_turn) = match self.definition.transport {
            Transport::Stdio(_) => (&self.environment.starts, LONGEST_TURN),
            Transport::Sse(_) | Transport::StreamableHttp(_) => (&self.environment.remote_starts, LONGEST_REMOTE_TURN),
        };
        let turn = Arc::clone(starts).acquire_owned().await;
        let patience = self.environment.config.start_timeout(&self.definition);
        let mut opening = pin!(self.open(Instant::now() + patience));
        if let Ok(opened) = timeout(longest_turn, &mut opening).await {
            return opened;
        }
        drop(turn);
        opening.await
    }

    /// Publishes a session. If earlier ones ended early, publishes it only after it has lasted for a while.
    async fn connected(&self, session: Arc<Session>) -> Event {
        let short_sessions = self.observed.borrow().short_sessions;
        if short_sessions >= SUSPICIOUS {
            tokio::select! {
                () = session.closed().cancelled() => return self.lost(&session, &session.end()).await,
                () = sleep(STABLE) => {}
            }
        }
        let (server, era) = (server(session.handshake()), session.era().word());
        info!(upstream = %self.definition.name, server, era, "upstream connected");
        note(&self.environment.log, LineSource::Gateway, None, &format!("connected ({era})"));
        let details = [("server", server.as_str().into()), ("era", era.into())];
        self.observed.send_modify(|observed| {
            observed.state = admin::State::Connected;
            observed.session = Some(session);
            observed.connected_at = Some((Timestamp::now(), Instant::now()));
            observed.last_error = None;
            observed.attempts = 0;
            observed.handshakes += 1;
        });
        self.announce(EventType::Connected, &details);
        Event::Connected
    }

    async fn open(&self, deadline: Instant) -> Result<Arc<Session>, Error> {
        let (known, attempts) = (self.observed.borrow().era, self.observed.borrow().attempts);
        let is_doubtful = attempts.is_multiple_of(ATTEMPTS_PER_VERDICT);
        let known = known.filter(|verdict| verdict.probed.is_none() || verdict.stands() && !is_doubtful);
        let opened = era::open(&self.environment, &self.definition, known, deadline).await;
        let (session, verdict) = opened.inspect_err(|error| {
            self.observed.send_modify(|observed| {
                observed.era = observed.era.filter(|verdict| verdict.survives(error));
            });
        })?;
        if let Err(error) = session.complete_handshake(deadline).await {
            session.ended().await;
            return Err(error);
        }
        self.observed.send_modify(|observed| observed.era = Some(verdict));
        Ok(session)
    }

    /// Waits until the session ends by itself or fails its health check.
    async fn serve(&self) -> Event {
        let Some(session) = self.observed.borrow().session.clone() else { return Event::Failed };
        let reason = tokio::select! {
            () = session.closed().cancelled() => session.end(),
            reason = health::watch(&session, self.definition.health_check_interval, &self.doubt) => {
                session.close().await;
                reason
            }
        };
        self.lost(&session, &reason).await
    }

    /// Records the end of a session, and waits until it has ended completely, because its program may hold a lock or a
    /// port.
    async fn lost(&self, session: &Session, reason: &str) -> Event {
        let lived = session.lived();
        let reason = self.secrets.mask(reason);
        self.observed.send_modify(|observed| {
            observed.session = None;
            observed.short_sessions = if lived < STABLE { observed.short_sessions + 1 } else { 0 };
            observed.last_loss = Some((Timestamp::now(), reason.as_str().into()));
        });
        let count = self.observed.borrow().short_sessions;
        let reason = match count {
            2.. => format!("{count} sessions in a row ended within {STABLE:?} of their handshake: {reason}"),
            0 | 1 => reason,
        };
        self.failed(&reason);
        session.ended().await;
        Event::Lost { lived }
    }

    /// Publishes that no further attempt follows, and how to trigger one.
    fn gave_up(&self) {
        self.observed.send_modify(|observed| {
            observed.gave_up = true;
            let (time, error) = observed.last_error.take().unwrap_or_else(|| (Timestamp::now(), "".into()));
            let attempts = observed.attempts;
            let told = format!(
                "{error}; gave up after {attempts} attempts: once the cause is mended, PUT the definition again, or raise \
                 `maxReconnects`"
            );
            observed.last_error = Some((time, told.into()));
        });
    }

    /// Publishes the reason of a failure, with the secrets masked that a program or server may have quoted.
    fn failed(&self, reason: &str) {
        let masked = self.secrets.mask(reason);
        // A server chooses its own words, and may choose many.
        let reason = shortened(&masked, LONGEST_REASON);
        warn!(upstream = %self.definition.name, reason, "upstream not connected");
        note(&self.environment.log, LineSource::Gateway, None, &format!("not connected: {reason}"));
        self.observed.send_modify(|observed| {
            observed.state = admin::State::Error;
            observed.last_error = Some((Timestamp::now(), reason.into()));
        });
        self.announce(EventType::NotConnected, &[("reason", reason.into())]);
    }
}

/// Returns the server's name from the handshake of either era, for the log.
fn server(handshake: &Message) -> String {
    let name = server_of(handshake.body()).and_then(|server| Some(server.text("name")?.into_owned()));
    name.unwrap_or_default()
}

/// Returns a random number in 0..1. Without randomness delays are not spread.
pub(super) fn jitter() -> f64 {
    let random = getrandom::u32().unwrap_or_default();
    f64::from(random) / (f64::from(u32::MAX) + 1.0)
}

/// Time to wait for a session that is being replaced.
pub(super) const SUCCESSOR: Duration = Duration::from_millis(900);
