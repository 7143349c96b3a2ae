//! The era found for an upstream, and the evidence for it in a response. Pure, but for the clock.

use std::time::Duration;

use jiff::Timestamp;
use schemas::{Definition, EraMode, Transport};
use tokio::time::Instant;

use crate::error::{Error, Kind};
use crate::protocol::{Era, HEADER_MISMATCH, MISSING_CAPABILITY, Message, Offer};
use crate::upstream::session::OpenError;

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
    pub(super) is_firm: bool,
}

/// Classification of a response to `server/discover`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    Modern,
    /// Modern, but the version was refused although the server supports it.
    AskAgain,
    /// A response that no modern upstream gives.
    Legacy,
    /// A modern upstream that refuses the gateway.
    Refusal,
}

impl Judgement {
    pub(super) fn of(answer: &Message) -> Self {
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
    pub(crate) fn declared(definition: &Definition) -> Option<Self> {
        let era = match (definition.era, &definition.transport) {
            (EraMode::Legacy, _) | (EraMode::Auto, Transport::Sse(_)) => Era::Legacy,
            (EraMode::Modern, _) => Era::Modern,
            (EraMode::Auto, Transport::Stdio(_) | Transport::StreamableHttp(_)) => return None,
        };
        Some(Self { era, probed: None, is_firm: true })
    }

    pub(super) fn found(era: Era, is_firm: bool) -> Self {
        Self { era, probed: Some((Timestamp::now(), Instant::now())), is_firm }
    }

    /// True if the verdict is valid for a new connection.
    pub(crate) fn stands(&self) -> bool {
        let is_recent = || self.probed.is_none_or(|(_, at)| at.elapsed() < LEGACY_TRUST);
        self.is_firm && (self.era == Era::Modern || is_recent())
    }

    /// True if the verdict stays valid after a connection failed this way. Only a response contradicts it; an upstream
    /// that is unreachable, ends or stays silent does not.
    pub(crate) fn survives(&self, error: &OpenError) -> bool {
        let is_answer = match error {
            OpenError::Refused(_) => true,
            OpenError::Failed(error) => !is_silence(error) && error.kind() != Kind::Unreachable,
        };
        self.probed.is_none() || self.is_firm && !is_answer
    }
}

/// True if an error shows no response at all, and so nothing about the era.
pub(super) fn is_silence(error: &Error) -> bool {
    matches!(error.kind(), Kind::TimedOut | Kind::ConnectionLost | Kind::NotReady)
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
        let (silent, declared) = (Verdict::found(Era::Legacy, false), Verdict::found(Era::Legacy, true));
        assert_eq!((silent.stands(), declared.stands()), (false, true));
        for kind in [Kind::TimedOut, Kind::ConnectionLost, Kind::Unreachable] {
            assert!(declared.survives(&OpenError::Failed(kind.into())), "{kind:?}");
        }
        let refused = Message::parse(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":""}}"#.into());
        assert!(!declared.survives(&OpenError::Refused(refused.expect("a message"))));
    }
}
