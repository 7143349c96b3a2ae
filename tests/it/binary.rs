//! `mcp-proxy` as a process: its output, its exit, and its child processes.

mod settings;

use std::sync::Arc;
use std::time::Duration;

use futures_util::join;
use harness::fake::{Fake, Via, fake};
use harness::process::Signal;
use harness::raw::{Face, session, tool_call};
use harness::{DEADLINE, Seen, Served, binary, eventually, within};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Long enough for anything that does happen; shorter than the default grace period and than the life of a stubborn
/// process.
const SOON: Duration = Duration::from_secs(8);

#[tokio::test]
async fn help_tells_every_flag_and_its_variables() {
    let ended = binary("mcp-proxy").args(["--help"]).run().await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ended.out);
}

#[tokio::test]
async fn version_is_one_line() {
    for spelling in ["version", "--version"] {
        let ended = binary("mcp-proxy").args([spelling]).run().await;
        let expected = format!("mcp-proxy {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!((ended.code, ended.out, ended.err), (Some(0), expected, String::new()), "{spelling}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_line_and_exit_code_1() {
    let first = serve(&[]).await;
    let port = first.url.rsplit(':').next().expect("a port");
    let ended = binary("mcp-proxy").args(["--port", port]).run().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    let expected = format!("mcp-proxy: cannot listen on 127.0.0.1:{port}: Address already in use (os error 98)\n");
    assert_eq!(ended.err, expected);
}

#[tokio::test]
async fn an_unknown_flag_is_told_with_exit_code_2() {
    let ended = binary("mcp-proxy").args(["--prot", "0"]).run().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""));
    insta::assert_snapshot!(ended.err);
}

#[tokio::test]
async fn a_signal_ends_it_with_exit_code_0_and_nothing_but_its_url_on_standard_output() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut gateway = serve(&[]).await;
        gateway.process.signal(signal);
        let ended = gateway.process.ended(DEADLINE).await;
        let expected = format!("mcp-proxy {} listening on {}\n", env!("CARGO_PKG_VERSION"), gateway.url);
        assert_eq!((ended.code, ended.out), (Some(0), expected), "{signal:?}");
    }
}

#[tokio::test]
async fn sigterm_leaves_no_process_behind_not_even_stubborn_ones() {
    let mut gateway = serve(&[]).await;
    let polite = fake("polite").start(Via::Stdio).await;
    let stubborn = fake("stubborn").child(&["--stubborn", "--daemon"]).start(Via::Stdio).await;
    let everything = json!({
        "name": "everything", "transport": "stdio", "command": "mcp-server-everything", "args": ["stdio"],
    });
    for definition in [polite.definition(), stubborn.definition(), everything] {
        gateway.admin.connect(&definition).await;
    }
    let mut family = gateway.process.children();
    assert_eq!(family.len(), 3);
    family.extend(processes(&stubborn).await);
    gateway.process.signal(Signal::TERM);
    assert_eq!(gateway.process.ended(DEADLINE).await.code, Some(0));
    gone(&family).await;
}

#[tokio::test]
async fn sigkill_leaves_no_child_behind() {
    let mut gateway = serve(&[]).await;
    // `sleep` neither reads nor writes, so that only a signal ends it.
    let sleeper = json!({ "name": "sleeper", "transport": "stdio", "command": "sleep", "args": ["600"] });
    gateway.admin.register(&sleeper).await;
    let children = || Some(gateway.process.children()).filter(|children| !children.is_empty());
    let children = eventually("a child", async || children()).await;
    gateway.process.signal(Signal::KILL);
    assert_eq!(gateway.process.ended(DEADLINE).await.code, None);
    gone(&children).await;
}

/// Starts a fake upstream whose only tool answers once it is notified.
async fn patient(via: Via) -> (Fake, Arc<Notify>) {
    let go = Arc::new(Notify::new());
    let told = Arc::clone(&go);
    let script = fake("patient").tool("wait", move |call| {
        let told = Arc::clone(&told);
        async move {
            told.notified().await;
            call.reply(r#"{"content":[{"type":"text","text":"done"}]}"#);
        }
    });
    (script.start(via).await, go)
}

#[tokio::test]
async fn a_session_s_call_in_flight_gets_its_answer_after_sigterm() {
    for (via, face) in [(Via::Stdio, Face::Stream), (Via::Events, Face::Stream), (Via::Json, Face::Sse)] {
        let mut gateway = serve(&[]).await;
        let (upstream, go) = patient(via).await;
        gateway.admin.connect(&upstream.definition()).await;
        let mut session = session(&gateway.url, "patient").over(face).open().await;
        session.begin(tool_call("1", "wait", "{}"));
        upstream.nth("tools/call", 0).await;
        gateway.process.signal(Signal::TERM);
        closed_to_newcomers(&gateway).await;
        go.notify_one();
        let answer = session.answer("1").await;
        assert!(answer.contains("done"), "{via:?} {face:?}: {answer}");
        assert_eq!(gateway.process.ended(DEADLINE).await.code, Some(0), "{via:?} {face:?}");
    }
}

#[tokio::test]
async fn an_admin_call_in_flight_gets_its_answer_after_sigterm() {
    let mut gateway = serve(&[]).await;
    let (upstream, go) = patient(Via::Stdio).await;
    gateway.admin.connect(&upstream.definition()).await;
    let arguments = json!({});
    let (answer, ()) = join!(gateway.admin.call("patient", "wait", &arguments), async {
        upstream.nth("tools/call", 0).await;
        gateway.process.signal(Signal::TERM);
        closed_to_newcomers(&gateway).await;
        go.notify_one();
    });
    assert_eq!(answer.json()["result"], json!({ "type": "text", "text": "done" }));
    assert_eq!(gateway.process.ended(DEADLINE).await.code, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut gateway = serve(&["--shutdown-timeout", "10m"]).await;
    let (upstream, _never) = patient(Via::Stdio).await;
    gateway.admin.connect(&upstream.definition()).await;
    let children = gateway.process.children();
    let mut session = session(&gateway.url, "patient").open().await;
    session.begin(tool_call("1", "wait", "{}"));
    upstream.nth("tools/call", 0).await;
    gateway.process.signal(Signal::TERM);
    gateway.process.says("stopping").await;
    gateway.process.signal(Signal::TERM);
    assert_eq!(gateway.process.ended(DEADLINE).await.code, Some(0));
    gone(&children).await;
}

#[tokio::test]
async fn child_processes_get_four_variables_and_those_of_their_definition() {
    let gateway = binary("mcp-proxy")
        .args(["--port", "0"])
        .env("LANG", "C.UTF-8")
        .env("TMPDIR", "/tmp")
        .env("MCP_PROXY_ADMIN_TOKEN", "a secret of the gateway")
        .env("CANARY", "sings")
        .serve()
        .await;
    let admin = gateway.admin.with_token("a secret of the gateway");
    admin
        .connect(&json!({
            "name": "everything",
            "transport": "stdio",
            "command": "mcp-server-everything",
            "args": ["stdio"],
            "env": { "OWN": "of the definition", "LANG": "C" },
        }))
        .await;
    let answer = admin.call("everything", "get-env", &json!({})).await.json();
    let mut seen: Value = serde_json::from_str(answer["result"]["text"].as_str().expect("text")).expect("JSON");
    assert!(["PATH", "HOME"].iter().all(|name| seen[*name].take().is_string()), "{answer}");
    let expected = json!({ "PATH": null, "HOME": null, "LANG": "C", "TMPDIR": "/tmp", "OWN": "of the definition" });
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn neither_secrets_nor_what_tools_are_given_are_logged_at_any_level() {
    let mut gateway =
        serve(&["--debug", "--admin-tokens", "s3cret-admin", "--global-auth-tokens", "s3cret-global"]).await;
    let admin = gateway.admin.with_token("s3cret-admin");
    for via in [Via::Stdio, Via::Json, Via::Sse] {
        let upstream = fake("a").echo("say").start(via).await;
        let mut definition = upstream.definition();
        definition["headers"] = json!({ "X-Key": "s3cret-header" });
        definition["env"] = json!({ "KEY": "s3cret-variable" });
        definition["authTokens"] = json!(["s3cret-own"]);
        admin.connect(&definition).await;
        assert_eq!(admin.call("a", "say", &json!({ "word": "s3cret-argument" })).await.status, 200);
        let mut session = session(&gateway.url, "a").token("s3cret-global").open().await;
        session.call("1", "say", r#"{"word":"s3cret-argument"}"#).await;
        admin.get("/admin/mcps?token=s3cret-query").await;
        assert_eq!(admin.delete("/admin/mcps/a").await.status, 204);
    }
    gateway.process.signal(Signal::TERM);
    let log = gateway.process.ended(DEADLINE).await.err;
    assert!(log.contains("call ended"), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
}

async fn serve(flags: &[&str]) -> Served {
    binary("mcp-proxy").args(["--port", "0"]).args(flags).serve().await
}

/// Returns the processes of a fake server's first session.
async fn processes(upstream: &Fake) -> Vec<Seen> {
    let peer = upstream.peer(0).await;
    peer.pids.iter().map(|pid| Seen::of(*pid).expect("a process that runs")).collect()
}

/// Waits until the processes have ended. The timeout is shorter than the life of a stubborn process.
async fn gone(family: &[Seen]) {
    let all = eventually("every process is gone", async || family.iter().all(|one| !one.is_running()).then_some(()));
    within(SOON, "the end of every process", all).await;
}

async fn closed_to_newcomers(gateway: &Served) {
    let address = gateway.url.trim_start_matches("http://");
    eventually("connections are refused", || async { TcpStream::connect(address).await.err() }).await;
}
