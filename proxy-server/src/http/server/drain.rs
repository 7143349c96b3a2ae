//! Drain of client connections at shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Interval between checks for connections without a response.
const UNANSWERED_INTERVAL: Duration = Duration::from_millis(5);

/// Drain of client connections at shutdown, in two steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    /// First step: every response is the last of its connection; new connections and requests are still accepted.
    announced: Arc<AtomicBool>,
    /// Second step: connections end once no request is under way.
    closing: CancellationToken,
    /// Number of connections without a first response.
    unanswered: Arc<AtomicUsize>,
}

/// Guard that counts a connection as unanswered until its first response, or its end.
#[derive(Debug)]
pub(crate) struct Unanswered(Arc<AtomicUsize>);

impl Drain {
    /// Takes the first step.
    pub(crate) fn announce(&self) {
        self.announced.store(true, Ordering::Relaxed);
    }

    /// Takes the second step.
    pub(crate) fn close(&self) {
        self.announce();
        self.closing.cancel();
    }

    /// True if the first step was taken.
    pub(crate) fn is_announced(&self) -> bool {
        self.announced.load(Ordering::Relaxed)
    }

    /// Returns the drain of one connection, with a token of its own, because a token that many tasks wait for is slow.
    pub(crate) fn of_one(&self) -> Self {
        let (announced, unanswered) = (Arc::clone(&self.announced), Arc::clone(&self.unanswered));
        Self { announced, closing: self.closing.child_token(), unanswered }
    }

    /// Counts an accepted connection as unanswered until the guard is dropped.
    pub(crate) fn accepted(&self) -> Unanswered {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        Unanswered(Arc::clone(&self.unanswered))
    }

    /// Waits until every accepted connection has had a response or has ended, at most for `grace`.
    pub(crate) async fn answered(&self, grace: Duration) {
        let all = async {
            while self.unanswered.load(Ordering::Relaxed) > 0 {
                sleep(UNANSWERED_INTERVAL).await;
            }
        };
        timeout(grace, all).await.ok();
    }

    /// Waits for the second step.
    pub(crate) fn closed(&self) -> WaitForCancellationFuture<'_> {
        self.closing.cancelled()
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
