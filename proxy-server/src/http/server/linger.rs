//! Ends of connections that the client may still be sending on.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::stream::Stream;

/// Timeout for the response once the client has closed its direction of the connection; then the client counts as gone.
pub(super) const HALF_CLOSED: Duration = Duration::from_secs(2);
/// Limits of time and bytes for reading the rest of a refused request before the socket is closed: closing a socket
/// with unread data would discard the response (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 << 20;
/// Maximum size of a receive buffer that is reserved for a request or kept for the next one. Messages up to this size
/// are not split.
pub(super) const MAX_BUFFER_BYTES: usize = 256 * 1024;

/// Closes the gateway's direction, then discards up to `left` bytes of the request, within the limits.
pub(super) async fn close(stream: &mut impl Stream, left: usize) -> io::Result<()> {
    stream.shutdown().await?;
    drop(timeout(LINGER, discard(stream, left.min(LINGER_BYTES))).await);
    Ok(())
}

/// Reads and discards `count` bytes, or fewer if the client sends no more. Returns their number.
pub(super) async fn discard(stream: &mut impl Stream, count: usize) -> io::Result<usize> {
    let mut rest = stream.take(count as u64);
    Ok(usize::try_from(tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?).unwrap_or(usize::MAX))
}
