//! `watch`: files that are written, become invalid or disappear; a gateway that restarts.

use std::fs;

use harness::process::Signal;
use harness::{DEADLINE, Served, binary, eventually, free_port, gateway};
use serde_json::json;
use tempfile::TempDir;

use super::{folder, owners, path, server};

fn write(folder: &TempDir, text: &str) {
    fs::write(folder.path().join("w.yaml"), text).expect("a file");
}

async fn has(gateway: &Served, names: &[&str]) {
    eventually(&format!("{names:?} at the gateway"), async || {
        let found: Vec<String> = owners(&gateway.admin).await.into_iter().map(|(name, _)| name).collect();
        (found == names).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_declared_is_followed_and_what_is_broken_changes_nothing() {
    let port = free_port().to_string();
    let start = async || binary("mcp-proxy").args(["--port", &port]).serve().await;
    let mut first = start().await;
    let folder = folder(&format!("mcps:\n{}", server("one")));
    let health = free_port();
    let watch = binary("register-service").env("MCP_PROXY_URL", &first.url).args([
        "watch",
        path(&folder),
        "--prune",
        "owned",
        "--max-delete",
        "100%",
        "--interval",
        "50ms",
        "--resync",
        "300ms",
        "--health",
        &format!("127.0.0.1:{health}"),
    ]);
    let mut watch = watch.start();
    let probe = async || harness::http().get(format!("http://127.0.0.1:{health}/healthz")).send().await;
    let is = |status: u16| {
        async move |answer: reqwest::Result<reqwest::Response>| answer.is_ok_and(|it| it.status() == status)
    };
    has(&first, &["one"]).await;
    eventually("health", async || is(200)(probe().await).await.then_some(())).await;

    write(&folder, &format!("mcps:\n{}{}", server("one"), server("two")));
    has(&first, &["one", "two"]).await;
    // An editor that writes in two steps, and an author's mistake.
    write(&folder, "mcps:\n  - {id: one, comm");
    watch.process.says("waiting for the files to be mended").await;
    has(&first, &["one", "two"]).await;
    eventually("bad health", async || is(503)(probe().await).await.then_some(())).await;
    write(&folder, &format!("mcps:\n{}", server("two")));
    has(&first, &["two"]).await;

    // A missing folder does not declare that there is nothing: no registration is removed.
    let aside = folder.path().with_extension("aside");
    fs::rename(folder.path(), &aside).expect("it is renamed");
    watch.process.says("there is no such file or folder").await;
    has(&first, &["two"]).await;
    fs::rename(&aside, folder.path()).expect("it is renamed");

    first.process.signal(Signal::TERM);
    first.process.ended(DEADLINE).await;
    watch.process.says("lost the gateway at http://127.0.0.1").await;
    let second = start().await;
    watch.process.says("is back after").await;
    has(&second, &["two"]).await;
    assert_eq!(watch.process.err().matches("cannot connect to").count(), 1, "{}", watch.process.err());
    // A registration that somebody else removes is registered again.
    second.admin.delete("/admin/mcps/two").await;
    has(&second, &["two"]).await;
    watch.process.signal(Signal::TERM);
    assert_eq!(watch.process.ended(DEADLINE).await.code, Some(143));
}

#[tokio::test]
async fn while_another_run_of_the_owner_is_at_it_nothing_is_changed() {
    let gateway = gateway().start().await;
    let lock = json!({ "holder": "ci-17", "ttl": "60s" });
    let lock = gateway.admin.put("/admin/locks/team", lock).await.json();
    let folder = folder(&format!("mcps:\n{}", server("one")));
    let watch = binary("register-service").env("MCP_PROXY_URL", &gateway.url);
    let mut watch = watch.args(["watch", path(&folder), "--owner", "team", "--interval", "20ms"]).start();
    watch.process.says("waiting for `ci-17`, which syncs as owner `team`").await;
    assert!(owners(&gateway.admin).await.is_empty());
    let token = lock["token"].as_str().expect("a token");
    gateway.admin.delete(&format!("/admin/locks/team?token={token}")).await;
    eventually("the registration", async || (owners(&gateway.admin).await.len() == 1).then_some(())).await;
    eventually("the lock, given back", async || {
        let free = gateway.admin.put("/admin/locks/team", json!({ "holder": "x", "ttl": "5s" })).await;
        (free.status == 200).then_some(())
    })
    .await;
    watch.process.signal(Signal::TERM);
    let ended = watch.process.ended(DEADLINE).await;
    assert!(ended.err.contains("stopped; what was registered stays"), "{}", ended.err);
}
