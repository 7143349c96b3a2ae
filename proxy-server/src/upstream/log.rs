//! Last lines about one upstream, for the admin API: the standard error of its programs, their output that is no message,
//! and the changes of its state.

use jiff::Timestamp;

use crate::telemetry::Ring;

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
    pub(crate) time: Timestamp,
    pub(crate) source: LineSource,
    /// Process id of the program.
    pub(crate) pid: Option<u32>,
    pub(crate) text: Box<str>,
}

/// Log of one upstream.
pub(crate) type UpstreamLog = Ring<LogLine>;

/// Adds a line whose secrets are masked.
pub(super) fn note(log: &UpstreamLog, source: LineSource, pid: Option<u32>, text: &str) {
    log.push(LogLine { time: Timestamp::now(), source, pid, text: text.into() }, text.len());
}
