//! Upstreams with every fault of the fault matrix: each fault has one outcome, and affects only its own upstream.

mod answers;
mod bounds;
mod child;
mod handshake;
mod recovery;

use std::time::Duration;

use harness::raw::Session;
use harness::{InProcess, eventually};
use serde_json::Value;

/// Maximum time for a call to be served or to fail after any upstream fault: one second, with a margin for a busy
/// machine.
const PROMPT: Duration = Duration::from_millis(1_500);

/// Returns the error kind of a raw response; `null` if it is not an error.
fn kind(answer: &str) -> Value {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    answer["error"]["data"]["kind"].clone()
}

/// Calls the tool `echo` until it is answered. Errors before that must be of kinds that exclude execution.
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

/// Waits until the last error of an upstream contains this text, and returns its status.
async fn error_holds(gateway: &InProcess, name: &str, text: &str) -> Value {
    eventually(&format!("`{text}` in the last error of `{name}`"), || async {
        let status = gateway.admin.status(name).await;
        let holds = status["lastError"].as_str().is_some_and(|error| error.contains(text));
        holds.then_some(status)
    })
    .await
}
