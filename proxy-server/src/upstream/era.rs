//! Which generation of the protocol an upstream speaks: asked once, within a deadline, and remembered with its date.
//!
//! The question is `server/discover`. Over stdio it is put to a process that serves for nothing else unless the answer
//! is yes: real servers take the first request for the era of the whole process, and some end on one that they do not know.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemas::{Definition, EraMode, Transport};
use tokio::time::Instant;
use tracing::info;

use crate::error::{Chain, Error, Kind};
use crate::protocol::{Era, HEADER_MISMATCH, MISSING_CAPABILITY};
use crate::upstream::Environment;
use crate::upstream::session::{Hello, OpenError, Session, own_hello};

/// How long an upstream that was found to be legacy is taken for one. It may be updated without any sign of it: a
/// modern one that has become legacy fails, a legacy one that has become modern most often goes on as before.
const LEGACY_TRUST: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of an upstream's era.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    pub(crate) era: Era,
    /// When it was found out; nothing where the definition says it.
    pub(crate) probed: Option<(Timestamp, Instant)>,
}

impl Verdict {
    /// What the definition alone tells.
    pub(super) fn declared(definition: &Definition) -> Option<Self> {
        let era = match (definition.era, &definition.transport) {
            (EraMode::Legacy, _) | (EraMode::Auto, Transport::Sse(_)) => Era::Legacy,
            (EraMode::Modern, _) => Era::Modern,
            (EraMode::Auto, Transport::Stdio(_) | Transport::StreamableHttp(_)) => return None,
        };
        Some(Self { era, probed: None })
    }

    fn found(era: Era) -> Self {
        Self { era, probed: Some((Timestamp::now(), Instant::now())) }
    }

    /// Whether it still stands, for a new connection.
    pub(super) fn stands(&self) -> bool {
        self.era == Era::Modern || self.probed.is_none_or(|(_, at)| at.elapsed() < LEGACY_TRUST)
    }

    /// Whether a connection that failed this way speaks against it.
    pub(super) fn survives(&self, error: &OpenError) -> bool {
        let out_of_reach = matches!(error, OpenError::Failed(error) if error.kind() == Kind::Unreachable);
        self.probed.is_none() || out_of_reach
    }
}

/// Opens the upstream's own session in the era that is known, or else in the one that is found out.
pub(super) async fn open(
    environment: &Environment,
    definition: &Definition,
    known: Option<Verdict>,
    deadline: Instant,
) -> Result<(Arc<Session>, Verdict), OpenError> {
    let verdict = match known {
        Some(verdict) => verdict,
        None => {
            if let Some(session) = probe(environment, definition, deadline).await? {
                info!(upstream = %definition.name, era = Era::Modern.word(), "era found");
                return Ok((session, Verdict::found(Era::Modern)));
            }
            info!(upstream = %definition.name, era = Era::Legacy.word(), "era found");
            Verdict::found(Era::Legacy)
        }
    };
    let own = own_hello();
    let hello = match verdict.era {
        Era::Legacy => Hello::Legacy(&own),
        Era::Modern => Hello::Modern,
    };
    let session = Session::open(environment, definition, hello, deadline).await?;
    Ok((session, verdict))
}

/// Gives the session if the upstream is a modern one, and nothing if it is to be tried as a legacy one. An error is
/// evidence of neither.
async fn probe(
    environment: &Environment,
    definition: &Definition,
    deadline: Instant,
) -> Result<Option<Arc<Session>>, OpenError> {
    let deadline = deadline.min(Instant::now() + environment.config.era_probe);
    match Session::open(environment, definition, Hello::Modern, deadline).await {
        Ok(session) => Ok(Some(session)),
        Err(OpenError::Refused(answer)) => match answer.error_code() {
            // Only a modern upstream has these words.
            Some(HEADER_MISMATCH | MISSING_CAPABILITY) => Err(OpenError::Refused(answer)),
            Some(_) | None => Ok(None),
        },
        Err(OpenError::Failed(error)) if is_no_evidence(&error) => Err(OpenError::Failed(error)),
        // A server that fails on what it does not know, or never answers it, still may know `initialize`.
        Err(OpenError::Failed(error)) => {
            tracing::debug!(upstream = %definition.name, error = %Chain(&error), "no answer to `server/discover`");
            Ok(None)
        }
    }
}

fn is_no_evidence(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unreachable | Kind::Refused(401 | 403))
}
