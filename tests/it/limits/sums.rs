//! State that clients leave behind is bounded: sessions that are not closed, responses that are not fetched, responses
//! that are not read.

use std::time::Duration;

use harness::fake::{Call, Script, Via, fake};
use harness::raw::{Session, session, session_with_all, tool_call};
use harness::wait::{DEADLINE, within};
use harness::{eventually, gateway};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

use super::serve;

/// Returns a fake upstream with a tool that takes a while and has a response of this size.
fn large(bytes: usize, pause: Duration) -> Script {
    fake("large").echo("echo").tool("large", move |call: Call| async move {
        sleep(pause).await;
        call.reply(&json!({ "content": [{ "type": "text", "text": "x".repeat(bytes) }] }).to_string());
    })
}

async fn lives(client: &Session) -> bool {
    let mut reply = client.post(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#).send().await;
    reply.text().await;
    reply.status == 200
}

#[tokio::test]
async fn the_session_that_was_silent_longest_makes_room_at_its_upstream() {
    for via in [Via::Stdio, Via::Events] {
        let own = json!({ "sessionMode": "dedicated", "maxSessions": 3 });
        let (upstream, gateway) = serve(fake("few").echo("echo"), via, &[], &own).await;
        let opening = session(&gateway.url, "few");
        let mut listening = opening.clone().open().await;
        listening.listen().await;
        let (silent, mut calling) = (opening.clone().open().await, opening.clone().open().await);
        assert!(calling.call("1", "echo", "{}").await.contains("structuredContent"));
        let mut newest = opening.clone().open().await;
        assert!(newest.call("1", "echo", "{}").await.contains("structuredContent"), "{via:?}");
        assert_eq!(
            (lives(&listening).await, lives(&silent).await, lives(&calling).await),
            (true, false, true),
            "{via:?}"
        );
        // A client of all upstreams is accepted in the same way, and so are 20 more clients that never leave.
        let mut all = session_with_all(&gateway.url).open().await;
        assert!(all.call("1", "few__echo", "{}").await.contains("structuredContent"), "{via:?}");
        for _ in 0..20 {
            opening.clone().open().await;
        }
        assert!(lives(&listening).await, "{via:?}");
        assert!(upstream.live() <= 5, "{via:?}: {} live", upstream.live());
    }
}

#[tokio::test]
async fn a_gateway_that_is_full_lets_the_longest_silent_go() {
    let (_upstream, gateway) = serve(fake("few").echo("echo"), Via::Stdio, &["--max-sessions", "2"], &json!({})).await;
    let opening = session_with_all(&gateway.url);
    let (first, second) = (opening.clone().open().await, opening.clone().open().await);
    assert!(lives(&first).await);
    let mut third = opening.clone().open().await;
    assert_eq!((lives(&first).await, lives(&second).await, lives(&third).await), (true, false, true));
    third.listen().await;
    let mut other = opening.clone().open().await;
    other.listen().await;
    let refused = opening.refused().await;
    assert_eq!(refused.status, 503);
    assert!(refused.text.contains("the limit is 2 (--max-sessions)"), "{}", refused.text);
}

#[tokio::test]
async fn answers_that_nobody_fetches_share_one_budget() {
    let flags = ["--max-kept-bytes", "1MiB"];
    let script = large(600 << 10, Duration::from_millis(1_100));
    let (_upstream, gateway) = serve(script, Via::Events, &flags, &json!({})).await;
    let mut abandoned = Vec::new();
    for _ in 0..2 {
        let client = session(&gateway.url, "large").open().await;
        let mut stream = client.post(tool_call("1", "large", "{}")).send().await;
        assert_eq!(stream.event().await.unwrap_or_default().id, "1-0");
        drop(stream);
        // The id is free again once the call has ended and its response is stored.
        eventually("the end of the call", || async {
            let mut answer = client.post(tool_call("1", "echo", "{}")).send().await;
            answer.text().await.contains("structuredContent").then_some(())
        })
        .await;
        abandoned.push(client);
    }
    let fetch = |client: &Session| client.http("GET").header("last-event-id", "1-0").send();
    let mut newest = fetch(&abandoned[1]).await;
    assert!(newest.event().await.unwrap_or_default().data.contains("xxxx"));
    let mut oldest = fetch(&abandoned[0]).await;
    assert_eq!(oldest.status, 400);
    assert!(oldest.text().await.contains("no longer kept"));
}

/// Requests a large response and does not read it, until the gateway closes the connection.
async fn is_let_go(address: &str, path: &str, session: &str) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4 << 10).expect("a small buffer");
    let mut stream = socket.connect(address.parse().expect("an address")).await.expect("a connection");
    let body = tool_call("1", "large", "{}");
    let head = [
        &format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"),
        "Accept: application/json, text/event-stream\r\n",
        &format!("Mcp-Session-Id: {session}\r\nContent-Length: {}\r\n\r\n", body.len()),
    ];
    stream.write_all(format!("{}{body}", head.concat()).as_bytes()).await.expect("a request");
    // Writing to a connection that was closed fails with a reset.
    eventually("the end of the connection", || async { stream.try_write(b"\r\n").is_err().then_some(()) }).await;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.ok();
    assert!(rest.len() < 12 << 20, "{path}: all of it came");
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_let_go_whoever_writes_it() {
    let flags = ["--write-timeout", "500ms"];
    let script = large(12 << 20, Duration::ZERO);
    let (_upstream, gateway) = serve(script, Via::Events, &flags, &json!({})).await;
    let address = gateway.url.trim_start_matches("http://");
    for path in ["/large/stream", "/mcp-proxy/large/stream"] {
        let client = session(&gateway.url, "large").open().await;
        within(Duration::from_secs(30), path, is_let_go(address, path, &client.id)).await;
    }
}

/// Sends one request on a new connection, and returns the response.
async fn asked(authority: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(authority).await.expect("a gateway");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a gateway that listens");
    let mut response = String::new();
    within(DEADLINE, "a response", stream.read_to_string(&mut response)).await.expect("a response");
    response
}

#[tokio::test]
async fn health_is_told_while_every_place_of_a_connection_is_taken() {
    let gateway = gateway().flags(["--max-connections", "2"]).start().await;
    let authority = gateway.url.trim_start_matches("http://");
    let held = [TcpStream::connect(authority).await, TcpStream::connect(authority).await];
    eventually("the gateway is full", || async {
        let response = asked(authority, "/admin/mcps").await;
        (response.starts_with("HTTP/1.1 503 ") && response.contains("--max-connections")).then_some(())
    })
    .await;
    for path in ["/healthz", "/readyz", "/healthz"] {
        let response = asked(authority, path).await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{path}: {response}");
    }
    drop(held);
    eventually("there is room again", || async {
        asked(authority, "/admin/mcps").await.starts_with("HTTP/1.1 200 ").then_some(())
    })
    .await;
}
