//! One request at a fake server, with the session or process that it belongs to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::server::Server;
use crate::envelope::Envelope;
use crate::wait::{DEADLINE, within};

const QUEUE: usize = 100_000;

/// An action of the server towards the gateway.
#[derive(Debug)]
pub(super) enum Action {
    /// Sends a message, framed for the transport.
    Message(Bytes),
    /// Sends bytes without framing.
    Bytes(Bytes),
    /// Resets the connection; a process exits.
    HangUp,
}

/// A request that awaits its answer. If dropped without an answer, its own stream, if any, ends.
pub struct Call {
    /// The raw id.
    pub id: String,
    /// The envelope of the request.
    pub envelope: Arc<Envelope>,
    /// The session or process that the request belongs to.
    pub peer: Arc<Peer>,
    pub(super) own: Option<mpsc::Sender<Action>>,
    pub(super) server: Arc<Server>,
}

/// One session with the gateway, or one child process.
pub struct Peer {
    /// Number of the session or process, from 0.
    pub number: usize,
    /// Ids of the process and, if it was told to start one, of its child; empty over HTTP.
    pub pids: Vec<u32>,
    stream: Mutex<Stream>,
    forgets: bool,
    asked: Mutex<HashMap<String, oneshot::Sender<Bytes>>>,
    live: AtomicBool,
}

/// Stream for messages that belong to no request.
enum Stream {
    /// The gateway has not opened the stream; actions are kept.
    Waiting(Vec<Action>),
    Open(mpsc::Sender<Action>),
}

impl Call {
    /// Answers with this raw result.
    pub fn reply(&self, result: &str) {
        self.send(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, self.id));
    }

    /// Answers with this raw error.
    pub fn fail(&self, error: &str) {
        self.send(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, self.id));
    }

    /// Sends a message on the request's stream.
    pub fn send(&self, message: impl Into<Bytes>) {
        self.act(Action::Message(message.into()));
    }

    /// Sends raw bytes on the request's stream.
    pub fn print(&self, bytes: impl Into<Bytes>) {
        self.act(Action::Bytes(bytes.into()));
    }

    /// Never answers.
    pub async fn never(self) {
        std::future::pending::<()>().await;
    }

    /// Sends a progress notification with the request's token and these further members.
    pub fn progress(&self, more: &str) {
        let token = self.envelope.progress_token();
        self.send(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},{more}}}}}"#
        ));
    }

    /// Sends a server request on the request's stream. Returns the client's raw response.
    pub async fn ask(&self, question: &str) -> String {
        let answer = self.peer.expect(question);
        self.send(question.to_owned());
        within(DEADLINE, "an answer to a question", answer).await
    }

    /// Resets the connection; a process exits.
    pub fn hang_up(&self) {
        self.act(Action::HangUp);
    }

    fn act(&self, action: Action) {
        match &self.own {
            // Ignore the error: a gateway that has closed the stream misses the message, as with any server.
            Some(own) => drop(own.try_send(action)),
            None => self.peer.act(action),
        }
    }
}

impl Peer {
    pub(super) fn new(number: usize, pids: Vec<u32>, forgets: bool) -> Self {
        let stream = Mutex::new(Stream::Waiting(Vec::new()));
        Self { number, pids, stream, forgets, asked: Mutex::default(), live: AtomicBool::new(true) }
    }

    /// Sends a message that belongs to no request.
    pub fn send(&self, message: impl Into<Bytes>) {
        self.act(Action::Message(message.into()));
    }

    /// Sends a server request that belongs to no request of the client. Returns the client's raw response.
    pub async fn ask(&self, question: &str) -> String {
        let answer = self.expect(question);
        self.send(question.to_owned());
        within(DEADLINE, "an answer to a question", answer).await
    }

    /// Resets the stream that belongs to no request; a process exits.
    pub fn hang_up(&self) {
        self.act(Action::HangUp);
    }

    /// Returns true if neither side has ended the session.
    pub fn is_live(&self) -> bool {
        self.live.load(Ordering::SeqCst)
    }

    /// Ends the session, and closes its stream in good order.
    pub fn end(&self) {
        self.live.store(false, Ordering::SeqCst);
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Stream::Waiting(Vec::new());
    }

    /// Opens the stream. Sends the actions kept so far.
    pub(super) fn listen(&self) -> mpsc::Receiver<Action> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        if let Stream::Waiting(waiting) = &mut *stream {
            for action in waiting.drain(..) {
                sender.try_send(action).ok();
            }
        }
        *stream = Stream::Open(sender);
        receiver
    }

    pub(super) fn answered(&self, id: &str, response: Bytes) {
        if let Some(asked) = self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(id) {
            asked.send(response).ok();
        }
    }

    pub(super) fn act(&self, action: Action) {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *stream {
            Stream::Waiting(_) if self.forgets => {}
            Stream::Waiting(waiting) => waiting.push(action),
            Stream::Open(open) => {
                if let Err(unsent) = open.try_send(action) {
                    *stream = Stream::Waiting(vec![unsent.into_inner()]);
                }
            }
        }
    }

    fn expect(&self, question: &str) -> impl Future<Output = String> + use<> {
        let (sender, receiver) = oneshot::channel();
        let id = Envelope::read(question.as_bytes()).id;
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        async {
            let bytes = receiver.await.unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        }
    }
}

pub(super) fn queue() -> (mpsc::Sender<Action>, mpsc::Receiver<Action>) {
    mpsc::channel(QUEUE)
}
