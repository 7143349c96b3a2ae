//! Starts of programs: one process for each program, whatever its response to the era probe, and a limit on concurrent
//! starts.

use std::time::Duration;

use harness::fake::{Call, Fake, Script, Via, fake};
use harness::wait::Gate;
use harness::{eventually, gateway};
use serde_json::json;
use tempfile::TempDir;

const MODERN: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},
    "ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"up","version":"1"}}}"#;
const BOTH: &str = r#"{"resultType":"complete","supportedVersions":["2025-11-25","2026-07-28"],"capabilities":{"tools":{}},
    "ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"up","version":"1"}}}"#;
const NOT_THAT_VERSION: &str =
    r#"{"code":-32022,"message":"Unsupported protocol version","data":{"supported":["2026-07-28"]}}"#;

/// Reaction of a server to `server/discover` or `initialize`.
#[derive(Clone, Copy, Debug)]
enum Greeting {
    Result(&'static str),
    Error(&'static str),
    Handshake,
    Silence,
    Exit,
    /// An error from the first process only.
    FirstFails(&'static str),
    /// A result, but only after `initialize` has arrived as well.
    Late(&'static str),
}

use Greeting::{Error, Exit, FirstFails, Handshake, Late, Silence};

/// Returns a fake upstream that reacts to `server/discover` and `initialize` in these ways.
fn server(discover: Greeting, initialize: Greeting) -> Script {
    let both = Gate::default();
    let asked = both.clone();
    let script = fake("up").echo("echo").on("server/discover", move |call| answer(call, discover, both.clone()));
    script.on("initialize", move |call| {
        asked.open();
        answer(call, initialize, Gate::default())
    })
}

async fn answer(call: Call, greeting: Greeting, both: Gate) {
    match greeting {
        Greeting::Result(result) => call.reply(&one_line(result)),
        Error(error) => call.fail(&one_line(error)),
        Handshake => call.proceed(),
        Silence => call.never().await,
        Exit => call.hang_up(),
        FirstFails(error) if call.peer.number == 0 => call.fail(error),
        FirstFails(_) => call.proceed(),
        Late(result) => {
            both.opened().await;
            call.reply(&one_line(result));
        }
    }
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

/// Registers a server; returns the era that was detected, and the number of processes that it took.
async fn found(script: Script) -> (String, usize) {
    let upstream = script.start(Via::Stdio).await;
    let gateway = gateway().flags(["--era-probe", "300ms"]).start().await;
    gateway.admin.connect(&upstream.undated_definition()).await;
    let status = gateway.admin.status("up").await;
    (status["era"].as_str().unwrap_or_default().to_owned(), processes(&upstream))
}

/// Returns the number of processes so far.
fn processes(upstream: &Fake) -> usize {
    let peers = upstream.received().into_iter().map(|received| received.peer + 1);
    peers.max().unwrap_or_default()
}

async fn check(discover: Greeting, initialize: Greeting, expected: (&str, usize)) {
    let (era, processes) = found(server(discover, initialize)).await;
    assert_eq!((era.as_str(), processes), expected, "{discover:?}, {initialize:?}");
}

#[tokio::test]
async fn what_answers_the_question_is_started_once() {
    // The SDKs for TypeScript 2, Python 2 and Go, and a server of the modern era only.
    check(Greeting::Result(BOTH), Handshake, ("modern", 1)).await;
    check(Greeting::Result(BOTH), Error(NOT_THAT_VERSION), ("modern", 1)).await;
    check(Greeting::Result(BOTH), Error(r#"{"code":0,"message":"duplicate"}"#), ("modern", 1)).await;
    check(Greeting::Result(MODERN), Error(NOT_THAT_VERSION), ("modern", 1)).await;
    // The SDKs for TypeScript 1 and Python 1, and others.
    for code in [-32601, -32602, -32603, -32600, 0] {
        let error = format!(r#"{{"code":{code},"message":"no"}}"#).leak();
        check(Error(error), Handshake, ("legacy", 1)).await;
    }
    check(Greeting::Result("{}"), Handshake, ("legacy", 1)).await;
}

#[tokio::test]
async fn what_is_silent_or_ends_is_started_as_often_as_it_takes() {
    check(Silence, Handshake, ("legacy", 1)).await;
    check(Exit, Handshake, ("legacy", 2)).await;
    // The probe has made the process unusable for `initialize`.
    let no = r#"{"code":-32600,"message":"no"}"#;
    check(Error(no), FirstFails(no), ("legacy", 2)).await;
}

#[tokio::test]
async fn an_answer_that_comes_after_the_patience_counts() {
    check(Late(BOTH), Error(NOT_THAT_VERSION), ("modern", 1)).await;
    check(Late(MODERN), Error(NOT_THAT_VERSION), ("modern", 1)).await;
    // Both requests are accepted, so this process now serves a legacy client.
    check(Late(BOTH), Handshake, ("modern", 2)).await;
}

#[tokio::test]
async fn a_refusal_that_names_the_version_is_answered_with_it() {
    // Refuses the first request, whatever its method.
    let refuse_once = |call: Call, first: Gate| async move {
        if first.is_open() {
            return call.reply(&one_line(MODERN));
        }
        first.open();
        call.fail(NOT_THAT_VERSION);
    };
    let first = Gate::default();
    let script = fake("up").echo("echo").on("server/discover", move |call| refuse_once(call, first.clone()));
    assert_eq!(
        found(script.on("initialize", |call| async move { call.fail(NOT_THAT_VERSION) })).await,
        ("modern".to_owned(), 1)
    );
    // `server/discover` is not answered until `initialize` has been refused.
    let asked = Gate::default();
    let refused = asked.clone();
    let script = fake("up").echo("echo").on("server/discover", move |call| {
        let refused = refused.clone();
        async move {
            if refused.is_open() {
                call.reply(&one_line(MODERN));
            }
        }
    });
    let script = script.on("initialize", move |call| {
        asked.open();
        async move { call.fail(NOT_THAT_VERSION) }
    });
    assert_eq!(found(script).await, ("modern".to_owned(), 1));
}

#[tokio::test]
async fn a_program_that_starts_slowly_is_waited_for_and_started_once() {
    let slow = |script: Script| script.child(&["--slow", "1200"]);
    assert_eq!(found(slow(server(Greeting::Result(BOTH), Handshake))).await, ("modern".to_owned(), 1));
    assert_eq!(found(slow(server(Greeting::Result(MODERN), Error(NOT_THAT_VERSION)))).await, ("modern".to_owned(), 1));
    let unknown = r#"{"code":-32601,"message":"no"}"#;
    assert_eq!(found(slow(server(Error(unknown), Handshake))).await, ("legacy".to_owned(), 1));
    assert_eq!(found(slow(server(Silence, Handshake))).await, ("legacy".to_owned(), 1));
    // Output on stderr does not show that the program reads its stdin.
    let complaint = slow(server(Greeting::Result(BOTH), Handshake)).child(&["--complain", "installing"]);
    assert_eq!(found(complaint).await, ("modern".to_owned(), 1));
}

#[tokio::test]
async fn silence_is_asked_again_after_a_restart_and_an_answer_is_not() {
    for (discover, questions) in [(Silence, 2), (Error(r#"{"code":-32601,"message":"no"}"#), 1)] {
        let upstream = server(discover, Handshake).start(Via::Stdio).await;
        let gateway = gateway().flags(["--era-probe", "200ms"]).start().await;
        gateway.admin.connect(&upstream.undated_definition()).await;
        upstream.peer(0).await.hang_up();
        upstream.nth("initialize", 1).await;
        gateway.admin.connected("up").await;
        assert_eq!(upstream.count("server/discover"), questions, "{discover:?}");
    }
}

#[tokio::test]
async fn a_verdict_survives_failed_starts_and_a_change_of_other_members() {
    let upstream = server(Error(r#"{"code":-32601,"message":"no"}"#), Handshake).start(Via::Stdio).await;
    let gateway = gateway().start().await;
    let mut definition = upstream.undated_definition();
    definition["reconnectDelay"] = json!("50ms");
    gateway.admin.connect(&definition).await;
    // The program exits twice before it answers anything.
    upstream.down().await;
    eventually("failed starts", || async {
        (gateway.admin.status("up").await["reconnectAttempts"].as_u64() >= Some(2)).then_some(())
    })
    .await;
    upstream.up().await;
    gateway.admin.connected("up").await;
    definition["description"] = json!("the same server");
    gateway.admin.put("/admin/mcps/up", &definition).await;
    upstream.nth("initialize", 2).await;
    assert_eq!(upstream.count("server/discover"), 1);
}

/// Returns a folder, and the path of a lock file in it.
fn lock() -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("lock").to_string_lossy().into_owned();
    (folder, path)
}

/// Returns the messages of processes that found the lock held by another process.
fn collisions(lock: &str) -> String {
    std::fs::read_to_string(lock).expect("the file of the lock")
}

#[tokio::test]
async fn a_program_that_runs_only_once_never_meets_itself() {
    for discover in [Exit, Silence, Error(r#"{"code":-32601,"message":"no"}"#), Greeting::Result(BOTH)] {
        let (_folder, lock) = lock();
        let script = server(discover, Handshake).child(&["--lock", &lock, "--slow-end", "700"]);
        let upstream = script.start(Via::Stdio).await;
        let gateway = gateway().flags(["--era-probe", "200ms"]).start().await;
        let mut definition = upstream.undated_definition();
        definition["reconnectDelay"] = json!("30s");
        gateway.admin.connect(&definition).await;
        // The definition is changed twice in a row, then deregistered and registered again, while the old process is slow
        // to end.
        for description in ["changed", "changed again"] {
            definition["description"] = json!(description);
            gateway.admin.put("/admin/mcps/up", &definition).await;
        }
        gateway.admin.connected("up").await;
        assert_eq!(gateway.admin.delete("/admin/mcps/up").await.status, 204);
        gateway.admin.connect(&definition).await;
        assert_eq!(collisions(&lock), "", "{discover:?}");
    }
}

#[tokio::test]
async fn a_handshake_that_fails_leaves_no_process_behind_for_the_next_attempt() {
    let (_folder, lock) = lock();
    let failed = Gate::default();
    let script = fake("up").echo("echo").child(&["--lock", &lock, "--slow-end", "700"]).on("initialize", move |call| {
        let failed = failed.clone();
        async move {
            if failed.is_open() {
                return call.proceed();
            }
            failed.open();
            call.fail(r#"{"code":-32603,"message":"not yet"}"#);
        }
    });
    let upstream = script.start(Via::Stdio).await;
    let gateway = gateway().start().await;
    let mut definition = upstream.definition();
    definition["reconnectDelay"] = json!("1ms");
    gateway.admin.register(&definition).await;
    gateway.admin.connected("up").await;
    assert_eq!((processes(&upstream), collisions(&lock)), (2, String::new()));
}

#[tokio::test]
async fn programs_start_in_turns_and_their_time_runs_from_their_turn() {
    let held = Gate::default();
    let waiting = held.clone();
    let script = fake("first").echo("echo").on("initialize", move |call| {
        let waiting = waiting.clone();
        async move {
            waiting.opened().await;
            call.proceed();
        }
    });
    let (first, second) = (script.start(Via::Stdio).await, fake("second").echo("echo").start(Via::Stdio).await);
    let gateway = gateway().flags(["--concurrent-starts", "1"]).start().await;
    gateway.admin.register(&first.definition()).await;
    first.nth("initialize", 0).await;
    // The timeout is shorter than the wait for a start.
    let mut impatient = second.definition();
    impatient["timeout"] = json!("900ms");
    gateway.admin.register(&impatient).await;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let status = gateway.admin.status("second").await;
    assert_eq!((&status["status"], status.get("lastError"), processes(&second)), (&json!("connecting"), None, 0));
    held.open();
    gateway.admin.connected("second").await;
    assert_eq!(gateway.admin.status("second").await.get("lastError"), None);
    assert_eq!((processes(&first), processes(&second)), (1, 1));
}

#[tokio::test]
async fn a_program_that_connects_and_ends_again_and_again_is_shown_as_that() {
    let script = fake("up").echo("echo").child(&["--complain", "no database"]).on("tools/list", |call| async move {
        call.hang_up();
    });
    let upstream = script.start(Via::Stdio).await;
    let gateway = gateway().start().await;
    let mut definition = upstream.definition();
    definition["reconnectDelay"] = json!("20ms");
    gateway.admin.register(&definition).await;
    let status = eventually("short sessions in the status", || async {
        let status = gateway.admin.status("up").await;
        (status["shortSessions"].as_u64() >= Some(3) && status["status"] == "error").then_some(status)
    })
    .await;
    let error = status["lastError"].as_str().unwrap_or_default();
    assert!(error.contains("sessions in a row ended within 5s of their handshake"), "{status}");
    assert!(error.contains("no database"), "{status}");
    assert!(status["reconnectAttempts"].as_u64() >= status["shortSessions"].as_u64(), "{status}");
}
