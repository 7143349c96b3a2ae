//! Reasons for refusing an address.

use std::sync::Arc;

use super::proxy::NoProxyUrl;

/// The reason why an address is not dialled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("link-local addresses are not dialled")]
    LinkLocal,
    #[error("the address is the gateway's own")]
    Own,
    #[error("the proxy cannot be used")]
    Proxy(#[source] Arc<NoProxyUrl>),
    #[error("the address cannot be written as a request")]
    Unwritable(#[source] http::Error),
}
