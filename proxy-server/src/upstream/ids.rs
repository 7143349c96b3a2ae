//! Ids of requests and of their callers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Source of request ids towards either side; unique in the process, so that an id means the same in every session.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Caller id of the gateway's own requests.
pub(crate) const NOBODY: u64 = 0;

/// Returns an id that no other request of this process has.
pub(crate) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}
