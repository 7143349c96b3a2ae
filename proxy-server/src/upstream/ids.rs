//! Ids of requests, of their callers, and of questions to clients.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

/// Source of request ids towards either side; unique in the process, so that an id means the same in every session.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);
/// Source of the ids of questions. It starts at the time in microseconds, because a client may answer a question of an
/// earlier process in a session that this one has opened again.
static NEXT_QUESTION: LazyLock<AtomicU64> =
    LazyLock::new(|| AtomicU64::new(u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(1)));

/// Caller id of the gateway's own requests.
pub(crate) const NOBODY: u64 = 0;

/// Returns an id that no other request of this process has.
pub(crate) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// Returns an id that no other question of this process or of an earlier one has.
pub(crate) fn next_question() -> u64 {
    NEXT_QUESTION.fetch_add(1, Ordering::Relaxed)
}
