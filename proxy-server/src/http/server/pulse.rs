//! Timing of comments on a silent event stream. Comments keep proxies from closing the stream, and detect a
//! disconnected client, which matters if closing the stream cancels a call.

use std::time::Duration;

use tokio::time::Instant;

/// Silence after which one write does not suffice to detect a disconnected client: the first write is answered with a
/// reset, and only a second one fails.
const LONG: Duration = Duration::from_secs(1);
/// Pause before that second write.
const PROBE: Duration = Duration::from_millis(250);

/// Write timing of one stream.
pub(crate) struct Pulse {
    interval: Duration,
    last: Instant,
    probes: bool,
}

impl Pulse {
    /// Starts with a client that has waited since `began`. `interval` is the maximum pause between comments.
    pub(crate) fn new(interval: Duration, began: Instant) -> Self {
        Self { interval, last: began, probes: false }
    }

    /// Returns the maximum silence before the next comment.
    pub(crate) fn pause(&self) -> Duration {
        if self.probes { self.interval.min(PROBE) } else { self.interval }
    }

    /// Records a write at the current time.
    pub(crate) fn written(&mut self) {
        let now = Instant::now();
        self.probes = now - self.last >= LONG;
        self.last = now;
    }
}

#[cfg(test)]
mod tests;
