//! The clients: legacy sessions and modern calls, at the endpoint of one upstream and at the aggregated one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use harness::http;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::Draw;
use crate::ledger::{Ledger, Outcome};
use crate::world::World;

/// Number of legacy sessions per endpoint.
const SESSIONS: usize = 2;
const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";
/// Maximum number of attempts to resume a stream that ended without the answer.
const RESUMPTIONS: u32 = 5;

pub(crate) struct Caller {
    url: String,
    http: Client,
    upstreams: Vec<String>,
    references: Vec<String>,
    /// Sessions by endpoint: those of each upstream, then those of the aggregated endpoint.
    sessions: Vec<Mutex<Option<String>>>,
    ledger: Arc<Ledger>,
    draw: Arc<Draw>,
}

/// Destination and form of a call.
struct Place {
    path: String,
    tool: String,
    /// Index of the session; `None` for a modern call.
    session: Option<usize>,
}

impl Caller {
    pub(crate) fn new(world: &World, ledger: Arc<Ledger>, draw: Arc<Draw>) -> Self {
        let upstreams: Vec<String> = world.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
        let sessions = (0..=upstreams.len()).flat_map(|_| (0..SESSIONS).map(|_| Mutex::default())).collect();
        Self {
            url: world.url.clone(),
            http: http(),
            upstreams,
            references: world.references.clone(),
            sessions,
            ledger,
            draw,
        }
    }

    /// Makes one call of a random kind.
    pub(crate) async fn call(&self) {
        let at = self.draw.below(self.upstreams.len() as u64 + 1) as usize;
        let Some(upstream) = self.upstreams.get(at) else { return self.call_reference().await };
        let (to_all, modern) = (self.draw.below(3) == 0, self.draw.below(3) == 0);
        let group = if to_all { self.upstreams.len() } else { at };
        let session = (!modern).then(|| group * SESSIONS + self.draw.below(SESSIONS as u64) as usize);
        let place = Place {
            path: if to_all { "/mcp".to_owned() } else { format!("/{upstream}/stream") },
            tool: if to_all { format!("{upstream}__work") } else { "work".to_owned() },
            session,
        };
        let number = self.ledger.begin(at);
        let wait = if self.draw.below(10) == 0 { self.draw.below(3_000) } else { self.draw.below(30) };
        let bytes = if self.draw.below(50) == 0 { 200_000 } else { 100 };
        let progress = if self.draw.below(10) == 0 { self.draw.below(50) } else { 0 };
        let arguments = json!({ "n": number, "wait": wait, "bytes": bytes, "progress": progress });
        let outcome = if self.draw.below(100) == 0 {
            let left = Duration::from_millis(self.draw.below(200));
            tokio::time::timeout(left, self.outcome(&place, number, &arguments)).await.unwrap_or(Outcome::Left)
        } else {
            self.outcome(&place, number, &arguments).await
        };
        self.ledger.end(number, outcome);
    }

    async fn call_reference(&self) {
        let Some(name) = self.references.get(self.draw.below(self.references.len() as u64) as usize) else { return };
        let message = request(0, "echo", &json!({ "message": "soak" }), true);
        let post = self.post(&format!("/{name}/stream"), &message).header("mcp-name", "echo");
        // Ignore the result: these calls only keep both eras busy, and the ledger checks the others.
        if let Ok(response) = post.send().await {
            response.bytes().await.ok();
        }
    }

    async fn outcome(&self, place: &Place, number: u64, arguments: &Value) -> Outcome {
        let message = request(number, &place.tool, arguments, place.session.is_none());
        let request = self.post(&place.path, &message);
        let Some(at) = place.session else {
            return self.read(number, place, request.header("mcp-name", &place.tool).send().await, None).await;
        };
        let session = match self.session(at, &place.path).await {
            Ok(session) => session,
            Err(why) => return Outcome::Refused(why),
        };
        let sent = request.header("mcp-session-id", &session).send().await;
        if sent.as_ref().is_ok_and(|response| response.status() == 404) {
            self.slot(at).take();
            return Outcome::Refused("the session is unknown".to_owned());
        }
        self.read(number, place, sent, Some(&session)).await
    }

    /// Returns the session in a slot, and opens one if necessary.
    async fn session(&self, at: usize, path: &str) -> Result<String, String> {
        let known = self.slot(at).clone();
        if let Some(session) = known {
            return Ok(session);
        }
        let hello = json!({ "jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": {
            "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "soak", "version": "1" } } });
        let response = self.post(path, &hello).send().await.map_err(|error| format!("no session: {error}"))?;
        let id = response.headers().get("mcp-session-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        let text = response.text().await.unwrap_or_default();
        let id = id.ok_or_else(|| format!("no session: {}", short(&text)))?;
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.post(path, &initialized).header("mcp-session-id", &id).send().await.map_err(|error| error.to_string())?;
        *self.slot(at) = Some(id.clone());
        Ok(id)
    }

    fn slot(&self, at: usize) -> MutexGuard<'_, Option<String>> {
        self.sessions[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads an answer from JSON or a stream; resumes a stream that ends too early.
    async fn read(
        &self,
        number: u64,
        place: &Place,
        sent: reqwest::Result<Response>,
        session: Option<&str>,
    ) -> Outcome {
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return Outcome::Broken(short(&without_url(error))),
        };
        let (mut last, mut resumptions) = (String::new(), 0);
        loop {
            let status = response.status();
            let is_stream = kind(&response).starts_with("text/event-stream");
            let mut text = String::new();
            let ended = loop {
                match response.chunk().await {
                    Ok(Some(chunk)) => text.push_str(&String::from_utf8_lossy(&chunk)),
                    Ok(None) => break "the stream ended".to_owned(),
                    Err(error) => break short(&without_url(error)),
                }
                if let Some(outcome) = is_stream.then(|| answer_in(&text, number)).flatten() {
                    return outcome;
                }
            };
            if !is_stream {
                return judge(&text, number)
                    .unwrap_or_else(|| Outcome::Broken(format!("status {status}: {}", short(&text))));
            }
            if let Some(id) = text.lines().rev().find_map(|line| line.strip_prefix("id: ")) {
                id.clone_into(&mut last);
            }
            let (Some(session), false) = (session, last.is_empty() || resumptions == RESUMPTIONS) else {
                return Outcome::Broken(ended);
            };
            resumptions += 1;
            let again = self.http.get(format!("{}{}", self.url, place.path)).header("accept", "text/event-stream");
            let again = again.header("mcp-session-id", session).header("last-event-id", &last);
            response = match again.send().await {
                Ok(response) => response,
                Err(error) => return Outcome::Broken(short(&without_url(error))),
            };
        }
    }

    fn post(&self, path: &str, message: &Value) -> RequestBuilder {
        let version = if message["params"]["_meta"].is_object() { MODERN } else { LEGACY };
        let post = self.http.post(format!("{}{path}", self.url)).json(message);
        let post = post.header("accept", "application/json, text/event-stream").header("mcp-protocol-version", version);
        post.header("mcp-method", message["method"].as_str().unwrap_or_default())
    }
}

fn request(number: u64, tool: &str, arguments: &Value, modern: bool) -> Value {
    let mut params = json!({ "name": tool, "arguments": arguments });
    if modern {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": { "name": "soak", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {},
        });
    }
    json!({ "jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params })
}

/// Finds the answer to this request among the complete events of a stream.
fn answer_in(text: &str, number: u64) -> Option<Outcome> {
    let (whole, _) = text.rsplit_once("\n\n")?;
    whole.lines().filter_map(|line| line.strip_prefix("data: ")).find_map(|data| judge(data, number))
}

/// Returns the outcome that a message means for this request; `None` if it is not the answer.
fn judge(text: &str, number: u64) -> Option<Outcome> {
    let message: Value = serde_json::from_str(text).ok()?;
    let error = &message["error"];
    if error.is_object() {
        let code = error["code"].as_i64().unwrap_or_default();
        return Some(Outcome::Refused(short(&format!("{code} {}", error["message"].as_str().unwrap_or_default()))));
    }
    if message["result"].is_null() {
        return None;
    }
    let right = message["id"] == number && message["result"]["structuredContent"]["n"] == number;
    Some(if right { Outcome::Answered } else { Outcome::Wrong(short(text)) })
}

fn kind(response: &Response) -> String {
    response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned()
}

fn without_url(error: reqwest::Error) -> String {
    format!("{:?}", error.without_url())
}

/// Truncates a text and removes digits, so that equal errors are counted together.
fn short(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_ascii_digit()).take(100).collect()
}
