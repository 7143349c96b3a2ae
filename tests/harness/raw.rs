//! An HTTP client that sends exact bytes and returns the exact bytes of the response.

mod session;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

pub use self::session::{Face, Opening, Session, session, session_with_all, tool_call};
use crate::wait::{DEADLINE, within};

/// A request, before it is sent.
#[derive(Clone, Debug)]
pub struct Raw {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// Creates a request to this URL, with no header besides `Host`.
#[must_use]
pub fn raw(method: &str, url: &str) -> Raw {
    Raw { method: method.to_owned(), url: url.to_owned(), headers: Vec::new(), body: Bytes::new() }
}

/// A response. Dropping it closes the connection.
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    unread: Vec<u8>,
    /// Number of bytes of `unread` that were searched for the end of an event.
    searched: usize,
    _connection: JoinSet<()>,
}

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The exact text, including the blank line at the end.
    pub raw: String,
    /// Value of the `id` lines.
    pub id: String,
    /// Value of the `data` lines.
    pub data: String,
}

impl Raw {
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Changes the URL.
    #[must_use]
    pub fn to(mut self, url: &str) -> Self {
        url.clone_into(&mut self.url);
        self
    }

    /// Removes a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the request over a new connection. Returns once the response's headers have arrived.
    ///
    /// # Panics
    ///
    /// If there is no response.
    pub async fn send(self) -> Reply {
        let what = format!("{} {}", self.method, self.url);
        within(DEADLINE, &what, self.exchange()).await.unwrap_or_else(|error| panic!("{what}: {error:?}"))
    }

    /// Sends the request without a time limit, and returns errors instead of panicking.
    pub(crate) async fn exchange(self) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let rest = self.url.strip_prefix("http://").unwrap_or(&self.url);
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async { drop(connection.await) });
        let mut request = Request::builder().method(self.method.as_str()).uri(path);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            request = request.header("host", authority);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = sender.send_request(request.body(Full::new(self.body))?).await?;
        let (head, body) = response.into_parts();
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            unread: Vec::new(),
            searched: 0,
            _connection: tasks,
        })
    }
}

impl Reply {
    /// Returns a header; empty if absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns true if the body is an event stream.
    pub fn is_stream(&self) -> bool {
        self.header("content-type").starts_with("text/event-stream")
    }

    /// Reads the rest of the body.
    pub async fn text(&mut self) -> String {
        within(DEADLINE, "a whole body", async { while self.more().await {} }).await;
        String::from_utf8_lossy(&std::mem::take(&mut self.unread)).into_owned()
    }

    /// Waits for the next event with an id or data; `None` at the end of the stream.
    pub async fn event(&mut self) -> Option<Event> {
        within(DEADLINE, "an event", self.next_event()).await
    }

    /// Waits for the next event without a time limit.
    pub(crate) async fn next_event(&mut self) -> Option<Event> {
        loop {
            while let Some(raw) = self.block() {
                let event = Event::read(raw);
                if !(event.id.is_empty() && event.data.is_empty()) {
                    return Some(event);
                }
            }
            if !self.more().await {
                return None;
            }
        }
    }

    fn block(&mut self) -> Option<String> {
        let new = self.unread.get(self.searched..).unwrap_or_default();
        let end = |blank: &[u8]| new.windows(blank.len()).position(|at| at == blank).map(|at| at + blank.len());
        let Some(end) = [end(b"\n\n"), end(b"\r\n\r\n")].into_iter().flatten().min() else {
            self.searched = self.unread.len().saturating_sub(3);
            return None;
        };
        let end = std::mem::take(&mut self.searched) + end;
        let rest = self.unread.split_off(end);
        Some(String::from_utf8_lossy(&std::mem::replace(&mut self.unread, rest)).into_owned())
    }

    async fn more(&mut self) -> bool {
        let Some(Ok(frame)) = self.body.frame().await else { return false };
        self.unread.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        true
    }
}

impl Event {
    fn read(raw: String) -> Self {
        let value = |name: &str| {
            let lines = raw.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let values: Vec<&str> = lines.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect();
            values.join("\n")
        };
        Self { id: value("id"), data: value("data"), raw }
    }
}
