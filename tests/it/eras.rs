//! Detection of an upstream's era: within a deadline, once, and remembered.

use std::time::Duration;

use harness::fake::{Call, Via, fake};
use harness::reference::{reference, reference_program};
use harness::wait::Gate;
use harness::{InProcess, eventually, gateway};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Maximum time of the probe, with a margin for starting processes on a busy machine.
const DECIDED: Duration = Duration::from_secs(7);

fn child(flags: &[&str]) -> Value {
    let args: Vec<&str> = ["--stdio"].iter().chain(flags).copied().collect();
    json!({ "name": "up", "transport": "stdio", "command": reference_program(), "args": args,
        "reconnectDelay": "100ms" })
}

async fn pid(gateway: &InProcess) -> i32 {
    let answer = gateway.admin.call("up", "test_counters", &json!({})).await.json();
    let text = answer["result"]["text"].as_str().unwrap_or_default();
    let counters: Value = serde_json::from_str(text).unwrap_or_default();
    counters["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_else(|| panic!("no pid in {answer}"))
}

/// Registers the upstream, waits until it is connected within the deadline, and returns its status.
async fn decided(gateway: &InProcess, definition: &Value) -> Value {
    let began = Instant::now();
    gateway.admin.connect(definition).await;
    assert!(began.elapsed() < DECIDED, "{definition}: {:?}", began.elapsed());
    gateway.admin.status("up").await
}

async fn check(flags: &[&str], era: &str) {
    let gateway = gateway().start().await;
    let status = decided(&gateway, &child(flags)).await;
    assert_eq!(status["era"], era, "{flags:?}: {status}");
    // The era is remembered, so its date stays when a process dies. An upstream that was silent has no verdict to
    // remember.
    let first = pid(&gateway).await;
    let process = Pid::from_raw(first).expect("a process");
    kill_process(process, Signal::KILL).expect("a living process");
    let again = eventually("a successor", || async {
        let status = gateway.admin.status("up").await;
        (status["status"] == "connected" && status.get("lastDisconnected").is_some()).then_some(status)
    })
    .await;
    let is_remembered = again["eraProbed"] == status["eraProbed"];
    assert_eq!((&again["era"], is_remembered), (&status["era"], !flags.contains(&"ignore")), "{flags:?}");
    assert_ne!(pid(&gateway).await, first);
}

#[tokio::test]
async fn a_server_of_both_eras_is_spoken_to_in_the_modern_way() {
    check(&[], "modern").await;
}

#[tokio::test]
async fn a_server_whose_first_request_decides_is_not_spoiled_by_the_question() {
    check(&["--probe", "latch"], "modern").await;
    check(&["--probe", "latch", "--era", "legacy"], "legacy").await;
}

#[tokio::test]
async fn a_server_that_refuses_the_question_is_legacy() {
    check(&["--era", "legacy"], "legacy").await;
}

#[tokio::test]
async fn a_server_that_never_answers_the_question_is_legacy() {
    check(&["--era", "legacy", "--probe", "ignore"], "legacy").await;
}

#[tokio::test]
async fn a_server_that_exits_on_the_question_is_legacy() {
    check(&["--era", "legacy", "--probe", "exit"], "legacy").await;
}

#[tokio::test]
async fn a_server_over_http_is_asked_once_whatever_it_answers() {
    for (flags, era) in [("dual", "modern"), ("modern", "modern"), ("legacy", "legacy")] {
        let upstream = reference(&["--http", "127.0.0.1:0", "--era", flags]).await;
        let gateway = gateway().start().await;
        let definition = json!({ "name": "up", "transport": "streamable-http", "url": upstream.url });
        assert_eq!(decided(&gateway, &definition).await["era"], era, "{flags}");
    }
}

#[tokio::test]
async fn a_server_over_http_that_hangs_on_the_question_may_still_be_legacy() {
    let hung = fake("up").echo("echo").on("server/discover", Call::never).start(Via::Events).await;
    let gateway = gateway().start().await;
    assert_eq!(decided(&gateway, &hung.undated_definition()).await["era"], "legacy");
    assert_eq!((hung.count("server/discover"), hung.count("initialize")), (1, 1));
}

#[tokio::test]
async fn a_refusal_that_names_the_version_is_answered_with_it_at_once() {
    let discovery = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#;
    let refusal = r#"{"code":-32022,"message":"no","data":{"supported":["2026-07-28"],"requested":"2026-07-28"}}"#;
    let (asked, called) = (Gate::default(), Gate::default());
    // Each request is refused the first time.
    let script = fake("up").stateless().echo("echo").on("server/discover", move |call| {
        let is_first = !asked.is_open();
        asked.open();
        async move { if is_first { call.fail(refusal) } else { call.reply(discovery) } }
    });
    let script = script.tool("echo", move |call| {
        let is_first = !called.is_open();
        called.open();
        async move {
            if is_first {
                call.fail(refusal);
            } else {
                call.reply(r#"{"resultType":"complete","content":[{"type":"text","text":"done"}]}"#);
            }
        }
    });
    let upstream = script.start(Via::Json).await;
    let gateway = gateway().start().await;
    let status = decided(&gateway, &upstream.undated_definition()).await;
    assert_eq!((&status["era"], &status["reconnectAttempts"]), (&json!("modern"), &json!(0)));
    assert_eq!((upstream.count("server/discover"), upstream.count("initialize")), (2, 0));
    let answer = gateway.admin.call("up", "echo", &json!({})).await.json();
    assert!(answer.to_string().contains("done"), "{answer}");
    assert_eq!(upstream.count("tools/call"), 2);
}

#[tokio::test]
async fn a_refusal_of_the_handshake_that_names_the_version_is_a_verdict() {
    // `server/discover` is not answered until `initialize` has been refused.
    let discovery = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#;
    let refused = Gate::default();
    let is_refused = refused.clone();
    let script = fake("up").stateless().echo("echo").on("server/discover", move |call| {
        let is_refused = is_refused.is_open();
        async move { if is_refused { call.reply(discovery) } else { call.never().await } }
    });
    let script = script.on("initialize", move |call| {
        refused.open();
        async move { call.fail(r#"{"code":-32022,"message":"no","data":{"supported":["2026-07-28"]}}"#) }
    });
    let upstream = script.start(Via::Events).await;
    let gateway = gateway().flags(["--era-probe", "200ms"]).start().await;
    assert_eq!(decided(&gateway, &upstream.undated_definition()).await["era"], "modern");
    assert_eq!(upstream.count("initialize"), 1);
}

#[tokio::test]
async fn a_refusal_of_the_caller_is_no_evidence() {
    let guarded = fake("up").echo("echo").start(Via::Events).await;
    guarded.refuse("server/discover", 401);
    let gateway = gateway().start().await;
    let mut definition = guarded.undated_definition();
    definition["reconnectDelay"] = json!("100ms");
    gateway.admin.register(&definition).await;
    let status = gateway.admin.reaches("up", "error").await;
    assert_eq!(status.get("era"), None, "{status}");
    guarded.accept_again("server/discover");
    gateway.admin.connected("up").await;
    assert_eq!(gateway.admin.status("up").await["era"], "legacy");
}

#[tokio::test]
async fn a_definition_may_say_the_era() {
    let upstream = reference(&["--http", "127.0.0.1:0"]).await;
    for era in ["legacy", "modern"] {
        let gateway = gateway().start().await;
        let definition = json!({ "name": "up", "transport": "streamable-http", "url": upstream.url, "era": era });
        let status = decided(&gateway, &definition).await;
        assert_eq!((&status["era"], status.get("eraProbed")), (&json!(era), None));
    }
}
