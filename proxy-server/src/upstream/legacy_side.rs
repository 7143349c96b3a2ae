//! The legacy era of an upstream whose own session is modern. A client is spoken to in its own era wherever the upstream
//! has it, so that nothing of either is lost: over HTTP in a legacy session, over stdio in a process of that era, because
//! a process serves one era only.
//!
//! Whether there is such a side is found out by `initialize`, since what `server/discover` lists says nothing about it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use schemas::{EraMode, SessionMode};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info};

use crate::error::{Chain, Error, Kind};
use crate::upstream::Upstream;
use crate::upstream::session::{Hello, OpenError, Session, own_hello};

const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
/// How long an upstream that refused a legacy client is taken for a modern one only. It may be updated without any sign.
const REFUSAL_TRUST: Duration = Duration::from_secs(60 * 60);
/// The same for one that gave no answer, or whose second process ended: it may be fit for it a little later.
const SILENCE_TRUST: Duration = Duration::from_secs(5 * 60);
/// How long a process that nobody uses waits for the next client.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// What is left of a client's time when the upstream turned out to have no such side.
const RESERVE: Duration = Duration::from_secs(2);

/// What is known of an upstream's legacy side, and the process that its clients share.
pub(super) struct LegacySide {
    known: Mutex<Known>,
    /// Whoever would find it out waits for the one who does.
    trial: Semaphore,
    shared: Mutex<Weak<Session>>,
    /// Whoever would start the shared process waits for the one who does.
    starting: Semaphore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    Has,
    /// Until then it is not asked again.
    HasNot(Instant),
}

impl Default for LegacySide {
    fn default() -> Self {
        Self {
            known: Mutex::new(Known::Nothing),
            trial: Semaphore::new(1),
            shared: Mutex::default(),
            starting: Semaphore::new(1),
        }
    }
}

impl Upstream {
    /// A session of the legacy era for a legacy client of a modern upstream: its own with these `initialize` parameters, or
    /// without any the shared one. Nothing if the upstream has no legacy side, or is to have none.
    pub(super) async fn legacy_session(
        &self,
        hello: Option<&str>,
        deadline: Instant,
    ) -> Result<Option<Arc<Session>>, OpenError> {
        if !self.may_have_legacy_side() {
            return Ok(None);
        }
        // One client finds out for all; those who know need not wait.
        let _trial = match self.legacy.known() {
            Known::Has => None,
            Known::Nothing | Known::HasNot(_) => timeout_at(deadline, self.legacy.trial.acquire()).await.ok(),
        };
        if !self.may_have_legacy_side() {
            return Ok(None);
        }
        let deadline = match self.legacy.known() {
            Known::Has => deadline,
            Known::Nothing | Known::HasNot(_) => deadline.checked_sub(RESERVE).unwrap_or(deadline),
        };
        let opened = match hello {
            Some(hello) => self.open_legacy(hello, deadline).await,
            None => self.shared_legacy(deadline).await,
        };
        match opened {
            Ok(session) => {
                if std::mem::replace(&mut *self.legacy.state(), Known::Has) != Known::Has {
                    info!(upstream = %self.definition.name, "legacy clients are served in their own era");
                }
                Ok(Some(session))
            }
            Err(error) => self.without_legacy_side(error),
        }
    }

    /// Whether it is worth trying: the definition leaves the era open, and allows more than one session.
    fn may_have_legacy_side(&self) -> bool {
        let is_open = self.definition.era == EraMode::Auto && self.definition.sessions.mode != SessionMode::Shared;
        let is_refused = matches!(self.legacy.known(), Known::HasNot(until) if until > Instant::now());
        is_open && !is_refused
    }

    /// What a failure to open a legacy session says.
    fn without_legacy_side(&self, error: OpenError) -> Result<Option<Arc<Session>>, OpenError> {
        let was_there = self.legacy.known() == Known::Has;
        let trust = match &error {
            // What the upstream has against this client, the client is told.
            OpenError::Refused(answer) if was_there && !speaks_of_versions(answer.error_code()) => None,
            OpenError::Refused(_) => Some(REFUSAL_TRUST),
            OpenError::Failed(error) => match error.kind() {
                Kind::Unreachable | Kind::NotReady | Kind::Busy | Kind::TooManySessions => None,
                Kind::Refused(_) => Some(REFUSAL_TRUST),
                _ => Some(SILENCE_TRUST).filter(|_| !was_there),
            },
        };
        let Some(trust) = trust else { return Err(error) };
        let why = match error {
            OpenError::Refused(answer) => format!("it answered {}", answer.body()),
            OpenError::Failed(error) => Chain(&error).to_string(),
        };
        debug!(upstream = %self.definition.name, why, "upstream serves no legacy clients");
        *self.legacy.state() = Known::HasNot(Instant::now() + trust);
        Ok(None)
    }

    async fn open_legacy(&self, hello: &str, deadline: Instant) -> Result<Arc<Session>, OpenError> {
        let deadline = deadline.min(self.start_deadline());
        Session::open(&self.environment, &self.definition, Hello::Legacy(hello), deadline).await
    }

    /// The session that clients share which cannot be asked anything. It is started when it is first needed.
    async fn shared_legacy(&self, deadline: Instant) -> Result<Arc<Session>, OpenError> {
        let turn = timeout_at(deadline, self.legacy.starting.acquire()).await;
        let _turn = turn.map_err(|_| Error::new(Kind::TimedOut))?;
        if let Some(session) = self.legacy.shared().upgrade()
            && !session.is_closed()
        {
            return Ok(session);
        }
        let session = self.open_legacy(&own_hello(), deadline).await?;
        let initialized = timeout_at(deadline, session.initialized(INITIALIZED.into())).await;
        if let Err(error) = initialized.unwrap_or_else(|_| Err(Kind::TimedOut.into())) {
            session.close().await;
            return Err(OpenError::Failed(error));
        }
        *self.legacy.shared() = Arc::downgrade(&session);
        let (retired, stopping) = (self.retired.clone(), self.environment.tasks.stopping().clone());
        let kept = Arc::clone(&session);
        self.environment.tasks.spawn("shared legacy session", async move {
            tokio::select! {
                () = retired.cancelled() => {}
                () = stopping.cancelled() => {}
                () = kept.closed().cancelled() => {}
                () = until_idle(&kept) => {}
            }
            kept.close().await;
        });
        Ok(session)
    }
}

/// Waits until nobody but the caller has used a session for a while.
async fn until_idle(session: &Arc<Session>) {
    let mut idle_since = None;
    loop {
        sleep(LOOK_INTERVAL).await;
        if Arc::strong_count(session) > 1 {
            idle_since = None;
        } else if idle_since.get_or_insert_with(Instant::now).elapsed() >= IDLE_TIMEOUT {
            return;
        }
    }
}

/// Whether an error can mean that the upstream does not speak the legacy era at all.
fn speaks_of_versions(code: Option<i32>) -> bool {
    use crate::protocol::{
        HEADER_MISMATCH, INVALID_REQUEST, METHOD_NOT_FOUND, MISSING_CAPABILITY, UNSUPPORTED_VERSION,
    };
    matches!(
        code,
        Some(UNSUPPORTED_VERSION | METHOD_NOT_FOUND | INVALID_REQUEST | HEADER_MISMATCH | MISSING_CAPABILITY)
    )
}

impl LegacySide {
    fn known(&self) -> Known {
        *self.state()
    }

    fn state(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> MutexGuard<'_, Weak<Session>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
