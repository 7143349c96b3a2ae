//! Trace context (W3C) through the gateway: the official Python client and an instrumented server make one tree.

use std::fs;

use harness::process::run;
use harness::{binary, fixture_path, python, root};
use serde_json::{Value, json};
use tokio::process::Command;

/// Returns the spans of these lines.
fn spans(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).expect("a span")).collect()
}

fn named<'s>(spans: &'s [Value], start: &str) -> &'s Value {
    let is_named = |span: &&Value| span["name"].as_str().is_some_and(|name| name.starts_with(start));
    spans.iter().find(is_named).unwrap_or_else(|| panic!("no span {start} among {spans:#?}"))
}

#[tokio::test]
async fn a_call_of_the_official_client_is_one_tree_with_the_server_in_both_eras() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = root().join("tests/fixtures/clients/traced.py");
    let (server_file, log) = (folder.path().join("server"), folder.path().join("access.jsonl"));
    let access_log = format!("--access-log={}", log.display());
    let gateway = binary("mcp-proxy").args(["--port=0", "--storage=memory", &access_log]).serve().await;
    let definition = json!({ "name": "traced", "transport": "stdio", "command": python(),
        "args": [&script, "server", &server_file] });
    gateway.admin.connect(&definition).await;
    for (mode, path, tool) in [
        ("legacy", "traced/mcp", "now"),
        ("auto", "traced/mcp", "now"),
        ("legacy", "mcp", "traced__now"),
        ("auto", "mcp", "traced__now"),
    ] {
        let mut client = Command::new(python());
        client.arg(&script).args(["client", mode, &format!("{}/{path}", gateway.url), tool]);
        client.env("PATH", fixture_path());
        let ended = run(client).await;
        assert_eq!(ended.code, Some(0), "{mode} {path}: {}", ended.err);
        let (of_client, of_server) = (spans(&ended.out), spans(&fs::read_to_string(&server_file).expect("spans")));
        let (work, sent) = (named(&of_client, "work"), named(&of_client, "MCP send tools/call"));
        let mut handled = of_server.iter().filter(|span| span["trace"] == work["trace"]);
        let handled = handled.find(|span| span["name"] == "tools/call now");
        let handled = handled.unwrap_or_else(|| panic!("{mode} {path}: no span of the trace among {of_server:#?}"));
        assert_eq!((&sent["parent"], &handled["parent"]), (&work["span"], &sent["span"]), "{mode} {path}");
        let trace = work["trace"].as_str().expect("an id");
        let lines = || async { fs::read_to_string(&log).ok().filter(|text| text.contains(trace)) };
        harness::eventually("the access log has the trace", lines).await;
    }
}
