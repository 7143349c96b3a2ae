//! One request at a fake server, and the session or process it came to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::server::Server;
use crate::envelope::Envelope;
use crate::wait::{DEADLINE, within};

const QUEUE: usize = 100_000;

/// Something a server does towards the gateway.
#[derive(Debug)]
pub(super) enum Action {
    /// A message, framed as the transport wants it.
    Message(Bytes),
    /// Bytes as they are.
    Bytes(Bytes),
    /// The connection is reset; a process exits.
    HangUp,
}

/// A request that waits for its answer. Dropped without one, its stream ends where it has one of its own.
pub struct Call {
    /// The raw id.
    pub id: String,
    /// Its envelope.
    pub envelope: Arc<Envelope>,
    /// Where it came to.
    pub peer: Arc<Peer>,
    pub(super) own: Option<mpsc::Sender<Action>>,
    pub(super) server: Arc<Server>,
}

/// One session with the gateway, or one child process.
pub struct Peer {
    /// Counted from 0.
    pub number: usize,
    /// The process, and the one it started if it was told to; none over HTTP.
    pub pids: Vec<u32>,
    stream: Mutex<Stream>,
    forgets: bool,
    asked: Mutex<HashMap<String, oneshot::Sender<Bytes>>>,
    live: AtomicBool,
}

/// What belongs to no request.
enum Stream {
    /// Nobody listens yet.
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

    /// Sends a message where the answer goes.
    pub fn send(&self, message: impl Into<Bytes>) {
        self.act(Action::Message(message.into()));
    }

    /// Sends bytes that are no message where the answer goes.
    pub fn print(&self, bytes: impl Into<Bytes>) {
        self.act(Action::Bytes(bytes.into()));
    }

    /// Never answers.
    pub async fn never(self) {
        std::future::pending::<()>().await;
    }

    /// Reports progress under the token that the request came with, with these further members.
    pub fn progress(&self, more: &str) {
        let token = self.envelope.progress_token();
        self.send(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},{more}}}}}"#
        ));
    }

    /// Asks the client something where the answer goes, and gives its raw response.
    pub async fn ask(&self, question: &str) -> String {
        let answer = self.peer.expect(question);
        self.send(question.to_owned());
        within(DEADLINE, "an answer to a question", answer).await
    }

    /// Ends the connection; a process exits.
    pub fn hang_up(&self) {
        self.act(Action::HangUp);
    }

    fn act(&self, action: Action) {
        match &self.own {
            // A gateway that no longer listens misses it, as with any server.
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

    /// Asks the client something that belongs to no request, and gives its raw response.
    pub async fn ask(&self, question: &str) -> String {
        let answer = self.expect(question);
        self.send(question.to_owned());
        within(DEADLINE, "an answer to a question", answer).await
    }

    /// Ends the stream that belongs to no request; a process exits.
    pub fn hang_up(&self) {
        self.act(Action::HangUp);
    }

    /// Whether neither side has ended it.
    pub fn is_live(&self) -> bool {
        self.live.load(Ordering::SeqCst)
    }

    /// Ends the session, and its stream in good order.
    pub fn end(&self) {
        self.live.store(false, Ordering::SeqCst);
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Stream::Waiting(Vec::new());
    }

    /// Somebody listens from now on.
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
