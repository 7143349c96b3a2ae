//! Service that answers with the request as it was read.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http_body::Body as HttpBody;
use httparse::Header;
use tokio::task::yield_now;

use crate::http::server::body::{BodyError, collect};
use crate::http::server::service::{Admission, Admitted, Head, Limits, Peer, Reply, Service};
use crate::pieces::Pieces;

/// Largest accepted body in bytes.
pub(super) const MAX_BODY: usize = 2_000;
/// Longer than any test.
const LONG: Duration = Duration::from_secs(100);
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Targets that take the fast path. Each is answered in its own way.
pub(super) const ECHO: &str = "/mcp";
/// Answered after the server could look for the end of the connection a few times.
pub(super) const LATE: &str = "/late/mcp";
/// Answered without a body.
pub(super) const EMPTY: &str = "/empty/mcp";
/// Answered with fields and a body of a known length.
pub(super) const OTHER: &str = "/other/mcp";
/// Answered with a body of unknown length.
pub(super) const STREAM: &str = "/stream/mcp";
/// Refused by the head of the request.
pub(super) const REFUSED: &str = "/refused/mcp";
/// Left to hyper, like all other targets.
pub(super) const NOT_FAST: &str = "/healthz";

pub(super) struct Echo {
    pub(super) has_fast_path: bool,
}

pub(super) struct Read {
    path: String,
    text: String,
}

impl Service for Echo {
    type Admitted<'a> = Read;

    fn limits(&self) -> Limits {
        let has_fast_path = self.has_fast_path;
        Limits { idle_timeout: LONG, body_timeout: LONG, write_timeout: LONG, has_fast_path }
    }

    fn admit<'a>(self: &Arc<Self>, _: Peer, head: Head<'a>) -> Admission<Read> {
        if ![ECHO, LATE, EMPTY, OTHER, STREAM, REFUSED].contains(&head.path) {
            return Admission::NotFast;
        }
        if head.path == REFUSED {
            return Admission::Refused(refusal(StatusCode::UNAUTHORIZED));
        }
        if head.length > MAX_BODY {
            return Admission::Refused(self.unread(BodyError::TooLarge));
        }
        let fields = head.fields.iter().map(|Header { name, value }| (*name, *value));
        Admission::Accepted(Read::new(&head.method, head.path, fields))
    }

    async fn answer<B>(&self, _: Peer, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let path = head.uri.to_string();
        if head.method == Method::HEAD {
            // A response to it tells the length of a body that does not follow.
            return StatusCode::NO_CONTENT.into_response();
        }
        if path == REFUSED {
            return respond(refusal(StatusCode::UNAUTHORIZED));
        }
        let fields = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let read = Read::new(&head.method, &path, fields);
        match collect(Body::new(body), MAX_BODY, LONG).await {
            Ok(body) => respond(read.answer(body).await),
            Err(error) => respond(self.unread(error)),
        }
    }

    fn unread(&self, error: BodyError) -> Reply {
        refusal(match error {
            BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::EndedEarly => StatusCode::BAD_REQUEST,
            BodyError::TimedOut => StatusCode::REQUEST_TIMEOUT,
        })
    }

    fn overloaded(&self) -> Response {
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }

    fn is_vital(&self, _: &str) -> bool {
        false
    }
}

impl Read {
    fn new<'a>(method: &Method, path: &str, fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut text = format!("{method} {path}\n");
        // Only fields of one name have an order (RFC 9110, 5.3).
        let mut fields: Vec<_> = fields.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        fields.sort_by(|one, other| one.0.cmp(&other.0));
        for (name, value) in fields {
            writeln!(text, "{name}: {}", value.escape_ascii()).expect("memory");
        }
        Self { path: path.to_owned(), text }
    }
}

impl Admitted for Read {
    async fn answer(mut self, body: Bytes) -> Reply {
        write!(self.text, "\n{}", body.escape_ascii()).expect("memory");
        let text = Bytes::from(self.text);
        match self.path.as_str() {
            EMPTY => StatusCode::NO_CONTENT.into_response().into(),
            OTHER => (StatusCode::ACCEPTED, [("x-one", "1"), ("x-two", "2")], text).into_response().into(),
            STREAM => {
                let pieces = [text, Bytes::from_static(b"end")].map(Ok::<_, BoxError>);
                Body::from_stream(stream::iter(pieces)).into_response().into()
            }
            LATE => {
                for _ in 0..3 {
                    yield_now().await;
                }
                Reply::Json(StatusCode::OK, Pieces::from(text))
            }
            _ => Reply::Json(StatusCode::OK, Pieces::from(text)),
        }
    }
}

fn refusal(status: StatusCode) -> Reply {
    Reply::Json(status, Pieces::from(Bytes::from_static(b"refused")))
}

/// Adds the field that the fast path adds by itself.
fn respond(reply: Reply) -> Response {
    let mut response = reply.into_response();
    let fields: &mut HeaderMap = response.headers_mut();
    fields.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
    response
}
