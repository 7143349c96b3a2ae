//! Responses that are event streams (HTML Living Standard, 9.2).

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use crate::lines::one_line;

/// Comment that keeps a silent stream open.
pub(crate) const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Responds with an event stream of these frames. Proxies neither cache nor buffer it.
pub(crate) fn respond_with_events(frames: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(frames.map(Ok::<_, Infallible>))).into_response()
}

/// Encodes a message as an event of the type `message`, with an id if it is of a stream that can be resumed.
pub(crate) fn frame(id: Option<(u64, u64)>, message: Bytes) -> Bytes {
    let message = one_line(message);
    let mut out = BytesMut::with_capacity(message.len() + 48);
    if let Some((stream, event)) = id {
        out.put_slice(format!("id: {stream}-{event}\n").as_bytes());
    }
    out.put_slice(b"event: message\ndata: ");
    out.put_slice(&message);
    out.put_slice(b"\n\n");
    out.freeze()
}

/// Encodes an event of a named type. The data must be one line.
pub(crate) fn event(id: &str, name: &str, data: &str) -> Bytes {
    format!("id: {id}\nevent: {name}\ndata: {data}\n\n").into()
}
