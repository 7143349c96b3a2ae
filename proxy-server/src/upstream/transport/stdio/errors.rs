//! Reads a child's standard error: into the log of the upstream, and into that of the gateway at a limited rate.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStderr;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::sync::lock;
use crate::telemetry::{STDERR, Secrets};
use crate::upstream::log::{LineSource, UpstreamLog, note};

/// Number of last lines of standard error that are kept for the status.
const KEPT_LINES: usize = 5;
const KEPT_LINE_LENGTH: usize = 500;
/// Maximum length of a line on standard error; a longer one is split.
const LONGEST_LINE: usize = 8 * 1024;
/// Length of the longest secret that is still found where a line is split.
const LONGEST_SECRET: usize = 4 * 1024;
/// Silence after which a line without an end is taken as it is.
const SILENCE: Duration = Duration::from_secs(1);
/// Lines of a child that the gateway logs at once, and each second.
const BURST: u32 = 500;
const RATE: u32 = 50;

/// Last lines of standard error, for the reason of a child's end.
pub(super) type LastLines = Arc<Mutex<VecDeque<String>>>;

/// Reader of a child's standard error.
pub(super) struct Errors {
    pub(super) name: String,
    pub(super) pid: Option<u32>,
    /// True if the lines are logged at the level `info`, not `debug`.
    pub(super) is_shown: bool,
    pub(super) secrets: Secrets,
    pub(super) log: UpstreamLog,
    pub(super) last: LastLines,
}

impl Errors {
    /// Reads until the end. A line without an end is taken as it is after a while of silence, because a program may wait for
    /// an answer to it.
    pub(super) async fn keep_all(self, stderr: ChildStderr) {
        let (mut stderr, mut line) = (BufReader::new(stderr), Vec::new());
        let mut pace = Pace::new(Instant::now());
        loop {
            let reading = stderr.fill_buf();
            // Only the rest of a line is waited for with a timer, so that a silent program wakes nobody.
            let read = if line.is_empty() { Ok(reading.await) } else { timeout(SILENCE, reading).await };
            let available = match read {
                Ok(Ok(available)) if !available.is_empty() => available,
                Ok(_) => break,
                Err(_) => {
                    self.keep(&line, &mut pace);
                    line.clear();
                    continue;
                }
            };
            let end = memchr::memchr(b'\n', available).map_or(available.len(), |at| at + 1);
            let end = end.min(LONGEST_LINE - line.len());
            line.extend_from_slice(available.get(..end).unwrap_or_default());
            stderr.consume(end);
            if line.ends_with(b"\n") {
                self.keep(&line, &mut pace);
                line.clear();
            } else if line.len() >= LONGEST_LINE {
                let rest = line.split_off(self.cut(&line));
                self.keep(&line, &mut pace);
                line = rest;
            }
        }
        if !line.is_empty() {
            self.keep(&line, &mut pace);
        }
        self.write_left_out(pace.left_out);
    }

    /// Returns the place to cut a long line at: not within a secret, and far enough from its end that none which goes on there
    /// has begun before.
    fn cut(&self, line: &[u8]) -> usize {
        let mask = |part: &[u8]| self.secrets.mask(&String::from_utf8_lossy(part));
        let whole = mask(line);
        let furthest = line.len().saturating_sub(LONGEST_SECRET);
        let is_between = |at: &usize| line.split_at_checked(*at).is_some_and(|(a, b)| mask(a) + &mask(b) == whole);
        (1..=furthest).rev().step_by(64).find(is_between).unwrap_or(furthest.max(1))
    }

    fn keep(&self, line: &[u8], pace: &mut Pace) {
        // Mask before truncating, because a part of a secret would not be recognised.
        let masked = self.secrets.mask(&String::from_utf8_lossy(line));
        let text = masked.trim_end();
        note(&self.log, LineSource::Stderr, self.pid, text);
        let text: String = text.chars().take(KEPT_LINE_LENGTH).collect();
        self.write(&text, pace.admit(Instant::now()));
        if !text.is_empty() {
            let mut last = lock(&self.last);
            last.push_back(text);
            let excess = last.len().saturating_sub(KEPT_LINES);
            last.drain(..excess);
        }
    }

    fn write(&self, line: &str, admitted: Option<u64>) {
        let Some(left_out) = admitted else { return };
        self.write_left_out(left_out);
        let (upstream, pid) = (&self.name, self.pid);
        if self.is_shown {
            info!(target: STDERR, %upstream, pid, line, "standard error");
        } else {
            debug!(target: STDERR, %upstream, pid, line, "standard error");
        }
    }

    fn write_left_out(&self, lines: u64) {
        if lines > 0 && self.is_shown {
            warn!(target: STDERR, upstream = self.name, pid = self.pid, lines, "standard error is over the rate; lines left out");
        }
    }
}

/// Admits a burst of lines, and then so many each second.
struct Pace {
    room: u32,
    filled: Instant,
    left_out: u64,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { room: BURST, filled: now, left_out: 0 }
    }

    /// Admits a line, with the number of lines left out before it; `None` leaves it out.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let elapsed = now.duration_since(self.filled);
        let more = u32::try_from(elapsed.as_millis() * u128::from(RATE) / 1_000).unwrap_or(BURST);
        if more > 0 {
            self.room = self.room.saturating_add(more).min(BURST);
            self.filled += Duration::from_millis(u64::from(more) * 1_000 / u64::from(RATE));
        }
        let Some(room) = self.room.checked_sub(1) else {
            self.left_out += 1;
            return None;
        };
        self.room = room;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_over_the_rate_are_left_out_and_counted() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let admitted = (0..2_000).filter(|_| pace.admit(start).is_some()).count();
        assert_eq!((admitted, pace.left_out), (BURST as usize, 1_500));
        assert_eq!(pace.admit(start + Duration::from_millis(19)), None);
        assert_eq!(pace.admit(start + Duration::from_millis(20)), Some(1_501));
        assert_eq!(pace.admit(start + Duration::from_millis(39)), None);
        let second = start + Duration::from_secs(2);
        assert_eq!((0..200).filter(|_| pace.admit(second).is_some()).count(), 99);
        let later = start + Duration::from_secs(3_600);
        assert_eq!((0..2_000).filter(|_| pace.admit(later).is_some()).count(), BURST as usize);
    }
}
