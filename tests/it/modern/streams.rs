//! Content of a response stream, and the effect of closing it.

use harness::fake::{Call, Via, fake};
use harness::raw::Reply;
use harness::{Envelope, gateway};
use serde_json::{Value, json};

use super::{QUESTION, client, messages, retry};

/// Sends log messages and progress, then answers.
async fn talk(call: Call) {
    for level in ["debug", "info", "error"] {
        let params = json!({ "level": level, "data": level });
        call.send(json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params }).to_string());
    }
    call.progress(r#""progress":1"#);
    call.reply(r#"{"content":[]}"#);
}

fn levels(messages: &[Value]) -> Vec<&str> {
    messages.iter().filter_map(|message| message["params"]["level"].as_str()).collect()
}

#[tokio::test]
async fn log_messages_go_to_who_asked_for_them() {
    for via in [Via::Stdio, Via::Sse, Via::Events] {
        let upstream = fake("u").tool("talk", talk).start(via).await;
        let gateway = gateway().start().await;
        gateway.admin.connect(&upstream.definition()).await;
        let silent = client(&gateway.url, "u");
        let params = json!({ "name": "talk" });
        assert_eq!(levels(&silent.ask("tools/call", &params).await), [""; 0], "{via:?}");
        assert_eq!(upstream.count("logging/setLevel"), 0, "{via:?}");
        let wordy = silent.clone().meta("io.modelcontextprotocol/logLevel", "info");
        assert_eq!(levels(&wordy.ask("tools/call", &params).await), ["info", "error"], "{via:?}");
        let asked = upstream.nth("logging/setLevel", 0).await;
        assert_eq!(asked.value()["params"], json!({ "level": "info" }));
        let strict = silent.meta("io.modelcontextprotocol/logLevel", "error");
        assert_eq!(levels(&strict.ask("tools/call", &params).await), ["error"], "{via:?}");
    }
}

#[tokio::test]
async fn progress_comes_under_the_callers_own_token() {
    let upstream = fake("u").tool("talk", talk).start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = client(&gateway.url, "u").meta("progressToken", "mine");
    let reply = client.request("tools/call", &json!({ "name": "talk" })).send().await;
    assert!(reply.is_stream());
    assert_eq!(reply.header("x-accel-buffering"), "no");
    let messages = messages(reply).await;
    assert_eq!(messages[0]["params"], json!({ "progressToken": "mine", "progress": 1 }));
    assert_eq!(messages[1]["result"]["resultType"], "complete");
}

#[tokio::test]
async fn progress_of_a_second_round_comes_under_its_token() {
    let ask_and_tell = |call: Call| async move {
        call.ask(QUESTION).await;
        call.progress(r#""progress":1"#);
        call.reply(r#"{"content":[]}"#);
    };
    let upstream = fake("u").tool("ask", ask_and_tell).start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = client(&gateway.url, "u").askable();
    let asked = client.clone().meta("progressToken", "first").call("ask", json!({})).await;
    let mut params = retry(&asked, &json!({ "action": "accept" }));
    params["name"] = json!("ask");
    let messages = client.meta("progressToken", "second").ask("tools/call", &params).await;
    assert_eq!(messages[0]["params"]["progressToken"], "second", "{messages:?}");
}

#[tokio::test]
async fn events_have_no_numbers() {
    let upstream = fake("u").tool("talk", talk).start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = client(&gateway.url, "u").meta("progressToken", "t");
    let mut reply: Reply = client.request("tools/call", &json!({ "name": "talk" })).send().await;
    while let Some(event) = reply.event().await {
        assert_eq!(event.id, "", "{}", event.raw);
    }
}

#[tokio::test]
async fn closing_the_response_cancels_the_call() {
    for via in Via::ALL {
        for capabilities in ["{}", super::EVERYTHING] {
            let never = |call: Call| async move {
                call.progress(r#""progress":1"#);
                call.never().await;
            };
            let upstream = fake("u").tool("never", never).start(via).await;
            let gateway = gateway().start().await;
            gateway.admin.connect(&upstream.definition()).await;
            let mut client = client(&gateway.url, "u").meta("progressToken", "t");
            capabilities.clone_into(&mut client.capabilities);
            let mut reply = client.request("tools/call", &json!({ "name": "never" })).send().await;
            reply.event().await.expect("progress");
            drop(reply);
            let cancelled = upstream.nth("notifications/cancelled", 0).await;
            let call = upstream.nth("tools/call", 0).await;
            assert_eq!(cancelled.envelope.param("requestId"), call.id(), "{via:?} {capabilities}");
            assert_eq!(cancelled.peer, call.peer, "{via:?}");
        }
    }
}

#[tokio::test]
async fn closing_a_response_that_has_not_begun_cancels_the_call() {
    let upstream = fake("u").tool("never", Call::never).start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = client(&gateway.url, "u");
    let sending = client.request("tools/call", &json!({ "name": "never" })).send();
    let call = tokio::select! {
        call = upstream.nth("tools/call", 0) => call,
        _ = sending => panic!("there is nothing to answer yet"),
    };
    let cancelled = upstream.nth("notifications/cancelled", 0).await;
    assert_eq!(Envelope::read(&cancelled.bytes).param("requestId"), call.id());
}
