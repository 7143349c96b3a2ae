//! Response to one modern request: plain JSON if nothing precedes the response message, otherwise an event stream,
//! which cannot be resumed.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use tokio::time::{Instant, timeout};

use crate::downstream::edge::Config;
use crate::downstream::pulse::Pulse;
use crate::downstream::respond;
use crate::error::Error;
use crate::http::event_stream::one_line;
use crate::http::server::Reply;
use crate::protocol::Message;
use crate::tasks::wait_until;

/// An exchange with one client request. Dropping it before its final output cancels the request at the upstream.
pub(super) trait Talk: Send + Sized + 'static {
    /// Returns the request as received from the client.
    fn request(&self) -> &Message;

    /// Waits for the next output. Cancel-safe. Must not be called after the final output.
    fn next(&mut self) -> impl Future<Output = Said> + Send;
}

/// Output for the client.
pub(super) enum Said {
    /// Message that precedes the response, such as a notification.
    Told(Bytes),
    /// Final response, with its HTTP status.
    Answer(StatusCode, Bytes),
    /// Final failure, if there is no response.
    Failed(Error),
}

/// Waits for the first output, up to the configured patience, then responds with JSON, or with an event stream if there
/// is more.
pub(super) async fn respond_with(mut talk: impl Talk, config: &Config) -> Reply {
    let began = Instant::now();
    let patience = wait_until(began + config.patience);
    let said = tokio::select! {
        biased;
        said = talk.next() => Some(said),
        () = patience => None,
    };
    match said {
        Some(Said::Answer(status, body)) => respond::json(status, body),
        Some(Said::Failed(error)) => respond::modern_failure(talk.request(), &error),
        Some(Said::Told(first)) => stream(talk, frame(first), config, began),
        None => stream(talk, Bytes::from_static(b": waiting\n\n"), config, began),
    }
}

/// Responds with an event stream that begins with this frame and ends with the final response.
fn stream(talk: impl Talk, first: Bytes, config: &Config, began: Instant) -> Reply {
    let is_listener = talk.request().method() == "subscriptions/listen";
    let pulse = Pulse::new(if is_listener { config.keep_alive } else { config.call_keep_alive }, began);
    let frames = stream::unfold((Some(talk), Some(first), pulse), |(talk, first, mut pulse)| async move {
        let mut talk = talk?;
        let (chunk, talk) = match first {
            Some(first) => (first, Some(talk)),
            None => match timeout(pulse.pause(), talk.next()).await {
                Ok(Said::Told(message)) => (frame(message), Some(talk)),
                Ok(Said::Answer(_, body)) => (frame(body), None),
                Ok(Said::Failed(error)) => (frame(respond::modern_error_to(talk.request(), &error)), None),
                Err(_) => (Bytes::from_static(b": keep-alive\n\n"), Some(talk)),
            },
        };
        pulse.written();
        Some((Ok::<_, Infallible>(chunk), (talk, None, pulse)))
    });
    events(Body::from_stream(frames)).into()
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
