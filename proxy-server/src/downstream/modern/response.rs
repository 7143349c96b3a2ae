//! Response to one modern request: plain JSON if nothing precedes the response message, otherwise an event stream,
//! which cannot be resumed.

use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, timeout};

use crate::call::{Answer, Class, Exchange, Output};
use crate::downstream::config::Config;
use crate::downstream::error_response::{self, JsonResponse};
use crate::error::Error;
use crate::http::server::{KEEP_ALIVE, Pulse, Reply, frame, respond_with_events};
use crate::protocol::Message;
use crate::tasks::wait_until;
use crate::upstream::Event;

/// Result of a call.
pub(in crate::downstream) type Outcome = Result<Answer, Error>;

/// Responds with the outcome of a request.
pub(super) fn outcome(request: &Message, outcome: Outcome) -> JsonResponse {
    match outcome {
        Ok(answer) => JsonResponse::new(status(answer.class), answer.body),
        Err(error) => error_response::modern_failure(request, &error),
    }
}

/// Waits for the first output, up to the configured patience, then responds with JSON, or events if there is more.
pub(super) async fn respond_with(mut exchange: Exchange<Outcome>, request: Message, config: &Config) -> Reply {
    let began = Instant::now();
    let patience = wait_until(began + config.patience);
    let first = tokio::select! {
        biased;
        output = next(&mut exchange) => Some(output),
        () = patience => None,
    };
    match first {
        Some(Output::Outcome(outcome)) => self::outcome(&request, outcome).into(),
        Some(Output::Event(first)) => stream((exchange, request), frame(None, first), config, began),
        None => stream((exchange, request), Bytes::from_static(b": waiting\n\n"), config, began),
    }
}

/// Waits for the next notification or the outcome. A modern client is asked questions only in results.
pub(in crate::downstream) async fn next(exchange: &mut Exchange<Outcome>) -> Output<Outcome, Bytes> {
    loop {
        match exchange.next(true).await {
            Output::Event(Event::Notification(message)) => return Output::Event(message),
            Output::Event(Event::Question(_)) => {}
            Output::Outcome(outcome) => return Output::Outcome(outcome),
        }
    }
}

/// Responds with an event stream that begins with this frame and ends with the final response.
fn stream(open: (Exchange<Outcome>, Message), first: Bytes, config: &Config, began: Instant) -> Reply {
    let is_listener = open.1.method() == "subscriptions/listen";
    let pulse = Pulse::new(if is_listener { config.keep_alive } else { config.call_keep_alive }, began);
    let frames = stream::unfold((Some(open), Some(first), pulse), |(open, first, mut pulse)| async move {
        let (mut exchange, request) = open?;
        let (chunk, is_last) = match first {
            Some(first) => (first, false),
            None => match timeout(pulse.pause(), next(&mut exchange)).await {
                Ok(Output::Event(message)) => (frame(None, message), false),
                Ok(Output::Outcome(Ok(answer))) => (frame(None, answer.body.into()), true),
                Ok(Output::Outcome(Err(error))) => {
                    (frame(None, error_response::modern_error_to(&request, &error)), true)
                }
                Err(_) => (Bytes::from_static(KEEP_ALIVE), false),
            },
        };
        pulse.written();
        Some((chunk, ((!is_last).then_some((exchange, request)), None, pulse)))
    });
    respond_with_events(frames).into()
}

/// Returns the status of an answer that is known before any of it is sent (2026-07-28, transports, "Error Handling").
fn status(class: Class) -> StatusCode {
    match class {
        Class::Given => StatusCode::OK,
        Class::UnknownMethod => StatusCode::NOT_FOUND,
        Class::Refused => StatusCode::BAD_REQUEST,
    }
}
