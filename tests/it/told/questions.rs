//! Requests that a server sends on its own stream arrive from the first request of a session on: the stream is opened
//! before it.

use std::time::Duration;

use harness::fake::{Call, Fake, Via, fake};
use harness::peer::{Link, Peer, Revision};
use harness::raw::session;
use harness::{InProcess, gateway};
use serde_json::{Value, json};
use tokio::time::Instant;

const QUESTION: &str = r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"who?","requestedSchema":{"type":"object","properties":{}}}}"#;

/// Starts a fake upstream that sends a request on the stream of its session, and drops it if there is no listener.
async fn server(via: Via) -> Fake {
    let ask = |call: Call| async move {
        let answer = call.peer.ask(QUESTION).await;
        let asked = answer.contains(r#""action":"accept""#);
        call.reply(&json!({ "content": [], "structuredContent": { "accepted": asked } }).to_string());
    };
    fake("u").tool("ask", ask).drops_unheard().start(via).await
}

fn accept(_: &Value) -> Value {
    json!({ "action": "accept", "content": {} })
}

/// Returns the endpoints, each with the name of the tool there.
fn endpoints(gateway: &InProcess) -> [(String, &'static str); 2] {
    [(format!("{}/u/stream", gateway.url), "ask"), (format!("{}/mcp", gateway.url), "u__ask")]
}

#[tokio::test]
async fn the_first_question_of_a_session_reaches_its_client_in_both_eras_at_every_endpoint() {
    for via in [Via::Json, Via::Events] {
        let upstream = server(via).await;
        let gateway = gateway().start().await;
        gateway.admin.connect(&upstream.definition()).await;
        for (url, tool) in endpoints(&gateway) {
            for revision in [Revision::LAST_LEGACY, Revision::MODERN] {
                let mut client = Peer::connect(revision, Link::Stream(url.clone())).await.expect("a session");
                let (asked, result) = client.converse(tool, json!({}), accept).await.expect("an answer");
                let place = format!("{via:?} {revision} {url}");
                assert_eq!(asked.len(), 1, "{place}");
                assert_eq!(result["structuredContent"], json!({ "accepted": true }), "{place}");
            }
        }
    }
}

/// Opens a session and calls a tool in it; returns the time that this took.
async fn first_call(url: &str, tool: &str) -> Duration {
    let began = Instant::now();
    let mut client = Peer::connect(Revision::LAST_LEGACY, Link::Stream(url.to_owned())).await.expect("a session");
    client.call(tool, json!({})).await.expect("an answer");
    began.elapsed()
}

#[tokio::test]
async fn a_server_without_a_stream_delays_nothing() {
    for status in [405, 404, 400, 401, 500] {
        let upstream = fake("u").echo("ask").start(Via::Json).await;
        upstream.refuse("GET", status);
        let gateway = gateway().start().await;
        gateway.admin.connect(&upstream.definition()).await;
        for (url, tool) in endpoints(&gateway) {
            let took = first_call(&url, tool).await;
            assert!(took < Duration::from_secs(1), "{status} at {url}: {took:?}");
        }
    }
}

#[tokio::test]
async fn a_server_whose_stream_stays_silent_delays_its_sessions_by_little() {
    let upstream = fake("u").echo("ask").start(Via::Json).await;
    upstream.stall("GET");
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    for (url, tool) in endpoints(&gateway) {
        let took = first_call(&url, tool).await;
        assert!(took < Duration::from_secs(2), "{url}: {took:?}");
    }
}

#[tokio::test]
async fn a_session_opens_its_stream_with_the_first_request_or_stream_of_its_client() {
    for via in [Via::Json, Via::Events] {
        let upstream = fake("u").echo("e").start(via).await;
        let gateway = gateway().start().await;
        gateway.admin.connect(&upstream.definition()).await;
        let of_the_gateway = upstream.nth("GET", 0).await;
        session(&gateway.url, "u").open().await.end().await;
        upstream.nth("DELETE", 0).await;
        assert_eq!(upstream.count("GET"), 1, "{via:?} {}", of_the_gateway.text());
        session(&gateway.url, "u").open().await.call("1", "e", "{}").await;
        assert_eq!(upstream.count("GET"), 2, "{via:?}, with a request");
        session(&gateway.url, "u").open().await.listen().await;
        assert_eq!(upstream.count("GET"), 3, "{via:?}, with a stream");
    }
}
