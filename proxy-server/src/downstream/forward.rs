//! Forwards requests of modern clients to modern upstreams, and returns their messages, without translation between
//! eras.

use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::call::forward;
use crate::downstream::modern::Addressed;
use crate::downstream::reply::{Said, Talk};
use crate::error::Error;
use crate::protocol::{HEADER_MISMATCH, METHOD_NOT_FOUND, MISSING_CAPABILITY, Message, UNSUPPORTED_VERSION};
use crate::upstream::{Call, Event, EventQueue, Events, event_queue};

/// One request in progress.
pub(super) struct Forwarded {
    to: Addressed,
    queue: EventQueue,
    outcome: BoxFuture<'static, Result<Message, Error>>,
    /// Outcome, while notifications that precede it are still to be sent.
    ended: Option<Result<Message, Error>>,
}

/// Creates a request that is sent once its outcome is polled.
pub(super) fn begin(to: Addressed) -> Forwarded {
    let (events, queue) = event_queue();
    Forwarded { outcome: Box::pin(send(to.clone(), events)), to, queue, ended: None }
}

async fn send(to: Addressed, events: Events) -> Result<Message, Error> {
    let Addressed { upstream, request: message, .. } = &to;
    let (_never, cancelled) = oneshot::channel();
    forward(upstream, Call { message, events, cancelled, deadline: upstream.call_deadline() }).await
}

impl Talk for Forwarded {
    fn request(&self) -> &Message {
        &self.to.asking.message
    }

    async fn next(&mut self) -> Said {
        loop {
            if let Some(ended) = self.ended.take() {
                // Send the notifications that precede the answer first.
                while let Some(event) = self.queue.try_recv() {
                    if let Some(message) = self.told(event) {
                        self.ended = Some(ended);
                        return Said::Told(message);
                    }
                }
                return self.said(ended);
            }
            tokio::select! {
                biased;
                Some(event) = self.queue.recv() => if let Some(message) = self.told(event) {
                    return Said::Told(message);
                },
                ended = &mut self.outcome => self.ended = Some(ended),
            }
        }
    }
}

impl Forwarded {
    fn told(&self, event: Event) -> Option<Bytes> {
        match event {
            Event::Notification(message) => self.to.told(message),
            // A modern upstream asks questions only in its results.
            Event::Question(_) => None,
        }
    }

    fn said(&self, ended: Result<Message, Error>) -> Said {
        match ended {
            Ok(answer) => {
                let edits = self.to.edits(&answer);
                let edits: Vec<(&str, &str)> = edits.iter().map(|(old, new)| (*old, new.as_str())).collect();
                Said::Answer(status(&answer), answer.with_id(self.request().id(), &edits))
            }
            Err(error) => Said::Failed(error),
        }
    }
}

/// Returns the status of an answer that is known before any of it is sent (2026-07-28, transports, "Error Handling").
pub(super) fn status(answer: &Message) -> StatusCode {
    match answer.error_code() {
        Some(METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION) => StatusCode::BAD_REQUEST,
        Some(_) | None => StatusCode::OK,
    }
}
