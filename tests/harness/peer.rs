//! A client of any revision, over any transport, that was written from the specification and with no SDK.
//!
//! What it does is named the same in both eras: it asks, calls, answers questions, cancels, watches, and sets a log level.
//! How that is put is for the era to say, and whatever the era forbids to come back is an error here.

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

/// How long a peer waits for anything. Far more than it takes, so that a busy machine fails no test.
pub const PATIENCE: Duration = Duration::from_secs(15);

const META: &str = "io.modelcontextprotocol/";

/// A connected client.
pub struct Peer {
    /// What it speaks.
    pub revision: Revision,
    /// What the server said of itself: the result of `initialize` or of `server/discover`.
    pub greeting: Value,
    wire: Wire,
    inbox: mpsc::Receiver<Heard>,
    /// What came before anybody asked for it.
    kept: VecDeque<Heard>,
    requests: u64,
    /// What goes with each request in the modern era.
    level: Option<&'static str>,
    /// The tools as last listed, whose schemas tell which parameters travel as headers, too.
    tools: Vec<Value>,
    /// The resources it wants to hear of.
    watched: Vec<String>,
    /// The id of the `subscriptions/listen` in the modern era.
    listening: Value,
}

impl Peer {
    /// Connects and greets, declaring that it can answer every question its revision has.
    ///
    /// # Errors
    ///
    /// When the server does not greet as the revision wants it.
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

    /// Sends a request and gives its result.
    ///
    /// # Errors
    ///
    /// When there is none in time, or none that the era knows.
    pub async fn request(&mut self, method: &str, params: Value) -> Result<Value> {
        let id = self.begin(method, params).await?;
        self.answer(&id).await
    }

    /// Sends a request and gives its id, for [`Peer::answer`].
    ///
    /// # Errors
    ///
    /// When it cannot be sent.
    pub async fn begin(&mut self, method: &str, mut params: Value) -> Result<Value> {
        self.requests += 1;
        // Ids are numbers or texts, and whoever carries them must keep them apart.
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

    /// The result of a request.
    ///
    /// # Errors
    ///
    /// When there is none in time, or none that the era knows.
    pub async fn answer(&mut self, id: &Value) -> Result<Value> {
        let heard = self.hear_answer(id).await?;
        self.outcome(heard)
    }

    /// Every item of a list, page by page.
    ///
    /// # Errors
    ///
    /// When a page is not as the era wants it, or there is no end of them.
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

    /// The next notification of this kind, wherever it came, and the id of the request on whose stream that was.
    ///
    /// # Errors
    ///
    /// When there is none in time.
    pub async fn notification(&mut self, method: &str) -> Result<(Value, Value)> {
        let mut heard = self.find(method, |heard| heard.message["method"] == method).await?;
        Ok((heard.message["params"].take(), heard.on))
    }

    /// What has come, and was not asked for yet.
    pub fn rest(&mut self) -> Vec<&Value> {
        while let Ok(heard) = self.inbox.try_recv() {
            self.kept.push_back(heard);
        }
        self.kept.iter().map(|heard| &heard.message).collect()
    }

    /// Whether requests have streams of their own.
    #[must_use]
    pub fn has_streams(&self) -> bool {
        self.wire.is_streamable()
    }

    /// Whether it talks to a program.
    #[must_use]
    pub fn is_program(&self) -> bool {
        self.wire.is_program()
    }

    /// Ends a session over Streamable HTTP: the status of that, and of a request that comes after.
    ///
    /// # Errors
    ///
    /// When there is no such session, or no response.
    pub async fn leave(&mut self) -> Result<(u16, u16)> {
        self.wire.leave().await
    }

    /// Closes the input of a program and waits for its end.
    ///
    /// # Errors
    ///
    /// When there is none, or it goes on.
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

    /// The result in a response, if it is as the era wants it.
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

    /// The modern era tells how long a result may be kept, and by whom.
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
        // A refusal may not know whom it answers; whose stream it came on tells.
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
