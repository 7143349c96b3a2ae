//! Waiting on a condition, always with a deadline.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How long anything may take. Far more than it does, so that a busy machine fails no test.
pub const DEADLINE: Duration = Duration::from_secs(60);

const INTERVAL: Duration = Duration::from_millis(10);

/// Looks again and again until there is something to see, and gives that.
///
/// # Panics
///
/// After [`DEADLINE`], with what was waited for.
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

/// What a future gives, if it gives it in time.
///
/// # Panics
///
/// After this long, with what was waited for.
pub async fn within<F: Future>(deadline: Duration, what: &str, future: F) -> F::Output {
    let Ok(output) = timeout(deadline, future).await else { panic!("not within {deadline:?}: {what}") };
    output
}

/// Something that others wait for, opened once. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is open.
    pub async fn opened(&self) {
        self.0.subscribe().wait_for(|open| *open).await.ok();
    }
}
