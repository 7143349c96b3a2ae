//! Legacy sessions of an upstream whose own session is modern. A legacy client gets a session of its own era if the
//! upstream supports it, so that no feature of either is lost: a legacy session over HTTP, or a process of that era
//! over stdio, because a process serves one era only.
//!
//! Support is detected by `initialize`, because the response to `server/discover` does not show it.

use std::sync::Arc;
use std::time::Duration;

use schemas::{EraMode, SessionMode};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info};

use crate::error::{Chain, Error, Kind};
use crate::upstream::Upstream;
use crate::upstream::legacy_side::Known;
use crate::upstream::session::{Hello, OpenError, Session, own_hello};

/// Time after which an upstream that refused a legacy client is tried again, because an update is invisible.
const REFUSAL_TRUST: Duration = Duration::from_secs(60 * 60);
/// Likewise for an upstream that gave no response, or whose second process ended: the cause may be temporary.
const SILENCE_TRUST: Duration = Duration::from_secs(5 * 60);
/// Idle timeout of the shared legacy process.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Part of a client's deadline that is reserved for the fallback to the modern session.
const RESERVE: Duration = Duration::from_secs(2);

impl Upstream {
    /// Opens a legacy session for a legacy client of a modern upstream: a dedicated one with these `initialize`
    /// parameters, or the shared one if there are none. `None` if the upstream does not support it, or the definition
    /// forbids it.
    pub(super) async fn legacy_session(
        &self,
        hello: Option<&str>,
        deadline: Instant,
    ) -> Result<Option<Arc<Session>>, OpenError> {
        if !self.may_have_legacy_side() {
            return Ok(None);
        }
        // One client detects support for all; once it is known, clients need not wait.
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

    /// True if a legacy session may be tried: the definition allows both eras and more than one session, and none
    /// failed lately.
    fn may_have_legacy_side(&self) -> bool {
        let is_open = self.definition.era == EraMode::Auto && self.definition.sessions.mode != SessionMode::Shared;
        let is_refused = matches!(self.legacy.known(), Known::HasNot(until) if until > Instant::now());
        is_open && !is_refused
    }

    /// Decides after a failure: the error is the client's, or the upstream is treated as modern only for a while.
    fn without_legacy_side(&self, error: OpenError) -> Result<Option<Arc<Session>>, OpenError> {
        let was_there = self.legacy.known() == Known::Has;
        let trust = match &error {
            // The upstream supports the era but refuses this client, so the client gets the error.
            OpenError::Refused(answer) if was_there && !speaks_of_versions(answer.error_code()) => None,
            OpenError::Refused(_) => Some(REFUSAL_TRUST),
            OpenError::Failed(error) => match error.kind() {
                Kind::Unreachable | Kind::NotReady | Kind::Busy | Kind::TooManySessions => None,
                Kind::UpstreamStatus(_) => Some(REFUSAL_TRUST),
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

    /// Returns the shared session of clients that cannot be asked anything. Starts it on first use.
    async fn shared_legacy(&self, deadline: Instant) -> Result<Arc<Session>, OpenError> {
        let turn = timeout_at(deadline, self.legacy.starting.acquire()).await;
        let _turn = turn.map_err(|_| Error::new(Kind::TimedOut))?;
        if let Some(session) = self.legacy.shared().upgrade()
            && !session.is_closed()
        {
            return Ok(session);
        }
        let session = self.open_legacy(&own_hello(), deadline).await?;
        session.complete_handshake(deadline).await.map_err(OpenError::Failed)?;
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

/// Waits until a session has had no other user for a while.
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

/// True if an error code may mean that the upstream does not speak the legacy era.
fn speaks_of_versions(code: Option<i32>) -> bool {
    use crate::protocol::{
        HEADER_MISMATCH, INVALID_REQUEST, METHOD_NOT_FOUND, MISSING_CAPABILITY, UNSUPPORTED_VERSION,
    };
    matches!(
        code,
        Some(UNSUPPORTED_VERSION | METHOD_NOT_FOUND | INVALID_REQUEST | HEADER_MISMATCH | MISSING_CAPABILITY)
    )
}
