//! Sends and receives one client's messages over each transport.

use std::collections::HashMap;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::PATIENCE;
use crate::process::{Ended, Process};
use crate::raw::{Raw, Reply, raw};

/// Queue length, more than any conversation leaves unread.
const QUEUE: usize = 1_000;
/// Placeholder message that marks the end of the input.
pub(super) const ENDED: &str = "ended";

/// Address of the server that a peer connects to.
pub enum Link {
    /// The URL of a Streamable HTTP endpoint.
    Stream(String),
    /// The URL of an SSE endpoint.
    Sse(String),
    /// A program to start.
    Stdio(Command),
}

/// A received message.
pub(super) struct Heard {
    pub(super) message: Value,
    /// Id of the request on whose stream the message came; null on a stream without a request.
    pub(super) on: Value,
    /// Session id in the headers of an HTTP response.
    pub(super) session: Option<String>,
}

pub(super) struct Wire {
    way: Way,
    into: mpsc::Sender<Heard>,
    readers: JoinSet<()>,
    /// Readers of the requests' streams, by request id, so that they can be closed.
    open: HashMap<String, AbortHandle>,
}

enum Way {
    /// Streamable HTTP, with the headers of the session.
    Stream {
        url: String,
        headers: Vec<(String, String)>,
    },
    /// SSE, with the URL to post to.
    Sse {
        endpoint: String,
    },
    Stdio {
        input: ChildStdin,
        process: Box<Process>,
    },
}

impl Wire {
    pub(super) async fn connect(link: Link) -> Result<(Self, mpsc::Receiver<Heard>)> {
        let (into, inbox) = mpsc::channel(QUEUE);
        let mut readers = JoinSet::new();
        let way = match link {
            Link::Stream(url) => Way::Stream { url, headers: Vec::new() },
            Link::Sse(url) => {
                let mut stream = listen(raw("GET", &url)).await?;
                let endpoint = timeout(PATIENCE, stream.next_event()).await.ok().flatten();
                let path = endpoint.context("the stream does not begin with its endpoint")?.data;
                let slash = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
                readers.spawn(deliver(stream, Value::Null, into.clone()));
                Way::Sse { endpoint: [&url[..slash], &path].concat() }
            }
            Link::Stdio(command) => {
                let (process, input, output) = Process::talk(command);
                readers.spawn(read_lines(output, into.clone()));
                Way::Stdio { input, process: Box::new(process) }
            }
        };
        Ok((Self { way, into, readers, open: HashMap::new() }, inbox))
    }

    /// Returns true if requests have streams of their own.
    pub(super) fn is_streamable(&self) -> bool {
        matches!(self.way, Way::Stream { .. })
    }

    /// Returns true if the server is a child process.
    pub(super) fn is_program(&self) -> bool {
        matches!(self.way, Way::Stdio { .. })
    }

    /// Returns the stderr of the child process so far.
    pub(super) fn err(&self) -> String {
        match &self.way {
            Way::Stdio { process, .. } => process.err(),
            _ => String::new(),
        }
    }

    /// Adds a header to all further requests over Streamable HTTP.
    pub(super) fn remember(&mut self, name: &str, value: &str) {
        if let Way::Stream { headers, .. } = &mut self.way {
            headers.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Sends a request; over HTTP, with these headers.
    pub(super) async fn ask(&mut self, message: &Value, headers: Vec<(String, String)>) -> Result<()> {
        let Some(mut request) = self.streamable("POST") else { return self.tell(message).await };
        for (name, value) in headers {
            request = request.header(&name, &value);
        }
        let (request, id, into) = (request.body(message.to_string()), message["id"].clone(), self.into.clone());
        let key = id.to_string();
        let reader = self.readers.spawn(async move {
            match request.exchange().await {
                Ok(reply) => deliver(reply, id, into).await,
                Err(error) => drop(into.send(Heard::unreadable(&error.to_string(), &id)).await),
            }
        });
        self.open.insert(key, reader);
        Ok(())
    }

    /// Sends a notification or a response, which have no answer.
    pub(super) async fn tell(&mut self, message: &Value) -> Result<()> {
        let request = match &mut self.way {
            Way::Stdio { input, .. } => {
                let line = format!("{message}\n");
                return timeout(PATIENCE, input.write_all(line.as_bytes())).await?.context("the pipe is closed");
            }
            Way::Sse { endpoint } => raw("POST", endpoint).header("content-type", "application/json"),
            Way::Stream { .. } => self.streamable("POST").unwrap_or_else(|| raw("POST", "")),
        };
        let reply = send(request.body(message.to_string())).await?;
        ensure!(reply.status == 202, "{message} was answered with status {}", reply.status);
        Ok(())
    }

    /// Opens the GET stream of a session over Streamable HTTP.
    pub(super) async fn listen(&mut self) -> Result<()> {
        if let Some(request) = self.streamable("GET") {
            let stream = listen(request.without("content-type").without("accept")).await?;
            self.readers.spawn(deliver(stream, Value::Null, self.into.clone()));
        }
        Ok(())
    }

    /// Closes the stream of a request.
    pub(super) fn close(&mut self, id: &Value) {
        self.open.remove(&id.to_string()).inspect(AbortHandle::abort);
    }

    /// Ends a session over Streamable HTTP. Returns the status of that request and of a request sent afterwards.
    pub(super) async fn leave(&mut self) -> Result<(u16, u16)> {
        let request = |method| self.streamable(method).context("only Streamable HTTP has sessions to end");
        let ended = send(request("DELETE")?.without("content-type")).await?.status;
        let late = json!({ "jsonrpc": "2.0", "id": "late", "method": "ping" }).to_string();
        Ok((ended, send(request("POST")?.body(late)).await?.status))
    }

    /// Closes the stdin of the child process and waits for its end.
    pub(super) async fn hang_up(self) -> Result<Ended> {
        let Way::Stdio { input, mut process } = self.way else { return Err(anyhow!("there is no program")) };
        drop(input);
        timeout(PATIENCE, process.ended(PATIENCE * 2)).await.context("the program goes on without input")
    }

    fn streamable(&self, method: &str) -> Option<Raw> {
        let Way::Stream { url, headers } = &self.way else { return None };
        let request = raw(method, url).header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream");
        Some(headers.iter().fold(request, |request, (name, value)| request.header(name, value)))
    }
}

impl Heard {
    /// Creates a placeholder for text that is not a message.
    fn unreadable(text: &str, on: &Value) -> Self {
        Self { message: json!({ "unreadable": text }), on: on.clone(), session: None }
    }

    fn read(text: &str, on: &Value) -> Self {
        match serde_json::from_str(text) {
            Ok(message) => Self { message, on: on.clone(), session: None },
            Err(_) => Self::unreadable(text, on),
        }
    }
}

async fn send(request: Raw) -> Result<Reply> {
    timeout(PATIENCE, request.exchange()).await.context("no response")?.map_err(|error| anyhow!(error))
}

async fn listen(request: Raw) -> Result<Reply> {
    let stream = send(request.header("accept", "text/event-stream")).await?;
    ensure!(stream.status == 200 && stream.is_stream(), "no stream, but status {}", stream.status);
    Ok(stream)
}

/// Delivers every message of a response.
async fn deliver(mut reply: Reply, on: Value, into: mpsc::Sender<Heard>) {
    let session = reply.headers.get("mcp-session-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    if reply.is_stream() {
        while let Some(event) = reply.next_event().await {
            // Skip events without data, which only set the id for resuming the stream.
            if !event.data.is_empty() {
                let heard = Heard { session: session.clone(), ..Heard::read(&event.data, &on) };
                into.send(heard).await.ok();
            }
        }
    } else {
        let text = reply.text().await;
        into.send(Heard { session, ..Heard::read(&text, &on) }).await.ok();
    }
}

async fn read_lines(output: ChildStdout, into: mpsc::Sender<Heard>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        into.send(Heard::read(&line, &Value::Null)).await.ok();
    }
    into.send(Heard { message: json!(ENDED), on: Value::Null, session: None }).await.ok();
}
