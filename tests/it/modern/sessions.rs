//! Choice of the upstream session for a modern client's call.

use futures_util::future::join_all;
use harness::fake::{Call, Via, fake};
use harness::gateway;
use harness::wait::Gate;
use serde_json::{Value, json};

use super::client;

async fn tell_peer(call: Call) {
    let text = call.peer.number.to_string();
    call.reply(&json!({ "content": [{ "type": "text", "text": text }] }).to_string());
}

fn peer(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}

#[tokio::test]
async fn callers_that_differ_have_sessions_that_differ() {
    let upstream = fake("u").tool("peer", tell_peer).start(Via::Events).await;
    let gateway = gateway().flags(["--global-auth-tokens", "one,two"]).start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let one = client(&gateway.url, "u").token("one");
    let two = client(&gateway.url, "u").token("two");
    let first = one.call("peer", json!({})).await;
    assert_eq!(peer(&first), peer(&one.call("peer", json!({})).await));
    assert_ne!(peer(&first), peer(&two.call("peer", json!({})).await));
    let askable = one.clone().askable();
    let asked = askable.call("peer", json!({})).await;
    assert_ne!(peer(&first), peer(&asked));
    assert_eq!(peer(&asked), peer(&askable.call("peer", json!({})).await));
    assert_eq!(upstream.count("initialize"), 4, "the gateway's own and three of callers");
}

#[tokio::test]
async fn callers_that_come_at_once_share_a_session_unless_they_can_be_asked() {
    let gate = Gate::default();
    let opened = gate.clone();
    let wait = move |call: Call| {
        let gate = opened.clone();
        async move {
            gate.opened().await;
            tell_peer(call).await;
        }
    };
    let upstream = fake("u").tool("wait", wait).start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let mute = client(&gateway.url, "u");
    let askable = mute.clone().askable();
    let calls = (0..4).flat_map(|_| [mute.call("wait", json!({})), askable.call("wait", json!({}))]);
    let open = async {
        upstream
            .find("all calls", |all| (all.iter().filter(|one| one.method == "tools/call").count() == 8).then_some(()))
            .await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(join_all(calls), open);
    let mut shared: Vec<&str> = answers.iter().step_by(2).map(peer).collect();
    let mut alone: Vec<&str> = answers.iter().skip(1).step_by(2).map(peer).collect();
    shared.sort_unstable();
    shared.dedup();
    alone.sort_unstable();
    alone.dedup();
    assert_eq!((shared.len(), alone.len()), (1, 4), "{answers:?}");
}

#[tokio::test]
async fn upstreams_see_nothing_of_the_modern_era() {
    let upstream = fake("u").echo("a").start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = client(&gateway.url, "u").meta("vendor/key", "kept").meta("traceparent", "00-1-2-03");
    client.call("a", json!({ "arguments": {}, "task": { "ttl": 1 }, "inputResponses": {} })).await;
    let call = upstream.nth("tools/call", 0).await;
    let meta = json!({ "vendor/key": "kept", "traceparent": "00-1-2-03" });
    assert_eq!(call.value()["params"], json!({ "name": "a", "arguments": {}, "_meta": meta }));
    assert_eq!(call.headers.get("mcp-protocol-version").and_then(|value| value.to_str().ok()), Some("2025-11-25"));
    assert!(call.headers.get("mcp-method").is_none());
}

#[tokio::test]
async fn a_tool_that_runs_only_as_a_legacy_task_fails_clearly() {
    let tool = r#"{"name":"long","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}}"#;
    let upstream = fake("u").listed(tool).start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let answer = client(&gateway.url, "u").call("long", json!({})).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|why| why.contains("task")), "{answer}");
    assert_eq!(upstream.count("tools/call"), 0);
}

#[tokio::test]
async fn a_forgotten_session_is_replaced_unseen() {
    let upstream = fake("u").tool("peer", tell_peer).start(Via::Events).await;
    let gateway = gateway().start().await;
    let mut definition = upstream.definition();
    // The gateway's own session is forgotten too: a call waits briefly for its successor, whichever session notices
    // first.
    definition["autoReconnect"] = json!(true);
    definition["reconnectDelay"] = json!("50ms");
    gateway.admin.connect(&definition).await;
    let client = client(&gateway.url, "u").askable();
    let before = client.call("peer", json!({})).await;
    upstream.forget();
    let after = client.call("peer", json!({})).await;
    assert_ne!(peer(&before), peer(&after));
}

#[tokio::test]
async fn an_idle_session_gives_way_where_there_is_place_for_one() {
    let upstream = fake("u").tool("peer", tell_peer).start(Via::Stdio).await;
    let gateway = gateway().flags(["--global-auth-tokens", "one,two"]).start().await;
    let mut definition = upstream.definition();
    definition["maxSessions"] = json!(1);
    gateway.admin.connect(&definition).await;
    let one = client(&gateway.url, "u").token("one").askable();
    let two = client(&gateway.url, "u").token("two").askable();
    let first = one.call("peer", json!({})).await;
    assert_ne!(peer(&first), peer(&two.call("peer", json!({})).await));
}
