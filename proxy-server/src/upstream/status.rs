//! Status of an upstream for the admin API.

use std::sync::atomic::Ordering;
use std::time::Duration;

use schemas::admin;

use crate::upstream::Upstream;

impl Upstream {
    /// Returns the status as the admin API shows it.
    pub(crate) fn status(&self) -> admin::Status {
        let observed = self.observed.borrow();
        let mut status = admin::Status::new(self.definition.name.as_str());
        // Report an error between failed attempts, also while the next one runs: a poller would otherwise mostly see
        // `connecting`, and keep waiting.
        let tries_again = observed.state == admin::State::Connecting && observed.attempts > 1;
        status.status = if tries_again { admin::State::Error } else { observed.state };
        status.gave_up = observed.gave_up;
        status.last_connected = observed.connected_at.map(|(time, _)| time.to_string());
        if let Some((time, error)) = &observed.last_error {
            status.last_error = Some(error.to_string());
            status.last_error_time = Some(time.to_string());
        }
        if let Some((time, reason)) = &observed.last_loss {
            status.last_disconnected = Some(time.to_string());
            status.disconnect_reason = Some(reason.to_string());
        }
        if let Some(verdict) = &observed.era {
            status.era = Some(verdict.era.word().to_owned());
            status.era_probed = verdict.probed.map(|(time, _)| time.to_string());
        }
        let noise = self.environment.noise.heard();
        (status.unreadable_lines, status.last_unreadable_line) = (noise.lines, noise.last);
        status.short_sessions = observed.short_sessions();
        status.reconnect_attempts = observed.attempts + status.short_sessions;
        if observed.state == admin::State::Connected {
            let since = observed.connected_at.map(|(_, since)| since.elapsed());
            status.up_time = since.unwrap_or_default().into();
        }
        status.total_requests = self.stats.requests.load(Ordering::Relaxed);
        status.total_errors = self.stats.errors.load(Ordering::Relaxed);
        status.avg_response_time = Duration::from_nanos(self.stats.average.load(Ordering::Relaxed)).into();
        status
    }
}
