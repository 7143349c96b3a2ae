//! Settings that change while the gateway runs.

use std::time::Duration;

use harness::fake::{Via, fake};
use harness::raw::{session, session_with_all};
use harness::{Admin, eventually, gateway};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

const TOOLS: &str = r#"{"jsonrpc":"2.0","id":"list","method":"tools/list"}"#;

#[tokio::test]
async fn a_new_call_timeout_applies_to_the_next_call() {
    let gateway = gateway().start().await;
    let silent = fake("silent").tool("wait", |_call| std::future::pending()).start(Via::Stdio).await;
    gateway.admin.connect(&silent.definition()).await;
    let mut session = session(&gateway.url, "silent").open().await;
    gateway.reload(&["--call-timeout", "200ms"]).expect("valid settings");
    let late = session.call("1", "wait", "{}").await;
    assert!(late.contains("200ms (--call-timeout"), "{late}");
}

#[tokio::test]
async fn a_new_naming_applies_to_open_sessions_which_are_told() {
    let gateway = gateway().start().await;
    let upstream = fake("a").echo("say").start(Via::Stdio).await;
    gateway.admin.connect(&upstream.definition()).await;
    let mut client = session_with_all(&gateway.url).open().await;
    client.listen().await;
    // The catalog follows shortly after the connection; a list is asked for only when it has the tool.
    eventually("the tool is known", || async {
        let tools = gateway.admin.get("/admin/tools").await.json();
        (tools["count"] == 1).then_some(())
    })
    .await;
    assert!(client.request(TOOLS).await.contains(r#""a__say""#));
    gateway.reload(&["--naming-mode", "never"]).expect("valid settings");
    client.next("notifications/tools/list_changed").await;
    let listed = client.request(TOOLS).await;
    assert!(listed.contains(r#""say""#) && !listed.contains("a__say"), "{listed}");
    let said = client.call("1", "say", r#"{"word":"hello"}"#).await;
    assert!(said.contains("hello"), "{said}");
}

#[tokio::test]
async fn a_new_body_timeout_applies_to_the_next_request() {
    let gateway = gateway().start().await;
    gateway.reload(&["--body-timeout", "200ms"]).expect("valid settings");
    let address = gateway.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let fields = "content-type: application/json\r\naccept: application/json, text/event-stream\r\ncontent-length: 10";
    let head = format!("POST /mcp HTTP/1.1\r\nhost: {address}\r\n{fields}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("a write");
    let (began, mut answer) = (Instant::now(), [0; 12]);
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408");
    assert!(began.elapsed() < Duration::from_secs(10), "the default of 30 s: {:?}", began.elapsed());
}

#[tokio::test]
async fn new_admin_tokens_apply_to_the_next_request_and_never_open_the_admin_api_to_other_machines() {
    let gateway = gateway().flags(["--host", "0.0.0.0", "--admin-tokens", "one"]).start().await;
    let status = async |token: &str| {
        let admin = Admin::new(&gateway.url.replace("0.0.0.0", "127.0.0.1")).with_token(token);
        admin.get("/admin/mcps").await.status
    };
    assert_eq!([status("one").await, status("two").await], [200, 401]);
    gateway.reload(&["--admin-tokens", "two"]).expect("valid settings");
    assert_eq!([status("one").await, status("two").await], [401, 200]);
    let refused = gateway.reload(&[]).expect_err("an open admin API").to_string();
    assert!(refused.contains("--admin-tokens"), "{refused}");
    assert_eq!([status("one").await, status("two").await, status("").await], [401, 200, 401]);
}
