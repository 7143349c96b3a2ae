//! Reads request bodies.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::timeout;

/// Maximum number of bytes reserved at once for a body on the strength of its announced length alone.
pub(super) const MAX_RESERVED: usize = 1 << 20;

/// Reason why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    TooLarge,
    /// The client closed the connection, or framed the body wrongly.
    EndedEarly,
    TimedOut,
}

/// Reads a whole body, within the limits of size and time. A body of a single frame is not copied.
pub(crate) async fn collect(
    body: impl Body<Data = Bytes>,
    max_bytes: usize,
    patience: Duration,
) -> Result<Bytes, BodyError> {
    // Refuse a body by its announced length, before it is sent.
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(BodyError::TooLarge);
    }
    timeout(patience, read(body, max_bytes)).await.unwrap_or(Err(BodyError::TimedOut))
}

async fn read(body: impl Body<Data = Bytes>, max_bytes: usize) -> Result<Bytes, BodyError> {
    let mut body = pin!(body);
    let (mut only, mut all) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::EndedEarly)?.into_data() else { continue };
        let left = max_bytes - only.len() - all.len();
        if data.len() > left {
            return Err(BodyError::TooLarge);
        }
        if only.is_empty() && all.is_empty() {
            only = data;
            continue;
        }
        if all.is_empty() {
            let announced = usize::try_from(body.size_hint().lower()).unwrap_or(MAX_RESERVED);
            let expected = announced.min(left).min(MAX_RESERVED);
            all.reserve(only.len() + expected.max(data.len()));
            all.extend_from_slice(&std::mem::take(&mut only));
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { only } else { all.freeze() })
}
