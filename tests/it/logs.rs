//! Logs: levels of components, lines of programs, and the log of each server.

use harness::fake::{Via, fake};
use harness::process::Signal;
use harness::raw::{raw, session};
use harness::reference::reference_program;
use harness::{DEADLINE, Served, binary, eventually};
use serde_json::{Value, json};

/// Returns the definition of a server that runs this script first; `"$0"` is the reference server.
fn scripted(script: &str) -> Value {
    json!({ "name": "up", "transport": "stdio", "command": "sh", "args": ["-c", script, reference_program()],
        "era": "legacy", "logEnabled": true, "env": { "KEY": "hush-hush-value" } })
}

async fn serve(more: &[&str]) -> Served {
    binary("mcp-proxy").args(["--port=0", "--storage=memory"]).args(more).serve().await
}

fn texts(answer: &Value) -> Vec<&str> {
    answer["lines"].as_array().expect("lines").iter().filter_map(|line| line["text"].as_str()).collect()
}

#[tokio::test]
async fn the_log_of_a_server_has_its_own_words_and_those_of_the_gateway() {
    let gateway = serve(&[]).await;
    gateway.admin.connect(&scripted("echo \"began with $KEY\" >&2; echo no message; exec \"$0\" --stdio")).await;
    let answer = gateway.admin.get("/admin/mcps/up/logs").await.json();
    let lines = answer["lines"].as_array().expect("lines");
    let of = |source: &str| lines.iter().filter(move |line| line["source"] == source).collect::<Vec<_>>();
    assert_eq!(of("stderr")[0]["text"], "began with [redacted]");
    assert!(of("stderr")[0]["pid"].is_u64());
    assert_eq!(of("stdout")[0]["text"], "no message");
    assert_eq!(
        of("gateway").iter().map(|line| &line["text"]).collect::<Vec<_>>(),
        ["process started", "connected (legacy)"]
    );
    assert_eq!(texts(&gateway.admin.get("/admin/mcps/up/logs?lines=1").await.json()).len(), 1);
    assert_eq!(gateway.admin.get("/admin/mcps/none/logs").await.status, 404);
    for query in ["lines=1001", "lines=x", "follow=perhaps"] {
        assert_eq!(gateway.admin.get(&format!("/admin/mcps/up/logs?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn the_log_of_a_server_that_does_not_start_tells_why() {
    let gateway = serve(&[]).await;
    gateway.admin.register(&scripted("echo cannot open the database >&2; exit 3")).await;
    let ended = || async {
        let answer = gateway.admin.get("/admin/mcps/up/logs").await.json();
        let texts = texts(&answer);
        let is_whole = texts.contains(&"cannot open the database")
            && texts.iter().any(|text| text.starts_with("process ended: "))
            && texts
                .iter()
                .any(|text| text.starts_with("not connected: ") && text.contains("cannot open the database"));
        is_whole.then_some(())
    };
    eventually("the log tells the reason", ended).await;
}

#[tokio::test]
async fn lines_to_come_are_events_that_resume_after_the_last_one() {
    let gateway = serve(&[]).await;
    gateway.admin.connect(&scripted("echo first >&2; exec \"$0\" --stdio")).await;
    let url = format!("{}/admin/mcps/up/logs?follow=true", gateway.url);
    let mut stream = raw("GET", &url).send().await;
    assert!(stream.is_stream());
    let mut seen = Vec::new();
    let id = loop {
        let event = stream.event().await.expect("an event");
        let line: Value = serde_json::from_str(&event.data).expect("JSON");
        seen.push(line["text"].as_str().unwrap_or_default().to_owned());
        if seen.last().is_some_and(|text| text == "connected (legacy)") {
            break event.id;
        }
    };
    assert_eq!(seen.iter().filter(|text| *text == "first").count(), 1, "{seen:?}");
    drop(stream);
    let mut resumed = raw("GET", &url).header("last-event-id", &id).send().await;
    // The end of the process is the next thing to happen.
    gateway.admin.put("/admin/mcps/up", scripted("exec \"$0\" --stdio; true")).await;
    let mut rest = Vec::new();
    while let Some(event) = resumed.event().await {
        rest.push(event.data);
    }
    assert!(rest.iter().all(|line| !line.contains("first")), "the stream ends with its upstream: {rest:?}");
}

#[tokio::test]
async fn a_stream_of_lines_ends_with_the_token_that_opened_it() {
    let mut gateway = serve(&["--admin-tokens=root"]).await;
    gateway.admin = gateway.admin.with_token("root");
    gateway.admin.connect(&scripted("exec \"$0\" --stdio")).await;
    let issued = gateway.admin.post("/admin/tokens", json!({ "name": "reader", "rights": ["read"] })).await.json();
    let token = format!("Bearer {}", issued["secret"].as_str().expect("a secret"));
    let url = format!("{}/admin/mcps/up/logs?follow=true&lines=0", gateway.url);
    let mut stream = raw("GET", &url).header("authorization", &token).send().await;
    assert!(stream.is_stream());
    assert_eq!(gateway.admin.delete("/admin/tokens/reader").await.status, 204);
    assert!(stream.event().await.is_none(), "it ends");
}

#[tokio::test]
async fn a_program_that_floods_its_standard_error_does_not_flood_the_log() {
    let mut gateway = serve(&[]).await;
    let flood = "i=0; while [ $i -lt 5000 ]; do echo line $i >&2; i=$((i+1)); done; exec \"$0\" --stdio";
    gateway.admin.connect(&scripted(flood)).await;
    let whole = || async {
        let answer = gateway.admin.get("/admin/mcps/up/logs?lines=1000").await.json();
        texts(&answer).contains(&"line 4999").then_some(())
    };
    eventually("the last line is kept", whole).await;
    gateway.process.signal(Signal::TERM);
    let ended = gateway.process.ended(DEADLINE).await;
    let logged = ended.err.lines().filter(|line| line.contains("standard error") && line.contains("line ")).count();
    assert!((500..2_000).contains(&logged), "{logged}");
    assert!(ended.err.contains("lines left out"), "{}", ended.err);
}

#[tokio::test]
async fn levels_of_components_change_while_the_gateway_runs() {
    let mut gateway = serve(&["--log-components", "transport=warn"]).await;
    let upstream = fake("one").echo("echo").start(Via::Json).await;
    gateway.admin.connect(&upstream.definition()).await;
    let mut session = session(&gateway.url, "one").open().await;
    let levels = gateway.admin.get("/admin/log-levels").await.json();
    assert_eq!(levels["components"], json!({ "upstream": "warn" }));
    session.call("1", "echo", r#"{"word":"quiet"}"#).await;
    let changed =
        gateway.admin.put("/admin/log-levels", json!({ "components": { "call": "debug" }, "ttl": "1m" })).await;
    assert_eq!(changed.json()["components"], json!({ "call": "debug", "upstream": "warn" }), "{}", changed.text);
    assert!(changed.json()["until"].is_string());
    session.call("2", "echo", r#"{"word":"loud"}"#).await;
    let reset = gateway.admin.delete("/admin/log-levels").await.json();
    assert_eq!((&reset["components"], &reset["until"]), (&levels["components"], &Value::Null));
    session.call("3", "echo", r#"{"word":"quiet"}"#).await;
    for wrong in [json!({ "components": { "router": "debug" } }), json!({ "level": "loud" }), json!({ "ttl": "1y" })] {
        assert_eq!(gateway.admin.put("/admin/log-levels", &wrong).await.status, 400, "{wrong}");
    }
    gateway.process.signal(Signal::TERM);
    let ended = gateway.process.ended(DEADLINE).await;
    let admitted = ended.err.lines().filter(|line| line.contains("call admitted")).count();
    assert_eq!(admitted, 1, "{}", ended.err);
    assert!(!ended.err.contains("upstream connected"), "{}", ended.err);
}

#[tokio::test]
async fn levels_that_have_their_time_end_by_themselves() {
    let gateway = serve(&[]).await;
    let client = proxy_client::Client::builder(&gateway.url).build().expect("a client");
    let wanted = |ttl: &str| serde_json::from_value(json!({ "level": "error", "ttl": ttl })).expect("levels");
    assert_eq!(client.set_log_levels(&wanted("1h")).await.expect("changed").level.to_string(), "error");
    assert_eq!(client.reset_log_levels().await.expect("reset").level.to_string(), "info");
    assert_eq!(client.set_log_levels(&wanted("1s")).await.expect("changed").level.to_string(), "error");
    let ended = || async { (gateway.admin.get("/admin/log-levels").await.json()["level"] == "info").then_some(()) };
    eventually("the configured level applies again", ended).await;
}

#[tokio::test]
async fn a_secret_is_masked_wherever_a_long_line_is_split() {
    let gateway = serve(&[]).await;
    let script = "for n in 4090 8180 8191 16370; do head -c $n /dev/zero | tr '\\0' z >&2; printf %s \"$KEY\" >&2; \
        head -c 100 /dev/zero | tr '\\0' y >&2; echo >&2; done; exec \"$0\" --stdio";
    gateway.admin.connect(&scripted(script)).await;
    let whole = || async {
        let answer = gateway.admin.get("/admin/mcps/up/logs?lines=1000").await.json();
        let texts = texts(&answer).concat();
        (texts.matches('y').count() >= 400).then_some(texts)
    };
    let texts = eventually("everything is read", whole).await;
    assert_eq!(texts.matches("[redacted]").count(), 4);
    assert!(!texts.contains("hush") && !texts.contains("value"), "a part of the secret is there");
}

#[tokio::test]
async fn a_question_without_the_end_of_a_line_is_seen_while_the_program_waits() {
    let gateway = serve(&[]).await;
    gateway.admin.register(&scripted("printf 'Password: ' >&2; sleep 60")).await;
    let asked = || async {
        let answer = gateway.admin.get("/admin/mcps/up/logs").await.json();
        texts(&answer).contains(&"Password:").then_some(())
    };
    eventually("the question is seen", asked).await;
}
