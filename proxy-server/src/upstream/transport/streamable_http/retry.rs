//! Retry pauses for streams: they grow while a stream is refused, and start again after one has lived. Pure.

use std::time::Duration;

use http::StatusCode;

pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Maximum pause, whatever `retry` an upstream sends.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Minimum pause, so that `retry: 0` does not cause a busy loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// Maximum accepted `Retry-After`.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(10 * 60);
/// Number of consecutive failed polls after which the request counts as lost.
const FAILED_POLLS: u32 = 5;
/// Number of consecutive connection failures of the GET stream after which the session itself is checked.
const UNREACHABLE: u32 = 3;

/// The next step after the response to a GET.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The stream is open.
    Read,
    /// The upstream offers no stream.
    Stop,
    /// Try again.
    After(Duration),
    /// Check by a POST whether the session is alive, because the response to a GET does not show it.
    AskSession,
}

/// Attempts to open the GET stream of one session.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    made: u32,
    unreachable: u32,
    had_stream: bool,
    /// Number of consecutive refusals and short-lived streams.
    failures: u32,
}

impl Attempts {
    /// Starts an attempt. Returns true if notifications may have been missed before it.
    pub(super) fn begin(&mut self) -> bool {
        self.made += 1;
        self.made > 1
    }

    /// Judges a response. Only 405, or 404 at the first attempt, means that there is no stream.
    pub(super) fn judge(&mut self, status: StatusCode, has_events: bool, retry_after: Option<Duration>) -> Next {
        self.unreachable = 0;
        match status {
            status if status.is_success() && has_events => {
                self.had_stream = true;
                Next::Read
            }
            // The upstream has offered a stream before, so it may do so again.
            StatusCode::METHOD_NOT_ALLOWED if self.had_stream => Next::After(LONGEST_PAUSE),
            StatusCode::METHOD_NOT_ALLOWED => Next::Stop,
            StatusCode::NOT_FOUND if self.made == 1 => Next::Stop,
            // Restarted servers send either status for a session that they have lost.
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST if self.made > 1 => Next::AskSession,
            _ => Next::After(self.failed().max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))),
        }
    }

    /// Returns the pause after the end of a stream. A stream that lived resets the count of failures.
    pub(super) fn ended(&mut self, lived: bool, retry: Option<Duration>) -> Duration {
        if !lived {
            return self.failed().max(retry.map(bounded).unwrap_or_default());
        }
        self.failures = 0;
        retry.map_or(FIRST_PAUSE, bounded)
    }

    /// Returns the pause after a failed attempt.
    pub(super) fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        doubled(FIRST_PAUSE, self.failures - 1)
    }

    /// Counts a failed connection. Returns true if it is time to check the session.
    pub(super) fn is_out_of_reach(&mut self) -> bool {
        self.unreachable += 1;
        self.unreachable >= UNREACHABLE
    }
}

/// Polls for the rest of one response (2025-11-25, transports, "Resumability and Redelivery"). They continue while they
/// are accepted.
#[derive(Debug)]
pub(super) struct Polls {
    pause: Duration,
    failures: u32,
}

impl Polls {
    pub(super) fn new() -> Self {
        Self { pause: FIRST_PAUSE, failures: 0 }
    }

    /// Records the end of a stream, with the pause it requested. Returns the pause before the next poll.
    pub(super) fn ended(&mut self, retry: Option<Duration>) -> Duration {
        self.failures = 0;
        self.pause = retry.map_or(self.pause, bounded);
        self.pause
    }

    /// Returns the pause after a poll that was refused with this status, or failed to connect; `None` to stop polling.
    pub(super) fn failed(&mut self, status: Option<StatusCode>, retry_after: Option<Duration>) -> Option<Duration> {
        self.failures += 1;
        let is_final = matches!(
            status,
            Some(
                StatusCode::UNAUTHORIZED
                    | StatusCode::FORBIDDEN
                    | StatusCode::NOT_FOUND
                    | StatusCode::METHOD_NOT_ALLOWED
                    | StatusCode::GONE
                    | StatusCode::NOT_IMPLEMENTED
            )
        );
        let pause = doubled(self.pause, self.failures).max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER));
        (!is_final && self.failures <= FAILED_POLLS).then_some(pause)
    }
}

/// Parses the seconds of a `Retry-After` field; dates are ignored.
pub(super) fn retry_after(field: Option<&[u8]>) -> Option<Duration> {
    let seconds = std::str::from_utf8(field?).ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn bounded(asked: Duration) -> Duration {
    asked.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

fn doubled(pause: Duration, times: u32) -> Duration {
    pause.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(attempts: &mut Attempts, status: u16, has_events: bool) -> Next {
        attempts.begin();
        attempts.judge(StatusCode::from_u16(status).expect("a status"), has_events, None)
    }

    fn seconds(next: Next) -> Option<u64> {
        match next {
            Next::After(pause) => Some(pause.as_secs()),
            Next::Read | Next::Stop | Next::AskSession => None,
        }
    }

    #[test]
    fn only_405_and_a_first_404_mean_that_there_is_no_stream() {
        for status in [405, 404] {
            assert_eq!(judged(&mut Attempts::default(), status, false), Next::Stop, "{status}");
        }
        for (status, has_events) in [(200, false), (204, false), (302, false), (307, false), (400, false), (400, true)]
        {
            assert_eq!(seconds(judged(&mut Attempts::default(), status, has_events)), Some(1), "{status}");
        }
        for status in [401, 403, 406, 409, 410, 429, 500, 501, 502, 503] {
            assert_eq!(seconds(judged(&mut Attempts::default(), status, false)), Some(1), "{status}");
        }
        let mut attempts = Attempts::default();
        assert_eq!(judged(&mut attempts, 409, false), Next::After(FIRST_PAUSE));
        assert_eq!(judged(&mut attempts, 404, false), Next::AskSession);
        assert_eq!(judged(&mut attempts, 400, false), Next::AskSession);
        assert_eq!(judged(&mut attempts, 405, false), Next::Stop);
        assert_eq!(judged(&mut attempts, 200, true), Next::Read);
        assert_eq!(judged(&mut attempts, 404, false), Next::AskSession);
        assert_eq!(judged(&mut attempts, 405, false), Next::After(LONGEST_PAUSE));
    }

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew_after_a_stream_that_lived() {
        let mut attempts = Attempts::default();
        let grown: Vec<_> = (0..40).filter_map(|_| seconds(judged(&mut attempts, 503, false))).collect();
        assert_eq!(grown.get(..7), Some([1, 2, 4, 8, 16, 30, 30].as_slice()));
        assert_eq!(grown.last(), Some(&30));
        assert_eq!(judged(&mut attempts, 200, true), Next::Read);
        assert_eq!(attempts.ended(false, None), LONGEST_PAUSE, "a stream that did not live changes nothing");
        assert_eq!(attempts.ended(true, None), FIRST_PAUSE);
        assert_eq!(attempts.ended(true, None), FIRST_PAUSE, "nor do pauses grow between streams that live");
        assert_eq!(seconds(judged(&mut attempts, 503, false)), Some(1));
    }

    #[test]
    fn what_an_upstream_asks_for_is_bounded() {
        let mut attempts = Attempts::default();
        let ask = |milliseconds| Some(Duration::from_millis(milliseconds));
        assert_eq!(attempts.ended(true, ask(0)), SHORTEST_PAUSE);
        assert_eq!(attempts.ended(true, ask(400)), Duration::from_millis(400));
        assert_eq!(attempts.ended(true, ask(86_400_000)), LONGEST_PAUSE);
        assert_eq!(attempts.ended(false, ask(0)), FIRST_PAUSE, "an empty stream makes no busy loop");
        let mut polls = Polls::new();
        assert_eq!(polls.ended(ask(0)), SHORTEST_PAUSE);
        assert_eq!(polls.ended(None), SHORTEST_PAUSE, "it holds until it is asked for anew");
        assert_eq!(polls.ended(ask(u64::MAX)), LONGEST_PAUSE);
        let later = Attempts::default().judge(StatusCode::TOO_MANY_REQUESTS, false, retry_after(Some(b"90")));
        assert_eq!(later, Next::After(Duration::from_secs(90)));
        let never = Attempts::default().judge(StatusCode::TOO_MANY_REQUESTS, false, retry_after(Some(b"999999999")));
        assert_eq!(never, Next::After(LONGEST_RETRY_AFTER));
        assert_eq!(retry_after(Some(b"soon")), None);
    }

    #[test]
    fn polling_goes_on_while_polls_are_accepted() {
        let mut polls = Polls::new();
        for _ in 0..1_000 {
            polls.ended(Some(Duration::from_millis(300)));
        }
        for expected in [600, 1_200, 2_400, 4_800, 9_600] {
            assert_eq!(polls.failed(Some(StatusCode::CONFLICT), None), Some(Duration::from_millis(expected)));
        }
        assert_eq!(polls.failed(None, None), None);
        polls.ended(None);
        assert!(polls.failed(None, None).is_some(), "an accepted poll makes up for failures");
        for status in [401, 403, 404, 405, 410, 501] {
            assert_eq!(Polls::new().failed(StatusCode::from_u16(status).ok(), None), None, "{status}");
        }
    }

    #[test]
    fn a_session_is_asked_after_once_its_stream_has_been_out_of_reach_for_a_while() {
        let mut attempts = Attempts::default();
        assert!(!attempts.is_out_of_reach() && !attempts.is_out_of_reach() && attempts.is_out_of_reach());
        attempts.judge(StatusCode::CONFLICT, false, None);
        assert!(!attempts.is_out_of_reach());
    }
}
