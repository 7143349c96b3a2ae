//! Deadlines of calls. Pure but for the clock: progress extends a deadline, up to a maximum.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Limit;

/// A deadline for silence that each sign of life extends, and a maximum for the whole call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    next: Instant,
    latest: Instant,
    /// The configured limits for silence and for the call in total; `None` for a fixed deadline.
    limits: Option<(Duration, Duration)>,
}

impl Deadline {
    /// Creates a deadline that no sign of life extends.
    pub(crate) fn at(time: Instant) -> Self {
        Self { next: time, latest: time, limits: None }
    }

    /// Creates the deadline of a call that starts now, with limits for its silence and its total duration.
    pub(crate) fn of_call(silence: Duration, in_all: Duration) -> Self {
        let in_all = in_all.max(silence);
        let now = Instant::now();
        Self { next: now + silence, latest: now + in_all, limits: Some((silence, in_all)) }
    }

    /// Returns the expiry unless there is a sign of life.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Returns the latest possible expiry.
    pub(crate) fn latest(&self) -> Instant {
        self.latest
    }

    /// Returns the deadline after a sign of life at this time.
    pub(crate) fn after(self, heard: Instant) -> Self {
        let extended = self.limits.map_or(self.next, |(silence, _)| (heard + silence).min(self.latest));
        Self { next: self.next.max(extended), ..self }
    }

    /// Returns the limit that has been reached.
    pub(crate) fn limit(&self) -> Option<Limit> {
        let (silence, in_all) = self.limits?;
        Some(if self.next == self.latest && in_all > silence {
            Limit::time(in_all, "--max-call-timeout", "maxCallTimeout")
        } else {
            Limit::time(silence, "--call-timeout", "callTimeout")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Checks the end of a call with 10 s of silence and 25 s in total, with signs of life at these seconds, and its
    /// limit.
    fn check(heard: &[u32], expected: u64, setting: &str) {
        let began = Instant::now();
        let mut deadline = Deadline::of_call(10 * SECOND, 25 * SECOND);
        for second in heard {
            deadline = deadline.after(began + *second * SECOND);
        }
        assert_eq!((deadline.next() - began).as_secs(), expected, "{heard:?}");
        assert!(deadline.limit().is_some_and(|limit| limit.to_string().contains(setting)), "{heard:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sign_of_life_starts_the_clock_anew_up_to_a_maximum() {
        check(&[], 10, "10s (--call-timeout, or `callTimeout` in");
        check(&[3], 13, "--call-timeout");
        check(&[3, 9, 12], 22, "--call-timeout");
        check(&[9, 18, 24], 25, "25s (--max-call-timeout, or `maxCallTimeout`");
        check(&[9, 3], 19, "--call-timeout");
    }

    #[tokio::test(start_paused = true)]
    async fn a_given_time_stays() {
        let time = Instant::now() + SECOND;
        let deadline = Deadline::at(time).after(time);
        assert_eq!((deadline.next(), deadline.latest(), deadline.limit()), (time, time, None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_maximum_is_never_shorter_than_what_a_silent_call_may_take() {
        let deadline = Deadline::of_call(10 * SECOND, SECOND);
        assert_eq!((deadline.next() - Instant::now()).as_secs(), 10);
        assert!(deadline.limit().is_some_and(|limit| limit.to_string().contains("--call-timeout")));
    }
}
