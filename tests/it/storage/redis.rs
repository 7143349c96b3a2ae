//! A server that gateways share: what they store there, what they take over, and what happens when it fails.

use std::time::Duration;

use harness::process::Signal;
use harness::redis::{Redis, Watched};
use harness::wait::{DEADLINE, eventually};
use harness::{Served, binary};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{definition, registrations, serve};

async fn serve_from(flags: &[String]) -> Served {
    serve(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn names(gateway: &Served) -> Vec<String> {
    let listed = registrations(gateway).await;
    listed.iter().map(|one| one["definition"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn storage(gateway: &Served) -> Value {
    gateway.admin.get("/readyz").await.json()["storage"].take()
}

async fn is_found(gateway: &Served) {
    eventually("the storage is found", || async { (storage(gateway).await["status"] == "connected").then_some(()) })
        .await;
}

#[tokio::test]
async fn definitions_are_stored_exactly_as_compozy_stores_them() {
    let server = Redis::start(&[]).await;
    let gateway = serve_from(&server.flags()).await;
    let posted = json!({
        "name": "docs", "description": "a <b> & c", "transport": "streamable-http", "url": "https://x.example/mcp?a=1&b=2",
        "headers": { "Authorization": "Bearer t" }, "timeout": 30_000_000_000_i64, "autoReconnect": true, "maxReconnects": 5,
        "reconnectDelay": 5_000_000_000_i64, "healthCheckEnabled": true, "healthCheckInterval": 30_000_000_000_i64,
        "toolFilter": { "mode": "allow", "list": ["a"] },
    });
    gateway.admin.register(&posted).await;
    let shown = gateway.admin.get("/admin/mcps/docs").await.json();
    let time = shown["definition"]["createdAt"].as_str().expect("a time");
    let expected = format!(
        r#"{{"name":"docs","description":"a \u003cb\u003e \u0026 c","transport":"streamable-http","url":"https://x.example/mcp?a=1\u0026b=2","headers":{{"Authorization":"Bearer t"}},"timeout":30000000000,"autoReconnect":true,"maxReconnects":5,"reconnectDelay":5000000000,"healthCheckEnabled":true,"healthCheckInterval":30000000000,"toolFilter":{{"mode":"allow","list":["a"]}},"createdAt":"{time}","updatedAt":"{time}"}}"#
    );
    assert_eq!(server.command(&["get", "mcp_proxy:mcps:docs"]).await, expected);
    assert_eq!(server.command(&["ttl", "mcp_proxy:mcps:docs"]).await, "-1", "it never expires");
    server.command(&["set", "mcp_proxy:status:docs", "{}"]).await;
    assert_eq!(gateway.admin.delete("/admin/mcps/docs").await.status, 204);
    assert_eq!(server.command(&["exists", "mcp_proxy:mcps:docs", "mcp_proxy:status:docs"]).await, "0");
}

#[tokio::test]
async fn what_compozy_has_stored_is_taken_over_and_bad_records_are_left_alone() {
    let server = Redis::start(&[]).await;
    let stored = |name: &str, time: &str| {
        format!(
            r#"{{"name":"{name}","transport":"stdio","command":"no-such-program","args":["-y"],"env":{{"A":"b"}},"timeout":30000000000,"autoReconnect":true,"maxReconnects":5,"reconnectDelay":5000000000,"healthCheckEnabled":true,"healthCheckInterval":30000000000,"logEnabled":false,"future":1,"createdAt":"{time}","updatedAt":"{time}"}}"#
        )
    };
    let records = [
        ("later", stored("later", "2025-10-01T10:00:00.5-03:00")),
        ("earlier", stored("earlier", "2025-09-01T10:00:00Z")),
        ("my server", stored("my server", "2025-11-01T10:00:00Z")),
        ("other", stored("another", "2025-11-01T10:00:00Z")),
        ("broken", "{\"name\":".to_owned()),
    ];
    for (name, text) in &records {
        server.command(&["set", &format!("mcp_proxy:mcps:{name}"), text]).await;
    }
    server.command(&["sadd", "mcp_proxy:mcps:index", "earlier", "later"]).await;
    let mut gateway = serve_from(&server.flags()).await;
    assert_eq!(names(&gateway).await, ["earlier", "later", "my server"]);
    for key in ["mcp_proxy:mcps:broken", "mcp_proxy:mcps:other"] {
        gateway.process.says(key).await;
    }
    let before = registrations(&gateway).await;
    assert_eq!(before[1]["definition"]["createdAt"], "2025-10-01T13:00:00.5Z");
    // The other proxy takes over, and gives back.
    gateway.process.signal(Signal::KILL);
    gateway.process.ended(DEADLINE).await;
    server.command(&["del", "mcp_proxy:mcps:later"]).await;
    server.command(&["set", "mcp_proxy:mcps:new", &stored("new", "2025-08-01T10:00:00Z")]).await;
    let gateway = serve_from(&server.flags()).await;
    assert_eq!(names(&gateway).await, ["earlier", "my server", "new"]);
    assert_eq!(
        registrations(&gateway).await[..2],
        [before[0].clone(), before[2].clone()],
        "the others are as they were"
    );
    // Also after a reading that another gateway's change has caused.
    serve_from(&server.flags()).await.admin.register(&definition("more")).await;
    eventually("the change is read", || async { (names(&gateway).await.len() == 4).then_some(()) }).await;
    let refused = gateway.admin.post("/admin/mcps", definition("broken")).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(refused.text.contains("cannot be read"), "{}", refused.text);
    for (name, text) in &records {
        let expected = if *name == "later" { "" } else { text };
        assert_eq!(server.command(&["get", &format!("mcp_proxy:mcps:{name}")]).await, expected, "{name}");
    }
}

#[tokio::test]
async fn gateways_that_share_a_server_see_each_others_changes_at_once() {
    let server = Redis::start(&[]).await;
    let (one, two) = (serve_from(&server.flags()).await, serve_from(&server.flags()).await);
    one.admin.register(&definition("a")).await;
    eventually("the other has it", || async { (names(&two).await == ["a"]).then_some(()) }).await;
    let (first, second) = (registrations(&one).await, registrations(&two).await);
    assert_eq!(first, second, "with the same revision, and the same salt of the fingerprints");
    // Both write at the same time: every change is made once, and none is lost.
    let write = async |gateway: &Served, from: &str| {
        for number in 0..50 {
            let answer = gateway.admin.post("/admin/mcps", definition(&format!("{from}{number}"))).await;
            assert_eq!(answer.status, 201, "{}", answer.text);
        }
    };
    tokio::join!(write(&one, "x"), write(&two, "y"));
    eventually("both have all", || async {
        let (one, two) = (registrations(&one).await, registrations(&two).await);
        (one.len() == 101 && one == two).then_some(())
    })
    .await;
    let create = |gateway: &Served| gateway.admin.clone();
    let (a, b) = (create(&one), create(&two));
    let (a, b) = tokio::join!(a.post("/admin/mcps", definition("same")), b.post("/admin/mcps", definition("same")));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "one of two wins");
    let taken = one.admin.put("/admin/locks/o", json!({ "holder": "h", "ttl": "1m" })).await;
    assert_eq!(taken.status, 200);
    let refused = two.admin.put("/admin/locks/o", json!({ "holder": "i", "ttl": "1m" })).await;
    assert_eq!(refused.status, 409, "a lock is the same for all");
}

#[tokio::test]
async fn a_server_that_is_killed_loses_nothing_and_no_read_fails() {
    let mut server = Redis::start(&[]).await;
    let gateway = serve_from(&server.flags()).await;
    let mut acknowledged = Vec::new();
    let mut number = 0;
    for _ in 0..3 {
        let began = Instant::now();
        let (mut refused, mut is_down) = (0, false);
        while refused < 20 {
            if !is_down && began.elapsed() > Duration::from_millis(150) {
                server.kill().await;
                is_down = true;
            }
            number += 1;
            let name = format!("n{number}");
            let answer = gateway.admin.post("/admin/mcps", definition(&name)).await;
            match answer.status {
                201 => acknowledged.push(name),
                503 => {
                    refused += 1;
                    assert_eq!(
                        (answer.header("retry-after"), &answer.json()["code"]),
                        ("2", &json!("storage_unavailable"))
                    );
                }
                _ => panic!("{} {}", answer.status, answer.text),
            }
            assert!(registrations(&gateway).await.len() >= acknowledged.len());
        }
        assert_eq!(storage(&gateway).await["status"], "lost");
        server.start_again().await;
        is_found(&gateway).await;
    }
    let known = names(&gateway).await;
    let missing: Vec<_> = acknowledged.iter().filter(|name| !known.contains(name)).collect();
    assert!(missing.is_empty() && !acknowledged.is_empty(), "{missing:?}");
    let another = serve_from(&server.flags()).await;
    assert_eq!(registrations(&another).await, registrations(&gateway).await);
}

#[tokio::test]
async fn a_silent_server_is_noticed_without_a_write_and_followed_when_it_goes_on() {
    let server = Redis::start(&[]).await;
    let gateway = serve_from(&server.flags()).await;
    gateway.admin.register(&definition("a")).await;
    server.pause(true);
    eventually("the loss is noticed", || async { (storage(&gateway).await["status"] == "lost").then_some(()) }).await;
    assert_eq!(gateway.admin.delete("/admin/mcps/a").await.status, 503);
    server.pause(false);
    is_found(&gateway).await;
    assert_eq!(gateway.admin.delete("/admin/mcps/a").await.status, 204);
}

#[tokio::test]
async fn a_server_that_lost_everything_gets_it_back() {
    let server = Redis::start(&[]).await;
    let gateway = serve_from(&server.flags()).await;
    for name in ["a", "b"] {
        gateway.admin.register(&definition(name)).await;
    }
    let before = registrations(&gateway).await;
    server.command(&["flushall"]).await;
    // The next change finds out.
    gateway.admin.register(&definition("c")).await;
    assert_eq!(registrations(&gateway).await[..2], before);
    let another = serve_from(&server.flags()).await;
    assert_eq!(registrations(&another).await, registrations(&gateway).await, "the keys are the same, too");
}

#[tokio::test]
async fn a_replica_that_becomes_the_master_is_followed() {
    let mut watched = Watched::start().await;
    let gateway = serve_from(&watched.flags()).await;
    gateway.admin.register(&definition("before")).await;
    watched.first.command(&["wait", "1", "5000"]).await;
    watched.first.kill().await;
    eventually("changes are accepted again", || async {
        let answer = gateway.admin.post("/admin/mcps", definition("after")).await;
        (answer.status == 201).then_some(())
    })
    .await;
    assert_eq!(names(&gateway).await, ["before", "after"]);
    assert_eq!(watched.second.command(&["exists", "mcp_proxy:mcps:before", "mcp_proxy:mcps:after"]).await, "2");
    watched.first.start_again().await;
    gateway.admin.register(&definition("later")).await;
    assert_eq!(watched.second.command(&["exists", "mcp_proxy:mcps:later"]).await, "1");
}

#[tokio::test]
async fn a_server_that_refuses_the_gateway_is_told_at_the_start() {
    let server = Redis::start(&["--requirepass", "right"]).await;
    let closed = Redis::start_closed("gateway", "right").await;
    let port = |port: u16| format!("--redis-port={port}");
    let at = |number: u16, more: &[&str]| {
        let fixed = ["--storage=redis".to_owned(), "--redis-host=localhost".to_owned(), port(number)];
        fixed.into_iter().chain(more.iter().map(|flag| (*flag).to_owned())).collect::<Vec<_>>()
    };
    let authority = format!("--redis-ca-file={}", Redis::authority().display());
    for (flags, words) in [
        (at(server.port, &[]), "refuses the gateway"),
        (at(server.port, &["--redis-password=wr0ng"]), "refuses the gateway"),
        (at(server.port, &["--redis-password=right", "--redis-db=99"]), "refuses the gateway"),
        (at(closed.port, &["--redis-tls", "--redis-username=gateway", "--redis-password=right"]), "certificate"),
        (at(closed.port, &["--redis-tls", &authority, "--redis-username=x", "--redis-password=right"]), "refuses"),
        (at(server.port, &[&authority]), "--redis-tls"),
        (at(1, &[]), "cannot be reached"),
    ] {
        let ended = binary("mcp-proxy").args(["--port=0"]).args(&flags).run().await;
        assert_eq!(ended.code, Some(1), "{flags:?}");
        assert!(ended.err.contains(words), "{flags:?}: {}", ended.err);
        assert!(!ended.err.contains("wr0ng"), "{}", ended.err);
    }
}

#[tokio::test]
async fn a_server_that_is_only_named_may_be_missing() {
    let named = binary("mcp-proxy").args(["--port=0"]).env("REDIS_URL", "redis://127.0.0.1:1");
    let gateway = named.env("REDIS_POOL_SIZE", "10").serve().await;
    gateway.process.says("REDIS_POOL_SIZE").await;
    gateway.process.says("registrations are kept in memory only").await;
    assert_eq!(storage(&gateway).await["type"], "memory");
}
