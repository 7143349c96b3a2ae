//! The response to one modern request: plain JSON when nothing comes before the answer, else an event stream, which
//! cannot be taken up again.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use tokio::time::timeout;

use crate::downstream::bridge::Bridge;
use crate::downstream::passage::Passage;
use crate::downstream::{Edge, respond};
use crate::upstream::one_line;

/// A request on its way, by what its upstream speaks.
pub(super) enum Talk {
    Bridged(Box<Bridge>),
    Passed(Box<Passage>),
}

/// What goes to the client next.
pub(super) enum Said {
    /// On the way.
    Told(Bytes),
    /// In the end.
    Answer(StatusCode, Bytes),
}

impl Talk {
    async fn next(&mut self) -> Said {
        match self {
            Self::Bridged(bridge) => bridge.next().await,
            Self::Passed(passage) => passage.next().await,
        }
    }
}

/// Answers at once where that is possible, else with a stream.
pub(super) async fn reply(edge: &Edge, mut talk: Talk) -> Response {
    let first = match timeout(edge.config.patience, talk.next()).await {
        Ok(Said::Answer(status, body)) => return respond::json(status, body),
        Ok(Said::Told(first)) => frame(first),
        Err(_) => Bytes::from_static(b": waiting\n\n"),
    };
    let keep_alive = edge.config.keep_alive;
    let frames = stream::unfold((Some(talk), Some(first)), move |(talk, first)| async move {
        let mut talk = talk?;
        if let Some(first) = first {
            return Some((Ok::<_, Infallible>(first), (Some(talk), None)));
        }
        match timeout(keep_alive, talk.next()).await {
            Ok(Said::Told(message)) => Some((Ok(frame(message)), (Some(talk), None))),
            Ok(Said::Answer(_, body)) => Some((Ok(frame(body)), (None, None))),
            Err(_) => Some((Ok(Bytes::from_static(b": keep-alive\n\n")), (Some(talk), None))),
        }
    });
    events(Body::from_stream(frames))
}

/// A response whose body is an event stream.
pub(super) fn events(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

/// One event, which has no number: there is no taking up of streams in this era.
pub(super) fn frame(message: Bytes) -> Bytes {
    let message = one_line(message);
    let mut out = BytesMut::with_capacity(message.len() + 24);
    out.put_slice(b"event: message\ndata: ");
    out.put_slice(&message);
    out.put_slice(b"\n\n");
    out.freeze()
}
