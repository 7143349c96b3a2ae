//! Requests to an upstream, and delivery of its messages to the inbox.

use bytes::Bytes;
use tracing::{debug, warn};

use crate::http::event_stream::TooLarge;
use crate::pieces::Pieces;
use crate::protocol::{Invalid, Message};
use crate::upstream::inbox::Inbox;
use crate::upstream::transport::oversize;
use crate::upstream::transport::refusal::too_large;

/// A request to be sent.
pub(crate) struct Outgoing {
    /// Its id, already part of the message.
    pub(crate) id: u64,
    pub(crate) message: Pieces,
    /// Serialised header fields of the request, for transports that have headers.
    pub(crate) fields: Vec<u8>,
}

/// Passes a message to the inbox, or each message of a batch, which 2025-03-26 allows anywhere. `origin` is the request
/// on whose stream it came, if the transport knows.
pub(super) fn deliver(bytes: Bytes, inbox: &Inbox, origin: Option<u64>) -> Result<(), Invalid> {
    if !Message::is_batch(&bytes) {
        inbox.receive(&Message::parse(bytes)?, origin);
        return Ok(());
    }
    Message::parse_each(&bytes, |message| match message {
        Ok(message) => inbox.receive(&message, origin),
        Err(error) => debug!(%error, "element of a batch is no message"),
    })
}

/// Fails the request whose response was too large to be read, if its id is known.
pub(super) fn skipped(error: TooLarge, inbox: &Inbox) {
    warn!(%error, "event skipped");
    if let Some(id) = oversize::answered_by(&error) {
        inbox.fail(id, too_large(error.limit(), error));
    }
}
