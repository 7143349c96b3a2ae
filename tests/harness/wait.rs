//! Waiting for a condition, always with a deadline.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// Time limit of every wait. Generous, so that a busy machine does not fail a test.
pub const DEADLINE: Duration = Duration::from_secs(60);

const INTERVAL: Duration = Duration::from_millis(10);

/// Calls `look` every 10 ms until it returns a value.
///
/// # Panics
///
/// After [`DEADLINE`], with the text `what`.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(started.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        sleep(INTERVAL).await;
    }
}

/// Awaits a future with a time limit.
///
/// # Panics
///
/// After `deadline`, with the text `what`.
pub async fn within<F: Future>(deadline: Duration, what: &str, future: F) -> F::Output {
    let Ok(output) = timeout(deadline, future).await else { panic!("not within {deadline:?}: {what}") };
    output
}

/// A gate that others wait for, opened once. Clones share the gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// Opens the gate for all present and later waiters.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Returns true if the gate is open.
    pub fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the gate is open.
    pub async fn opened(&self) {
        self.0.subscribe().wait_for(|open| *open).await.ok();
    }
}
