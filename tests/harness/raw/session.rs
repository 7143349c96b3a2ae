//! One legacy session with the gateway over either HTTP transport, with all messages as raw text.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Raw, Reply, raw};
use crate::admin::Answer;
use crate::envelope::Envelope;
use crate::wait::{DEADLINE, within};

const HELLO: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}"#;
const QUEUE: usize = 100_000;

/// Transport between the client and the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// Streamable HTTP at `/{name}/stream`.
    Stream,
    /// SSE at `/{name}/sse` and `/{name}/message`.
    Sse,
}

impl Face {
    /// Both transports.
    pub const ALL: [Self; 2] = [Self::Stream, Self::Sse];
}

/// A session, before it is opened.
#[derive(Clone, Debug)]
pub struct Opening {
    gateway: String,
    upstream: String,
    face: Face,
    hello: String,
    token: Option<String>,
}

/// Prepares a session with one upstream of the gateway at this URL.
#[must_use]
pub fn session(gateway: &str, upstream: &str) -> Opening {
    let (gateway, upstream) = (gateway.to_owned(), upstream.to_owned());
    Opening { gateway, upstream, face: Face::Stream, hello: HELLO.to_owned(), token: None }
}

/// Prepares a session with all upstreams of the gateway at this URL.
#[must_use]
pub fn session_with_all(gateway: &str) -> Opening {
    session(gateway, "")
}

/// An open session. Dropping it closes its connections.
pub struct Session {
    /// Id of the session.
    pub id: String,
    /// Raw answer to `initialize`.
    pub handshake: String,
    post: Raw,
    face: Face,
    inbox: mpsc::Receiver<String>,
    into: mpsc::Sender<String>,
    kept: VecDeque<String>,
    readers: JoinSet<()>,
}

impl Opening {
    /// Sets the transport.
    #[must_use]
    pub fn over(mut self, face: Face) -> Self {
        self.face = face;
        self
    }

    /// Sets the raw parameters of `initialize`.
    #[must_use]
    pub fn hello(mut self, hello: &str) -> Self {
        hello.clone_into(&mut self.hello);
        self
    }

    /// Sets the raw client capabilities.
    #[must_use]
    pub fn capabilities(self, raw: &str) -> Self {
        let hello = self.hello.replace("\"capabilities\":{}", &format!("\"capabilities\":{raw}"));
        self.hello(&hello)
    }

    /// Sets the bearer token.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Sends `initialize` over Streamable HTTP and returns the whole response, for handshakes that fail.
    pub async fn refused(self) -> Answer {
        let mut reply = self.connect().await.post(self.initialize()).send().await;
        Answer { status: reply.status, text: reply.text().await, headers: reply.headers }
    }

    /// Opens the session, including the handshake.
    pub async fn open(self) -> Session {
        let mut session = self.connect().await;
        let hello = self.initialize();
        if session.face == Face::Stream {
            let mut reply = session.post(hello).send().await;
            reply.header("mcp-session-id").clone_into(&mut session.id);
            session.handshake = reply.text().await;
            session.post = session.post.header("mcp-session-id", &session.id);
        } else {
            session.begin(hello);
            session.handshake = session.answer("\"hello\"").await;
        }
        assert!(session.handshake.contains("\"result\""), "refused: {}", session.handshake);
        session.tell(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        session
    }

    fn initialize(&self) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{}}}"#, self.hello)
    }

    /// Prepares the session up to the first POST: over SSE, opens the stream.
    async fn connect(&self) -> Session {
        let (base, stream) = match self.upstream.as_str() {
            "" => (self.gateway.clone(), "mcp"),
            upstream => (format!("{}/{upstream}", self.gateway), "stream"),
        };
        let authorized = |request: Raw| match &self.token {
            Some(token) => request.header("authorization", &format!("Bearer {token}")),
            None => request,
        };
        let post = |url: &str| authorized(raw("POST", url)).header("content-type", "application/json");
        let (into, inbox) = mpsc::channel(QUEUE);
        let mut session = Session {
            id: String::new(),
            handshake: String::new(),
            post: post(&format!("{base}/{stream}")).header("accept", "application/json, text/event-stream"),
            face: self.face,
            inbox,
            into,
            kept: VecDeque::new(),
            readers: JoinSet::new(),
        };
        if self.face == Face::Sse {
            let mut stream = authorized(raw("GET", &format!("{base}/sse"))).send().await;
            let endpoint = stream.event().await.unwrap_or_default().data;
            session.id = endpoint.split_once("sessionId=").map(|(_, id)| id.to_owned()).unwrap_or_default();
            session.post = post(&format!("{}{endpoint}", self.gateway));
            session.readers.spawn(deliver(stream, session.into.clone()));
        }
        session
    }
}

impl Session {
    /// Prepares a POST request of this session with this message.
    pub fn post(&self, message: impl Into<Bytes>) -> Raw {
        self.post.clone().body(message)
    }

    /// Prepares a request of this session with another method and no body.
    pub fn http(&self, method: &str) -> Raw {
        let mut request = self.post(Bytes::new()).without("content-type");
        method.clone_into(&mut request.method);
        request
    }

    /// Sends a request without waiting; use [`Session::answer`] and [`Session::next`] for its messages.
    pub fn begin(&mut self, message: impl Into<Bytes>) {
        let (request, into) = (self.post(message), self.into.clone());
        self.readers.spawn(async move { deliver(request.send().await, into).await });
    }

    /// Sends a notification or a response.
    pub async fn tell(&self, message: impl Into<Bytes>) {
        let mut reply = self.post(message).send().await;
        let text = reply.text().await;
        assert_eq!(reply.status, 202, "{text}");
    }

    /// Sends a request and waits for its answer.
    pub async fn request(&mut self, message: &str) -> String {
        self.begin(message.to_owned());
        self.answer(&Envelope::read(message.as_bytes()).id).await
    }

    /// Calls a tool with this raw id and these raw arguments. Returns the raw answer.
    pub async fn call(&mut self, id: &str, tool: &str, arguments: &str) -> String {
        self.request(&tool_call(id, tool, arguments)).await
    }

    /// Waits for the answer to the request with this raw id.
    pub async fn answer(&mut self, id: &str) -> String {
        let is_it = |envelope: &Envelope| envelope.method == "response" && envelope.id == id;
        self.find(&format!("the answer to {id}"), |text| is_it(&Envelope::read(text.as_bytes()))).await
    }

    /// Waits for the next message that contains this text.
    pub async fn next(&mut self, text: &str) -> String {
        self.find(&format!("a message with `{text}`"), |message| message.contains(text)).await
    }

    /// Returns all messages received but not consumed.
    pub fn rest(&mut self) -> Vec<String> {
        while let Ok(message) = self.inbox.try_recv() {
            self.kept.push_back(message);
        }
        self.kept.iter().cloned().collect()
    }

    /// Opens the session's GET stream over Streamable HTTP; does nothing over SSE.
    pub async fn listen(&mut self) {
        if self.face == Face::Stream {
            let stream = self.http("GET").send().await;
            assert_eq!(stream.status, 200);
            self.readers.spawn(deliver(stream, self.into.clone()));
        }
    }

    /// Ends the session as a client of the transport does.
    pub async fn end(self) {
        match self.face {
            Face::Stream => assert_eq!(self.http("DELETE").send().await.status, 200),
            Face::Sse => drop(self),
        }
    }

    async fn find(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        if let Some(at) = self.kept.iter().position(|message| is_it(message)) {
            return self.kept.remove(at).unwrap_or_default();
        }
        loop {
            let next = within(DEADLINE, &format!("{what}, only {:?}", self.kept), self.inbox.recv()).await;
            let message = next.unwrap_or_default();
            if is_it(&message) {
                return message;
            }
            self.kept.push_back(message);
        }
    }
}

/// Builds a `tools/call` with this raw id and these raw arguments.
#[must_use]
pub fn tool_call(id: &str, tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    )
}

/// Delivers every message of a response.
async fn deliver(mut reply: Reply, into: mpsc::Sender<String>) {
    if reply.is_stream() {
        while let Some(event) = reply.next_event().await {
            if !event.data.is_empty() {
                into.try_send(event.data).ok();
            }
        }
    } else {
        let text = reply.text().await;
        if !text.is_empty() {
            into.try_send(text).ok();
        }
    }
}
