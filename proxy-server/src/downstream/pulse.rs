//! When a silent event stream is due for a comment. Comments keep proxies from closing the stream, and find out that the
//! client has left where closing the stream cancels a call.

use std::time::Duration;

use tokio::time::Instant;

/// Silence after which one write is not enough to notice that the client has left: its machine refuses the first write, and
/// only a second one finds the connection closed.
const LONG: Duration = Duration::from_secs(1);
/// Pause before that second write.
const PROBE: Duration = Duration::from_millis(250);

/// The pauses of one stream.
pub(super) struct Pulse {
    interval: Duration,
    last: Instant,
    probes: bool,
}

impl Pulse {
    /// A stream whose client has been waiting since then, with a comment at least this often.
    pub(super) fn new(interval: Duration, began: Instant) -> Self {
        Self { interval, last: began, probes: false }
    }

    /// Longest silence before the next comment.
    pub(super) fn pause(&self) -> Duration {
        if self.probes { self.interval.min(PROBE) } else { self.interval }
    }

    /// Records that something is written now.
    pub(super) fn written(&mut self) {
        let now = Instant::now();
        self.probes = now - self.last >= LONG;
        self.last = now;
    }
}

#[cfg(test)]
mod tests;
