//! Facts about a request that identify its sender.

use std::borrow::Cow;
use std::net::SocketAddr;

/// The properties of a request that identify its sender.
#[derive(Debug, Clone)]
pub(crate) struct Credentials<'a> {
    /// Address of the peer.
    pub(crate) peer: SocketAddr,
    /// The gateway's own address of the connection.
    pub(crate) local: SocketAddr,
    /// The value of `Host`.
    pub(crate) host: Option<&'a [u8]>,
    /// True if a header or the HTTP version shows that the peer is a proxy.
    pub(crate) is_forwarded: bool,
    /// The values of `X-Forwarded-For`, unparsed and in order.
    pub(crate) forwarded_for: Vec<&'a [u8]>,
    /// The value of `Authorization`, or that of `X-Api-Key` as a bearer token.
    pub(crate) authorization: Option<Cow<'a, str>>,
}
