//! Response to one modern request: plain JSON if nothing precedes the response message, otherwise an event stream,
//! which cannot be resumed.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use tokio::time::{Instant, timeout};

use crate::call::{Answer, Class, Exchange, Output};
use crate::downstream::edge::Config;
use crate::downstream::error_response;
use crate::downstream::pulse::Pulse;
use crate::error::Error;
use crate::http::event_stream::one_line;
use crate::http::server::Reply;
use crate::protocol::Message;
use crate::tasks::wait_until;
use crate::upstream::Event;

/// Result of a call.
type Outcome = Result<Answer, Error>;

/// Responds with the outcome of a request.
pub(super) fn outcome(request: &Message, outcome: Outcome) -> Reply {
    match outcome {
        Ok(answer) => error_response::json(status(answer.class), answer.body),
        Err(error) => error_response::modern_failure(request, &error),
    }
}

/// Waits for the first output, up to the configured patience, then responds with JSON, or with an event stream if there
/// is more.
pub(super) async fn respond_with(mut exchange: Exchange<Outcome>, request: Message, config: &Config) -> Reply {
    let began = Instant::now();
    let patience = wait_until(began + config.patience);
    let first = tokio::select! {
        biased;
        output = next(&mut exchange) => Some(output),
        () = patience => None,
    };
    match first {
        Some(Output::Outcome(outcome)) => self::outcome(&request, outcome),
        Some(Output::Event(first)) => stream((exchange, request), frame(first), config, began),
        None => stream((exchange, request), Bytes::from_static(b": waiting\n\n"), config, began),
    }
}

/// Waits for the next notification or the outcome. A modern client is asked questions only in results.
async fn next(exchange: &mut Exchange<Outcome>) -> Output<Outcome, Bytes> {
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
                Ok(Output::Event(message)) => (frame(message), false),
                Ok(Output::Outcome(Ok(answer))) => (frame(answer.body.into()), true),
                Ok(Output::Outcome(Err(error))) => (frame(error_response::modern_error_to(&request, &error)), true),
                Err(_) => (Bytes::from_static(b": keep-alive\n\n"), false),
            },
        };
        pulse.written();
        Some((Ok::<_, Infallible>(chunk), ((!is_last).then_some((exchange, request)), None, pulse)))
    });
    events(Body::from_stream(frames)).into()
}

/// Returns the status of an answer that is known before any of it is sent (2026-07-28, transports, "Error Handling").
fn status(class: Class) -> StatusCode {
    match class {
        Class::Given => StatusCode::OK,
        Class::UnknownMethod => StatusCode::NOT_FOUND,
        Class::Refused => StatusCode::BAD_REQUEST,
    }
}

/// Builds a response with an event stream as its body.
fn events(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

/// Encodes a message as an event without id, because streams of the modern era cannot be resumed.
fn frame(message: Bytes) -> Bytes {
    let message = one_line(message);
    let mut out = BytesMut::with_capacity(message.len() + 24);
    out.put_slice(b"event: message\ndata: ");
    out.put_slice(&message);
    out.put_slice(b"\n\n");
    out.freeze()
}
