//! HTTP/1.1 (RFC 9112) and event streams, without a word of MCP: the client that connects to upstreams, parsers and
//! writers that both sides use.

pub(crate) mod client;
pub(crate) mod event_stream;
mod pieced;
pub(crate) mod write;
