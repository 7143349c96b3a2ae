//! Both HTTP endpoints as clients see them: paths, methods, headers, framing, refusals.

use harness::fake::{Fake, Via, fake};
use harness::raw::{Raw, Reply, raw, session};
use harness::{InProcess, gateway};
use serde_json::Value;

use super::{Slow, slow, slow_call};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const INITIALIZE: &str =
    r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}"#;

async fn one(flags: &[&str]) -> (Fake, InProcess) {
    let upstream = fake("one").echo("echo").start(Via::Stdio).await;
    let gateway = gateway().flags(flags).start().await;
    gateway.admin.connect(&upstream.definition()).await;
    (upstream, gateway)
}

fn post(url: &str, body: &str) -> Raw {
    raw("POST", url).header("content-type", "application/json").body(body.to_owned())
}

#[tokio::test]
async fn the_endpoint_event_names_a_path_alone_unless_a_base_url_is_given() {
    let with_base = ["--base-url", "https://gateway.example/base/", "--allowed-hosts", "127.0.0.1"];
    for (flags, path, expected) in [
        (&[][..], "/one/sse", "/one/message"),
        (&[], "/one/sse/extra/segments", "/one/message"),
        (&[], "/mcp-proxy/one/sse", "/mcp-proxy/one/message"),
        (&[], "/one/sse/", "/one/message"),
        (&[], "/one/sse?token=x", "/one/message"),
        (&with_base, "/one/sse", "https://gateway.example/base/one/message"),
    ] {
        let (_upstream, gateway) = one(flags).await;
        let url = format!("{}{path}", gateway.url);
        let mut stream = raw("GET", &url).header("accept", "text/event-stream").send().await;
        assert_eq!(stream.status, 200, "{path}");
        assert_eq!(stream.header("content-type"), "text/event-stream");
        assert_eq!(stream.header("cache-control"), "no-cache");
        assert_eq!(stream.header("x-accel-buffering"), "no");
        let event = stream.event().await.unwrap_or_default();
        let (address, id) = event.data.split_once("?sessionId=").unwrap_or_default();
        assert_eq!(address, expected, "{path}");
        assert_eq!((id.len(), id.chars().all(|c| c.is_ascii_hexdigit())), (32, true), "{id}");
        assert_eq!(event.raw, format!("event: endpoint\ndata: {expected}?sessionId={id}\r\n\r\n"));
    }
}

#[tokio::test]
async fn a_message_over_sse_is_acknowledged_empty_and_answered_on_the_stream() {
    let (_upstream, gateway) = one(&[]).await;
    let mut stream = raw("GET", &format!("{}/one/sse", gateway.url)).send().await;
    let endpoint = format!("{}{}", gateway.url, stream.event().await.unwrap_or_default().data);
    for (body, answer) in [
        (PING, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
        (r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#, r#"{"jsonrpc":"2.0","id":2,"error":{"#),
        (INITIALIZE, r#"{"jsonrpc":"2.0","id":0,"result":{"#),
        (INITIALIZE, r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32600,"#),
    ] {
        // Clients of this revision were never required to send a `Content-Type`.
        let mut acknowledged = raw("POST", &endpoint).body(body).send().await;
        assert_eq!((acknowledged.status, acknowledged.text().await), (202, String::new()));
        let event = stream.event().await.unwrap_or_default();
        assert!(event.data.starts_with(answer), "{}", event.data);
        assert_eq!(event.raw, format!("event: message\ndata: {}\n\n", event.data));
    }
}

#[tokio::test]
async fn refusals_over_sse_are_those_of_the_ancestor() {
    let (_upstream, gateway) = one(&[]).await;
    let mut stream = raw("GET", &format!("{}/one/sse", gateway.url)).send().await;
    let endpoint = format!("{}{}", gateway.url, stream.event().await.unwrap_or_default().data);
    let message = format!("{}/one/message", gateway.url);
    let error = |code: i32, words: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":{code},"message":"{words}"}}}}"#)
    };
    for (request, expected) in [
        (post(&message, PING), error(-32602, "Missing sessionId")),
        (post(&format!("{message}?sessionId="), PING), error(-32602, "Missing sessionId")),
        (post(&format!("{message}?sessionId=nobody"), PING), error(-32602, "Invalid session ID")),
        (post(&endpoint, "{"), error(-32700, "Parse error")),
        (raw("GET", &endpoint), error(-32600, "Method not allowed")),
        (raw("DELETE", &endpoint), error(-32600, "Method not allowed")),
        (raw("PUT", &endpoint).body(PING), error(-32600, "Method not allowed")),
    ] {
        let mut refusal = request.send().await;
        assert_eq!((refusal.status, refusal.text().await), (400, expected));
        assert_eq!(refusal.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn streamable_http_answers_at_every_spelling_of_its_path() {
    let (_upstream, gateway) = one(&[]).await;
    for path in ["/one/stream", "/one/mcp", "/one/stream/", "/one/stream/more/of/it", "/one/mcp/more"] {
        for prefix in ["", "/mcp-proxy"] {
            let url = format!("{}{prefix}{path}", gateway.url);
            let mut answer = post(&url, INITIALIZE).send().await;
            assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{url}");
            assert_eq!(answer.header("mcp-session-id").len(), 32, "{url}");
            assert!(answer.text().await.contains(r#""serverInfo":{"name":"one""#), "{url}");
        }
    }
}

#[tokio::test]
async fn other_verbs_are_not_allowed_and_those_that_are_get_named() {
    let (_upstream, gateway) = one(&[]).await;
    for verb in ["PUT", "PATCH", "OPTIONS", "HEAD", "TRACE", "BREW"] {
        let reply = raw(verb, &format!("{}/one/stream", gateway.url)).send().await;
        assert_eq!((reply.status, reply.header("allow")), (405, "GET, POST, DELETE"), "{verb}");
    }
    for verb in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let reply = raw(verb, &format!("{}/one/sse", gateway.url)).send().await;
        assert_eq!(reply.status, 405, "{verb}");
    }
}

#[tokio::test]
async fn a_client_that_takes_json_only_gets_json_and_hears_the_rest_on_its_own_stream() {
    let Slow { upstream, gateway, done } = slow(Via::Events).await;
    let mut client = session(&gateway.url, "slow").open().await;
    client.listen().await;
    let json_only = client.post(slow_call("1")).without("accept").header("accept", "application/json");
    let progress = async {
        let progress = client.next("notifications/progress").await;
        assert!(progress.contains(r#""progressToken":"p""#), "{progress}");
        done.open();
    };
    let (mut reply, ()) = tokio::join!(json_only.send(), progress);
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    assert!(reply.text().await.contains("structuredContent"));
    drop(upstream);
}

#[tokio::test]
async fn a_client_that_takes_anything_gets_a_stream_where_there_is_something_to_stream() {
    let Slow { upstream: _upstream, gateway, .. } = slow(Via::Events).await;
    let client = session(&gateway.url, "slow").open().await;
    let call = |id: &str| client.post(slow_call(id)).without("accept");
    for (id, accept) in [("1", Some("*/*")), ("2", Some("text/*;q=0.5, application/json")), ("3", None)] {
        let call = accept.map_or_else(|| call(id), |accept| call(id).header("accept", accept));
        assert!(call.send().await.is_stream(), "{accept:?}");
    }
}

#[tokio::test]
async fn a_stream_is_for_clients_that_take_one() {
    let Slow { upstream: _upstream, gateway, .. } = slow(Via::Events).await;
    let client = session(&gateway.url, "slow").open().await;
    let own = client.http("GET").without("accept");
    assert_eq!(own.clone().header("accept", "application/json").send().await.status, 406);
    assert_eq!(own.header("accept", "text/event-stream").send().await.status, 200);
    refused(client.http("GET").without("mcp-session-id").send().await, 400).await;
    refused(client.http("DELETE").without("mcp-session-id").send().await, 400).await;
}

async fn refused(mut reply: Reply, status: u16) {
    let body: Value = serde_json::from_str(&reply.text().await).unwrap_or_default();
    assert_eq!((reply.status, &body["error"]["code"]), (status, &Value::from(-32600)));
}
