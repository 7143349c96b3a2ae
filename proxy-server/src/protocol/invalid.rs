//! Reasons why bytes are not a message.

use super::scan::{MAX_DEPTH, Malformed};

/// The reason why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("the body is not valid JSON")]
    Json(#[source] Malformed),
    #[error("the message is nested deeper than {MAX_DEPTH} levels")]
    Depth,
    #[error("a batch is not accepted")]
    Batch,
    #[error("{0}")]
    Envelope(&'static str),
}

impl From<Malformed> for Invalid {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Depth => Self::Depth,
            Malformed::Syntax(_) | Malformed::Twice | Malformed::TooMany => Self::Json(malformed),
        }
    }
}
