//! One story of a call: the same steps, whoever makes it and whatever carries it.

use harness::raw::{raw, session, session_with_all, tool_call};
use harness::reference::reference_program;
use harness::{Served, binary};
use serde_json::json;

use crate::stdio_front::{Front, asking, file};

/// Messages that a call logs at the level `debug`, in order.
const STEPS: [&str; 5] = ["call admitted", "call routed", "attempt begun", "attempt answered", "call ended"];
const LOGS: [&str; 2] = ["--log-level", "debug"];
const TOKEN: &str = "token-of-a-client";

/// Returns the steps of tool calls in a log, each with the principal if the step names one.
fn steps(log: &str) -> Vec<(String, Option<String>)> {
    let mine = log.lines().filter(|line| line.contains("tools/call"));
    mine.filter_map(|line| {
        let step = STEPS.into_iter().find(|step| line.contains(&format!(": {step} ")))?;
        let principal = line.split_once("principal=").and_then(|(_, rest)| rest.split_once(" method="));
        Some((step.to_owned(), principal.map(|(principal, _)| principal.to_owned())))
    })
    .collect()
}

/// Checks that a log contains the steps of one answered call of this principal.
fn check(log: &str, principal: &str, whose: &str) {
    let expected: Vec<(String, Option<String>)> = STEPS
        .into_iter()
        .map(|step| (step.to_owned(), step.starts_with("call").then(|| principal.to_owned())))
        .collect();
    assert_eq!(steps(log), expected, "{whose}: {log}");
}

async fn modern_call(gateway: &Served, path: &str, tool: &str) -> String {
    let call = asking("1", "tools/call", json!({ "name": tool, "arguments": { "message": "hi" } }));
    let post = raw("POST", &format!("{}{path}", gateway.url))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("authorization", &format!("Bearer {TOKEN}"))
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", tool);
    post.body(call).send().await.text().await
}

#[tokio::test]
async fn every_client_and_endpoint_takes_a_call_through_the_same_steps_over_http() {
    for era in ["legacy", "modern"] {
        for (endpoint, tool) in [("/it/stream", "echo"), ("/mcp", "it__echo")] {
            for client in ["legacy", "modern"] {
                let flags = ["--port", "0", "--global-auth-tokens", TOKEN];
                let gateway = binary("mcp-proxy").args(flags).args(LOGS).serve().await;
                let program = json!({ "name": "it", "transport": "stdio", "command": reference_program(),
                    "args": ["--stdio", "--era", era] });
                gateway.admin.connect(&program).await;
                // Waits until the catalog has the tools of the upstream.
                assert_eq!(gateway.admin.get("/admin/tools").await.status, 200);
                let answer = match (client, endpoint) {
                    ("modern", _) => modern_call(&gateway, endpoint, tool).await,
                    (_, "/mcp") => {
                        let mut session = session_with_all(&gateway.url).token(TOKEN).open().await;
                        session.request(&tool_call("1", tool, r#"{"message":"hi"}"#)).await
                    }
                    (_, _) => {
                        let mut session = session(&gateway.url, "it").token(TOKEN).open().await;
                        session.request(&tool_call("1", tool, r#"{"message":"hi"}"#)).await
                    }
                };
                assert!(answer.contains("hi") && !answer.contains("error"), "{answer}");
                let whose = format!("{client} client at {endpoint}, {era} upstream");
                gateway.process.says("call ended").await;
                check(&gateway.process.err(), "global 0", &whose);
            }
        }
    }
}

#[tokio::test]
async fn every_client_takes_a_call_through_the_same_steps_on_standard_streams() {
    let gateway = binary("mcp-proxy").args(["--port", "0"]).serve().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = json!({ "command": reference_program(), "args": ["--stdio", "--era", "legacy"] });
    gateway
        .admin
        .connect(&json!({ "name": "it", "transport": "stdio", "command": reference_program(),
        "args": ["--stdio", "--era", "legacy"] }))
        .await;
    let config = file(&folder, &json!({ "it": program }));
    for servers in [["--config", config.as_str()], ["--url", gateway.url.as_str()]] {
        for client in ["legacy", "modern"] {
            let mut front = Front::start(&[&servers[..], &LOGS].concat());
            let arguments = json!({ "name": "it__echo", "arguments": { "message": "hi" } });
            let answer = if client == "modern" {
                front.says(&asking("1", "tools/call", arguments)).await;
                front.answer("1").await
            } else {
                front.introduced().await;
                let call = json!({ "jsonrpc": "2.0", "id": "1", "method": "tools/call", "params": arguments });
                front.says(&call.to_string()).await;
                front.answer("1").await
            };
            assert!(answer["result"].to_string().contains("hi"), "{answer}");
            front.process.says("call ended").await;
            check(&front.process.err(), "anonymous", &format!("{client} client, {}", servers[0]));
        }
    }
}
