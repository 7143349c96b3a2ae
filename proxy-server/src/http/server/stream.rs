//! Byte streams that carry connections.

use tokio::io::{AsyncRead, AsyncWrite};

/// Byte stream of a connection: TCP, or TLS over it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}
