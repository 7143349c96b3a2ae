//! The admin API as Compozy's engine sees it: statuses, bodies and rules, as JSON on the wire.

mod access;
mod calling;
mod health;
mod racing;
mod registering;
mod secrets;
mod updating;

use harness::Answer;
use harness::fake::Call;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Returns a definition of an upstream that never connects: its port has no listener.
pub(crate) fn nowhere(name: &str) -> Value {
    json!({ "name": name, "transport": "streamable-http", "url": "http://127.0.0.1:1/mcp" })
}

/// Adds members to a definition.
pub(crate) fn with(mut definition: Value, more: Value) -> Value {
    for (member, value) in more.as_object().expect("members") {
        definition[member] = value.clone();
    }
    definition
}

/// Checks that a response has this status and exactly this JSON.
#[track_caller]
pub(crate) fn is(answer: &Answer, status: u16, body: Value) {
    assert_eq!((answer.status, answer.json()), (status, body));
    assert!(answer.header("content-type").starts_with("application/json"), "{:?}", answer.headers);
}

/// Checks that a response has this status and `error`, and `details` with this prefix.
#[track_caller]
pub(crate) fn refuses(answer: &Answer, status: u16, error: &str, details: &str) {
    let body = answer.json();
    assert_eq!((answer.status, body["error"].as_str()), (status, Some(error)), "{body}");
    assert!(body["details"].as_str().is_some_and(|text| text.starts_with(details)), "{body}");
}

/// Never answers, and keeps the connection open.
async fn silence(call: Call) {
    std::future::pending::<()>().await;
    drop(call);
}

/// Parses an RFC 3339 time.
#[track_caller]
pub(crate) fn time(value: &Value) -> Timestamp {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no text"));
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}
