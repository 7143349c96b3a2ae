//! The three transports to an upstream behind one enum. A transport moves messages and reads only their ids.

mod challenge;
pub(super) mod descriptors;
mod exit;
pub(super) mod lines;
mod long_line;
mod oversize;
mod refusal;
pub(super) mod sse;
pub(super) mod stdio;
pub(super) mod streamable_http;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::error::{Error, Kind};
use crate::http::event_stream::TooLarge;
use crate::pieces::Pieces;
use crate::protocol::{Invalid, Message};
use crate::upstream::inbox::Inbox;
use crate::upstream::transport::refusal::too_large;

/// Larger buffers of a stdio upstream are dropped after use, so that one long line does not occupy memory for as long as
/// the program runs.
const MOST_REUSED: usize = 256 * 1024;
/// Timeout for an upstream to accept a message that needs no response.
const SEND_PATIENCE: Duration = Duration::from_secs(10);

/// A request to be sent.
pub(super) struct Outgoing {
    /// Its id, already part of the message.
    pub(super) id: u64,
    pub(super) message: Pieces,
    /// Serialised header fields of the request, for transports that have headers.
    pub(super) fields: Vec<u8>,
}

/// Sending half of one upstream session.
pub(super) enum Wire {
    Stdio(stdio::Pipe),
    Sse(Box<sse::Poster>),
    StreamableHttp(Arc<streamable_http::Endpoint>),
}

impl Wire {
    /// Sends a notification or a response.
    pub(super) async fn send(&self, message: Bytes) -> Result<(), Error> {
        let sending = async {
            match self {
                Self::Stdio(pipe) => pipe.send(message.into()).await,
                Self::Sse(poster) => Box::pin(poster.send(message, None)).await,
                Self::StreamableHttp(endpoint) => Box::pin(endpoint.send(message)).await,
            }
        };
        timeout(SEND_PATIENCE, sending).await.unwrap_or_else(|_| Err(Kind::TimedOut.into()))
    }

    /// Sends a request and waits for its response, which arrives through the inbox. Boxed, because it is by far the
    /// largest future of a call.
    pub(super) fn exchange<'a>(
        &'a self,
        request: Outgoing,
        inbox: &'a Inbox,
        mut answer: oneshot::Receiver<Message>,
    ) -> BoxFuture<'a, Result<Message, Error>> {
        match self {
            Self::Stdio(pipe) => Box::pin(async move {
                let id = request.id;
                pipe.send(request.message).await?;
                answer.await.map_err(|_| inbox.failure(id))
            }),
            Self::Sse(poster) => Box::pin(async move {
                // The response may arrive before the acknowledgement of the POST, which some servers delay.
                tokio::select! {
                    sent = poster.send(request.message.into(), Some((request.id, inbox))) => sent?,
                    early = &mut answer => return early.map_err(|_| inbox.failure(request.id)),
                }
                answer.await.map_err(|_| inbox.failure(request.id))
            }),
            Self::StreamableHttp(endpoint) => Box::pin(endpoint.exchange(request, inbox, answer)),
        }
    }

    /// Announces the end of the session to the upstream, if the transport has a way to do so.
    pub(super) async fn close(&self) {
        match self {
            Self::Stdio(pipe) => pipe.close(),
            Self::Sse(poster) => poster.close(),
            Self::StreamableHttp(endpoint) => endpoint.close().await,
        }
    }
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
