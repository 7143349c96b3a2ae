//! An MCP client of any revision over any transport, written from the specification without an SDK.
//!
//! Methods have the same names in both eras: request, call, answer server requests, cancel, watch, set a log level.
//! The era determines the messages, and a message that the era forbids is an error.

mod dialogue;
mod headers;
mod revision;
mod wire;

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

pub use self::revision::{Revision, Transport};
pub use self::wire::Link;
use self::wire::{Heard, Wire};
use crate::process::Ended;

/// Time limit of every wait. Generous, so that a busy machine does not fail a test.
pub const PATIENCE: Duration = Duration::from_secs(15);

const META: &str = "io.modelcontextprotocol/";

/// A connected client.
pub struct Peer {
    /// Protocol revision that the client speaks.
    pub revision: Revision,
    /// Result of `initialize` or `server/discover`.
    pub greeting: Value,
    wire: Wire,
    inbox: mpsc::Receiver<Heard>,
    /// Messages received but not consumed.
    kept: VecDeque<Heard>,
    requests: u64,
    /// Log level sent with each request in the modern era.
    level: Option<&'static str>,
    /// The tools of the last list; their schemas determine which arguments are also sent as headers.
    tools: Vec<Value>,
    /// URIs of the watched resources.
    watched: Vec<String>,
    /// Id of the `subscriptions/listen` request in the modern era.
    listening: Value,
}

impl Peer {
    /// Connects and performs the handshake, declaring every client capability of the revision.
    ///
    /// # Errors
    ///
    /// If the server's answer violates the revision.
    pub async fn connect(revision: Revision, link: Link) -> Result<Self> {
        let (wire, inbox) = Wire::connect(link).await?;
        let mut peer = Self {
            revision,
            greeting: Value::Null,
            wire,
            inbox,
            kept: VecDeque::new(),
            requests: 0,
            level: None,
            tools: Vec::new(),
            watched: Vec::new(),
            listening: Value::Null,
        };
        if revision.is_modern() {
            peer.greeting = peer.request("server/discover", json!({})).await?;
            let versions = &peer.greeting["supportedVersions"];
            let is_ours = versions.as_array().is_some_and(|all| all.contains(&json!(revision.text())));
            ensure!(is_ours, "{revision} is not among {versions}");
        } else {
            peer.initialize().await?;
        }
        Ok(peer)
    }

    async fn initialize(&mut self) -> Result<()> {
        let params = json!({
            "protocolVersion": self.revision.text(),
            "capabilities": self.capabilities(),
            "clientInfo": identity(),
        });
        let id = self.begin("initialize", params).await?;
        let heard = self.hear_answer(&id).await?;
        let session = heard.session.clone();
        self.greeting = self.outcome(heard)?;
        let version = &self.greeting["protocolVersion"];
        ensure!(version == self.revision.text(), "agreed on {version}");
        if self.wire.is_streamable() {
            self.wire.remember("mcp-session-id", &session.context("no session was named")?);
        }
        if self.revision.has_version_header() {
            self.wire.remember("mcp-protocol-version", self.revision.text());
        }
        self.tell(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await?;
        self.wire.listen().await
    }

    /// Sends a request and returns the result.
    ///
    /// # Errors
    ///
    /// If there is no result in time, or one that the era does not allow.
    pub async fn request(&mut self, method: &str, params: Value) -> Result<Value> {
        let id = self.begin(method, params).await?;
        self.answer(&id).await
    }

    /// Sends a request and returns its id, for [`Peer::answer`].
    ///
    /// # Errors
    ///
    /// If the request cannot be sent.
    pub async fn begin(&mut self, method: &str, mut params: Value) -> Result<Value> {
        self.requests += 1;
        // Alternate numbers and strings as ids, because they must be kept apart.
        let number = self.requests;
        let id = if number.is_multiple_of(2) { json!(number) } else { json!(format!("{number}")) };
        if self.revision.is_modern() {
            params["_meta"][format!("{META}protocolVersion")] = json!(self.revision.text());
            params["_meta"][format!("{META}clientCapabilities")] = self.capabilities();
            params["_meta"][format!("{META}clientInfo")] = identity();
            if let Some(level) = self.level {
                params["_meta"][format!("{META}logLevel")] = json!(level);
            }
        }
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let headers = if self.revision.is_modern() { headers::of(&message, &self.tools) } else { Vec::new() };
        self.wire.ask(&message, headers).await?;
        Ok(id)
    }

    /// Waits for the result of a request.
    ///
    /// # Errors
    ///
    /// If there is no result in time, or one that the era does not allow.
    pub async fn answer(&mut self, id: &Value) -> Result<Value> {
        let heard = self.hear_answer(id).await?;
        self.outcome(heard)
    }

    /// Reads all pages of a list.
    ///
    /// # Errors
    ///
    /// If a page violates the era, or there are more than 100 pages.
    pub async fn list(&mut self, method: &str, member: &str) -> Result<Vec<Value>> {
        let (mut items, mut cursor) = (Vec::new(), Value::Null);
        for _ in 0..100 {
            let params = if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) };
            let mut page = self.request(method, params).await?;
            self.check_hints(method, &page)?;
            items.append(page[member].as_array_mut().with_context(|| format!("no `{member}` in a page"))?);
            cursor = page["nextCursor"].take();
            if cursor.is_null() {
                if method == "tools/list" {
                    self.tools.clone_from(&items);
                }
                return Ok(items);
            }
        }
        bail!("{method} has no end")
    }

    /// Waits for a notification with this method. Returns its parameters, and the id of the request on whose stream it
    /// came.
    ///
    /// # Errors
    ///
    /// If there is none in time.
    pub async fn notification(&mut self, method: &str) -> Result<(Value, Value)> {
        let mut heard = self.find(method, |heard| heard.message["method"] == method).await?;
        Ok((heard.message["params"].take(), heard.on))
    }

    /// Returns the messages received but not consumed.
    pub fn rest(&mut self) -> Vec<&Value> {
        while let Ok(heard) = self.inbox.try_recv() {
            self.kept.push_back(heard);
        }
        self.kept.iter().map(|heard| &heard.message).collect()
    }

    /// Returns true if requests have streams of their own.
    #[must_use]
    pub fn has_streams(&self) -> bool {
        self.wire.is_streamable()
    }

    /// Returns true if the server is a child process.
    #[must_use]
    pub fn is_program(&self) -> bool {
        self.wire.is_program()
    }

    /// Ends a session over Streamable HTTP. Returns the status of that request and of a request sent afterwards.
    ///
    /// # Errors
    ///
    /// If there is no such session, or no response.
    pub async fn leave(&mut self) -> Result<(u16, u16)> {
        self.wire.leave().await
    }

    /// Closes the stdin of the child process and waits for its end.
    ///
    /// # Errors
    ///
    /// If there is no child process, or it does not end.
    pub async fn hang_up(self) -> Result<Ended> {
        self.wire.hang_up().await
    }

    fn capabilities(&self) -> Value {
        let mut capabilities = json!({ "sampling": {}, "roots": {} });
        if self.revision.has_elicitation() {
            capabilities["elicitation"] = json!({});
        }
        capabilities
    }

    async fn tell(&mut self, message: Value) -> Result<()> {
        self.wire.tell(&message).await
    }

    async fn hear_answer(&mut self, id: &Value) -> Result<Heard> {
        self.find(&format!("answer to {id}"), |heard| heard.is_answer(id)).await
    }

    /// Returns the result in a response, if the era allows its form.
    fn outcome(&self, heard: Heard) -> Result<Value> {
        let Heard { mut message, on, .. } = heard;
        ensure!(!self.has_streams() || on == message["id"], "{message} came on the stream of {on}");
        ensure!(message["jsonrpc"] == "2.0" && message.get("result").is_some(), "no result: {message}");
        let result = message["result"].take();
        ensure!(
            result.get("resultType").is_some() == self.revision.is_modern(),
            "`resultType` is for the modern era: {result}"
        );
        Ok(result)
    }

    /// Checks the caching hints (time to live and scope) that the modern era requires in a result.
    fn check_hints(&self, method: &str, result: &Value) -> Result<()> {
        let is_hinted = result["ttlMs"].is_u64() && ["public", "private"].contains(&text(&result["cacheScope"]));
        ensure!(is_hinted || !self.revision.is_modern(), "{method} without cache hints");
        Ok(())
    }

    async fn find(&mut self, what: &str, is_it: impl Fn(&Heard) -> bool) -> Result<Heard> {
        if let Some(heard) = self.kept.iter().position(&is_it).and_then(|at| self.kept.remove(at)) {
            return Ok(heard);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let next = timeout_at(deadline, self.inbox.recv()).await.ok().flatten();
            match next {
                Some(heard) if is_it(&heard) => return Ok(heard),
                Some(heard) if heard.message == wire::ENDED => {
                    bail!("no {what}: the program ended; {}", self.wire.err())
                }
                Some(heard) => self.kept.push_back(heard),
                None => bail!("no {what}, only {:?}", self.rest()),
            }
        }
    }
}

impl Heard {
    fn is_answer(&self, id: &Value) -> bool {
        // Accept an error without an id that came on the request's own stream.
        let is_lost = self.message.get("id").is_none_or(Value::is_null) && self.message.get("method").is_none();
        is_lost && self.on == *id || self.message["id"] == *id && self.message.get("method").is_none()
    }

    fn is_question(&self) -> bool {
        self.message.get("id").is_some() && self.message.get("method").is_some()
    }
}

fn identity() -> Value {
    json!({ "name": "peer", "version": "1" })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
