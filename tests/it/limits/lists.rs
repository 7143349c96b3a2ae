//! Refreshing of lists: at an interval, when a client asks, according to `ttlMs`, and on request of an operator.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::fake::{Call, Script, Via, fake};
use harness::raw::session_with_all;
use harness::{eventually, gateway};
use serde_json::json;
use tokio::time::sleep;

use super::serve;

/// Returns a fake upstream with as many tools as this counter.
fn growing(tools: &Arc<AtomicUsize>, announces: bool) -> Script {
    let tools = Arc::clone(tools);
    let list = move |call: Call| {
        let count = tools.load(Ordering::Relaxed);
        async move {
            let all: Vec<_> =
                (0..count).map(|number| json!({ "name": format!("t{number}"), "inputSchema": {} })).collect();
            call.reply(&json!({ "tools": all }).to_string());
        }
    };
    let handshake = move |call: Call| async move {
        let capabilities = if announces { json!({ "tools": { "listChanged": true } }) } else { json!({ "tools": {} }) };
        let info = json!({ "name": "q", "version": "1" });
        let version = call.argument("protocolVersion");
        call.reply(
            &json!({ "protocolVersion": version, "capabilities": capabilities, "serverInfo": info }).to_string(),
        );
    };
    fake("q").on("tools/list", list).on("initialize", handshake)
}

async fn listed(url: &str, tool: &str) {
    let mut client = session_with_all(url).open().await;
    let mut id = 0;
    let seen = async {
        loop {
            id += 1;
            let answer = client.request(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#)).await;
            if answer.contains(tool) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    harness::wait::within(harness::wait::DEADLINE, "a tool in the list", seen).await;
}

#[tokio::test]
async fn an_upstream_that_announces_nothing_is_listed_again() {
    for via in [Via::Stdio, Via::Events] {
        let tools = Arc::new(AtomicUsize::new(0));
        let flags = ["--refresh-interval", "300ms"];
        let (upstream, gateway) = serve(growing(&tools, false), via, &flags, &json!({})).await;
        upstream.nth("tools/list", 0).await;
        tools.store(1, Ordering::Relaxed);
        // No client asks for the list in the meantime.
        upstream.nth("tools/list", 2).await;
        listed(&gateway.url, "q__t0").await;
    }
}

#[tokio::test]
async fn a_client_that_asks_has_an_old_list_read_again_long_before_that_is_due() {
    let tools = Arc::new(AtomicUsize::new(0));
    // The list is stale after 3 s, and due for a refresh after 30 s.
    let own = json!({ "refreshInterval": "30s" });
    let (upstream, gateway) = serve(growing(&tools, false), Via::Events, &[], &own).await;
    upstream.nth("tools/list", 0).await;
    tools.store(1, Ordering::Relaxed);
    let before_it_is_due = Duration::from_secs(28);
    tokio::time::timeout(before_it_is_due, listed(&gateway.url, "q__t0")).await.expect("long before it is due");
}

#[tokio::test]
async fn an_upstream_that_announces_but_has_no_stream_to_do_it_on_is_listed_again() {
    let tools = Arc::new(AtomicUsize::new(0));
    let flags = ["--refresh-interval", "300ms"];
    let (upstream, gateway) = serve(growing(&tools, true).without_stream(), Via::Events, &flags, &json!({})).await;
    upstream.nth("tools/list", 0).await;
    tools.store(1, Ordering::Relaxed);
    listed(&gateway.url, "q__t0").await;
}

#[tokio::test]
async fn an_upstream_that_announces_changes_is_not_asked_for_nothing() {
    let tools = Arc::new(AtomicUsize::new(1));
    let flags = ["--refresh-interval", "100ms"];
    let (quiet, gateway) = serve(growing(&tools, true), Via::Stdio, &flags, &json!({})).await;
    let other = fake("other").on("tools/list", |call: Call| async move { call.reply(r#"{"tools":[],"ttlMs":100}"#) });
    let other = other.start(Via::Events).await;
    gateway.admin.connect(&other.definition()).await;
    // While the lists of one upstream are refreshed repeatedly, as its `ttlMs` asks for, the other is left alone.
    other.nth("tools/list", 9).await;
    assert_eq!(quiet.count("tools/list"), 1);
}

#[tokio::test]
async fn an_operator_has_lists_read_again_and_waits_for_it() {
    let tools = Arc::new(AtomicUsize::new(0));
    let (upstream, gateway) = serve(growing(&tools, true), Via::Stdio, &[], &json!({})).await;
    upstream.nth("tools/list", 0).await;
    tools.store(2, Ordering::Relaxed);
    let refreshed = gateway.admin.post("/admin/mcps/q/refresh", "").await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    let expected =
        json!({ "name": "q", "tools": 2, "prompts": 0, "resources": 0, "resourceTemplates": 0, "skills": 0 });
    assert_eq!(refreshed.json(), expected);
    assert_eq!(gateway.admin.get("/admin/tools").await.json()["count"], 2);

    let unknown = gateway.admin.post("/admin/mcps/nobody/refresh", "").await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    gateway.admin.register(&json!({ "name": "off", "transport": "stdio", "command": "false" })).await;
    let off = gateway.admin.post("/admin/mcps/off/refresh", "").await;
    assert_eq!((off.status, off.json()["code"].clone()), (503, json!("upstream_not_ready")), "{}", off.text);
}

#[tokio::test]
async fn a_slow_list_is_read_if_the_definition_gives_it_time_and_else_the_limit_is_named() {
    let slow = |call: Call| async move {
        sleep(Duration::from_millis(600)).await;
        call.reply(r#"{"tools":[{"name":"late","inputSchema":{}}]}"#);
    };
    let upstream = fake("slow").on("tools/list", slow).start(Via::Stdio).await;
    let gateway = gateway().flags(["--list-timeout", "200ms"]).start().await;
    let with = |name: &str, member: &str| {
        let mut definition = upstream.definition();
        definition["name"] = json!(name);
        definition[member] = json!("20s");
        definition
    };
    gateway.admin.connect(&upstream.definition()).await;
    let refused = gateway.admin.post("/admin/mcps/slow/refresh", "").await;
    assert!([502, 504].contains(&refused.status), "{}", refused.text);
    assert!(refused.text.contains("200ms (--list-timeout, or `listTimeout`"), "{}", refused.text);
    for member in ["timeout", "listTimeout"] {
        gateway.admin.connect(&with(member, member)).await;
        eventually("a late tool", || async {
            let tools = gateway.admin.get("/admin/tools").await;
            tools.text.contains(&format!(r#""mcpName":"{member}""#)).then_some(())
        })
        .await;
    }
}
