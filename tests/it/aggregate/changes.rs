//! Change notifications to clients, and the delay until clients see a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Maximum delay until a change is visible.
const SOON: Duration = Duration::from_secs(2);

/// Returns a fake upstream whose lists grow with every request: `t1`, then `t1 t2`, and so on.
fn growing(name: &'static str) -> Script {
    let asks = Arc::new(AtomicUsize::new(0));
    library(name).on("tools/list", move |call: Call| {
        let count = asks.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            let tools: Vec<String> = (1..=count).map(|number| format!(r#"{{"name":"t{number}"}}"#)).collect();
            call.reply(&format!(r#"{{"tools":[{}]}}"#, tools.join(",")));
        }
    })
}

#[tokio::test]
async fn a_client_that_lists_again_on_a_notice_sees_what_is_new() {
    for face in Face::ALL {
        let upstream = growing("g").start(Via::Stdio).await;
        let gateway = serve(&[], &[&upstream]).await;
        let mut client = session_with_all(&gateway.url).over(face).open().await;
        client.listen().await;
        lists(&mut client, "tools/list", &["g__t1"]).await;
        lists(&mut client, "resources/list", &["mcp-proxy://g/x:g"]).await;
        client.rest();
        let began = Instant::now();
        upstream.peer(0).await.send(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
        loop {
            client.next("notifications/tools/list_changed").await;
            if listed(&mut client, "tools/list").await == ["g__t1", "g__t2"] {
                break;
            }
        }
        assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn servers_that_come_and_go_change_the_lists() {
    let (one, other) =
        (library("one").echo("t").start(Via::Json).await, library("other").echo("t").start(Via::Json).await);
    let gateway = serve(&[], &[&one]).await;
    let mut client = session_with_all(&gateway.url).open().await;
    client.listen().await;
    lists(&mut client, "tools/list", &["one__t"]).await;
    gateway.admin.connect(&other.definition()).await;
    for list in ["tools", "prompts", "resources"] {
        client.next(&format!("notifications/{list}/list_changed")).await;
    }
    lists(&mut client, "tools/list", &["one__t", "other__t"]).await;
    let began = Instant::now();
    assert_eq!(gateway.admin.delete("/admin/mcps/one").await.status, 204);
    lists(&mut client, "tools/list", &["other__t"]).await;
    assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
    assert!(client.call("1", "one__t", "{}").await.contains("Unknown tool"));
}

#[tokio::test]
async fn a_server_that_comes_back_is_listed_again() {
    let upstream = fake("g").echo("t").start(Via::Sse).await;
    let gateway = serve(&[], &[&upstream]).await;
    let mut client = session_with_all(&gateway.url).open().await;
    lists(&mut client, "tools/list", &["g__t"]).await;
    upstream.down().await;
    lists(&mut client, "tools/list", &[]).await;
    assert!(client.call("1", "g__t", "{}").await.contains("not connected"));
    upstream.up().await;
    lists(&mut client, "tools/list", &["g__t"]).await;
    assert_eq!(client.call("2", "g__t", "{}").await, echoed("2", "{}"));
}

#[tokio::test]
async fn a_list_that_cannot_be_had_again_stays_as_it_was() {
    let asks = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asks);
    let script = library("g").on("tools/list", move |call: Call| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            match number {
                0 => call.reply(r#"{"tools":[{"name":"t"}]}"#),
                _ => call.fail(r#"{"code":-32603,"message":"not now"}"#),
            }
        }
    });
    let upstream = script.start(Via::Stdio).await;
    let gateway = serve(&[], &[&upstream]).await;
    let mut client = session_with_all(&gateway.url).open().await;
    lists(&mut client, "tools/list", &["g__t"]).await;
    upstream.peer(0).await.send(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
    upstream.nth("tools/list", 2).await;
    assert_eq!(listed(&mut client, "tools/list").await, ["g__t"]);
    assert_eq!(gateway.admin.get("/admin/tools").await.json()["count"], 1);
}

#[tokio::test]
async fn an_update_names_the_resource_as_the_client_subscribed_to_it() {
    for via in [Via::Stdio, Via::Events] {
        let upstream = library("g").start(via).await;
        let other = library("other").start(via).await;
        let gateway = serve(&[], &[&upstream, &other]).await;
        let mut client = session_with_all(&gateway.url).open().await;
        client.listen().await;
        lists(&mut client, "resources/list", &["mcp-proxy://g/x:g", "mcp-proxy://other/x:other"]).await;
        let subscribed = client.request(&request("1", "resources/subscribe", r#"{"uri":"mcp-proxy://g/x:g"}"#)).await;
        assert_eq!(subscribed, result("1", "{}"));
        assert_eq!(upstream.nth("resources/subscribe", 0).await.value()["params"]["uri"], "x:g");
        let number = if via == Via::Stdio { 0 } else { 1 };
        let told = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x:g"}}"#;
        upstream.peer(number).await.send(told);
        assert_eq!(client.next("resources/updated").await, told.replace("x:g", "mcp-proxy://g/x:g"));
        client.request(&request("2", "resources/unsubscribe", r#"{"uri":"mcp-proxy://g/x:g"}"#)).await;
        assert_eq!(upstream.nth("resources/unsubscribe", 0).await.value()["params"]["uri"], "x:g");
    }
}
