//! The task that keeps an upstream's own session alive: the I/O around `state`.
//!
//! The own session is initialised by the gateway and declares no client capability. It feeds the catalog and the admin
//! API, tells whether the upstream is usable, and serves the downstream sessions that share.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemas::admin;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::error::{Chain, Error, Kind};
use crate::protocol::{Message, Object, SERVER_KEY};
use crate::upstream::era::{self, Verdict};
use crate::upstream::session::{OpenError, Session};
use crate::upstream::state::{Action, Event, Policy, State, step};
use crate::upstream::{Environment, health};

const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// What is known of an upstream, published to everyone who looks.
#[derive(Clone, Default)]
pub(crate) struct Observed {
    pub(crate) state: admin::State,
    /// The own session, while connected.
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) connected_at: Option<(Timestamp, Instant)>,
    /// What failed last; nothing while connected.
    pub(crate) last_error: Option<(Timestamp, Arc<str>)>,
    /// How the last session ended.
    pub(crate) last_loss: Option<(Timestamp, Arc<str>)>,
    pub(crate) attempts: u32,
    /// The era that is spoken with it, once that is known.
    pub(crate) era: Option<Verdict>,
}

/// What a supervisor works with.
pub(super) struct Supervisor {
    pub(super) environment: Environment,
    pub(super) definition: Arc<schemas::Definition>,
    pub(super) observed: watch::Sender<Observed>,
    pub(super) retired: CancellationToken,
    /// Told when a call found the upstream out of reach.
    pub(super) doubt: Arc<Notify>,
}

impl Supervisor {
    /// Runs until the upstream is retired or the gateway stops.
    pub(super) async fn run(self) {
        let policy = Policy::from(&self.definition.reconnect);
        let mut state = State::Connecting { failures: 0 };
        let mut action = Action::Connect;
        loop {
            let event = tokio::select! {
                () = self.retired.cancelled() => break,
                () = self.environment.tasks.stopping().cancelled() => break,
                event = self.perform(action) => event,
            };
            (state, action) = step(state, event, policy, jitter());
            if state == State::GaveUp {
                warn!(upstream = %self.definition.name, "gave up connecting");
            }
        }
        let session = self.observed.send_replace(Observed::default()).session;
        if let Some(session) = session {
            session.close().await;
        }
    }

    async fn perform(&self, action: Action) -> Event {
        match action {
            Action::Connect => self.connect().await,
            Action::Serve => self.serve().await,
            Action::Wait(delay) => {
                tokio::time::sleep(delay).await;
                Event::RetryDue
            }
            Action::Rest => std::future::pending().await,
        }
    }

    async fn connect(&self) -> Event {
        self.observed.send_modify(|observed| {
            observed.state = admin::State::Connecting;
            observed.attempts += 1;
        });
        let patience = self.definition.timeout.unwrap_or(self.environment.config.start_timeout);
        match self.open(Instant::now() + patience).await {
            Ok(session) => {
                let (server, era) = (server(session.handshake()), session.era().word());
                info!(upstream = %self.definition.name, server, era, "upstream connected");
                self.observed.send_modify(|observed| {
                    observed.state = admin::State::Connected;
                    observed.session = Some(session);
                    observed.connected_at = Some((Timestamp::now(), Instant::now()));
                    observed.last_error = None;
                    observed.attempts = 0;
                });
                Event::Connected
            }
            Err(error) => {
                self.failed(&Chain(&error).to_string());
                Event::Failed
            }
        }
    }

    async fn open(&self, deadline: Instant) -> Result<Arc<Session>, Error> {
        let known = self.observed.borrow().era.filter(Verdict::stands);
        let opened = era::open(&self.environment, &self.definition, known, deadline).await;
        let (session, verdict) = opened.map_err(|error| {
            if !known.is_some_and(|verdict| verdict.survives(&error)) {
                self.observed.send_modify(|observed| observed.era = None);
            }
            match error {
                OpenError::Failed(error) => error,
                OpenError::Refused(answer) => {
                    Error::new(Kind::BadAnswer).because(format!("it answered {}", answer.body()))
                }
            }
        })?;
        let initialized = timeout_at(deadline, session.initialized(INITIALIZED.into())).await;
        if let Err(error) = initialized.unwrap_or_else(|_| Err(Kind::TimedOut.into())) {
            session.close().await;
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
        self.observed.send_modify(|observed| {
            observed.session = None;
            observed.last_loss = Some((Timestamp::now(), reason.as_str().into()));
        });
        self.failed(&reason);
        Event::Lost { lived: session.lived() }
    }

    fn failed(&self, reason: &str) {
        warn!(upstream = %self.definition.name, reason, "upstream not connected");
        self.observed.send_modify(|observed| {
            observed.state = admin::State::Error;
            observed.last_error = Some((Timestamp::now(), reason.into()));
        });
    }
}

/// The name that a server gives itself, in either era, for the log.
fn server(handshake: &Message) -> String {
    let name = || {
        let result = Object::read(handshake.body()).ok()?;
        let meta = || Object::read(result.get("_meta")?).ok()?.get(SERVER_KEY);
        let server = result.get("serverInfo").or_else(meta)?;
        Some(Object::read(server).ok()?.text("name")?.into_owned())
    };
    name().unwrap_or_default()
}

/// A number in 0..1. Without a source of randomness the delays are merely not spread.
pub(super) fn jitter() -> f64 {
    let random = getrandom::u32().unwrap_or_default();
    f64::from(random) / (f64::from(u32::MAX) + 1.0)
}

/// How long to wait for a session that is being made, once there has been one.
pub(super) const SUCCESSOR: Duration = Duration::from_millis(900);
