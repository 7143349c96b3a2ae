//! Modern clients (2026-07-28): behaviour that the conformance suite does not cover.

mod headers;
pub(crate) mod listening;
mod questions;
mod sessions;
mod states;
mod streams;
mod together;

use harness::raw::{Raw, Reply, raw};
use serde_json::{Value, json};

const VERSION: &str = "2026-07-28";
const EVERYTHING: &str = r#"{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}"#;
const QUESTION: &str =
    r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"who?","requestedSchema":{}}}"#;

/// Client of one upstream, or of all.
#[derive(Clone)]
pub(crate) struct Client {
    url: String,
    /// Client capabilities, as raw JSON.
    capabilities: String,
    token: Option<String>,
    /// Members of `_meta` besides the required ones.
    meta: Value,
}

pub(crate) fn client(gateway: &str, upstream: &str) -> Client {
    client_of_all(&format!("{gateway}/{upstream}"))
}

pub(crate) fn client_of_all(gateway: &str) -> Client {
    let url = format!("{gateway}/mcp");
    Client { url, capabilities: "{}".to_owned(), token: None, meta: json!({}) }
}

impl Client {
    /// Declares every capability, so that the server can send requests.
    pub(crate) fn askable(self) -> Self {
        Self { capabilities: EVERYTHING.to_owned(), ..self }
    }

    /// Declares support for tasks.
    fn of_tasks(self) -> Self {
        Self { capabilities: r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#.to_owned(), ..self }
    }

    pub(crate) fn token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    pub(crate) fn meta(mut self, name: &str, value: &str) -> Self {
        self.meta[name] = json!(value);
        self
    }

    /// Returns a valid request with the id 1.
    pub(crate) fn request(&self, method: &str, params: &Value) -> Raw {
        let mut params = params.clone();
        params["_meta"] = self.meta.clone();
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(VERSION);
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
            serde_json::from_str(&self.capabilities).expect("JSON");
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = raw("POST", &self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", VERSION)
            .header("mcp-method", method)
            .body(body.to_string());
        let request = match &self.token {
            Some(token) => request.header("authorization", &format!("Bearer {token}")),
            None => request,
        };
        match ["name", "uri", "taskId"].iter().find_map(|subject| params[subject].as_str()) {
            Some(name) => request.header("mcp-name", name),
            None => request,
        }
    }

    /// Sends a request and returns every message of the response, the answer last.
    pub(crate) async fn ask(&self, method: &str, params: &Value) -> Vec<Value> {
        messages(self.request(method, params).send().await).await
    }

    /// Calls a tool and returns the answer. `members` are parameters besides the tool's name.
    pub(crate) async fn call(&self, tool: &str, members: Value) -> Value {
        let mut params = members;
        params["name"] = json!(tool);
        self.ask("tools/call", &params).await.pop().expect("an answer")
    }
}

async fn messages(mut reply: Reply) -> Vec<Value> {
    let mut messages = Vec::new();
    if reply.is_stream() {
        while let Some(event) = reply.event().await {
            messages.push(event.data);
        }
    } else {
        messages.push(reply.text().await);
    }
    let read = |text: &String| serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    messages.iter().map(read).collect()
}

/// Returns the keys of the input requests in an answer.
fn keys(answer: &Value) -> Vec<String> {
    let requests = answer["result"]["inputRequests"].as_object();
    requests.unwrap_or_else(|| panic!("no questions: {answer}")).keys().cloned().collect()
}

/// Returns the request state in an answer.
fn state(answer: &Value) -> String {
    answer["result"]["requestState"].as_str().unwrap_or_else(|| panic!("no state: {answer}")).to_owned()
}

/// Returns the members of a retry that answers every input request with this result.
fn retry(asked: &Value, result: &Value) -> Value {
    let responses: Value = keys(asked).into_iter().map(|key| (key, result.clone())).collect();
    json!({ "requestState": state(asked), "inputResponses": responses })
}
