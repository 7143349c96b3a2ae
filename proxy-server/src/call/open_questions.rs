//! Questions that a client has not answered yet, up to a limit in bytes.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::call::modern_to_legacy::input_request::refuse;
use crate::error::Limit;
use crate::upstream::{Question, Reply};

/// Size of an open question besides its text, in bytes.
const OVERHEAD: usize = 128;

/// Open questions of one client by serial number.
#[derive(Default)]
pub(crate) struct OpenQuestions {
    open: HashMap<u64, Open>,
    bytes: usize,
}

struct Open {
    asked: Instant,
    bytes: usize,
    reply: Reply,
}

impl OpenQuestions {
    /// Adds a question and returns the request for the client. Beyond the limit, refuses the question with an error
    /// that names the limit.
    pub(crate) fn add(&mut self, question: Question, limit: usize) -> Option<Bytes> {
        let Question { serial, message, reply } = question;
        let bytes = message.len() + OVERHEAD;
        if self.bytes + bytes > limit {
            let limit = Limit::bytes(limit, "--max-stream-bytes", None);
            refuse(reply, &format!("too many questions wait for the client's answers; {limit}"));
            return None;
        }
        self.bytes += bytes;
        self.open.insert(serial, Open { asked: Instant::now(), bytes, reply });
        Some(message)
    }

    /// Removes a question that the client has answered.
    pub(crate) fn take(&mut self, serial: u64) -> Option<Reply> {
        let open = self.open.remove(&serial)?;
        self.bytes -= open.bytes;
        Some(open.reply)
    }

    /// Refuses questions that are older than the timeout.
    pub(crate) fn expire(&mut self, timeout: Duration) {
        let bytes = &mut self.bytes;
        self.open.retain(|_, open| {
            let is_young = open.asked.elapsed() < timeout;
            *bytes -= if is_young { 0 } else { open.bytes };
            is_young
        });
    }

    /// Refuses all questions.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
