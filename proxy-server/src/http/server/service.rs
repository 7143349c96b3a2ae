//! Interface between the server and the application that answers its requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Body as HttpBody;
use httparse::Header;

use super::body::BodyError;
use crate::pieces::Pieces;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Application that answers the requests of a server.
pub(crate) trait Service: Send + Sync + 'static {
    /// Request whose head was accepted.
    type Admitted<'a>: Admitted;

    fn limits(&self) -> Limits;

    /// Decides by its head about a request that the fast path can answer.
    fn admit<'a>(self: &Arc<Self>, peer: Peer, head: Head<'a>) -> Admission<Self::Admitted<'a>>;

    /// Answers any request.
    fn answer<B>(&self, peer: Peer, request: Request<B>) -> impl Future<Output = Response> + Send
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>;

    /// Returns the response to a request whose body cannot be read.
    fn unread(&self, error: BodyError) -> Reply;

    /// Returns the response to a request on a connection beyond the limit.
    fn overloaded(&self) -> Response;

    /// True if requests to this path are answered also on connections beyond the limit.
    fn is_vital(&self, path: &str) -> bool;
}

/// Request whose head was accepted, and whose body is complete.
pub(crate) trait Admitted: Send {
    fn answer(self, body: Bytes) -> impl Future<Output = Reply> + Send;
}

/// Head of a request on the fast path.
pub(crate) struct Head<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) fields: &'a [Header<'a>],
    /// Length of the body in bytes.
    pub(crate) length: usize,
}

/// Decision about a request by its head.
pub(crate) enum Admission<A> {
    Accepted(A),
    Refused(Reply),
    /// To be answered by [`Service::answer`], as all later requests of the connection.
    NotFast,
}

/// Limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Minimum time without a request after which a connection is closed.
    pub(crate) idle_timeout: Duration,
    /// Timeout for reading a body.
    pub(crate) body_timeout: Duration,
    /// Timeout for a write of which the client accepts nothing.
    pub(crate) write_timeout: Duration,
    /// True if usual requests take the fast path.
    pub(crate) has_fast_path: bool,
}

/// Addresses of both ends of a connection; an extension of every request that hyper reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Client's end.
    pub(crate) peer: SocketAddr,
    /// Gateway's end.
    pub(crate) local: SocketAddr,
    /// Digest of the client's certificate, which was verified, if it has shown one.
    pub(crate) certificate: Option<u64>,
    /// Process at the other end of a Unix socket, whose addresses are those of the loopback interface.
    pub(crate) process: Option<PeerProcess>,
}

/// Process that opened a connection, as the kernel tells it (`SO_PEERCRED`, unix(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeerProcess {
    pub(crate) user: u32,
    pub(crate) pid: i32,
}

/// Response to a request.
pub(crate) enum Reply {
    /// Usual case: status and JSON body.
    Json(StatusCode, Pieces),
    Other(Response),
}

#[cfg(test)]
impl Peer {
    /// Returns a peer with the address of the gateway.
    pub(crate) fn of(peer: SocketAddr) -> Self {
        Self { peer, local: peer, certificate: None, process: None }
    }
}

impl Reply {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Json(status, _) => *status,
            Self::Other(response) => response.status(),
        }
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Other(response)
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Json(status, body) => (status, [(header::CONTENT_TYPE, JSON)], Body::from(body)).into_response(),
            Self::Other(response) => response,
        }
    }
}
