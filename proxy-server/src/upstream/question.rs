//! Questions: requests of an upstream to a client in the middle of a call, and the return path of the response.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use crate::protocol::{self, Message};
use crate::upstream::ids::next_question;

/// A request from an upstream to a client: sampling, elicitation, roots, or one this gateway does not know.
#[derive(Debug)]
pub(crate) struct Question {
    /// The id of the request to the client; unique in the process.
    pub(crate) serial: u64,
    /// The request with `serial` as its id, otherwise unchanged.
    pub(crate) message: Bytes,
    /// Takes the client's response.
    pub(crate) reply: Reply,
}

/// Returns the response of a question. If dropped unused, it refuses the question.
#[derive(Debug)]
pub(crate) struct Reply {
    to: Option<To>,
    settled: Arc<AtomicBool>,
}

#[derive(Debug)]
enum To {
    /// The upstream, as the response to its request.
    Upstream { id: Box<str>, outbox: mpsc::Sender<Bytes> },
    /// The gateway, which collects responses for an `input_required` round of a modern upstream.
    Gateway(oneshot::Sender<Message>),
}

impl Question {
    /// Builds a question of a modern upstream. `params` is raw JSON, or empty.
    pub(super) fn ask(method: &str, params: &str) -> (Self, oneshot::Receiver<Message>) {
        let serial = next_question();
        let method = serde_json::Value::from(method);
        let params = if params.is_empty() { String::new() } else { format!(r#","params":{params}"#) };
        let message = format!(r#"{{"jsonrpc":"2.0","id":{serial},"method":{method}{params}}}"#);
        let (answer, receiver) = oneshot::channel();
        let reply = Reply { to: Some(To::Gateway(answer)), settled: Arc::default() };
        (Self { serial, message: message.into(), reply }, receiver)
    }
}

impl Reply {
    pub(super) fn to_upstream(id: &str, outbox: &mpsc::Sender<Bytes>) -> Self {
        Self { to: Some(To::Upstream { id: id.into(), outbox: outbox.clone() }), settled: Arc::default() }
    }

    /// Sends the client's response under the upstream's id.
    pub(crate) fn answer(mut self, response: &Message) {
        match self.to.take() {
            Some(To::Upstream { id, outbox }) => self.send(&outbox, response.with_id(&id, &[])),
            Some(To::Gateway(answer)) => drop(answer.send(response.clone())),
            None => {}
        }
    }

    pub(super) fn answer_ping(mut self) {
        if let Some(To::Upstream { id, outbox }) = self.to.take() {
            self.send(&outbox, protocol::result_response(&id, "{}"));
        }
    }

    /// Refuses the question with a reason. The gateway as the asking side notices the dropped channel.
    pub(super) fn refuse(mut self, why: &str) {
        self.decline(why);
    }

    /// Returns a flag that becomes true when the question needs no response any more.
    pub(super) fn settled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.settled)
    }

    fn decline(&mut self, why: &str) {
        if let Some(To::Upstream { id, outbox }) = self.to.take() {
            self.send(&outbox, protocol::error_response(&id, protocol::INTERNAL_ERROR, why, ""));
        }
    }

    fn send(&self, outbox: &mpsc::Sender<Bytes>, bytes: Bytes) {
        self.settled.store(true, Ordering::Relaxed);
        if let Err(error) = outbox.try_send(bytes) {
            debug!(%error, "answer to the upstream's question not sent");
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.decline("the client did not answer");
    }
}
