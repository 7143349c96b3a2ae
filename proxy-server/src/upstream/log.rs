//! Last lines about one upstream, for the admin API: the standard error of its programs, their output that is no message,
//! and the changes of its state.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::sync::lock;

/// Maximum number of lines that are kept for one upstream.
const KEPT_LINES: usize = 1_000;
/// Maximum length of the kept lines of one upstream together, in bytes.
const KEPT_BYTES: usize = 256 << 10;

/// Origin of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineSource {
    /// Standard error of a program.
    Stderr,
    /// A line on the standard output of a program that is no message.
    Stdout,
    /// The gateway.
    Gateway,
}

/// A kept line, with its secrets masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogLine {
    /// Number of the line, from 1 on.
    pub(crate) number: u64,
    pub(crate) time: Timestamp,
    pub(crate) source: LineSource,
    /// Process id of the program.
    pub(crate) pid: Option<u32>,
    pub(crate) text: Box<str>,
}

/// Log of one upstream. Cheap to clone.
#[derive(Clone)]
pub(crate) struct UpstreamLog {
    kept: Arc<Mutex<Kept>>,
    /// Number of the newest line.
    newest: watch::Sender<u64>,
    /// Milliseconds of the epoch at which the log began.
    begun: i64,
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// Number of lines so far.
    count: u64,
}

impl Default for UpstreamLog {
    fn default() -> Self {
        Self { kept: Arc::default(), newest: watch::Sender::new(0), begun: Timestamp::now().as_millisecond() }
    }
}

impl UpstreamLog {
    /// Adds a line whose secrets are masked. The oldest lines make room.
    pub(super) fn push(&self, source: LineSource, pid: Option<u32>, text: &str) {
        let mut kept = lock(&self.kept);
        kept.count += 1;
        kept.bytes += text.len();
        let line = LogLine { number: kept.count, time: Timestamp::now(), source, pid, text: text.into() };
        kept.lines.push_back(line);
        while kept.lines.len() > KEPT_LINES || kept.bytes > KEPT_BYTES {
            let Some(oldest) = kept.lines.pop_front() else { break };
            kept.bytes -= oldest.text.len();
        }
        self.newest.send_replace(kept.count);
    }

    /// Returns the newest kept lines, at most `most`, oldest first.
    pub(crate) fn last(&self, most: usize) -> Vec<LogLine> {
        let kept = lock(&self.kept);
        let start = kept.lines.len().saturating_sub(most);
        kept.lines.range(start..).cloned().collect()
    }

    /// Returns the kept lines after the one with this number, oldest first, at most the oldest `most`.
    pub(crate) fn first_after(&self, number: u64, most: usize) -> Vec<LogLine> {
        let kept = lock(&self.kept);
        let start = kept.lines.partition_point(|line| line.number <= number);
        kept.lines.range(start..).take(most).cloned().collect()
    }

    /// Returns the time at which the log began, by which logs of upstreams of one name differ.
    pub(crate) fn begun(&self) -> i64 {
        self.begun
    }

    /// Returns the number of the newest line, 0 without any.
    pub(crate) fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Subscribes to the number of the newest line.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_make_room_for_new_ones() {
        let log = UpstreamLog::default();
        assert_eq!((log.newest(), log.last(10)), (0, Vec::new()));
        for number in 1..=1_005 {
            log.push(LineSource::Stderr, Some(7), &number.to_string());
        }
        let all = log.last(usize::MAX);
        assert_eq!((all.len(), all.first().map(|line| line.number), log.newest()), (1_000, Some(6), 1_005));
        let last: Vec<_> = log.last(2).iter().map(|line| line.text.to_string()).collect();
        assert_eq!(last, ["1004", "1005"]);
        let numbers = |after, most| log.first_after(after, most).iter().map(|line| line.number).collect::<Vec<_>>();
        assert_eq!((numbers(0, 2), numbers(1_004, 10), numbers(2_000, 10)), (vec![6, 7], vec![1_005], Vec::new()));
    }

    #[test]
    fn long_lines_leave_room_for_fewer() {
        let log = UpstreamLog::default();
        for _ in 0..100 {
            log.push(LineSource::Gateway, None, &"x".repeat(8 << 10));
        }
        assert_eq!(log.last(usize::MAX).len(), 32);
    }
}
