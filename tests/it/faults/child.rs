//! Processes that die, hang, write too much, and leave child processes behind.

use std::fs;

use harness::fake::{Call, Fake, Via, fake};
use harness::raw::{Face, session, tool_call};
use harness::wait::Gate;
use harness::{InProcess, eventually, gateway};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::time::Instant;

use super::{PROMPT, error_holds, kind, served_again};

#[tokio::test]
async fn a_killed_process_is_replaced_the_status_says_why_and_others_never_notice() {
    let successor = Gate::default();
    let wait = successor.clone();
    let script = fake("mortal").echo("echo").child(&["--complain", "out of luck"]).on("initialize", move |call| {
        let wait = wait.clone();
        async move {
            if call.peer.number > 0 {
                wait.opened().await;
            }
            call.proceed();
        }
    });
    let (mortal, other) = (script.start(Via::Stdio).await, fake("other").echo("echo").start(Via::Stdio).await);
    let gateway = gateway().start().await;
    gateway.admin.connect(&mortal.definition()).await;
    gateway.admin.connect(&other.definition()).await;
    let mut client = session(&gateway.url, "mortal").open().await;
    let mut bystander = session(&gateway.url, "other").open().await;
    served_again(&mut client).await;

    kill(mortal.peer(0).await.pids[0]);
    let status = error_holds(&gateway, "mortal", "SIGKILL").await;
    assert!(status["lastError"].to_string().contains("out of luck"), "{status}");
    let began = Instant::now();
    assert_eq!(kind(&client.call("1", "echo", "{}").await), "upstream_not_ready");
    assert!(began.elapsed() < PROMPT);
    served_again(&mut bystander).await;

    successor.open();
    served_again(&mut client).await;
    let status = gateway.admin.status("mortal").await;
    assert_eq!((&status["status"], status.get("lastError")), (&json!("connected"), None));
    assert!(status["disconnectReason"].to_string().contains("SIGKILL"), "{status}");
    assert_eq!(gateway.admin.status("other").await.get("lastDisconnected"), None);
    assert_eq!(other.count("initialize"), 1);
}

#[tokio::test]
async fn a_call_after_the_death_of_its_process_is_served_by_the_successor_within_a_second() {
    for mode in ["shared", "dedicated"] {
        let (mortal, gateway) = mortal(mode, &[]).await;
        let mut client = session(&gateway.url, "mortal").open().await;
        served_again(&mut client).await;
        let last = mortal.received().last().map(|received| received.peer).expect("a call");
        let pid = mortal.peer(last).await.pids[0];
        kill(pid);
        gone(pid).await;
        let began = Instant::now();
        let answer = client.call("1", "echo", "{}").await;
        assert!(began.elapsed() < PROMPT, "{mode}");
        assert!(answer.contains("structuredContent") || kind(&answer) != json!(null), "{mode}: {answer}");
        served_again(&mut client).await;
    }
}

#[tokio::test]
async fn a_call_in_flight_when_its_process_dies_fails_and_is_not_repeated() {
    for mode in ["shared", "dedicated"] {
        for face in Face::ALL {
            let (mortal, gateway) = mortal(mode, &[]).await;
            let mut client = session(&gateway.url, "mortal").over(face).open().await;
            client.begin(tool_call("1", "hold", "{}"));
            let call = mortal.nth("tools/call", 0).await;
            kill(mortal.peer(call.peer).await.pids[0]);
            assert_eq!(kind(&client.answer("1").await), "upstream_lost", "{mode} {face:?}");
            served_again(&mut client).await;
            let held = mortal.received().into_iter().filter(|received| received.text().contains("hold")).count();
            assert_eq!(held, 1, "{mode} {face:?}");
        }
    }
}

#[tokio::test]
async fn a_process_that_is_survived_by_another_is_missed_all_the_same() {
    let (mortal, gateway) = mortal("shared", &["--daemon"]).await;
    let mut client = session(&gateway.url, "mortal").open().await;
    let peer = mortal.peer(0).await;
    kill(peer.pids[0]);
    error_or_loss(&gateway, "SIGKILL").await;
    served_again(&mut client).await;
    gone(peer.pids[1]).await;
}

#[tokio::test]
async fn a_silent_client_hears_the_successor() {
    for mode in ["shared", "dedicated"] {
        let (mortal, gateway) = mortal(mode, &[]).await;
        let mut client = session(&gateway.url, "mortal").open().await;
        client.listen().await;
        let subscribe = r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"test://a"}}"#;
        client.request(subscribe).await;
        let subscribed = mortal.nth("resources/subscribe", 0).await.peer;
        kill(mortal.peer(subscribed).await.pids[0]);
        let successor = mortal.nth("resources/subscribe", 1).await.peer;
        let updated = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"test://a"}}"#;
        mortal.peer(successor).await.send(updated);
        assert_eq!(client.next("updated").await, updated, "{mode}");
    }
}

#[tokio::test]
async fn a_process_that_exits_at_once_is_tried_again_and_again() {
    let hopeless =
        fake("hopeless").child(&["--flood", "--complain", "no licence", "--exit", "3"]).start(Via::Stdio).await;
    let gateway = gateway().start().await;
    let mut definition = hopeless.definition();
    definition["reconnectDelay"] = json!("100ms");
    gateway.admin.register(&definition).await;
    let status = error_holds(&gateway, "hopeless", "exit code 3").await;
    assert!(status["lastError"].to_string().contains("no licence"), "{status}");
    eventually("a third attempt", || async {
        let status = gateway.admin.status("hopeless").await;
        (status["reconnectAttempts"].as_u64() >= Some(3)).then_some(())
    })
    .await;
    let opening = session(&gateway.url, "hopeless").refused().await;
    assert_eq!((opening.status, kind(&opening.text)), (503, json!("upstream_not_ready")));
    assert_eq!(opening.headers["retry-after"], "1");
}

#[tokio::test]
async fn a_process_that_is_given_up_says_so_and_why() {
    let hopeless = fake("hopeless").child(&["--complain", "no licence", "--exit", "3"]).start(Via::Stdio).await;
    let gateway = gateway().start().await;
    let mut definition = hopeless.definition();
    definition["reconnectDelay"] = json!("1ms");
    definition["maxReconnects"] = json!(1);
    gateway.admin.register(&definition).await;
    let status = error_holds(&gateway, "hopeless", "gave up after 2 attempts").await;
    let told = status["lastError"].to_string();
    assert!(told.contains("exit code 3") && told.contains("no licence") && told.contains("maxReconnects"), "{told}");
    assert_eq!(status["gaveUp"], true, "{status}");
}

#[tokio::test]
async fn an_attempt_after_a_failed_one_is_still_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mark = folder.path().join("tried");
    // The first attempt fails; the second hangs for longer than the test.
    let script = "if [ -e \"$0\" ]; then exec sleep 60; fi; : > \"$0\"; echo first failure >&2; exit 3";
    let gateway = gateway().start().await;
    let definition = json!({ "name": "slow", "transport": "stdio", "command": "sh", "args": ["-c", script, mark],
        "era": "legacy", "reconnectDelay": "1ms" });
    gateway.admin.register(&definition).await;
    let status = eventually("a second attempt", || async {
        let status = gateway.admin.status("slow").await;
        (status["reconnectAttempts"].as_u64() == Some(2)).then_some(status)
    })
    .await;
    assert_eq!(status["status"], "error", "{status}");
    assert!(status["lastError"].to_string().contains("exit code 3: first failure"), "{status}");
}

#[tokio::test]
async fn a_process_may_print_what_is_no_message() {
    let script = fake("chatty").on("initialize", |call| async move {
        call.print("listening on stdio\n\n{\"not\": \"a message\"}\n");
        call.proceed();
    });
    let script = script.tool("echo", |call| async move {
        call.print("[debug] {\r\n\u{fffd}\n");
        call.echo();
    });
    let chatty = script.start(Via::Stdio).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&chatty.definition()).await;
    let mut client = session(&gateway.url, "chatty").open().await;
    assert!(client.call("1", "echo", "{}").await.contains("structuredContent"));
    assert_eq!(chatty.count("initialize"), 1);
}

#[tokio::test]
async fn a_process_may_fill_its_standard_error() {
    let (_loud, gateway) = mortal("shared", &["--flood"]).await;
    let mut client = session(&gateway.url, "mortal").open().await;
    assert!(client.call("1", "echo", "{}").await.contains("structuredContent"));
}

#[tokio::test]
async fn a_stubborn_process_and_its_daemon_are_gone_once_deregistered() {
    let (stubborn, gateway) = mortal("shared", &["--stubborn", "--daemon"]).await;
    let peer = stubborn.peer(0).await;
    assert_eq!(peer.pids.len(), 2);
    assert!(peer.pids.iter().all(|pid| is_running(*pid)));
    assert_eq!(gateway.admin.delete("/admin/mcps/mortal").await.status, 204);
    for pid in &peer.pids {
        gone(*pid).await;
    }
}

/// Starts a stdio upstream with a tool that answers and one that never does.
async fn mortal(mode: &str, flags: &[&str]) -> (Fake, InProcess) {
    let script = fake("mortal").echo("echo").tool("hold", Call::never).child(flags);
    let upstream = script.start(Via::Stdio).await;
    let gateway = gateway().start().await;
    let mut definition = upstream.definition();
    definition["sessionMode"] = json!(mode);
    gateway.admin.connect(&definition).await;
    (upstream, gateway)
}

async fn error_or_loss(gateway: &InProcess, text: &str) {
    eventually(&format!("`{text}` in the status"), || async {
        gateway.admin.status("mortal").await.to_string().contains(text).then_some(())
    })
    .await;
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::KILL).expect("the process is there");
}

async fn gone(pid: u32) {
    eventually(&format!("the end of process {pid}"), || async { (!is_running(pid)).then_some(()) }).await;
}

/// True if a process is running; a zombie is not.
fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().next()).is_some_and(|state| state != "Z")
}
