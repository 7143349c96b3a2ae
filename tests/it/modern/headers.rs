//! Required headers.

use harness::fake::{Via, fake};
use harness::gateway;
use harness::raw::{Raw, raw};
use serde_json::{Value, json};

use super::{Client, VERSION, client};

const MISMATCH: i64 = -32020;
const TOOL: &str = r#"{"name":"a","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"N"}}}}"#;

async fn check(what: &str, request: Raw, status: u16, code: Option<i64>) {
    let mut reply = request.send().await;
    let text = reply.text().await;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    assert_eq!((reply.status, answer["error"]["code"].as_i64()), (status, code), "{what}: {text}");
    assert!(!text.contains(r#""id":null"#), "{what}: {text}");
}

fn call(client: &Client, arguments: &Value) -> Raw {
    client.request("tools/call", &json!({ "name": "a", "arguments": arguments }))
}

#[tokio::test]
async fn headers_say_what_the_body_says() {
    let upstream = fake("u").listed(TOOL).start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = client(&gateway.url, "u");
    let list = || client.request("tools/list", &json!({}));
    let bare = || call(&client, &json!({}));
    let renamed = |name: &str| bare().without("mcp-name").header("mcp-name", name);
    let with_n = |arguments: &Value, n: &str| call(&client, arguments).header("mcp-param-n", n);

    check("a list", list(), 200, None).await;
    check("no method", list().without("mcp-method"), 400, Some(MISMATCH)).await;
    check("another method", list().without("mcp-method").header("mcp-method", "ping"), 400, Some(MISMATCH)).await;
    check("no version", list().without("mcp-protocol-version"), 400, Some(MISMATCH)).await;
    let legacy = list().without("mcp-protocol-version").header("mcp-protocol-version", "2025-11-25");
    check("a legacy version", legacy, 400, Some(MISMATCH)).await;
    check("a call", bare(), 200, None).await;
    check("no name", bare().without("mcp-name"), 400, Some(MISMATCH)).await;
    check("another name", renamed("b"), 400, Some(MISMATCH)).await;
    check("an encoded name", renamed("=?base64?YQ==?="), 200, None).await;
    check("a badly encoded name", renamed("=?base64?YQ?="), 400, Some(MISMATCH)).await;
    check("two names", bare().header("mcp-name", "a"), 400, Some(MISMATCH)).await;
    check("no parameter", call(&client, &json!({ "region": "x" })), 400, Some(MISMATCH)).await;
    let both = call(&client, &json!({ "region": "x" })).header("mcp-param-region", "x");
    check("a parameter", both, 200, None).await;
    check("a parameter of no argument", with_n(&json!({}), "1"), 400, Some(MISMATCH)).await;
    check("an integer", with_n(&json!({ "n": 7 }), "7.0"), 200, None).await;
    check("another integer", with_n(&json!({ "n": 7 }), "8"), 400, Some(MISMATCH)).await;
    check("an unknown parameter", bare().header("mcp-param-other", "x"), 200, None).await;
    check("one kind of answer only", list().without("accept").header("accept", "application/json"), 406, None).await;
    check("a session id", list().header("mcp-session-id", "nonsense"), 200, None).await;
}

#[tokio::test]
async fn what_is_not_of_this_revision_is_refused() {
    let upstream = fake("u").echo("a").start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = client(&gateway.url, "u");
    for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "tasks/list", "tasks/result"] {
        check(method, client.request(method, &json!({})), 404, Some(-32601)).await;
    }
    check("unknown", client.request("vendor/unknown", &json!({})), 404, Some(-32601)).await;
    let post = |body: &str| {
        let request = raw("POST", &client.url).header("content-type", "application/json");
        let request = request.header("accept", "*/*").header("mcp-protocol-version", VERSION);
        request.header("mcp-method", "tools/list").body(body.to_owned())
    };
    check("no metadata", post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#), 400, Some(-32602))
        .await;
    check("no parameters", post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#), 400, Some(-32602)).await;
    check("no JSON", post("{"), 400, Some(-32700)).await;
    check("a batch", post("[]"), 400, Some(-32600)).await;
    check("a response", post(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), 400, Some(-32600)).await;
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    check("a notification", post(cancelled), 202, None).await;
    for method in ["GET", "DELETE"] {
        let request = raw(method, &client.url).header("accept", "*/*").header("mcp-protocol-version", VERSION);
        check(method, request, 405, None).await;
    }
}

#[tokio::test]
async fn a_version_that_nobody_speaks_is_named_with_those_that_are_spoken() {
    let upstream = fake("u").start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2999-01-01","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let request = client(&gateway.url, "u").request("tools/list", &json!({})).body(body);
    let request = request.without("mcp-protocol-version").header("mcp-protocol-version", "2999-01-01");
    let mut reply = request.send().await;
    let answer: Value = serde_json::from_str(&reply.text().await).expect("JSON");
    assert_eq!((reply.status, &answer["error"]["code"]), (400, &json!(-32022)), "{answer}");
    assert_eq!(answer["error"]["data"], json!({ "supported": [VERSION], "requested": "2999-01-01" }));
}
