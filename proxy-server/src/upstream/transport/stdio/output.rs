//! Reads a child's standard output: one message per line, and any other text.

use std::sync::Arc;

use bytes::Bytes;
use tokio::process::ChildStdout;
use tracing::{debug, warn};

use crate::lines::{Lines, Part};
use crate::protocol::{self, INTERNAL_ERROR, Message};
use crate::telemetry::Secrets;
use crate::upstream::inbox::Inbox;
use crate::upstream::log::{LineSource, UpstreamLog, note};
use crate::upstream::noise::Noise;
use crate::upstream::transport::long_line::{Carried, LongLine};
use crate::upstream::transport::outgoing::deliver;

/// Maximum number of bytes of a non-message line that are searched for secrets; fewer are shown.
const LONGEST_MASKED: usize = 8 * 1024;

/// Reads a child's output. A bad line neither ends the child nor affects a call that it does not name.
pub(super) struct Output {
    pub(super) name: String,
    pub(super) pid: Option<u32>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) noise: Arc<Noise>,
    pub(super) log: UpstreamLog,
    pub(super) secrets: Secrets,
    /// Maximum length of a line in bytes.
    pub(super) limit: usize,
}

/// A line over the limit that is partly read.
#[derive(Default)]
struct Overlong {
    line: LongLine,
    start: Bytes,
    is_told: bool,
}

impl Output {
    /// Delivers every message until the end of the output.
    pub(super) async fn deliver_all(&self, output: ChildStdout) {
        let mut lines = Lines::new(output, self.limit);
        let mut overlong = Overlong::default();
        while let Some(part) = lines.next_part().await {
            match part {
                Part::Line(line) => {
                    self.deliver(line);
                    self.inbox.room(None).await;
                }
                Part::Over { bytes, is_first, is_last } => {
                    if is_first {
                        overlong = Overlong { start: Bytes::copy_from_slice(start(&bytes)), ..Overlong::default() };
                    }
                    overlong.line.push(&bytes);
                    self.skip(&mut overlong, is_last);
                }
            }
        }
    }

    fn deliver(&self, line: Bytes) {
        if Message::is_batch(&line) {
            if let Err(error) = deliver(line.clone(), &self.inbox, None) {
                self.note(&line, &error.to_string());
            }
            return;
        }
        match Message::parse(line.clone()) {
            Ok(message) => {
                if let Some(why) = answers_nobody(&message) {
                    self.note(&line, why);
                }
                self.inbox.receive(&message, None);
            }
            Err(error) => self.note(&line, &error.to_string()),
        }
    }

    fn note(&self, line: &[u8], why: &str) {
        debug!(upstream = self.name, why, "line on standard output is no message");
        // Mask before truncating, because a part of a secret would not be recognised.
        let begin = line.get(..line.len().min(LONGEST_MASKED)).unwrap_or_default();
        let masked = self.secrets.mask(&String::from_utf8_lossy(begin));
        self.noise.note(masked.as_bytes(), why);
        note(&self.log, LineSource::Stdout, self.pid, masked.trim_end());
    }

    /// Skips a line, and fails the request that it answers as soon as its id is known.
    fn skip(&self, overlong: &mut Overlong, is_last: bool) {
        let limit = self.limit;
        match overlong.line.carried() {
            Carried::Answer(id) if !overlong.is_told => {
                if let (Ok(_), Ok(failure)) = (id.parse::<u64>(), Message::parse(too_large(id, limit))) {
                    self.inbox.receive(&failure, None);
                    overlong.is_told = true;
                }
            }
            Carried::Request(id) if is_last => {
                self.inbox.refuse(id, &format!("the request is longer than {limit} bytes"));
                overlong.is_told = true;
            }
            Carried::Answer(_) | Carried::Request(_) | Carried::Nothing => {}
        }
        if is_last {
            warn!(upstream = self.name, limit, "line over the limit skipped");
            if !overlong.is_told {
                self.note(&overlong.start, &format!("it is longer than {limit} bytes"));
            }
        }
    }
}

/// Builds an error response in place of an oversized one.
fn too_large(id: &str, limit: usize) -> Bytes {
    let words = format!(
        "the answer is larger than {limit} bytes; the limit is `--max-message-bytes`, or `maxMessageBytes` in the \
         server's definition"
    );
    protocol::error_response(id, INTERNAL_ERROR, &words, r#"{"kind":"upstream_bad_answer"}"#)
}

/// Returns an excerpt of a line for display.
fn start(line: &[u8]) -> &[u8] {
    line.get(..line.len().min(256)).unwrap_or_default()
}

/// Returns the reason why a response belongs to no call: its id is not a number that the gateway sent.
fn answers_nobody(message: &Message) -> Option<&'static str> {
    match message.kind() {
        protocol::Kind::Result | protocol::Kind::Error if message.id().is_empty() => Some("an answer without an id"),
        protocol::Kind::Result | protocol::Kind::Error if message.id().parse::<u64>().is_err() => {
            Some("its id is not the number that was sent")
        }
        _ => None,
    }
}
