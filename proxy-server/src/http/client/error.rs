//! Errors of connections and requests.

use super::coding::Undecodable;
use super::connection::Fault;

/// The reason why a response is missing or incomplete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("cannot connect")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the connection broke")]
    Broken(#[source] Fault),
    #[error("the response cannot be decoded")]
    Undecodable(#[source] Undecodable),
}
