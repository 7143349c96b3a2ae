//! Gateway that is replaced by a successor while clients send requests through proxies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use harness::process::Signal;
use harness::proxy::{Setup, Software};
use harness::raw::raw;
use harness::wait::{DEADLINE, within};
use harness::{Process, binary, eventually, free_port};
use tokio::task::JoinSet;

/// Number of responses that each client gets before the gateway is replaced, and again after.
const ENOUGH: usize = 20;

/// Starts a gateway that shares its port with another gateway.
async fn start(port: u16) -> (Process, tempfile::TempDir) {
    let port = port.to_string();
    let flags = ["--port", &port, "--reuse-port", "--trusted-proxies", "127.0.0.1"];
    let names = ["--base-url", "https://gw.example/gw", "--admin-tokens", "t0ken"];
    let (command, home) = binary("mcp-proxy").args(flags).args(names).into_command();
    let process = Process::start(command);
    process.first_line().await;
    (process, home)
}

#[tokio::test]
async fn a_gateway_is_replaced_under_load_behind_every_proxy_and_no_request_fails() {
    let port = free_port();
    let (mut old, _old_home) = start(port).await;
    let (counts, ends) = (Software::ALL.map(|_| Arc::new(AtomicUsize::new(0))), Arc::new(AtomicBool::new(false)));
    let mut proxies = Vec::new();
    let mut clients = JoinSet::new();
    for (software, count) in Software::ALL.into_iter().zip(&counts) {
        let proxy = software.start(Setup::Example, "127.0.0.1", port).await;
        for _ in 0..2 {
            let (url, count, ends) = (format!("{}/gw/healthz", proxy.url), Arc::clone(count), Arc::clone(&ends));
            clients.spawn(async move {
                while !ends.load(Ordering::Relaxed) {
                    let mut reply = raw("GET", &url).header("host", "gw.example").send().await;
                    let text = reply.text().await;
                    assert!(reply.status == 200 && text.contains("healthy"), "{software:?}: {} {text}", reply.status);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        proxies.push(proxy);
    }
    let all_reach = async |more: usize| {
        let goals: Vec<usize> = counts.iter().map(|count| count.load(Ordering::Relaxed) + more).collect();
        eventually("answers through every proxy", async || {
            let reached = counts.iter().zip(&goals).all(|(count, goal)| count.load(Ordering::Relaxed) >= *goal);
            reached.then_some(())
        })
        .await;
    };
    all_reach(ENOUGH).await;
    let (_new, _new_home) = start(port).await;
    old.signal(Signal::TERM);
    assert_eq!(old.ended(DEADLINE).await.code, Some(0));
    all_reach(ENOUGH).await;
    ends.store(true, Ordering::Relaxed);
    let all = async {
        while let Some(client) = clients.join_next().await {
            client.expect("a client that met no failure");
        }
    };
    within(DEADLINE, "the end of all clients", all).await;
}
