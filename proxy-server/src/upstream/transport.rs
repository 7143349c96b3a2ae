//! The three transports to an upstream behind one enum. A transport moves messages and reads only their ids.

mod challenge;
pub(super) mod descriptors;
pub(super) mod exit;
mod long_line;
pub(super) mod outgoing;
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

use crate::error::{Error, Kind};
use crate::protocol::Message;
use crate::upstream::inbox::Inbox;
use crate::upstream::transport::outgoing::Outgoing;

/// Timeout for an upstream to accept a message that needs no response.
const SEND_PATIENCE: Duration = Duration::from_secs(10);

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

    /// Returns the id of the program's process, or the beginning of the session id, which as a whole may be a secret.
    pub(super) fn label(&self) -> Option<String> {
        match self {
            Self::Stdio(pipe) => pipe.pid().map(|pid| format!("pid {pid}")),
            Self::Sse(_) => None,
            Self::StreamableHttp(endpoint) => endpoint.session_start(),
        }
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
