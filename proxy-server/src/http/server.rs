//! HTTP server: reads requests from connections and writes the responses of a [`Service`].
//!
//! Usual requests take the fast path of `connection.rs`; all others, and responses of unknown length, go to hyper.

mod body;
mod connection;
pub(crate) mod cors;
pub(crate) mod document;
mod drain;
mod events;
mod handover;
pub(crate) mod http2;
mod idle;
mod linger;
mod overflow;
mod path;
mod pieced;
mod pulse;
pub(crate) mod request_head;
mod response_head;
mod routes;
mod service;
mod stream;
mod timer;
mod tls;
mod write_timeout;

#[cfg(test)]
mod tests;

pub(crate) use self::body::{BodyError, collect};
pub(crate) use self::connection::Connection;
pub(crate) use self::drain::{Drain, Unanswered};
pub(crate) use self::events::{KEEP_ALIVE, event, frame, respond_with_events};
pub(crate) use self::overflow::serve as serve_overflow;
pub(crate) use self::path::{is_under, without_trailing_slash};
pub(crate) use self::pulse::Pulse;
pub(crate) use self::routes::{Audience, Route, Routes};
pub(crate) use self::service::{Admission, Admitted, Head, Limits, Peer, PeerProcess, Reply, Service};
pub(crate) use self::stream::Stream;
pub(crate) use self::tls::{Tls, TlsFiles};
