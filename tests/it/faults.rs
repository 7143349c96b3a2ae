//! Upstreams that misbehave in every way the fault matrix knows: each fault has one outcome, and stays with its upstream.

mod answers;
mod bounds;
mod child;
mod handshake;
mod recovery;

use std::time::Duration;

use harness::raw::Session;
use harness::{InProcess, eventually};
use serde_json::Value;

/// Within this a call has to be served or to fail, whatever became of its upstream: a second, and what a busy machine adds.
const PROMPT: Duration = Duration::from_millis(1_500);

/// The error kind of a raw answer; `null` where it is none.
fn kind(answer: &str) -> Value {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    answer["error"]["data"]["kind"].clone()
}

/// Calls the tool `echo` until it is answered; errors in between have to be such that say nothing was executed.
async fn served_again(client: &mut Session) {
    let client = tokio::sync::RwLock::new(client);
    eventually("a call is served", || async {
        let answer = client.write().await.call("\"again\"", "echo", "{}").await;
        let passing = ["upstream_not_ready", "upstream_unreachable", "upstream_session_lost"];
        assert!(answer.contains("structuredContent") || passing.iter().any(|word| kind(&answer) == *word), "{answer}");
        answer.contains("structuredContent").then_some(())
    })
    .await;
}

/// The status of an upstream as soon as its last error holds this.
async fn error_holds(gateway: &InProcess, name: &str, text: &str) -> Value {
    eventually(&format!("`{text}` in the last error of `{name}`"), || async {
        let status = gateway.admin.status(name).await;
        let holds = status["lastError"].as_str().is_some_and(|error| error.contains(text));
        holds.then_some(status)
    })
    .await
}
