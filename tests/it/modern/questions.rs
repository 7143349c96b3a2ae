//! Server requests during a call: the call is parked, and the client answers with a retry.

use std::sync::atomic::{AtomicUsize, Ordering};

use harness::fake::{Call, Via, fake};
use harness::gateway;
use serde_json::{Value, json};

use super::{QUESTION, client, keys, retry, state};

const ROOTS: &str = r#"{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#;
const ACCEPT: &str = r#"{"action":"accept","content":{}}"#;

fn accept() -> Value {
    serde_json::from_str(ACCEPT).expect("JSON")
}

/// Returns the text of a result.
fn said(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}

fn say(call: &Call, text: &str) {
    call.reply(&json!({ "content": [{ "type": "text", "text": text }] }).to_string());
}

async fn ask_two_at_once(call: Call) {
    let (first, second) = tokio::join!(call.ask(QUESTION), call.ask(ROOTS));
    say(&call, &format!("{first} {second}"));
}

#[tokio::test]
async fn parallel_questions_are_asked_together_over_every_transport() {
    for via in Via::ALL {
        let upstream = fake("u").tool("two", ask_two_at_once).start(via).await;
        let gateway = gateway().start().await;
        gateway.admin.connect(&upstream.definition()).await;
        let client = client(&gateway.url, "u").askable();
        let asked = client.call("two", json!({})).await;
        assert_eq!(asked["result"]["resultType"], "input_required", "{via:?}: {asked}");
        assert_eq!(keys(&asked).len(), 2, "{via:?}: {asked}");
        let answer = client.call("two", retry(&asked, &accept())).await;
        let given =
            format!(r#"{{"jsonrpc":"2.0","id":"q","result":{ACCEPT}}} {{"jsonrpc":"2.0","id":"r","result":{ACCEPT}}}"#);
        assert_eq!(said(&answer), given, "{via:?}");
        assert_eq!(answer["result"]["resultType"], "complete");
        assert_eq!(upstream.count("tools/call"), 1, "{via:?}: the call was never sent again");
    }
}

#[tokio::test]
async fn what_is_not_answered_is_asked_again_under_a_new_state() {
    let upstream = fake("u").tool("two", ask_two_at_once).start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = client(&gateway.url, "u").askable();
    let first = client.call("two", json!({})).await;
    let [one, two] = keys(&first).try_into().expect("two questions");
    let responses = json!({ one: accept(), "extra": accept(), two.clone(): 7 });
    let partly = json!({ "requestState": state(&first), "inputResponses": responses });
    let second = client.call("two", partly).await;
    assert_eq!(keys(&second), [two], "{second}");
    assert_ne!(state(&first), state(&second));
    let answer = client.call("two", retry(&second, &accept())).await;
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
}

#[tokio::test]
async fn nobody_is_asked_for_ever() {
    let upstream = fake("u").tool("two", ask_two_at_once).start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = client(&gateway.url, "u").askable();
    let mut answer = client.call("two", json!({})).await;
    for _ in 1..10 {
        answer = client.call("two", json!({ "requestState": state(&answer) })).await;
    }
    answer = client.call("two", json!({ "requestState": state(&answer) })).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    upstream.nth("notifications/cancelled", 0).await;
}

#[tokio::test]
async fn a_client_is_asked_only_what_it_declared() {
    let script = fake("u").tool("two", ask_two_at_once).on("resources/list", |call| async move {
        let refused = call.ask(QUESTION).await;
        call.fail(&json!({ "code": -1, "message": refused }).to_string());
    });
    let upstream = script.start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let mut client = client(&gateway.url, "u").askable();
    let outside = client.ask("resources/list", &json!({})).await.pop().expect("an answer");
    let refused = outside["error"]["message"].as_str().unwrap_or_default();
    assert!(refused.contains("cannot be asked"), "{outside}");
    client.capabilities = r#"{"roots":{}}"#.to_owned();
    let asked = client.call("two", json!({})).await;
    assert_eq!(keys(&asked).len(), 1, "{asked}");
    let hello = upstream.find("the second handshake of a client", |all| {
        all.iter().filter(|received| received.method == "initialize").nth(2).cloned()
    });
    assert_eq!(hello.await.value()["params"]["capabilities"], json!({ "roots": {} }));
}

#[tokio::test]
async fn urls_are_visited_before_the_call_is_sent_again() {
    let refusal = json!({ "code": -32042, "message": "log in first", "data": { "elicitations": [
        { "mode": "url", "elicitationId": "e", "url": "https://example.test", "message": "log in" } ] } });
    let calls = AtomicUsize::new(0);
    let script = fake("u").tool("guarded", move |call: Call| {
        let (refusal, number) = (refusal.to_string(), calls.fetch_add(1, Ordering::SeqCst));
        async move { if number == 0 { call.fail(&refusal) } else { say(&call, "done") } }
    });
    let upstream = script.start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let able = client(&gateway.url, "u").askable();
    let asked = able.call("guarded", json!({})).await;
    let params = &asked["result"]["inputRequests"][keys(&asked)[0].as_str()]["params"];
    assert_eq!(*params, json!({ "mode": "url", "url": "https://example.test", "message": "log in" }));
    let answer = able.call("guarded", retry(&asked, &json!({ "action": "accept" }))).await;
    assert_eq!(said(&answer), "done");
}

#[tokio::test]
async fn who_cannot_or_will_not_visit_urls_is_told_so() {
    let refusal = json!({ "code": -32042, "message": "log in first", "data": { "elicitations": [
        { "mode": "url", "elicitationId": "e", "url": "https://example.test", "message": "log in" } ] } });
    let script = fake("u").tool("guarded", move |call: Call| {
        let refusal = refusal.to_string();
        async move { call.fail(&refusal) }
    });
    let upstream = script.start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let unable = client(&gateway.url, "u");
    let answer = unable.call("guarded", json!({})).await;
    assert_eq!(answer["error"]["code"], -32021, "{answer}");
    assert_eq!(answer["error"]["data"], json!({ "requiredCapabilities": { "elicitation": { "url": {} } } }));
    let able = unable.askable();
    let asked = able.call("guarded", json!({})).await;
    let answer = able.call("guarded", retry(&asked, &json!({ "action": "decline" }))).await;
    assert_eq!(answer["error"]["code"], -32603, "{answer}");
}
