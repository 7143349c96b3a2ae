//! One request of a modern client at a modern upstream: it goes through as it came, and so does everything that is said
//! about it.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;

use crate::call;
use crate::downstream::modern::Asking;
use crate::downstream::reply::{Said, Talk, reply};
use crate::downstream::respond;
use crate::error::{Error, Kind};
use crate::protocol::{self, Message, Object};
use crate::upstream::{Call, EVENT_QUEUE, Event, is_severe};

/// A stream of changes ends when one of the two sides ends it.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A request that was sent.
pub(super) struct Passage {
    asking: Asking,
    events: mpsc::Receiver<Event>,
    outcome: Outcome,
    /// The place of a listener, which is told when the gateway or the upstream ends.
    listening: Option<OwnedSemaphorePermit>,
}

enum Outcome {
    Awaited(BoxFuture<'static, Result<Message, Error>>),
    Known(Result<Message, Error>),
}

/// Passes a request on.
pub(super) async fn answer(asking: Asking) -> Response {
    let deadline = Instant::now() + asking.edge.config.call_timeout;
    pass(asking, deadline, None).await
}

/// Passes a `subscriptions/listen` on.
pub(super) async fn listen(asking: Asking) -> Response {
    match Arc::clone(&asking.edge.listeners).try_acquire_owned() {
        Ok(place) => pass(asking, Instant::now() + FOREVER, Some(place)).await,
        Err(_) => respond::failure(asking.message.id(), &Kind::TooManySessions.into()),
    }
}

async fn pass(asking: Asking, deadline: Instant, listening: Option<OwnedSemaphorePermit>) -> Response {
    let (sink, events) = mpsc::channel(EVENT_QUEUE);
    let (upstream, message, edge) = (Arc::clone(&asking.upstream), asking.message.clone(), Arc::clone(&asking.edge));
    let outcome = Box::pin(async move {
        // Whoever no longer wants the answer drops this whole future.
        let (_never, cancelled) = oneshot::channel();
        call::pass(&upstream, Call { message: &message, events: sink, cancelled, deadline }).await
    });
    let passage = Passage { asking, events, outcome: Outcome::Awaited(outcome), listening };
    reply(&edge, Talk::Passed(Box::new(passage))).await
}

impl Passage {
    pub(super) async fn next(&mut self) -> Said {
        loop {
            let Asking { edge, upstream, message, .. } = &self.asking;
            let listens = self.listening.is_some();
            let event = match &mut self.outcome {
                Outcome::Known(_) => self.events.try_recv().ok(),
                Outcome::Awaited(outcome) => tokio::select! {
                    biased;
                    Some(event) = self.events.recv() => Some(event),
                    () = edge.closing.cancelled(), if listens => return Said::Answer(StatusCode::OK, end(message)),
                    () = upstream.retired().cancelled(), if listens => return Said::Answer(StatusCode::OK, end(message)),
                    known = outcome => {
                        self.outcome = Outcome::Known(known);
                        continue;
                    }
                },
            };
            match event {
                Some(Event::Notification(told)) if self.is_wanted(&told) => return Said::Told(told),
                // A modern upstream asks in its answers only.
                Some(Event::Notification(_) | Event::Question(_)) => {}
                None => return self.answered(),
            }
        }
    }

    /// Log messages are for who asked for them: over stdio nothing else says whose they are.
    fn is_wanted(&self, told: &Bytes) -> bool {
        let Ok(message) = Message::parse(told.clone()) else { return false };
        if message.method() != "notifications/message" {
            return true;
        }
        let params = Object::read(message.params()).ok();
        let level = params.and_then(|params| params.text("level").map(String::from)).unwrap_or_default();
        self.asking.log_level.as_deref().is_some_and(|least| is_severe(&level, least))
    }

    fn answered(&self) -> Said {
        let request = &self.asking.message;
        match &self.outcome {
            Outcome::Known(Ok(answer)) => {
                Said::Answer(respond::modern_status(answer), answer.with_id(request.id(), &[]))
            }
            // A listener of an upstream that went away listens again.
            Outcome::Known(Err(error)) if self.listening.is_some() && error.kind() == Kind::Lost => {
                Said::Answer(StatusCode::OK, end(request))
            }
            Outcome::Known(Err(error)) => Said::Answer(respond::status(error), respond::error(request.id(), error)),
            Outcome::Awaited(_) => {
                let error = Kind::Cancelled.into();
                Said::Answer(respond::status(&error), respond::error(request.id(), &error))
            }
        }
    }
}

fn end(listen: &Message) -> Bytes {
    protocol::listening_ended(listen.id())
}
