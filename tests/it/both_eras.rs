//! Upstreams that speak both eras: the gateway uses the era of the client, so that no feature of either era is lost.

use std::collections::BTreeSet;

use harness::fake::{Call, Fake, Via, fake};
use harness::peer::{Link, Peer, Revision};
use harness::reference::{Reference, reference, reference_program};
use harness::{Client, InProcess, client, gateway};
use serde_json::{Value, json};

/// Starts an HTTP server whose modern side sends no requests to the client; returns it with its definition.
async fn thin(era: Option<&str>) -> (Reference, Value) {
    let server = reference(&["--http", "127.0.0.1:0", "--thin-modern"]).await;
    let mut definition = json!({ "name": "u", "transport": "streamable-http", "url": server.url });
    if let Some(era) = era {
        definition["era"] = json!(era);
    }
    (server, definition)
}

/// Returns the definition of a stdio server whose modern side sends no requests to the client. Its first request
/// decides the era of the process.
fn thin_program() -> Value {
    json!({ "name": "u", "transport": "stdio", "command": reference_program(),
        "args": ["--stdio", "--thin-modern", "--latch"] })
}

async fn started(definition: &Value) -> InProcess {
    let gateway = gateway().flags(["--naming-mode", "never"]).start().await;
    gateway.admin.connect(definition).await;
    gateway
}

fn endpoints(gateway: &InProcess) -> [Link; 4] {
    let stream = |path: &str| Link::Stream(format!("{}/{path}", gateway.url));
    let sse = |path: &str| Link::Sse(format!("{}/{path}", gateway.url));
    [stream("u/stream"), stream("mcp"), sse("u/sse"), sse("sse")]
}

fn answer(question: &Value) -> Value {
    match question["method"].as_str() {
        Some("sampling/createMessage") => {
            json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "42" } })
        }
        Some("elicitation/create") => json!({ "action": "accept", "content": { "username": "ada" } }),
        _ => json!({ "roots": [] }),
    }
}

/// Checks that a legacy client gets requests, log messages and resource updates.
async fn is_served_whole(gateway: &InProcess) {
    for link in endpoints(gateway) {
        let mut client = Peer::connect(Revision::LAST_LEGACY, link).await.expect("a session");
        let (asked, result) =
            client.converse("test_sampling", json!({ "prompt": "?" }), answer).await.expect("an answer");
        assert_eq!((asked.len(), result["isError"].as_bool()), (1, None), "{result}");
        client.call("test_tool_with_logging", json!({})).await.expect("an answer");
        client.notification("notifications/message").await.expect("a log message");
        let uri = "test://watched-resource";
        client.request("resources/subscribe", json!({ "uri": uri })).await.expect("a subscription");
    }
}

#[tokio::test]
async fn a_legacy_client_has_the_legacy_side_of_a_server_over_http() {
    let (_server, definition) = thin(None).await;
    let gateway = started(&definition).await;
    assert_eq!(gateway.admin.status("u").await["era"], "modern");
    is_served_whole(&gateway).await;
}

#[tokio::test]
async fn a_legacy_client_has_the_legacy_side_of_a_program() {
    let gateway = started(&thin_program()).await;
    assert_eq!(gateway.admin.status("u").await["era"], "modern");
    is_served_whole(&gateway).await;
}

#[tokio::test]
async fn a_modern_client_has_the_modern_side() {
    let (server, definition) = thin(None).await;
    let gateway = started(&definition).await;
    // A legacy client that connects at the same time changes nothing.
    Peer::connect(Revision::LAST_LEGACY, Link::Stream(format!("{}/u/stream", gateway.url))).await.expect("a session");
    let mut direct = Peer::connect(Revision::MODERN, Link::Stream(server.url.clone())).await.expect("a server");
    let discovered = direct.request("server/discover", json!({})).await.expect("an answer");
    let url = format!("{}/u/stream", gateway.url);
    let mut client = Peer::connect(Revision::MODERN, Link::Stream(url)).await.expect("a server");
    let through = client.request("server/discover", json!({})).await.expect("an answer");
    assert_eq!(through["capabilities"], discovered["capabilities"]);
    let refused = client.call("test_sampling", json!({ "prompt": "?" })).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("nobody is asked")));
}

async fn pid(client: &mut Peer) -> u64 {
    let result = client.call("test_counters", json!({})).await.expect("an answer");
    result["structuredContent"]["pid"].as_u64().expect("a pid")
}

/// Calls a tool as a legacy client without capabilities for server requests; returns the process id of the upstream.
async fn deaf(gateway: &InProcess) -> u64 {
    let mut session = harness::raw::session(&gateway.url, "u").open().await;
    let answer: Value = serde_json::from_str(&session.call("1", "test_counters", "{}").await).expect("JSON");
    answer["result"]["structuredContent"]["pid"].as_u64().expect("a pid")
}

#[tokio::test]
async fn clients_that_can_be_asked_nothing_share_one_legacy_process() {
    let gateway = started(&thin_program()).await;
    let url = format!("{}/u/stream", gateway.url);
    let mut modern = Peer::connect(Revision::MODERN, Link::Stream(url.clone())).await.expect("a server");
    let own = pid(&mut modern).await;
    let (one, two) = tokio::join!(deaf(&gateway), deaf(&gateway));
    let mut askable = Peer::connect(Revision::LAST_LEGACY, Link::Stream(url)).await.expect("a session");
    let theirs = pid(&mut askable).await;
    assert_eq!(one, two);
    assert_eq!(BTreeSet::from([own, one, theirs]).len(), 3);
}

#[tokio::test]
async fn one_process_for_all_is_all_there_is_where_the_definition_says_so() {
    let mut definition = thin_program();
    definition["sessionMode"] = json!("shared");
    let gateway = started(&definition).await;
    let url = format!("{}/u/stream", gateway.url);
    let mut modern = Peer::connect(Revision::MODERN, Link::Stream(url)).await.expect("a server");
    assert_eq!(deaf(&gateway).await, pid(&mut modern).await);
}

#[tokio::test]
async fn the_definition_may_force_one_era() {
    for era in ["legacy", "modern"] {
        let (_server, definition) = thin(Some(era)).await;
        let gateway = started(&definition).await;
        let url = format!("{}/u/stream", gateway.url);
        let mut client = Peer::connect(Revision::LAST_LEGACY, Link::Stream(url)).await.expect("a session");
        let conversed = client.converse("test_sampling", json!({ "prompt": "?" }), answer).await;
        assert_eq!(conversed.is_ok(), era == "legacy", "{era}");
    }
}

/// Starts a modern-only server that refuses `initialize` in one of the ways that servers do.
async fn modern_only(via: Via, refusal: &'static str) -> (Fake, Value) {
    let discover = |call: Call| async move {
        call.reply(r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}"#);
    };
    let refuse = move |call: Call| async move {
        match refusal {
            "" => call.hang_up(),
            error => call.fail(error),
        }
    };
    let script = fake("u").echo("echo").on("server/discover", discover).on("initialize", refuse);
    let upstream = script.start(via).await;
    let definition = upstream.undated_definition();
    (upstream, definition)
}

#[tokio::test]
async fn a_server_without_a_legacy_side_is_asked_once_and_bridged() {
    let refusals = [
        r#"{"code":-32022,"message":"no","data":{"supported":["2026-07-28"],"requested":"2025-11-25"}}"#,
        r#"{"code":-32601,"message":"Method not found"}"#,
        "",
    ];
    for refusal in refusals {
        let (upstream, definition) = modern_only(Via::Stdio, refusal).await;
        let gateway = started(&definition).await;
        let clients = (0..3).map(|_| async {
            let mut session = harness::raw::session(&gateway.url, "u").open().await;
            let answer = session.call("1", "echo", r#"{"a":1}"#).await;
            assert!(answer.contains(r#"{\"a\":1}"#), "{refusal}: {answer}");
        });
        futures_util::future::join_all(clients).await;
        assert_eq!(upstream.count("initialize"), 1, "{refusal}");
    }
}

/// Lets an official client of both eras choose the era, and returns its report.
async fn chosen(kind: Client, url: &str) -> Value {
    client(kind, &json!({ "url": url, "mode": "auto", "calls": [{ "tool": "echo", "arguments": { "message": "x" } }] }))
        .await
}

#[tokio::test]
async fn an_endpoint_may_speak_the_legacy_era_only_and_clients_of_both_choose_that() {
    let server = reference(&["--http", "127.0.0.1:0"]).await;
    let definition = |name: &str| json!({ "name": name, "transport": "streamable-http", "url": server.url });
    let mut old = definition("old");
    old["eras"] = json!("legacy");
    let gateway = gateway().flags(["--eras", "legacy", "--naming-mode", "never"]).start().await;
    gateway.admin.connect(&old).await;
    gateway.admin.connect(&definition("both")).await;
    for kind in [Client::PythonModern, Client::TypeScriptModern] {
        for (path, protocol) in [("old/stream", "2025-11-25"), ("mcp", "2025-11-25"), ("both/stream", "2026-07-28")] {
            let report = chosen(kind, &format!("{}/{path}", gateway.url)).await;
            assert_eq!(report["protocol"], protocol, "{kind:?} at {path}: {report}");
            assert_eq!(report["calls"][0]["result"]["content"][0]["type"], "text", "{kind:?} at {path}: {report}");
        }
    }
    let stored = gateway.admin.get("/admin/mcps/old").await.json();
    assert_eq!(stored["definition"]["eras"], "legacy", "{stored}");
}
