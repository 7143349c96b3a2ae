//! The access log: one line for each request of a client, with what has become of it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use harness::fake::{Call, Via, fake};
use harness::process::Signal;
use harness::raw::{session, session_with_all};
use harness::reference::reference_program;
use harness::{Admin, DEADLINE, Served, binary, eventually, free_port, within};
use rustix::process::{Pid, kill_process};
use serde_json::{Value, json};

use crate::modern::client;

async fn serve(log: &Path) -> Served {
    let log = log.display().to_string();
    binary("mcp-proxy").args(["--port=0", "--storage=memory", "--access-log", &log]).serve().await
}

/// Ends the gateway. Returns its lines.
async fn lines(mut gateway: Served, log: &Path) -> Vec<Value> {
    gateway.process.signal(Signal::TERM);
    assert_eq!(gateway.process.ended(DEADLINE).await.code, Some(0));
    read(log)
}

fn read(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).expect("a log");
    assert!(!text.contains("hush"), "{text}");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn a_request_has_a_line_with_its_server_tool_outcome_and_sizes() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.jsonl");
    let gateway = serve(&log).await;
    let one = fake("one").echo("echo").start(Via::Json).await;
    let program =
        json!({ "name": "program", "transport": "stdio", "command": reference_program(), "args": ["--stdio"] });
    gateway.admin.connect(&one.definition()).await;
    gateway.admin.connect(&program).await;
    let mut legacy = session(&gateway.url, "one").open().await;
    legacy.call("\"first\"", "echo", r#"{"word":"hush"}"#).await;
    let mut all = session_with_all(&gateway.url).open().await;
    all.request(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
    all.call("2", "program__echo", r#"{"message":"hush"}"#).await;
    all.call("3", "missing", "{}").await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let params = json!({ "name": "echo", "arguments": { "word": "hush" } });
    client(&gateway.url, "one").meta("traceparent", trace).request("tools/call", &params).send().await;
    gateway.admin.call("one", "echo", &json!({ "word": "hush" })).await;
    let mut lines = lines(gateway, &log).await;
    // Each thread that serves connections has a buffer of its own.
    lines.sort_by_key(|line| line["request"].as_u64());
    let seen: Vec<_> = lines
        .iter()
        .map(|line| ["id", "principal", "method", "name", "upstream", "outcome"].map(|member| line[member].clone()))
        .collect();
    let expected = [
        ["\"first\"", "anonymous", "tools/call", "echo", "one", "answered"],
        ["1", "anonymous", "tools/list", "", "", "answered"],
        ["2", "anonymous", "tools/call", "program__echo", "program", "answered"],
        ["3", "anonymous", "tools/call", "missing", "", "unknown_tool"],
    ];
    for (at, (seen, expected)) in seen.iter().zip(expected).enumerate() {
        let seen = seen.each_ref().map(|member| member.as_str().unwrap_or_default());
        assert_eq!(seen, expected, "line {at}");
    }
    assert_eq!(lines.len(), 6);
    assert_eq!((&lines[4]["traceparent"], &lines[5]["principal"]), (&json!(trace), &json!("anonymous")));
    assert!(lines[2]["upstreamSession"].as_str().is_some_and(|session| session.starts_with("pid ")), "{}", lines[2]);
    let text = |line: &Value, member: &str| line[member].as_f64().unwrap_or_default();
    for line in [&lines[0], &lines[2], &lines[4]] {
        assert!(text(line, "durationMs") > 0.0 && text(line, "requestBytes") > 50.0, "{line}");
        assert!(text(line, "responseBytes") > 20.0 && line["attempts"] == 1, "{line}");
    }
    let numbers: std::collections::BTreeSet<_> = lines.iter().map(|line| line["request"].as_u64()).collect();
    assert_eq!(numbers.len(), 6);
}

#[tokio::test]
async fn a_request_whose_client_leaves_is_cancelled_and_an_error_has_its_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.jsonl");
    let gateway = serve(&log).await;
    let upstream = fake("slow").tool("wait", Call::never).start(Via::Json).await;
    gateway.admin.connect(&upstream.definition()).await;
    let call = client(&gateway.url, "slow").request("tools/call", &json!({ "name": "wait", "arguments": {} }));
    tokio::select! {
        reply = call.send() => panic!("answered with {}", reply.status),
        () = eventually("the call is there", || async { (upstream.count("tools/call") == 1).then_some(()) }) => {}
    }
    let written = || async {
        let lines = if log.exists() { read(&log) } else { Vec::new() };
        (lines.len() == 1).then(|| lines[0].clone())
    };
    let line = eventually("the line is written while the gateway runs", written).await;
    assert_eq!((&line["outcome"], &line["responseBytes"]), (&json!("cancelled"), &json!(0)));
    assert_eq!((&line["upstream"], &line["attempts"]), (&json!("slow"), &json!(1)), "{line}");
    let mut session = session(&gateway.url, "slow").open().await;
    session.request(r#"{"jsonrpc":"2.0","id":7,"method":"prompts/get","params":{"name":"none"}}"#).await;
    let lines = lines(gateway, &log).await;
    assert_eq!((&lines[1]["outcome"], lines[1]["error"].is_i64()), (&json!("answered"), true), "{}", lines[1]);
}

#[tokio::test]
async fn lines_and_metrics_count_the_same_requests_under_load_and_across_a_rotation() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, former) = (folder.path().join("access.jsonl"), folder.path().join("access.jsonl.1"));
    let gateway = serve(&log).await;
    let upstream = fake("one").echo("echo").start(Via::Json).await;
    gateway.admin.connect(&upstream.definition()).await;
    let load = async |from: usize| {
        let clients = (0..8).map(|number| {
            let url = gateway.url.clone();
            async move {
                let mut session = session(&url, "one").open().await;
                for call in 0..50 {
                    session.call(&format!("\"{from}-{number}-{call}\""), "echo", "{}").await;
                }
            }
        });
        futures_util::future::join_all(clients).await;
    };
    load(0).await;
    fs::rename(&log, &former).expect("renamed");
    load(1).await;
    let metrics = gateway.admin.get("/metrics").await.text;
    let counted = r#"mcp_proxy_calls_total{method="tools/call",outcome="answered",principal="anonymous"} 800"#;
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains("mcp_proxy_access_log_left_out_lines_total 0"), "{metrics}");
    let mut all = lines(gateway, &log).await;
    all.extend(read(&former));
    let ids: std::collections::BTreeSet<_> = all.iter().map(|line| line["id"].to_string()).collect();
    assert_eq!((all.len(), ids.len()), (800, 800));
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_does_not_hold_up_the_end() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let port = free_port().to_string();
    let (mut command, _folder) = binary("mcp-proxy")
        .args(["serve", "--storage=memory", "--access-log=/dev/stdout", "--port", &port])
        .into_command();
    let mut child = command.stdout(writer).stderr(Stdio::null()).spawn().expect("started");
    let (url, health) = (format!("http://127.0.0.1:{port}"), ["health", "--port", &port]);
    let is_up = || async { (binary("mcp-proxy").args(health).run().await.code == Some(0)).then_some(()) };
    eventually("the gateway is up", is_up).await;
    let upstream = fake("one").echo("echo").start(Via::Json).await;
    Admin::new(&url).connect(&upstream.definition()).await;
    let mut session = session(&url, "one").open().await;
    // More than the pipe holds.
    for number in 0..600 {
        session.call(&number.to_string(), "echo", "{}").await;
    }
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).expect("a pid");
    kill_process(pid, Signal::TERM).expect("signalled");
    within(DEADLINE, "the end", child.wait()).await.expect("an end");
    drop(reader);
}
