//! Reference upstream without a gateway: every scenario that it passes must also pass through a gateway.

use std::process::Stdio;

use harness::conformance::conformance;
use harness::reference::{reference, reference_program};
use harness::{DEADLINE, inspector, within};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

const LEGACY: (&str, usize, usize) = ("2025-11-25", 30, 3);
const MODERN: (&str, usize, usize) = ("2026-07-28", 37, 13);

async fn passes((requirements, scored, unscored): (&str, usize, usize), flags: &str) {
    let flags: Vec<&str> = ["--http", "127.0.0.1:0"].into_iter().chain(flags.split_whitespace()).collect();
    let upstream = reference(&flags).await;
    let report = conformance(&upstream.url, requirements).await;
    println!("{requirements} with {flags:?}: {report}");
    let found = (report.passed, report.failed.len(), report.unscored.len());
    assert_eq!(found, (scored, 0, unscored), "{report}");
    assert!(report.remarks.is_empty(), "{report}");
}

#[tokio::test]
async fn passes_what_2025_11_25_requires() {
    passes(LEGACY, "").await;
    passes(LEGACY, "--era legacy").await;
    passes(LEGACY, "--events").await;
}

#[tokio::test]
async fn passes_what_2026_07_28_requires() {
    passes(MODERN, "").await;
}

#[tokio::test]
async fn passes_what_2026_07_28_requires_without_the_legacy_era() {
    passes(MODERN, "--era modern").await;
}

#[tokio::test]
async fn passes_what_2026_07_28_requires_in_event_streams() {
    passes(MODERN, "--events").await;
}

#[tokio::test]
async fn speaks_the_eras_it_is_told_to() {
    check("", &[discover(), initialize()], &[json!("ok"), json!("ok")]).await;
    check("--era modern", &[discover(), initialize()], &[json!("ok"), json!(-32022)]).await;
    check("--era legacy", &[discover(), initialize()], &[json!(-32601), json!("ok")]).await;
}

#[tokio::test]
async fn names_the_versions_it_speaks_when_it_refuses_a_handshake() {
    let (answers, _) = answers("--era modern", &[initialize()]).await;
    assert_eq!(answers[0]["error"]["data"], json!({ "supported": ["2026-07-28"], "requested": "2025-11-25" }));
}

#[tokio::test]
async fn latches_to_the_era_of_the_first_request() {
    check("--latch", &[discover(), initialize()], &[json!("ok"), json!(-32022)]).await;
    check("--latch", &[initialize(), discover()], &[json!("ok"), json!(-32600)]).await;
}

#[tokio::test]
async fn serves_an_official_client_over_sse() {
    let upstream = reference(&["--sse", "127.0.0.1:0"]).await;
    let request = ["--method", "tools/call", "--tool-name", "test_tool_with_progress"];
    let result = inspector(&upstream.url, "sse", &request).await;
    assert_eq!(result["content"][0]["text"], "Tool with progress executed successfully", "{result}");
}

#[tokio::test]
async fn goes_on_after_a_stream_that_cannot_be_dropped() {
    let call = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "test_reconnection" } });
    let mut process = Command::new(reference_program());
    process.arg("--stdio").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut process = process.spawn().expect("the reference upstream starts");
    let mut input = process.stdin.take().expect("a pipe");
    input.write_all(format!("{}\n{call}\n", initialize()).as_bytes()).await.expect("it reads");
    let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
    for id in [1, 3] {
        let line = within(DEADLINE, "an answer", lines.next_line()).await.expect("a pipe").unwrap_or_default();
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap_or_default()["id"], id, "{line}");
    }
}

#[tokio::test]
async fn ignores_a_probe_or_exits_on_it() {
    check("--probe ignore", &[discover(), initialize()], &[json!("ok")]).await;
    let (answers, code) = answers("--probe exit", &[discover(), initialize()]).await;
    assert_eq!((answers.len(), code), (0, Some(1)));
}

/// Checks the responses to requests over stdio: the code of an error, or `ok`.
async fn check(flags: &str, requests: &[Value], expected: &[Value]) {
    let (answers, _) = answers(flags, requests).await;
    let gist =
        |answer: &Value| if answer["result"].is_object() { json!("ok") } else { answer["error"]["code"].clone() };
    assert_eq!(answers.iter().map(gist).collect::<Vec<_>>(), expected, "{flags}: {answers:?}");
}

/// Runs a process with these requests as its whole input; returns the lines of its output and its exit code.
async fn answers(flags: &str, requests: &[Value]) -> (Vec<Value>, Option<i32>) {
    let mut command = Command::new(reference_program());
    command.arg("--stdio").args(flags.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.kill_on_drop(true).spawn().expect("the reference upstream starts");
    let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
    // A process that exits early may not read everything.
    process.stdin.take().expect("a pipe").write_all(lines.as_bytes()).await.ok();
    let output = within(DEADLINE, "the end of the reference upstream", process.wait_with_output()).await;
    let output = output.expect("the child is ours to wait for");
    let text = String::from_utf8(output.stdout).expect("JSON lines are UTF-8");
    let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    (text.lines().map(read).collect(), output.status.code())
}

fn initialize() -> Value {
    let client = json!({ "name": "test", "version": "1" });
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params })
}

fn discover() -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({ "jsonrpc": "2.0", "id": 2, "method": "server/discover", "params": { "_meta": meta } })
}
