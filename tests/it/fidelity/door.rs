//! Messages that the gateway itself refuses, and the protocol error for each. None of them reaches an upstream.

use harness::fake::{Fake, Via, fake};
use harness::raw::{Face, Reply, Session, raw, session};
use harness::{InProcess, gateway};
use serde_json::Value;

const MIB: usize = 1 << 20;
const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;

struct Door {
    upstream: Fake,
    client: Session,
    gateway: InProcess,
}

async fn door(face: Face) -> Door {
    let upstream = fake("strict").echo("echo").start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = session(&gateway.url, "strict").over(face).open().await;
    Door { upstream, client, gateway }
}

async fn refused(mut reply: Reply, status: u16, code: i64) {
    let text = reply.text().await;
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    assert_eq!((reply.status, body["error"]["code"].as_i64()), (status, Some(code)), "{text}");
    assert_eq!((&body["jsonrpc"], body.get("id")), (&Value::from("2.0"), Some(&Value::Null)), "{text}");
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn refuses_what_is_no_message_or_could_be_read_in_two_ways() {
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{}{}}}"#, "[".repeat(128), "]".repeat(128));
    let cases = [
        ("", PARSE_ERROR),
        ("{", PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#, PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","m\u0065thod":"tools/list"}"#, PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/list"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","ID":1,"method":"ping"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","PARAMS":{}}"#, INVALID_REQUEST),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, INVALID_REQUEST),
        (r#" [{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, INVALID_REQUEST),
        (r#"{"id":1,"method":"ping"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","result":{}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1}"#, INVALID_REQUEST),
        (&deep, INVALID_REQUEST),
    ];
    for face in Face::ALL {
        let Door { upstream, client, .. } = door(face).await;
        for (body, code) in cases {
            println!("{face:?} {body}");
            refused(client.post(body.to_owned()).send().await, 400, code).await;
        }
        assert_eq!(reached(&upstream), Vec::<String>::new());
    }
}

/// Returns the client messages that reached the upstream, shortened.
fn reached(upstream: &Fake) -> Vec<String> {
    let own =
        ["initialize", "notifications/initialized", "tools/list", "resources/list", "resources/templates/list", "GET"];
    let foreign = upstream.received().into_iter().filter(|one| !own.contains(&one.method.as_str()));
    foreign.map(|one| one.text().chars().take(100).collect()).collect()
}

#[tokio::test]
async fn takes_a_message_as_deep_as_the_limit() {
    for face in Face::ALL {
        let Door { upstream: _upstream, mut client, .. } = door(face).await;
        let (open, close) = ("[".repeat(126), "]".repeat(126));
        let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"vendor/deep","params":{{"a":{open}{close}}}}}"#);
        let answer = client.request(&deep).await;
        assert!(answer.contains("Method not found"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_may_have_16_mib_and_no_byte_more() {
    for face in Face::ALL {
        let Door { upstream, mut client, .. } = door(face).await;
        let message = |size: usize| {
            let (head, tail) = (r#"{"jsonrpc":"2.0","id":1,"method":"vendor/big","params":{"a":""#, r#""}}"#);
            format!("{head}{}{tail}", "x".repeat(size - head.len() - tail.len()))
        };
        assert_eq!(client.post(message(16 * MIB + 1)).send().await.status, 413, "{face:?}");
        assert_eq!(reached(&upstream), Vec::<String>::new());
        assert!(client.request(&message(16 * MIB)).await.contains("Method not found"), "{face:?}");
    }
}

#[tokio::test]
async fn streamable_http_takes_json_only() {
    let Door { upstream: _upstream, client, .. } = door(Face::Stream).await;
    let ping = client.post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).without("content-type");
    assert_eq!(ping.clone().send().await.status, 415);
    for (kind, status) in [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json-patch+json", 415),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
    ] {
        assert_eq!(ping.clone().header("content-type", kind).send().await.status, status, "{kind}");
    }
}

#[tokio::test]
async fn a_request_belongs_to_a_session_that_lives_and_a_revision_that_is_known() {
    let Door { upstream: _upstream, client, gateway } = door(Face::Stream).await;
    let ping = client.post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let other = |id: &str| ping.clone().without("mcp-session-id").header("mcp-session-id", id);
    refused(ping.clone().without("mcp-session-id").send().await, 400, INVALID_REQUEST).await;
    for unknown in ["0123456789abcdef0123456789abcdef", "", "x y"] {
        let mut reply = other(unknown).send().await;
        let text = reply.text().await;
        // Plain text, because google-adk 2.13 would keep using the session if the body were a JSON-RPC error.
        assert!(reply.status == 404 && text.contains("`initialize` opens another") && !text.contains('{'), "{text}");
    }
    for known in ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] {
        assert_eq!(ping.clone().header("mcp-protocol-version", known).send().await.status, 200, "{known}");
    }
    for unknown in ["2099-01-01", "latest", ""] {
        refused(ping.clone().header("mcp-protocol-version", unknown).send().await, 400, INVALID_REQUEST).await;
    }
    let nobody = raw("POST", &format!("{}/nobody/stream", gateway.url)).header("content-type", "application/json");
    let mut reply = nobody.body("{}").send().await;
    let expected = r#"{"error":"MCP server not found","details":"name=nobody"}"#;
    assert_eq!((reply.status, reply.text().await), (404, expected.to_owned()));
}
