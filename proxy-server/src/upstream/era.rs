//! Detects the era of an upstream by a probe with a deadline, and remembers it with the date.
//!
//! The probe is `server/discover`. A program gets it in the process that then serves (`process`); over HTTP each
//! handshake uses a connection of its own. A response is remembered, silence is not: a server may be slow only once.

mod process;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemas::{Definition, EraMode, Transport};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info};

use crate::error::{Chain, Error, Kind};
use crate::protocol::{Era, HEADER_MISMATCH, MISSING_CAPABILITY, Message, Offer};
use crate::upstream::Environment;
use crate::upstream::connection::Connection;
use crate::upstream::session::{Hello, OpenError, Session, own_hello};

/// Time after which a legacy verdict is probed again, because an update of the upstream is invisible: a modern server
/// that became legacy fails, but a legacy one that became modern usually goes on working.
const LEGACY_TRUST: Duration = Duration::from_secs(24 * 60 * 60);

/// The known era of an upstream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    pub(crate) era: Era,
    /// Time of the probe; `None` if the definition sets the era.
    pub(crate) probed: Option<(Timestamp, Instant)>,
    /// True if the era comes from the definition or from a response. A verdict from silence is valid for one connection
    /// only.
    is_firm: bool,
}

/// Classification of a response to `server/discover`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    Modern,
    /// Modern, but the version was refused although the server supports it.
    AskAgain,
    /// A response that no modern upstream gives.
    Legacy,
    /// A modern upstream that refuses the gateway.
    Refusal,
}

impl Judgement {
    fn of(answer: &Message) -> Self {
        let offer = Offer::read(answer);
        match (answer.error_code(), offer) {
            (None, Some(Offer { is_modern: true, .. })) => Self::Modern,
            (Some(_), Some(Offer { is_modern: true, .. })) => Self::AskAgain,
            (Some(_), Some(Offer { is_legacy: false, .. })) => Self::Refusal,
            (Some(HEADER_MISMATCH | MISSING_CAPABILITY), _) => Self::Refusal,
            (None | Some(_), _) => Self::Legacy,
        }
    }
}

impl Verdict {
    /// Returns the era that the definition sets.
    pub(super) fn declared(definition: &Definition) -> Option<Self> {
        let era = match (definition.era, &definition.transport) {
            (EraMode::Legacy, _) | (EraMode::Auto, Transport::Sse(_)) => Era::Legacy,
            (EraMode::Modern, _) => Era::Modern,
            (EraMode::Auto, Transport::Stdio(_) | Transport::StreamableHttp(_)) => return None,
        };
        Some(Self { era, probed: None, is_firm: true })
    }

    fn found(era: Era, is_firm: bool) -> Self {
        Self { era, probed: Some((Timestamp::now(), Instant::now())), is_firm }
    }

    /// True if the verdict is valid for a new connection.
    pub(super) fn stands(&self) -> bool {
        let is_recent = || self.probed.is_none_or(|(_, at)| at.elapsed() < LEGACY_TRUST);
        self.is_firm && (self.era == Era::Modern || is_recent())
    }

    /// True if the verdict stays valid after a connection failed this way. Only a response contradicts it; an upstream
    /// that is unreachable, ends or stays silent does not.
    pub(super) fn survives(&self, error: &OpenError) -> bool {
        let is_answer = match error {
            OpenError::Refused(_) => true,
            OpenError::Failed(error) => !is_silence(error) && error.kind() != Kind::Unreachable,
        };
        self.probed.is_none() || self.is_firm && !is_answer
    }
}

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

/// Opens a session in an era. If the handshake fails, the program has ended before this returns.
async fn greet(
    environment: &Environment,
    definition: &Definition,
    era: Era,
    deadline: Instant,
) -> Result<Arc<Session>, OpenError> {
    let own = own_hello();
    let hello = match era {
        Era::Legacy => Hello::Legacy(&own),
        Era::Modern => Hello::Modern,
    };
    let opening = timeout_at(deadline, Connection::open(environment, definition, era));
    let connection = opening.await.map_err(|_| Error::new(Kind::TimedOut))??;
    let greeted = Session::greet(Arc::clone(&connection), hello, deadline).await;
    if greeted.is_err() {
        connection.close().await;
        connection.ended().await;
    }
    greeted
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
            Kind::Unreachable | Kind::Refused(401 | 403) => Err(OpenError::Failed(error)),
            // A server that fails or stays silent on an unknown method may still know `initialize`.
            _ => {
                debug!(upstream = %definition.name, error = %Chain(&error), "no answer to `server/discover`");
                Ok(if is_silence(&error) { Probed::Silent } else { Probed::Legacy })
            }
        },
    }
}

fn is_silence(error: &Error) -> bool {
    matches!(error.kind(), Kind::TimedOut | Kind::Lost | Kind::NotReady)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Judgement) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,{body}}}"#);
        let answer = Message::parse(text.clone().into()).expect("a message");
        assert_eq!(Judgement::of(&answer), expected, "{text}");
    }

    #[test]
    fn a_result_with_the_revision_and_an_error_that_names_it_are_modern() {
        check(r#""result":{"supportedVersions":["2026-07-28"]}"#, Judgement::Modern);
        check(r#""result":{"supportedVersions":["2025-11-25","2026-07-28"]}"#, Judgement::Modern);
        check(r#""error":{"code":-32022,"message":"","data":{"supported":["2026-07-28"]}}"#, Judgement::AskAgain);
    }

    #[test]
    fn every_answer_that_is_not_of_the_modern_era_is_legacy() {
        for code in [-32601, -32602, -32603, -32600, -32001, 0] {
            check(&format!(r#""error":{{"code":{code},"message":""}}"#), Judgement::Legacy);
        }
        check(r#""result":{}"#, Judgement::Legacy);
        check(r#""result":{"supportedVersions":["2025-11-25"]}"#, Judgement::Legacy);
        check(r#""error":{"code":-32022,"message":"","data":{"supported":["2025-11-25"]}}"#, Judgement::Legacy);
        check(r#""error":{"code":-32022,"message":""}"#, Judgement::Legacy);
    }

    #[test]
    fn what_only_a_modern_upstream_refuses_with_is_no_evidence_of_the_legacy_era() {
        check(r#""error":{"code":-32020,"message":""}"#, Judgement::Refusal);
        check(r#""error":{"code":-32021,"message":""}"#, Judgement::Refusal);
        check(r#""error":{"code":-32022,"message":"","data":{"supported":["2099-01-01"]}}"#, Judgement::Refusal);
    }

    #[test]
    fn silence_is_not_remembered_and_an_answer_survives_failed_starts() {
        let (silent, said) = (Verdict::found(Era::Legacy, false), Verdict::found(Era::Legacy, true));
        assert_eq!((silent.stands(), said.stands()), (false, true));
        for kind in [Kind::TimedOut, Kind::Lost, Kind::Unreachable] {
            assert!(said.survives(&OpenError::Failed(kind.into())), "{kind:?}");
        }
        let refused = Message::parse(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":""}}"#.into());
        assert!(!said.survives(&OpenError::Refused(refused.expect("a message"))));
    }
}
