//! HTTP/1.1 (RFC 9112), HTTP/2 towards clients, and event streams, without a word of MCP: the server that clients connect to, the client that
//! connects to upstreams, and the parsers and writers of both.

pub(crate) mod accept;
pub(crate) mod client;
pub(crate) mod event_stream;
pub(crate) mod pem;
pub(crate) mod server;
pub(crate) mod write;
