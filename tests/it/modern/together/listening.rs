//! `subscriptions/listen` across upstreams.

use super::*;
use crate::modern::listening::{listen, next, updated};

/// Returns a modern fake upstream that accepts every subscription; its tool `t` returns an empty result.
fn tells(name: &'static str) -> Script {
    let script = with_page(modern(name)).on("subscriptions/listen", |call: Call| async move {
        let wanted: Value = serde_json::from_str(&call.envelope.param("notifications")).expect("JSON");
        let agreed = json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {
            "_meta": { SUBSCRIPTION: call.id.parse::<u64>().expect("a number") }, "notifications": wanted } });
        call.send(agreed.to_string());
        call.never().await;
    });
    script.on("tools/call t", |call: Call| async move { call.reply(r#"{"resultType":"complete","content":[]}"#) })
}

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// Sends a resource update on every subscription of a modern server.
async fn tell(fake: &Fake, uri: &str) {
    for listen in fake.received().iter().filter(|received| received.method == "subscriptions/listen") {
        let mut notice: Value = serde_json::from_str(&updated(uri)).expect("JSON");
        notice["params"]["_meta"] = json!({ SUBSCRIPTION: listen.id().parse::<u64>().expect("a number") });
        fake.peer(listen.peer).await.send(notice.to_string());
    }
}

#[tokio::test]
async fn no_server_that_hangs_or_dies_ends_a_stream() {
    let one = with_page(fake("one")).start(Via::Stdio).await;
    let other = tells("other").start(Via::Stdio).await;
    let hung = with_page(fake("hung")).on("resources/subscribe", Call::never).start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&one.definition()).await;
    gateway.admin.connect(&modern_definition(&other)).await;
    gateway.admin.connect(&hung.definition()).await;
    gateway.admin.register(&json!({ "name": "dead", "transport": "sse", "url": "http://127.0.0.1:1/sse" })).await;
    let client = client_of_all(&gateway.url);
    tools(&client, 3).await;
    let (of_one, of_other) = ("mcp-proxy://one/x:r", "mcp-proxy://other/x:r");
    let wanted = [of_one, of_other, "mcp-proxy://hung/x:r", "mcp-proxy://dead/x:r", "y:z"];
    let mut stream = listen(&client, json!({ "resourceSubscriptions": wanted, "promptsListChanged": true })).await;
    let ack = next(&mut stream).await;
    let agreed = json!({ "resourceSubscriptions": [of_one, of_other], "promptsListChanged": true });
    assert_eq!(ack["params"]["notifications"], agreed, "{ack}");
    let first = one.nth("resources/subscribe", 0).await.peer;
    one.peer(first).await.send(updated("x:r/part"));
    assert_eq!(next(&mut stream).await["params"]["uri"], "mcp-proxy://one/x:r/part");
    tell(&other, "x:r").await;
    assert_eq!(next(&mut stream).await["params"]["uri"], of_other);
    one.peer(first).await.hang_up();
    tell(&other, "x:r").await;
    assert_eq!(next(&mut stream).await["params"]["uri"], of_other);
    let second = one.nth("resources/subscribe", 1).await.peer;
    one.peer(second).await.send(updated("x:r"));
    assert_eq!(next(&mut stream).await["params"]["uri"], of_one);
}

#[tokio::test]
async fn a_modern_server_that_comes_back_is_heard_again() {
    let other = tells("other").start(Via::Stdio).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&modern_definition(&other)).await;
    let client = client_of_all(&gateway.url);
    tools(&client, 1).await;
    let mut stream = listen(&client, json!({ "resourceSubscriptions": ["mcp-proxy://other/x:r"] })).await;
    next(&mut stream).await;
    other.peer(0).await.hang_up();
    let of_resource = || {
        let all = other.received();
        let of_resource = all.iter().filter(|it| it.text().contains("resourceSubscriptions"));
        of_resource.count()
    };
    eventually("it is listened to again", || async { (of_resource() == 2).then_some(()) }).await;
    tell(&other, "x:r").await;
    assert_eq!(next(&mut stream).await["params"]["uri"], "mcp-proxy://other/x:r");
}

#[tokio::test]
async fn changes_of_what_is_seen_are_told_and_nothing_else() {
    let (one, other) = (fake("one").echo("t").start(Via::Stdio).await, fake("other").echo("t").start(Via::Stdio).await);
    let gateway = gateway().start().await;
    gateway.admin.connect(&one.definition()).await;
    let client = client_of_all(&gateway.url);
    tools(&client, 1).await;
    let mut listening = listen(&client, json!({ "toolsListChanged": true })).await;
    let mut deaf = listen(&client, json!({ "promptsListChanged": true })).await;
    assert_eq!(next(&mut listening).await["params"]["notifications"], json!({ "toolsListChanged": true }));
    next(&mut deaf).await;
    gateway.admin.connect(&other.definition()).await;
    assert_eq!(next(&mut listening).await["method"], "notifications/tools/list_changed");
    tools(&client, 2).await;
    gateway.admin.delete("/admin/mcps/one").await;
    assert_eq!(next(&mut listening).await["method"], "notifications/tools/list_changed");
    assert_eq!(names(&tools(&client, 1).await), ["other__t"]);
    let (last, ()) = tokio::join!(next(&mut deaf), gateway.stop());
    assert_eq!(last["result"]["resultType"], "complete", "{last}");
}
