//! Event streams to clients: their start, their content, their readers, and the events that are kept for a client that
//! lost its stream.

mod batches;
mod faces;

use harness::fake::{Fake, Via, fake};
use harness::raw::{Face, Reply, Session, raw, session, tool_call};
use harness::wait::Gate;
use harness::{InProcess, eventually, gateway};
use serde_json::Value;

const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

/// Upstream with a tool that reports progress if the caller asks for it, and answers once the gate is open.
struct Slow {
    upstream: Fake,
    gateway: InProcess,
    done: Gate,
}

async fn slow(via: Via) -> Slow {
    let done = Gate::default();
    let wait = done.clone();
    let script = fake("slow").echo("echo").tool("slow", move |call| {
        let wait = wait.clone();
        async move {
            if !call.envelope.progress_token().is_empty() {
                call.progress(r#""progress":1"#);
            }
            wait.opened().await;
            call.echo();
        }
    });
    let upstream = script.start(via).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    Slow { upstream, gateway, done }
}

fn slow_call(id: &str) -> String {
    tool_call(id, "slow", "{}").replace(r#""params":{"#, r#""params":{"_meta":{"progressToken":"p"},"#)
}

fn again(client: &Session, last: &str) -> harness::raw::Raw {
    client.http("GET").header("last-event-id", last)
}

#[tokio::test]
async fn an_answer_is_kept_for_a_client_that_lost_its_stream_and_nothing_is_cancelled() {
    for via in Via::ALL {
        let Slow { upstream, gateway, done } = slow(via).await;
        let client = session(&gateway.url, "slow").open().await;
        let mut lost = client.post(slow_call("7")).send().await;
        assert_eq!(lost.event().await.unwrap_or_default().id, "1-0", "{via:?}");
        let progress = lost.event().await.unwrap_or_default();
        assert_eq!(progress.id, "1-1", "{via:?}");
        drop(lost);
        let mut taken_up = again(&client, "1-1").send().await;
        done.open();
        let answer = taken_up.event().await.unwrap_or_default();
        assert_eq!(answer.id, "1-2", "{via:?}");
        assert!(answer.data.starts_with(r#"{"jsonrpc":"2.0","id":7,"result""#), "{via:?}: {}", answer.data);
        assert_eq!(taken_up.event().await, None, "{via:?}: the stream ends with the answer");
        let mut once_more = again(&client, "1-0").send().await;
        assert_eq!(once_more.event().await, Some(progress), "{via:?}");
        assert_eq!(once_more.event().await, Some(answer), "{via:?}");
        assert_eq!(upstream.count("tools/call"), 1, "{via:?}");
        assert_eq!(upstream.count("notifications/cancelled"), 0, "{via:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_its_stream_begins_has_cancelled_nothing() {
    let Slow { upstream, gateway, done } = slow(Via::Events).await;
    let mut client = session(&gateway.url, "slow").open().await;
    tokio::select! {
        _ = client.post(tool_call("7", "slow", "{}")).send() => panic!("nothing answers yet"),
        _ = upstream.nth("tools/call", 0) => {}
    }
    assert!(client.call("7", "echo", "{}").await.contains("already in flight"));
    done.open();
    let client = tokio::sync::RwLock::new(client);
    eventually("the end of the call", || async {
        let answer = client.write().await.call("7", "echo", "{}").await;
        answer.contains("structuredContent").then_some(())
    })
    .await;
    assert_eq!(upstream.count("notifications/cancelled"), 0);
}

#[tokio::test]
async fn an_answer_that_takes_its_time_becomes_a_stream() {
    let Slow { gateway, done, upstream: _upstream } = slow(Via::Stdio).await;
    let client = session(&gateway.url, "slow").open().await;
    let mut quick = client.post(tool_call("1", "echo", "{}")).send().await;
    assert_eq!(quick.header("content-type"), "application/json");
    assert!(quick.text().await.contains("structuredContent"));
    let mut late = client.post(tool_call("2", "slow", "{}")).send().await;
    assert!(late.is_stream());
    done.open();
    assert_eq!(late.event().await.unwrap_or_default().id, "1-0");
    assert!(late.event().await.unwrap_or_default().data.contains("structuredContent"));
}

#[tokio::test]
async fn a_stream_begins_with_an_empty_event_for_clients_that_know_it() {
    let Slow { gateway, upstream: _upstream, .. } = slow(Via::Events).await;
    for (version, first) in [
        ("2025-11-25", "id: 1-0\ndata:\n\n"),
        ("2025-06-18", "id: 1-1\nevent: message\ndata: "),
        ("2025-03-26", "id: 1-1\nevent: message\ndata: "),
    ] {
        let hello = format!(r#"{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"raw"}}}}"#);
        let client = session(&gateway.url, "slow").hello(&hello).open().await;
        let mut stream = client.post(slow_call("1")).send().await;
        let event = stream.event().await.unwrap_or_default();
        assert!(event.raw.starts_with(first), "{version}: {:?}", event.raw);
        assert!(event.data.is_empty() || event.raw == format!("{first}{}\n\n", event.data), "{version}");
    }
}

#[tokio::test]
async fn a_sessions_own_stream_goes_on_where_its_client_lost_it() {
    for via in Via::ALL {
        let Slow { upstream, gateway, .. } = slow(via).await;
        let client = session(&gateway.url, "slow").capabilities(r#"{"roots":{}}"#).open().await;
        let told = |number: usize| CHANGED.replace('}', &format!(r#","n":{number}}}"#));
        let peer = upstream.peer(1).await;
        peer.send(told(1));
        let mut own = client.http("GET").send().await;
        expect(&mut own, "0-1", &told(1)).await;
        peer.send(told(2));
        expect(&mut own, "0-2", &told(2)).await;
        drop(own);
        peer.send(told(3));
        let mut resumed = again(&client, "0-1").send().await;
        expect(&mut resumed, "0-2", &told(2)).await;
        expect(&mut resumed, "0-3", &told(3)).await;
        let mut anew = client.http("GET").send().await;
        peer.send(told(4));
        expect(&mut anew, "0-4", &told(4)).await;
    }
}

async fn expect(stream: &mut Reply, id: &str, data: &str) {
    let event = stream.event().await.unwrap_or_default();
    assert_eq!((&*event.id, &*event.data), (id, data));
    assert_eq!(event.raw, format!("id: {id}\nevent: message\ndata: {data}\n\n"));
}

#[tokio::test]
async fn the_newest_reader_of_a_sessions_own_stream_takes_over() {
    let Slow { upstream, gateway, .. } = slow(Via::Events).await;
    let client = session(&gateway.url, "slow").open().await;
    let mut first = client.http("GET").send().await;
    let mut second = client.http("GET").send().await;
    assert_eq!(first.event().await, None);
    upstream.peer(1).await.send(CHANGED);
    expect(&mut second, "0-1", CHANGED).await;
}

#[tokio::test]
async fn a_stream_that_is_not_kept_cannot_be_taken_up() {
    let Slow { gateway, upstream: _upstream, .. } = slow(Via::Events).await;
    let client = session(&gateway.url, "slow").open().await;
    for unknown in ["", "1", "1-", "-1", "a-b", "1-1", "99999999999-1", "0-0-0"] {
        let mut refusal = again(&client, unknown).send().await;
        assert_eq!(refusal.status, 400, "{unknown}");
        let body: Value = serde_json::from_str(&refusal.text().await).unwrap_or_default();
        assert_eq!(body["error"]["code"], -32600, "{unknown}");
    }
}

#[tokio::test]
async fn every_stream_ends_with_its_session_and_with_its_upstream() {
    let Slow { gateway, upstream, .. } = slow(Via::Events).await;
    for ends in ["session", "upstream"] {
        let client = session(&gateway.url, "slow").open().await;
        let mut own = client.http("GET").send().await;
        let mut call = client.post(slow_call("1")).send().await;
        let mut sse = raw("GET", &format!("{}/slow/sse", gateway.url)).send().await;
        sse.event().await;
        match ends {
            "session" => assert_eq!(client.http("DELETE").send().await.status, 200),
            _ => assert_eq!(gateway.admin.delete("/admin/mcps/slow").await.status, 204),
        }
        assert_eq!(own.event().await, None, "{ends}");
        while call.event().await.is_some() {}
        if ends == "session" {
            upstream.nth("notifications/cancelled", 0).await;
        } else {
            assert_eq!(sse.event().await, None);
        }
    }
}

#[tokio::test]
async fn a_stream_is_read_to_its_end_however_late() {
    const EVENTS: usize = 100;
    let Slow { gateway, upstream, .. } = slow(Via::Stdio).await;
    let mut client = session(&gateway.url, "slow").open().await;
    let mut own = client.http("GET").send().await;
    let padding = "x".repeat(128 << 10);
    let peer = upstream.peer(0).await;
    for number in 0..EVENTS {
        peer.send(CHANGED.replace('}', &format!(r#","n":{number},"x":"{padding}"}}"#)));
    }
    // The process writes this response after the events, so the gateway has read all of them.
    client.call("1", "echo", "{}").await;
    assert_eq!(client.http("DELETE").send().await.status, 200);
    for number in 0..EVENTS {
        let event = own.event().await.unwrap_or_default();
        assert!(event.data.contains(&format!(r#""n":{number},"#)), "{number}: {}", event.raw.len());
    }
    assert_eq!(own.event().await, None);
}

#[tokio::test]
async fn a_session_over_sse_ends_with_its_stream() {
    for via in [Via::Sse, Via::Events] {
        let Slow { gateway, upstream, .. } = slow(via).await;
        let client = session(&gateway.url, "slow").over(Face::Sse).open().await;
        let late = client.post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        assert_eq!(upstream.live(), 2, "{via:?}");
        drop(client);
        eventually("the session's end", || async { (upstream.live() == 1).then_some(()) }).await;
        assert_eq!(late.send().await.status, 400, "{via:?}");
    }
}

#[tokio::test]
async fn a_call_in_flight_when_the_gateway_stops_is_answered() {
    for round in 0..5 {
        for face in Face::ALL {
            let Slow { gateway, done, upstream } = slow(Via::Events).await;
            let mut client = session(&gateway.url, "slow").over(face).open().await;
            client.begin(slow_call("1"));
            client.next("notifications/progress").await;
            let answered = async {
                done.open();
                client.answer("1").await
            };
            let ((), answer) = tokio::join!(gateway.stop(), answered);
            assert!(answer.contains("structuredContent"), "{round} {face:?}");
            drop(upstream);
        }
    }
}
