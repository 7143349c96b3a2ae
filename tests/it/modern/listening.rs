//! `subscriptions/listen`.

use std::sync::Arc;
use std::time::Duration;

use harness::fake::{Call, Via, fake};
use harness::raw::Reply;
use harness::{eventually, gateway};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Client, client, client_of_all};

const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

pub(super) fn updated(uri: &str) -> String {
    json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": { "uri": uri } }).to_string()
}

pub(crate) async fn listen(client: &Client, filter: Value) -> Reply {
    client.request("subscriptions/listen", &json!({ "notifications": filter })).send().await
}

pub(crate) async fn next(reply: &mut Reply) -> Value {
    let event = reply.event().await.expect("an event");
    let message: Value = serde_json::from_str(&event.data).expect("JSON");
    let meta = if message["params"].is_object() { &message["params"]["_meta"] } else { &message["result"]["_meta"] };
    assert_eq!(meta[SUBSCRIPTION], json!(1), "{message}");
    message
}

#[tokio::test]
async fn nothing_of_a_burst_is_missed_at_a_servers_own_endpoint_or_at_that_of_all() {
    const COUNT: usize = 1_000;
    for via in [Via::Stdio, Via::Events] {
        let upstream = fake("u").echo("a").start(via).await;
        let gateway = gateway().start().await;
        gateway.admin.connect(&upstream.definition()).await;
        for (client, prefix) in [(client(&gateway.url, "u"), ""), (client_of_all(&gateway.url), "mcp-proxy://u/")] {
            let mut stream = listen(&client, json!({ "resourceSubscriptions": [format!("{prefix}a://x")] })).await;
            next(&mut stream).await;
            let session = upstream.received().iter().rfind(|it| it.method == "resources/subscribe").map(|it| it.peer);
            let peer = upstream.peer(session.expect("a subscription")).await;
            (0..COUNT).for_each(|number| peer.send(updated(&format!("a://x/{number}"))));
            for number in 0..COUNT {
                assert_eq!(next(&mut stream).await["params"]["uri"], format!("{prefix}a://x/{number}"), "{via:?}");
            }
            drop(stream);
            let ended = || async { (upstream.count("resources/unsubscribe") > 0).then_some(()) };
            eventually("the subscription ends", ended).await;
        }
    }
}

#[tokio::test]
async fn a_listener_without_a_place_is_told_the_limit() {
    let upstream = fake("u").echo("a").start(Via::Json).await;
    let gateway = gateway().flags(["--max-sessions", "1"]).start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = client_of_all(&gateway.url);
    let mut first = listen(&client, json!({ "toolsListChanged": true })).await;
    next(&mut first).await;
    let refused = client.ask("subscriptions/listen", &json!({ "notifications": {} })).await;
    assert!(refused[0]["error"]["message"].to_string().contains("the limit is 1 (--max-sessions)"), "{refused:?}");
}

#[tokio::test]
async fn listeners_hear_what_they_asked_for() {
    for via in Via::ALL {
        let upstream = fake("u").echo("a").start(via).await;
        let gateway = gateway().start().await;
        gateway.admin.connect(&upstream.definition()).await;
        let client = client(&gateway.url, "u");
        let mut tools = listen(&client, json!({ "toolsListChanged": true, "promptsListChanged": true })).await;
        let mut one = listen(&client, json!({ "resourceSubscriptions": ["a://one"] })).await;
        let mut other = listen(&client, json!({ "resourceSubscriptions": ["a://one", "a://two"] })).await;
        let ack = next(&mut tools).await;
        assert_eq!(ack["method"], "notifications/subscriptions/acknowledged", "{via:?}");
        assert_eq!(ack["params"]["notifications"], json!({ "toolsListChanged": true }), "{via:?}");
        assert_eq!(next(&mut one).await["params"]["notifications"], json!({ "resourceSubscriptions": ["a://one"] }));
        next(&mut other).await;
        assert_eq!(upstream.count("resources/subscribe"), 2, "{via:?}");
        let number = upstream.nth("resources/subscribe", 0).await.peer;
        let peer = upstream.peer(number).await;
        peer.send(updated("a://two"));
        peer.send(CHANGED);
        peer.send(updated("a://one"));
        assert_eq!(next(&mut tools).await["method"], "notifications/tools/list_changed", "{via:?}");
        assert_eq!(next(&mut one).await["params"]["uri"], "a://one", "{via:?}");
        assert_eq!(next(&mut other).await["params"]["uri"], "a://two", "{via:?}");
        assert_eq!(next(&mut other).await["params"]["uri"], "a://one", "{via:?}");
        drop(other);
        let ended = upstream.nth("resources/unsubscribe", 0).await;
        assert_eq!(ended.value()["params"]["uri"], "a://two", "{via:?}: somebody still listens to the other");
        drop(one);
        let ended = upstream.nth("resources/unsubscribe", 1).await;
        assert_eq!(ended.value()["params"]["uri"], "a://one", "{via:?}");
    }
}

#[tokio::test]
async fn a_listener_of_an_upstream_that_goes_is_told_that_it_is_over() {
    let upstream = fake("u").echo("a").start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let mut reply = listen(&client(&gateway.url, "u"), json!({ "toolsListChanged": true })).await;
    next(&mut reply).await;
    gateway.admin.delete("/admin/mcps/u").await;
    assert_eq!(next(&mut reply).await["result"]["resultType"], "complete");
    assert!(reply.event().await.is_none());
}

#[tokio::test]
async fn a_listener_of_a_gateway_that_stops_is_told_that_it_is_over() {
    let upstream = fake("u").echo("a").start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let mut reply = listen(&client(&gateway.url, "u"), json!({})).await;
    next(&mut reply).await;
    let (last, ()) = tokio::join!(next(&mut reply), gateway.stop());
    assert_eq!(last["result"]["resultType"], "complete");
}

#[tokio::test]
async fn a_listener_goes_on_hearing_after_the_upstream_session_was_lost() {
    let upstream = fake("u").echo("a").start(Via::Stdio).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let mut reply = listen(&client(&gateway.url, "u"), json!({ "resourceSubscriptions": ["a://one"] })).await;
    next(&mut reply).await;
    let first = upstream.nth("resources/subscribe", 0).await.peer;
    upstream.peer(first).await.hang_up();
    let second = upstream.nth("resources/subscribe", 1).await.peer;
    assert_ne!(first, second);
    upstream.peer(second).await.send(updated("a://one"));
    assert_eq!(next(&mut reply).await["params"]["uri"], "a://one");
}

#[tokio::test]
async fn what_the_upstream_refuses_is_not_acknowledged() {
    let refuse = |call: Call| async move {
        if call.argument("uri") == "a://no" { call.fail(r#"{"code":-32602,"message":"no"}"#) } else { call.proceed() }
    };
    let upstream = fake("u").on("resources/subscribe", refuse).start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let filter = json!({ "resourceSubscriptions": ["a://no", "a://yes"] });
    let mut reply = listen(&client(&gateway.url, "u"), filter).await;
    let ack = next(&mut reply).await;
    assert_eq!(ack["params"]["notifications"], json!({ "resourceSubscriptions": ["a://yes"] }), "{ack}");
}

#[tokio::test]
async fn a_subscription_is_acknowledged_to_no_listener_before_the_upstream_accepts_it() {
    let gate = Arc::<Notify>::default();
    let gated = Arc::clone(&gate);
    let refuse = move |call: Call| {
        let gate = Arc::clone(&gated);
        async move {
            gate.notified().await;
            call.fail(r#"{"code":-32602,"message":"no"}"#);
        }
    };
    let upstream = fake("u").on("resources/subscribe", refuse).start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = client(&gateway.url, "u");
    let acknowledged = || async {
        let mut stream = listen(&client, json!({ "resourceSubscriptions": ["a://x"] })).await;
        next(&mut stream).await["params"]["notifications"].clone()
    };
    let second = async {
        upstream.nth("resources/subscribe", 0).await;
        let mut acknowledgement = Box::pin(acknowledged());
        let early = timeout(Duration::from_millis(300), &mut acknowledgement).await;
        assert!(early.is_err(), "{early:?}");
        gate.notify_one();
        acknowledgement.await
    };
    let both = tokio::join!(acknowledged(), second);
    assert_eq!(both, (json!({}), json!({})));
    assert_eq!(upstream.count("resources/subscribe"), 1);
}
