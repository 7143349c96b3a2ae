//! Lifetime of connections, and graceful shutdown.

use std::fs;

use harness::fake::{Via, fake};
use harness::raw::{session, tool_call};
use harness::wait::{DEADLINE, Gate, within};
use harness::{eventually, gateway, process::Signal, send};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends a request, shuts down the sending direction if `half_close`, and returns the received text. Reads until the
/// gateway closes the connection or answers with this status.
async fn exchange(url: &str, text: &str, half_close: bool, status: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.expect("a gateway");
    stream.write_all(text.as_bytes()).await.expect("a gateway that listens");
    if half_close {
        stream.shutdown().await.expect("a socket");
    }
    let (mut received, mut room) = (String::new(), [0; 4096]);
    let reading = async {
        while !received.starts_with(&format!("HTTP/1.1 {status}")) {
            match stream.read(&mut room).await.unwrap_or(0) {
                0 => break,
                count => received.push_str(&String::from_utf8_lossy(&room[..count])),
            }
        }
    };
    within(DEADLINE, "an answer", reading).await;
    received
}

#[tokio::test]
async fn both_readers_refuse_at_once_what_is_announced_to_be_too_large_and_answer_who_has_closed_one_direction() {
    let upstream = fake("up").echo("echo").start(Via::Json).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = session(&gateway.url, "up").open().await;
    let head = |path: &str, length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, \
             text/event-stream\r\nMcp-Session-Id: {}\r\nContent-Length: {length}\r\n\r\n",
            client.id
        )
    };
    let too_large = (16 << 20) + 1;
    for path in ["/up/mcp", "/mcp-proxy/up/mcp", "/up/mcp/x", "/admin/mcps", "/admin/tools/call", "/admin/generations"]
    {
        let answer = exchange(&gateway.url, &format!("{}{{", head(path, too_large)), false, "413").await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{path}: {answer}");
    }
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for body in [ping, &tool_call("1", "echo", "{}")] {
        for path in ["/up/mcp", "/mcp-proxy/up/mcp", "/up/stream/x"] {
            let answer = exchange(&gateway.url, &format!("{}{body}", head(path, body.len())), true, "200").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        }
    }
    let health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(exchange(&gateway.url, health, true, "200").await.starts_with("HTTP/1.1 200"));
    // Half a request gets 400, with or without a half-close.
    for path in ["/up/mcp", "/mcp-proxy/up/mcp", "/admin/mcps"] {
        let answer = exchange(&gateway.url, &format!("{}{{", head(path, 10)), true, "400").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_comment_comes_soon_while_a_call_is_open() {
    let done = Gate::default();
    let wait = done.clone();
    let script = fake("up").tool("slow", move |call| {
        let wait = wait.clone();
        async move {
            call.progress(r#""progress":1"#);
            wait.opened().await;
            call.echo();
        }
    });
    let upstream = script.start(Via::Json).await;
    let gateway = gateway().flags(["--keep-alive", "1h", "--call-keep-alive", "20ms"]).start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = session(&gateway.url, "up").open().await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow","_meta":{"progressToken":1}}}"#;
    let head = format!(
        "POST /up/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, \
         text/event-stream\r\nMcp-Session-Id: {}\r\nContent-Length: {}\r\n\r\n",
        client.id,
        call.len()
    );
    let mut stream = TcpStream::connect(gateway.url.trim_start_matches("http://")).await.expect("a gateway");
    stream.write_all([&head, call].concat().as_bytes()).await.expect("a gateway that listens");
    let (mut received, mut room) = (String::new(), [0; 4096]);
    let comments = async {
        while received.matches(": keep-alive\n\n").count() < 3 {
            let count = stream.read(&mut room).await.expect("a stream");
            assert!(count > 0, "{received}");
            received.push_str(&String::from_utf8_lossy(&room[..count]));
        }
    };
    within(DEADLINE, "comments", comments).await;
    done.open();
}

#[tokio::test]
async fn after_sigterm_requests_are_taken_for_a_while_and_readiness_is_gone() {
    let gateway = harness::binary("mcp-proxy").args(["--port", "0", "--drain-delay", "30s"]).serve().await;
    assert_eq!(gateway.admin.get("/readyz").await.status, 200);
    // A connection that existed before the signal, and is idle.
    let mut before = TcpStream::connect(gateway.url.trim_start_matches("http://")).await.expect("a gateway");
    let ask = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    before.write_all(ask.as_bytes()).await.expect("a gateway that listens");
    let mut room = [0; 4096];
    let first = within(DEADLINE, "an answer", before.read(&mut room)).await.expect("an answer");
    assert!(!String::from_utf8_lossy(&room[..first]).contains("connection: close"));
    gateway.process.signal(Signal::TERM);
    eventually("a gateway that is not ready", async || {
        (gateway.admin.get("/readyz").await.status == 503).then_some(())
    })
    .await;
    let health = gateway.admin.get("/healthz").await;
    assert_eq!((health.status, health.header("connection")), (200, "close"));
    let usual = send(gateway.admin.request(Method::POST, "/mcp").header("content-type", "text/plain").body("{}")).await;
    assert_eq!((usual.status, usual.header("connection")), (415, "close"), "the other reader");
    before.write_all(ask.as_bytes()).await.expect("a connection that is still there");
    let mut rest = String::new();
    within(DEADLINE, "an answer and the end", before.read_to_string(&mut rest)).await.expect("an answer");
    assert!(rest.starts_with("HTTP/1.1 200") && rest.contains("connection: close"), "{rest}");
    // A second signal ends the gateway without waiting.
    let mut gateway = gateway;
    gateway.process.signal(Signal::TERM);
    assert_eq!(gateway.process.ended(DEADLINE).await.code, Some(0));
}

#[tokio::test]
async fn after_sigterm_and_the_delay_the_gateway_ends_by_itself_and_after_sigint_at_once() {
    for (signal, delay) in [(Signal::TERM, "10ms"), (Signal::TERM, "0s"), (Signal::INT, "1h")] {
        let mut gateway = harness::binary("mcp-proxy").args(["--port", "0", "--drain-delay", delay]).serve().await;
        gateway.process.signal(signal);
        assert_eq!(gateway.process.ended(DEADLINE).await.code, Some(0), "{signal:?} {delay}");
    }
}

#[tokio::test]
async fn connections_that_wait_to_be_accepted_are_answered_although_the_gateway_closes() {
    for round in 0..5 {
        let mut gateway = harness::binary("mcp-proxy").args(["--port", "0"]).serve().await;
        let address = gateway.url.trim_start_matches("http://").to_owned();
        let request = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\n\r\n");
        gateway.process.signal(Signal::STOP);
        let mut waiting = Vec::new();
        for _ in 0..50 {
            let mut stream = TcpStream::connect(&address).await.expect("a place in the backlog");
            stream.write_all(request.as_bytes()).await.expect("a place in the backlog");
            waiting.push(stream);
        }
        // The signal arrives before the gateway can accept any of the connections.
        gateway.process.signal(Signal::INT);
        gateway.process.signal(Signal::CONT);
        for (number, mut stream) in waiting.into_iter().enumerate() {
            let mut response = Vec::new();
            let ended = within(DEADLINE, "a response", stream.read_to_end(&mut response)).await;
            let response = String::from_utf8_lossy(&response);
            assert!(response.starts_with("HTTP/1.1 200"), "round {round}, connection {number}: {ended:?} {response}");
        }
        assert_eq!(gateway.process.ended(DEADLINE).await.code, Some(0));
    }
}

#[tokio::test]
async fn the_gateway_may_open_many_descriptors_and_its_children_as_many_as_it_was_given() {
    let (command, home) = harness::binary("mcp-proxy").args(["--port", "0"]).into_command();
    let program = command.as_std().get_program().to_owned();
    let mut limited = tokio::process::Command::new("sh");
    limited.arg("-c").arg("ulimit -Sn 200; exec \"$0\" --port 0").arg(program).env_clear();
    limited.env("PATH", "/usr/bin:/bin").env("HOME", home.path()).current_dir(home.path());
    let process = harness::process::Process::start(limited);
    let line = process.first_line().await;
    let (_, url) = line.split_once(" listening on ").expect("a URL");
    let admin = harness::Admin::new(url.trim());
    let file = home.path().join("limit");
    let script = format!("ulimit -Sn > {}.new; mv {0}.new {0}; sleep 60", file.display());
    admin.register(&json!({ "name": "a", "transport": "stdio", "command": "sh", "args": ["-c", script] })).await;
    let told = eventually("a limit", async || fs::read_to_string(&file).ok()).await;
    assert_eq!(told.trim(), "200", "what a child may open");
    let own = fs::read_to_string(format!("/proc/{}/limits", process.pid())).expect("a process");
    let line = own.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let columns: Vec<&str> = line.split_whitespace().collect();
    assert_ne!(columns[3], "200", "{line}");
}
