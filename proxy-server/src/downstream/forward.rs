//! A modern client in front of a modern upstream: the request goes through as it came, and so does what comes back.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::call::{forward, listen};
use crate::downstream::modern::Asking;
use crate::downstream::reply::{Said, Talk, respond_with};
use crate::downstream::respond;
use crate::error::{Error, Kind};
use crate::protocol::{
    HEADER_MISMATCH, METHOD_NOT_FOUND, MISSING_CAPABILITY, Message, UNSUPPORTED_VERSION, listening_ended,
};
use crate::upstream::{Call, EVENT_QUEUE, Event};

/// Who listens says when it is enough.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// One request on its way.
struct Forwarded {
    id: Box<str>,
    queue: mpsc::Receiver<Event>,
    outcome: BoxFuture<'static, Result<Message, Error>>,
    /// The outcome, while there is something to tell before it.
    ended: Option<Result<Message, Error>>,
}

/// Sends the request on.
pub(super) async fn answer(asking: Asking) -> Response {
    let edge = Arc::clone(&asking.edge);
    let (events, queue) = mpsc::channel(EVENT_QUEUE);
    let id = asking.message.id().into();
    let talk = Forwarded { id, queue, outcome: Box::pin(send(asking, events)), ended: None };
    respond_with(talk, &edge.config).await
}

async fn send(asking: Asking, events: mpsc::Sender<Event>) -> Result<Message, Error> {
    let Asking { edge, upstream, message, .. } = &asking;
    let (_never, cancelled) = oneshot::channel();
    if message.method() == "subscriptions/listen" {
        let deadline = Instant::now() + FOREVER;
        let call = Call { message, events, cancelled, deadline };
        return tokio::select! {
            outcome = listen(upstream, call) => outcome,
            () = edge.closing.cancelled() => ended(message),
            () = upstream.retired().cancelled() => ended(message),
        };
    }
    let deadline = Instant::now() + edge.config.call_timeout;
    forward(upstream, Call { message, events, cancelled, deadline }).await
}

/// The end of a `subscriptions/listen`, where the gateway is the one that ends it.
fn ended(listen: &Message) -> Result<Message, Error> {
    let end = listening_ended(listen.id());
    Message::parse(end).map_err(|error| Error::new(Kind::NotReady).because(error))
}

impl Talk for Forwarded {
    async fn next(&mut self) -> Said {
        loop {
            // What came before the answer is told before it.
            if self.ended.is_some() {
                match self.queue.try_recv() {
                    Ok(Event::Notification(message)) => return Said::Told(message),
                    // A modern upstream asks by answers only.
                    Ok(Event::Question(_)) => continue,
                    Err(_) => {}
                }
            }
            if let Some(ended) = self.ended.take() {
                return self.said(&ended);
            }
            tokio::select! {
                biased;
                Some(event) = self.queue.recv() => if let Event::Notification(message) = event {
                    return Said::Told(message);
                },
                ended = &mut self.outcome => self.ended = Some(ended),
            }
        }
    }
}

impl Forwarded {
    fn said(&self, ended: &Result<Message, Error>) -> Said {
        match ended {
            Ok(answer) => Said::Answer(status(answer), answer.with_id(&self.id, &[])),
            Err(error) => Said::Answer(respond::status(error), respond::error(&self.id, error)),
        }
    }
}

/// The status of an answer that is known before anything of it is sent (2026-07-28, transports, "Error Handling").
fn status(answer: &Message) -> StatusCode {
    match answer.error_code() {
        Some(METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION) => StatusCode::BAD_REQUEST,
        Some(_) | None => StatusCode::OK,
    }
}
