//! Every queue is bounded, and a full queue is reported: no upstream can delay the gateway or other upstreams.

use std::time::Duration;

use harness::fake::{Call, Fake, Script, Via, fake};
use harness::raw::{Face, session, tool_call};
use harness::wait::Gate;
use harness::{InProcess, eventually, gateway};
use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use super::{PROMPT, kind};

async fn serve(script: Script, via: Via, more: &Value) -> (Fake, InProcess) {
    let upstream = script.start(via).await;
    let gateway = gateway().start().await;
    let mut definition = upstream.definition();
    for (name, value) in more.as_object().into_iter().flatten() {
        definition[name] = value.clone();
    }
    gateway.admin.connect(&definition).await;
    (upstream, gateway)
}

#[tokio::test]
async fn sessions_of_their_own_are_bounded_and_a_place_is_free_again_when_one_ends() {
    for via in [Via::Stdio, Via::Events] {
        let bound = json!({ "sessionMode": "dedicated", "maxSessions": 2 });
        let (upstream, gateway) = serve(fake("few"), via, &bound).await;
        let opening = session(&gateway.url, "few");
        // Each session has an open stream, so that neither is idle and evicted.
        let (mut one, _two) = (opening.clone().open().await, opening.clone().over(Face::Sse).open().await);
        one.listen().await;
        let refused = opening.clone().refused().await;
        assert_eq!((refused.status, kind(&refused.text)), (503, json!("too_many_sessions")), "{via:?}");
        assert_eq!(upstream.count("initialize"), 3, "{via:?}: the third never reached the upstream");
        one.end().await;
        eventually("a free place", || async { (opening.clone().refused().await.status == 200).then_some(()) }).await;
    }
}

#[tokio::test]
async fn requests_in_flight_are_bounded_and_a_greedy_client_leaves_room_for_others() {
    /// A client's share of 256, while it is alone.
    const SHARE: usize = 224;
    let done = Gate::default();
    let wait = done.clone();
    let script = fake("busy").tool("hold", move |call| {
        let wait = wait.clone();
        async move {
            wait.opened().await;
            call.echo();
        }
    });
    let (upstream, gateway) = serve(script.echo("quick"), Via::Stdio, &json!({})).await;
    let mut client = session(&gateway.url, "busy").open().await;
    for id in 0..SHARE {
        client.begin(tool_call(&id.to_string(), "hold", "{}"));
    }
    upstream.nth("tools/call", SHARE - 1).await;
    let busy = client.call("\"more\"", "hold", "{}").await;
    assert_eq!(kind(&busy), "upstream_busy");
    assert!(busy.contains("the limit is 256, of which a part is kept for other clients"), "{busy}");
    // The greedy client leaves room for another, which leaves some for a third.
    let (mut others, mut begun) = (Vec::new(), SHARE);
    for share in [28, 4] {
        let mut other = session(&gateway.url, "busy").open().await;
        assert!(other.call("\"quick\"", "quick", "{}").await.contains("structuredContent"));
        for id in 0..share {
            other.begin(tool_call(&id.to_string(), "hold", "{}"));
        }
        begun += share + 1;
        upstream.nth("tools/call", begun - 1).await;
        others.push(other);
    }
    assert_eq!(kind(&client.call("\"more\"", "hold", "{}").await), "upstream_busy");
    let refused = gateway.admin.call("busy", "hold", &json!({})).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{}", refused.text);
    done.open();
    for id in 0..SHARE {
        assert!(client.answer(&id.to_string()).await.contains("structuredContent"));
    }
    assert_eq!(upstream.count("tools/call"), begun);
}

#[tokio::test]
async fn an_upstream_that_never_lists_delays_nobody_elses_tools() {
    let script = fake("hung").echo("x").on("tools/list", Call::never);
    let (_hung, gateway) = serve(script, Via::Events, &json!({})).await;
    let other = fake("other").echo("echo").start(Via::Stdio).await;
    gateway.admin.connect(&other.definition()).await;
    eventually("the other's tools", || async {
        let began = Instant::now();
        let tools = gateway.admin.get("/admin/tools").await.json();
        assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
        (tools["count"] == 1 && tools["tools"][0]["mcpName"] == "other").then_some(())
    })
    .await;
    let began = Instant::now();
    assert_eq!(gateway.admin.call("other", "echo", &json!({})).await.status, 200);
    assert!(began.elapsed() < PROMPT);
}

#[tokio::test]
async fn five_thousand_tools_are_listed_whole_and_in_order() {
    let names: Vec<String> = (0..5_000).map(|number| format!("tool-{number}")).collect();
    let script = names.iter().fold(fake("large"), |script, name| script.echo(name)).pages_of(100);
    let (_large, gateway) = serve(script, Via::Stdio, &json!({})).await;
    let listed = eventually("all tools", || async {
        let tools = gateway.admin.get("/admin/tools").await.json();
        (tools["count"] == 5_000).then_some(tools)
    })
    .await;
    let listed = listed["tools"].as_array().expect("a list").iter().map(|tool| tool["name"].as_str().expect("a name"));
    assert!(listed.eq(names.iter().map(String::as_str)));
}

#[tokio::test]
async fn pages_that_lead_back_to_one_another_are_read_once() {
    let script = fake("loop").echo("a").on("tools/list", |call: Call| async move {
        let next = if call.argument("cursor") == "there" { "back" } else { "there" };
        call.reply(&format!(r#"{{"tools":[{{"name":"{next}"}}],"nextCursor":"{next}"}}"#));
    });
    let (endless, gateway) = serve(script, Via::Events, &json!({})).await;
    let listed = eventually("a list", || async {
        let tools = gateway.admin.get("/admin/tools").await.json();
        (tools["count"].as_u64() > Some(0)).then_some(tools)
    })
    .await;
    assert_eq!(listed["count"], 3, "{listed}");
    assert_eq!(endless.count("tools/list"), 3);
}

#[tokio::test]
async fn an_upstream_that_changes_all_the_time_is_listed_now_and_then() {
    const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    let (restless, gateway) = serve(fake("restless").echo("echo"), Via::Stdio, &json!({})).await;
    let mut client = session(&gateway.url, "restless").open().await;
    client.listen().await;
    let peer = restless.peer(0).await;
    let mut tick = interval(Duration::from_millis(10));
    for number in 0..100 {
        tick.tick().await;
        peer.send(CHANGED);
        if number % 10 == 0 {
            let began = Instant::now();
            assert!(client.call(&number.to_string(), "echo", "{}").await.contains("structuredContent"));
            assert_eq!(gateway.admin.get("/admin/tools").await.json()["count"], 1);
            assert!(began.elapsed() < PROMPT);
        }
    }
    for _ in 0..100 {
        assert_eq!(client.next("list_changed").await, CHANGED);
    }
    let lists = restless.count("tools/list");
    assert!((2..=40).contains(&lists), "listed {lists} times");
}
