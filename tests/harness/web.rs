//! A scripted HTTP server that simulates HTTP-level behaviour of an upstream or of a proxy in front of it.
//!
//! ```no_run
//! # async fn example() {
//! use harness::web::{status, usual, web};
//!
//! let server = web(|asked| async move { if asked.method == "GET" { status(429) } else { usual(&asked) } }).await;
//! println!("register {}", server.definition("up"));
//! # }
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::fake::spawn;
use crate::wait::{DEADLINE, within};

const QUEUE: usize = 10_000;

/// A response of the server. An error resets the connection.
pub type Answer = io::Result<Response<Body>>;

/// A received request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Number of the connection, from 0.
    pub connection: usize,
    /// Number of the request on its connection, from 0.
    pub nth: usize,
    /// The HTTP method.
    pub method: String,
    /// The request target.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A running server. Stopped on drop.
pub struct Web {
    /// Address that the server listens on.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    changed: watch::Sender<()>,
    connections: Arc<AtomicUsize>,
    accepting: tokio::task::JoinHandle<()>,
}

/// The sending half of a streamed body.
#[derive(Clone, Debug)]
pub struct Stream(mpsc::Sender<io::Result<Bytes>>);

impl Asked {
    /// Returns the JSON-RPC message; `null` if there is none.
    #[must_use]
    pub fn message(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns the JSON-RPC method; the HTTP method for a request without a message.
    #[must_use]
    pub fn rpc(&self) -> String {
        self.message()["method"].as_str().map_or_else(|| self.method.clone(), str::to_owned)
    }

    /// Returns a header; empty if absent.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    }

    /// Builds a response to the message with this result.
    #[must_use]
    pub fn result(&self, result: &Value) -> Value {
        json!({ "jsonrpc": "2.0", "id": self.message()["id"], "result": result })
    }
}

impl Stream {
    /// Sends bytes, unless the reader is gone.
    pub fn send(&self, bytes: impl Into<Bytes>) {
        self.0.try_send(Ok(bytes.into())).ok();
    }

    /// Sends a message as an event.
    pub fn event(&self, message: &Value) {
        self.send(format!("data: {message}\n\n"));
    }

    /// Resets the connection.
    pub fn reset(&self) {
        self.0.try_send(Err(reset())).ok();
    }

    /// Waits until the reader closes the stream.
    pub async fn unread(&self) {
        within(DEADLINE, "the end of a stream", self.0.closed()).await;
    }
}

impl Web {
    /// Returns a definition of this server as a legacy Streamable HTTP upstream at `/mcp`.
    #[must_use]
    pub fn definition(&self, name: &str) -> Value {
        json!({ "name": name, "transport": "streamable-http", "url": self.url("/mcp"), "era": "legacy" })
    }

    /// Returns the URL of a path on this server.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns everything received so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the number of requests with this JSON-RPC or HTTP method so far.
    #[must_use]
    pub fn count(&self, rpc: &str) -> usize {
        self.asked().iter().filter(|asked| asked.rpc() == rpc).count()
    }

    /// Returns the number of connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits for the `index`th request with this method, counted from 0.
    pub async fn nth(&self, rpc: &str, index: usize) -> Asked {
        let mut changed = self.changed.subscribe();
        let found = async {
            loop {
                if let Some(found) = self.asked().into_iter().filter(|asked| asked.rpc() == rpc).nth(index) {
                    return found;
                }
                changed.changed().await.ok();
            }
        };
        within(DEADLINE, &format!("`{rpc}` number {index}"), found).await
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Starts a server on a free port that answers requests with `answer`.
///
/// # Panics
///
/// If no port can be bound.
pub async fn web<F>(answer: impl Fn(Asked) -> F + Clone + Send + Sync + 'static) -> Web
where
    F: Future<Output = Answer> + Send + 'static,
{
    web_at((Ipv4Addr::LOCALHOST, 0).into(), answer).await
}

/// Starts a server at a given address.
///
/// # Panics
///
/// If the address cannot be bound.
pub async fn web_at<F>(address: SocketAddr, answer: impl Fn(Asked) -> F + Clone + Send + Sync + 'static) -> Web
where
    F: Future<Output = Answer> + Send + 'static,
{
    web_over(address, |stream| Box::pin(async { Some(stream) }), answer).await
}

/// Starts a server at a given address, and wraps each connection, for example in TLS.
///
/// # Panics
///
/// If the address cannot be bound.
pub async fn web_over<F, S>(
    address: SocketAddr,
    wrap: impl Fn(TcpStream) -> BoxFuture<'static, Option<S>> + Send + Sync + 'static,
    answer: impl Fn(Asked) -> F + Clone + Send + Sync + 'static,
) -> Web
where
    F: Future<Output = Answer> + Send + 'static,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let listener = TcpListener::bind(address).await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    let (asked, changed) = (Arc::<Mutex<Vec<Asked>>>::default(), watch::Sender::new(()));
    let connections = Arc::<AtomicUsize>::default();
    let (record, tell, count) = (Arc::clone(&asked), changed.clone(), Arc::clone(&connections));
    let accepting = spawn(async move {
        let mut serving = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).ok();
            stream.set_zero_linger().ok();
            let connection = count.fetch_add(1, Ordering::SeqCst);
            let Some(stream) = wrap(stream).await else { continue };
            let (nth, answer) = (AtomicUsize::new(0), answer.clone());
            let (record, tell) = (Arc::clone(&record), tell.clone());
            let serve = service_fn(move |request: Request<Incoming>| {
                let (answer, record, tell) = (answer.clone(), Arc::clone(&record), tell.clone());
                let nth = nth.fetch_add(1, Ordering::SeqCst);
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
                    let (method, path) = (head.method.to_string(), head.uri.to_string());
                    let asked = Asked { connection, nth, method, path, headers: head.headers, body };
                    record.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
                    tell.send_replace(());
                    answer(asked).await
                }
            });
            serving
                .spawn(async move { drop(http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await) });
        }
    });
    Web { address, asked, changed, connections, accepting }
}

/// Answers as a server of revision 2025-11-25 with session id `s`, a tool `echo` and no GET stream.
///
/// # Errors
///
/// None.
pub fn usual(asked: &Asked) -> Answer {
    let message = asked.message();
    match (asked.method.as_str(), message["method"].as_str().unwrap_or_default()) {
        ("GET", _) => status(405),
        ("DELETE", _) => status(200),
        (_, "") => status(202),
        (_, "initialize") => {
            let (info, tools) = (json!({ "name": "web", "version": "1" }), json!({ "tools": { "listChanged": true } }));
            let result = json!({ "protocolVersion": "2025-11-25", "capabilities": tools, "serverInfo": info });
            with(message_of(&asked.result(&result)), "mcp-session-id", "s")
        }
        (_, "ping") => message_of(&asked.result(&json!({}))),
        (_, "tools/list") => {
            let tools = json!([{ "name": "echo", "inputSchema": { "type": "object" } }]);
            message_of(&asked.result(&json!({ "tools": tools })))
        }
        (_, "tools/call") => {
            let text = message["params"]["arguments"].to_string();
            message_of(&asked.result(&json!({ "content": [{ "type": "text", "text": text }] })))
        }
        (_, method) if method.starts_with("notifications/") => status(202),
        _ => {
            let error = json!({ "code": -32601, "message": "Method not found" });
            message_of(&json!({ "jsonrpc": "2.0", "id": message["id"], "error": error }))
        }
    }
}

/// Creates a response with this status and no body.
///
/// # Errors
///
/// If the status is invalid.
pub fn status(status: u16) -> Answer {
    text(status, "text/plain", "")
}

/// Creates a response with this body.
///
/// # Errors
///
/// If the status or the content type is invalid.
pub fn text(status: u16, kind: &str, body: impl Into<Bytes>) -> Answer {
    let response = Response::builder().status(StatusCode::from_u16(status).map_err(io::Error::other)?);
    response.header("content-type", kind).body(Body::from(body.into())).map_err(io::Error::other)
}

/// Creates a response with this JSON message or batch.
///
/// # Errors
///
/// None.
pub fn message_of(message: &Value) -> Answer {
    text(200, "application/json", message.to_string())
}

/// Creates a response with an event stream of exactly these bytes.
///
/// # Errors
///
/// None.
pub fn events(bytes: impl Into<Bytes>) -> Answer {
    text(200, "text/event-stream", bytes)
}

/// Adds a header to a response.
///
/// # Errors
///
/// If `answer` is an error, or the header is invalid.
pub fn with(answer: Answer, name: &'static str, value: &str) -> Answer {
    let mut response = answer?;
    let value = HeaderValue::from_str(value).map_err(io::Error::other)?;
    response.headers_mut().append(HeaderName::from_static(name), value);
    Ok(response)
}

/// Creates an event stream that stays open until its sender is dropped.
///
/// # Panics
///
/// Never.
pub fn stream() -> (Stream, Answer) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let chunks = futures_util::stream::unfold(receiver, |mut receiver: mpsc::Receiver<io::Result<Bytes>>| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    // Flush the previous chunks before a reset.
    let chunks = chunks.then(|chunk| async move {
        if chunk.is_err() {
            tokio::task::yield_now().await;
        }
        chunk
    });
    let response = Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(chunks));
    (Stream(sender), response.map_err(io::Error::other))
}

/// Resets the connection instead of responding.
///
/// # Errors
///
/// Always.
pub fn hang_up() -> Answer {
    Err(reset())
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}
