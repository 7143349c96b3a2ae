//! A scripted MCP server of the legacy era: one script over any transport.
//!
//! The test supplies a function for the requests it is about. The script runs in the test's process and records
//! messages there, for every transport: over stdio, the program that the gateway starts (`fixtures/fake_upstream.rs`)
//! only copies bytes between its standard streams and the script.
//!
//! ```no_run
//! # async fn example() {
//! use harness::fake::{Via, fake};
//!
//! let time = fake("time").tool("now", |call| async move { call.reply(r#"{"content":[]}"#) }).start(Via::Stdio).await;
//! println!("register {}", time.definition());
//! let first = time.nth("tools/call", 0).await;
//! println!("it was sent {}", first.text());
//! # }
//! ```

mod call;
mod child;
mod http;
mod server;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ::http::HeaderMap;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

pub use self::call::{Call, Peer};
use self::server::{Refusal, Server};
use crate::envelope::Envelope;
use crate::fixture::built;
use crate::wait::{DEADLINE, within};

const LISTEN_QUEUE: u32 = 1_024;

/// Transport of a fake server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A child process that exchanges JSON lines.
    Stdio,
    /// HTTP with a separate event stream (2024-11-05).
    Sse,
    /// Streamable HTTP that answers with event streams.
    Events,
    /// Streamable HTTP that answers with JSON, and sends all other messages on the session's GET stream.
    Json,
}

impl Via {
    /// Every transport.
    pub const ALL: [Self; 4] = [Self::Stdio, Self::Sse, Self::Events, Self::Json];
}

/// Handler of a request.
type Behaviour = Arc<dyn Fn(Call) -> BoxFuture<'static, ()> + Send + Sync>;

/// Tools and behaviour of a server, before it is started over a transport.
pub struct Script {
    name: String,
    tools: Vec<String>,
    page: usize,
    behaviours: HashMap<String, Behaviour>,
    flags: Vec<String>,
    listens: bool,
    records: bool,
    forgets: bool,
    stateless: bool,
}

/// Creates a script without tools that otherwise follows the specification.
pub fn fake(name: &str) -> Script {
    Script {
        name: name.to_owned(),
        tools: Vec::new(),
        page: usize::MAX,
        behaviours: HashMap::new(),
        flags: Vec::new(),
        listens: true,
        records: true,
        forgets: false,
        stateless: false,
    }
}

/// A running server. Stopped on drop.
pub struct Fake {
    server: Arc<Server>,
    via: Via,
    address: SocketAddr,
    accepting: Mutex<Option<JoinHandle<()>>>,
    /// Holds the port while the fake is down.
    reserved: Mutex<Option<TcpSocket>>,
}

/// A message or HTTP request that the server received.
#[derive(Clone, Debug)]
pub struct Received {
    /// Number of the session or process that it belongs to, from 0; `usize::MAX` if none.
    pub peer: usize,
    /// The JSON-RPC method; `response` for a response; the HTTP method for a request without a body.
    pub method: String,
    /// The HTTP headers; empty over stdio.
    pub headers: HeaderMap,
    /// The exact bytes: a body, or a line without its line end.
    pub bytes: Bytes,
    /// The envelope of the message.
    pub envelope: Arc<Envelope>,
}

impl Received {
    /// Returns the message as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or("(not UTF-8)")
    }

    /// Returns the message as a JSON value; `null` if it is not JSON.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// Returns the raw id; empty if absent.
    pub fn id(&self) -> String {
        self.envelope.id.clone()
    }
}

impl Script {
    /// Adds a tool that returns its arguments.
    #[must_use]
    pub fn echo(self, name: &str) -> Self {
        self.listed(&json!({ "name": name, "inputSchema": { "type": "object" } }).to_string())
    }

    /// Adds a tool with this behaviour.
    #[must_use]
    pub fn tool<F>(self, name: &str, behaviour: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.echo(name).on(&format!("tools/call {name}"), behaviour)
    }

    /// Adds a tool with this raw definition.
    #[must_use]
    pub fn listed(mut self, raw: &str) -> Self {
        self.tools.push(raw.to_owned());
        self
    }

    /// Sets the behaviour for requests with this method.
    #[must_use]
    pub fn on<F>(mut self, method: &str, behaviour: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.behaviours.insert(method.to_owned(), Arc::new(move |call| Box::pin(behaviour(call))));
        self
    }

    /// Sets the page size of the tool list.
    #[must_use]
    pub fn pages_of(mut self, size: usize) -> Self {
        self.page = size;
        self
    }

    /// Passes flags to the child process; see `fixtures/fake_upstream.rs`.
    #[must_use]
    pub fn child(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// Disables the GET stream: GET is refused with 405.
    #[must_use]
    pub fn without_stream(mut self) -> Self {
        self.listens = false;
        self
    }

    /// Disables the record of received messages, for runs of several hours.
    #[must_use]
    pub fn forgetful(mut self) -> Self {
        self.records = false;
        self
    }

    /// Drops messages outside of requests while no stream is open, as some SDKs do.
    #[must_use]
    pub fn drops_unheard(mut self) -> Self {
        self.forgets = true;
        self
    }

    /// Accepts requests without a session, as modern servers do.
    #[must_use]
    pub fn stateless(mut self) -> Self {
        self.stateless = true;
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    ///
    /// If no port can be bound.
    pub async fn start(self, via: Via) -> Fake {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let fake = Fake {
            server: Arc::new(Server::new(self)),
            via,
            address: listener.local_addr().expect("a bound address"),
            accepting: Mutex::default(),
            reserved: Mutex::default(),
        };
        fake.accept(listener);
        fake
    }
}

impl Fake {
    /// Returns the definition to register. It sets the era, so that the server receives only requests that the test
    /// causes.
    pub fn definition(&self) -> Value {
        let mut definition = self.undated_definition();
        definition["era"] = json!("legacy");
        definition
    }

    /// Returns the definition without an era, so that the gateway detects it.
    pub fn undated_definition(&self) -> Value {
        let (name, address) = (&self.server.script.name, self.address);
        match self.via {
            Via::Stdio => {
                let words = [address.to_string()].into_iter().chain(self.server.script.flags.clone());
                let args: Vec<String> = words.collect();
                json!({ "name": name, "transport": "stdio", "command": program(), "args": args })
            }
            Via::Sse => json!({ "name": name, "transport": "sse", "url": format!("http://{address}/sse") }),
            Via::Events | Via::Json => {
                json!({ "name": name, "transport": "streamable-http", "url": format!("http://{address}/mcp") })
            }
        }
    }

    /// Returns everything received so far.
    pub fn received(&self) -> Vec<Received> {
        self.server.received()
    }

    /// Returns the number of messages with this method received so far.
    pub fn count(&self, method: &str) -> usize {
        self.received().iter().filter(|received| received.method == method).count()
    }

    /// Waits for the `index`th message with this method, counted from 0.
    pub async fn nth(&self, method: &str, index: usize) -> Received {
        self.find(&format!("`{method}` number {index}"), |all| {
            all.iter().filter(|received| received.method == method).nth(index).cloned()
        })
        .await
    }

    /// Waits until `look` finds something in the received messages.
    pub async fn find<T>(&self, what: &str, look: impl Fn(&[Received]) -> Option<T>) -> T {
        let mut changed = self.server.changed.subscribe();
        let found = async {
            loop {
                if let Some(found) = look(&self.received()) {
                    return found;
                }
                changed.changed().await.ok();
            }
        };
        within(DEADLINE, &format!("{what}, at `{}`", self.server.script.name), found).await
    }

    /// Waits for the session or process with this number, counted from 0.
    pub async fn peer(&self, number: usize) -> Arc<Peer> {
        self.find(&format!("session number {number}"), |_| self.server.peer(number)).await
    }

    /// Returns all sessions or processes so far, including ended ones.
    pub fn peers(&self) -> Vec<Arc<Peer>> {
        self.server.peers()
    }

    /// Returns the number of live sessions or processes.
    pub fn live(&self) -> usize {
        self.server.live()
    }

    /// From now on, answers messages with this method, or HTTP requests without a body, only with this status.
    pub fn refuse(&self, method: &str, status: u16) {
        self.server.refuse(method, Some(Refusal::Status(status)));
    }

    /// From now on, accepts messages with this method without ever answering their HTTP requests.
    pub fn stall(&self, method: &str) {
        self.server.refuse(method, Some(Refusal::Silence));
    }

    /// Ends [`Self::refuse`] and [`Self::stall`] for this method.
    pub fn accept_again(&self, method: &str) {
        self.server.refuse(method, None);
    }

    /// Ends all sessions: over HTTP their ids become unknown, over SSE their streams end.
    pub fn forget(&self) {
        self.server.forget();
    }

    /// Stops listening and resets all connections. Keeps the port, so that no other program or connection takes it.
    ///
    /// # Panics
    ///
    /// If the port was taken nevertheless.
    pub async fn down(&self) {
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(accepting) = accepting {
            accepting.abort();
            accepting.await.ok();
        }
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        if reserved.is_none() {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.set_reuseaddr(true).expect("an option");
            socket.bind(self.address).expect("the same port");
            *reserved = Some(socket);
        }
        drop(reserved);
        self.server.forget();
    }

    /// Listens again at the same address; does nothing if it listens.
    ///
    /// # Panics
    ///
    /// If the system does not let it listen.
    pub async fn up(&self) {
        if let Some(reserved) = self.reserved.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.accept(reserved.listen(LISTEN_QUEUE).expect("the reserved port"));
        }
    }

    fn accept(&self, listener: TcpListener) {
        let server = Arc::clone(&self.server);
        let accepting = match self.via {
            Via::Stdio => spawn(child::accept(listener, server)),
            via => spawn(http::accept(listener, server, via)),
        };
        *self.accepting.lock().unwrap_or_else(PoisonError::into_inner) = Some(accepting);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            accepting.abort();
        }
    }
}

/// Spawns a task of a fake server; it ends with the test's runtime.
#[expect(clippy::disallowed_methods, reason = "the gateway's list of tasks is none of a fake server's")]
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}

/// Returns the child program; cargo builds it before the tests, one folder above theirs.
fn program() -> PathBuf {
    built("fake-upstream")
}
