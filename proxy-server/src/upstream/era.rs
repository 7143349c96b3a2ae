//! Detects the era of an upstream by a probe with a deadline, and remembers it with the date.
//!
//! The probe is `server/discover`. A program gets it in the process that then serves (`process`); over HTTP each
//! handshake uses a connection of its own. A response is remembered, silence is not: a server may be slow only once.

mod greet;
mod process;
mod verdict;

use std::sync::Arc;

use schemas::{Definition, Transport};
use tokio::time::Instant;
use tracing::{debug, info};

use self::greet::greet;
pub(crate) use self::verdict::Verdict;
use self::verdict::{Judgement, is_silence};
use crate::error::{Chain, Kind};
use crate::protocol::{Era, Offer};
use crate::upstream::environment::Environment;
use crate::upstream::session::{OpenError, Session};

/// Opens the upstream's own session in the known era, or else in the detected one. On failure, everything that was
/// started has ended.
pub(super) async fn open(
    environment: &Environment,
    definition: &Definition,
    known: Option<Verdict>,
    deadline: Instant,
) -> Result<(Arc<Session>, Verdict), OpenError> {
    let is_declared = known.is_some_and(|verdict| verdict.probed.is_none());
    let (session, verdict) = match (&definition.transport, known) {
        (_, Some(verdict)) if is_declared => {
            return Ok((greet(environment, definition, verdict.era, deadline).await?, verdict));
        }
        (Transport::Stdio(_), _) => process::open(environment, definition, known, deadline).await?,
        (Transport::Sse(_) | Transport::StreamableHttp(_), _) => {
            over_http(environment, definition, known, deadline).await?
        }
    };
    // A confirmed verdict keeps its date.
    let verdict = known.filter(|known| known.is_firm && known.era == verdict.era).unwrap_or(verdict);
    if known.is_none_or(|known| known.era != verdict.era) {
        info!(upstream = %definition.name, era = verdict.era.word(), "era found");
    }
    Ok((session, verdict))
}

async fn over_http(
    environment: &Environment,
    definition: &Definition,
    known: Option<Verdict>,
    deadline: Instant,
) -> Result<(Arc<Session>, Verdict), OpenError> {
    let is_firm = match known {
        Some(Verdict { era: Era::Modern, .. }) => {
            let session = greet(environment, definition, Era::Modern, deadline).await?;
            return Ok((session, Verdict::found(Era::Modern, true)));
        }
        Some(Verdict { era: Era::Legacy, .. }) => true,
        None => match probe(environment, definition, deadline).await? {
            Probed::Modern(session) => return Ok((session, Verdict::found(Era::Modern, true))),
            Probed::Legacy => true,
            Probed::Silent => false,
        },
    };
    match greet(environment, definition, Era::Legacy, deadline).await {
        Ok(session) => Ok((session, Verdict::found(Era::Legacy, is_firm))),
        Err(OpenError::Refused(answer)) if Offer::read(&answer).is_some_and(|offer| offer.is_modern) => {
            let session = greet(environment, definition, Era::Modern, deadline).await?;
            Ok((session, Verdict::found(Era::Modern, true)))
        }
        Err(error) => Err(error),
    }
}

/// The result of `server/discover` over HTTP.
enum Probed {
    Modern(Arc<Session>),
    Legacy,
    Silent,
}

/// Probes an upstream over HTTP. An error means that neither era was detected.
async fn probe(environment: &Environment, definition: &Definition, deadline: Instant) -> Result<Probed, OpenError> {
    let deadline = deadline.min(Instant::now() + environment.config.era_probe);
    match greet(environment, definition, Era::Modern, deadline).await {
        Ok(session) => Ok(Probed::Modern(session)),
        Err(OpenError::Refused(answer)) => match Judgement::of(&answer) {
            Judgement::Refusal | Judgement::AskAgain => Err(OpenError::Refused(answer)),
            Judgement::Legacy | Judgement::Modern => Ok(Probed::Legacy),
        },
        Err(OpenError::Failed(error)) => match error.kind() {
            Kind::Unreachable | Kind::UpstreamStatus(401 | 403) => Err(OpenError::Failed(error)),
            // A server that fails or stays silent on an unknown method may still know `initialize`.
            _ => {
                debug!(upstream = %definition.name, error = %Chain(&error), "no answer to `server/discover`");
                Ok(if is_silence(&error) { Probed::Silent } else { Probed::Legacy })
            }
        },
    }
}
