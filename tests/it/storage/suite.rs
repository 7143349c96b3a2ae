//! The suite that every kind of storage passes.

use std::collections::HashMap;
use std::time::Duration;

use harness::binary::Served;
use harness::process::Signal;
use harness::redis::{Redis, Watched};
use harness::wait::DEADLINE;
use reqwest::Method;
use serde_json::{Value, json};

use super::{definition, embedded, registrations, serve};

/// The kind of a restart's end.
#[derive(Clone, Copy)]
enum End {
    Stop,
    Kill,
}

/// Applies every kind of change, and checks that those that are refused change nothing.
async fn change(gateway: &Served) {
    let admin = &gateway.admin;
    for name in ["zeta", "beta", "alpha"] {
        let mut definition = definition(name);
        definition["headers"] = json!({ "Authorization": format!("Bearer s3cret-{name}") });
        admin.register(&definition).await;
    }
    let stored = admin.get("/admin/mcps/beta").await;
    let put = async |revision: &str, description: &str| {
        let mut definition = definition("beta");
        definition["description"] = description.into();
        let request = admin.request(Method::PUT, "/admin/mcps/beta").header("if-match", revision);
        harness::admin::send(request.body(definition.to_string())).await
    };
    assert_eq!(put(stored.header("etag"), "second").await.status, 200);
    let stale = put(stored.header("etag"), "third").await;
    assert_eq!((stale.status, stale.json()["code"].as_str()), (412, Some("stale_revision")));
    assert_eq!(admin.post("/admin/mcps", definition("beta")).await.status, 409);
    let batch = async |changes: Value| admin.post("/admin/generations", json!({ "changes": changes })).await;
    let refused = batch(json!([
        { "change": "create", "definition": definition("never") },
        { "change": "update", "definition": definition("missing") },
    ]));
    assert_eq!(refused.await.status, 409);
    let applied = batch(json!([
        { "change": "create", "definition": definition("delta") },
        { "change": "delete", "name": "zeta" },
        { "change": "create", "definition": definition("last") },
    ]));
    assert_eq!(applied.await.status, 200);
    assert_eq!(admin.delete("/admin/mcps/last").await.status, 204);
    let leased = admin.post("/admin/mcps?lease=w1&ttl=1h", definition("leased")).await;
    assert_eq!(leased.status, 201, "{}", leased.text);
    let held = admin.put("/admin/leases/w2", json!({ "ttl": "1h", "mcps": ["leased", "alpha"] })).await;
    assert_eq!(held.json()["held"], json!(["alpha", "leased"]));
    assert_eq!(lock(gateway, "one", "t0ken").await, 200);
    assert_eq!(lock(gateway, "two", "other").await, 409);
    for name in ["kept", "revoked"] {
        assert_eq!(admin.post("/admin/tokens", json!({ "name": name, "ttl": "1h" })).await.status, 201);
    }
    assert_eq!(admin.post("/admin/tokens/kept/rotate", "{}").await.status, 200);
    assert_eq!(admin.delete("/admin/tokens/revoked").await.status, 204);
    let names: Vec<_> = registrations(gateway).await.iter().map(|one| one["definition"]["name"].clone()).collect();
    assert_eq!(names, ["beta", "alpha", "delta", "leased"], "in the order of their creation");
}

async fn lock(gateway: &Served, holder: &str, token: &str) -> u16 {
    let wanted = json!({ "holder": holder, "ttl": "10m", "token": token });
    gateway.admin.put("/admin/locks/team", wanted).await.status
}

/// Checks that a gateway has all that [`change`] left, and goes on from there.
async fn goes_on(gateway: &Served, before: &[Value], [leases, tokens]: &[Value; 2]) {
    let admin = &gateway.admin;
    assert_eq!(&admin.get("/admin/tokens").await.json(), tokens);
    assert_eq!(tokens["tokens"][0]["name"], "kept");
    assert!(tokens["tokens"][0]["formerUntil"].is_string() && tokens["count"] == 1, "{tokens}");
    assert_eq!(registrations(gateway).await, before);
    assert_eq!(&admin.get("/admin/leases").await.json(), leases);
    assert_eq!(lock(gateway, "two", "other").await, 409, "the lock outlives the gateway");
    assert_eq!(lock(gateway, "one", "t0ken").await, 200, "and is its holder's");
    let stale = admin.request(Method::PUT, "/admin/mcps/beta").header("if-match", "\"1\"");
    assert_eq!(harness::admin::send(stale.body(definition("beta").to_string())).await.status, 412);
    admin.register(&definition("zeta")).await;
    let revision = |one: &Value| one["revision"].as_u64().expect("a revision");
    let newest = before.iter().map(revision).max();
    let after = registrations(gateway).await;
    assert!(after.last().map(revision) > newest, "no revision is used twice");
    assert_eq!(after.last().map(|one| &one["definition"]["name"]), Some(&json!("zeta")));
    assert_eq!(admin.delete("/admin/leases/w2").await.json(), json!({ "removed": [], "kept": ["alpha", "leased"] }));
    assert_eq!(admin.delete("/admin/leases/w1").await.json()["removed"], json!(["leased"]));
}

/// Runs the suite on a storage that outlives the gateway.
async fn outlives(flags: &[String], end: End) {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut gateway = serve(&flags).await;
    change(&gateway).await;
    let before = registrations(&gateway).await;
    let beside = beside(&gateway).await;
    gateway.process.signal(match end {
        End::Stop => Signal::TERM,
        End::Kill => Signal::KILL,
    });
    gateway.process.ended(DEADLINE).await;
    let gateway = serve(&flags).await;
    goes_on(&gateway, &before, &beside).await;
}

/// Returns leases and access tokens.
async fn beside(gateway: &Served) -> [Value; 2] {
    [gateway.admin.get("/admin/leases").await.json(), gateway.admin.get("/admin/tokens").await.json()]
}

/// Stores as many registrations as there may be, in one transaction, and reads them again.
async fn keeps_a_thousand(flags: &[String]) {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut gateway = serve(&flags).await;
    let creation = |number: usize| json!({ "change": "create", "definition": definition(&format!("n{number}")) });
    let changes: Vec<_> = (0..1_000).map(creation).collect();
    let answer = gateway.admin.post("/admin/generations", json!({ "changes": changes })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let full = gateway.admin.post("/admin/mcps", definition("one-more")).await;
    assert!(full.text.contains("1000"), "{}", full.text);
    let before = registrations(&gateway).await;
    assert_eq!(before.len(), 1_000);
    gateway.process.signal(Signal::KILL);
    gateway.process.ended(DEADLINE).await;
    let gateway = serve(&flags).await;
    assert_eq!(registrations(&gateway).await, before);
}

/// Kills the gateway at random moments while it is changed, and checks that every change it has acknowledged is there.
/// `KILL_ROUNDS` sets how often.
async fn forgets_nothing_when_killed(flags: &[String]) {
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(["--max-servers=200000"]).collect();
    let rounds: u64 = std::env::var("KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    let mut acknowledged: Vec<(String, u64)> = Vec::new();
    for round in 0..rounds {
        let mut gateway = serve(&flags).await;
        let known = registrations(&gateway).await;
        let stored: HashMap<_, _> =
            known.iter().map(|one| (one["definition"]["name"].as_str(), one["revision"].as_u64())).collect();
        for (name, revision) in &acknowledged {
            assert_eq!(stored.get(&Some(name)), Some(&Some(*revision)), "{name} in round {round}");
        }
        for one in &known {
            let (name, url) = (&one["definition"]["name"], one["definition"]["url"].as_str());
            let expected = name.as_str().map(|name| format!("http://127.0.0.1:1/{name}"));
            assert_eq!(url.map(str::to_owned), expected, "half a registration");
        }
        let delay = Duration::from_micros(20_000 + round * 7_919 % 200_000);
        let admin = gateway.admin.clone();
        let writes = async {
            for number in 0..2_000 {
                let name = format!("r{round}n{number}");
                let request = admin.request(Method::POST, "/admin/mcps").body(definition(&name).to_string());
                let Ok(response) = request.send().await else { break };
                let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok()).unwrap_or_default();
                acknowledged.push((name, tag.trim_matches('"').parse().expect("a revision")));
            }
        };
        let kill = async {
            tokio::time::sleep(delay).await;
            gateway.process.signal(Signal::KILL);
        };
        tokio::join!(writes, kill);
        gateway.process.ended(DEADLINE).await;
    }
    assert!(!acknowledged.is_empty());
}

#[tokio::test]
async fn memory() {
    change(&serve(&["--storage=memory"]).await).await;
}

#[tokio::test]
async fn embedded_outlives_a_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    outlives(&embedded(folder.path()), End::Stop).await;
}

#[tokio::test]
async fn embedded_outlives_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    outlives(&embedded(folder.path()), End::Kill).await;
}

#[tokio::test]
async fn embedded_keeps_a_thousand() {
    let folder = tempfile::tempdir().expect("a folder");
    keeps_a_thousand(&embedded(folder.path())).await;
}

#[tokio::test]
async fn redis_outlives_a_stop() {
    outlives(&Redis::start(&[]).await.flags(), End::Stop).await;
}

#[tokio::test]
async fn redis_outlives_a_kill() {
    outlives(&Redis::start(&[]).await.flags(), End::Kill).await;
}

#[tokio::test]
async fn redis_keeps_a_thousand() {
    keeps_a_thousand(&Redis::start(&[]).await.flags()).await;
}

#[tokio::test]
async fn redis_with_a_user_and_tls() {
    let server = Redis::start_closed("gateway", "s3cret").await;
    let mut flags = vec!["--storage=redis".to_owned(), "--redis-password=s3cret".to_owned()];
    flags.push(format!("--redis-url=rediss://gateway@localhost:{}", server.port));
    flags.push(format!("--redis-ca-file={}", Redis::authority().display()));
    outlives(&flags, End::Kill).await;
}

#[tokio::test]
async fn redis_behind_sentinels() {
    outlives(&Watched::start().await.flags(), End::Kill).await;
}

#[tokio::test]
async fn embedded_forgets_nothing_when_its_gateway_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    forgets_nothing_when_killed(&embedded(folder.path())).await;
}

#[tokio::test]
async fn redis_forgets_nothing_when_its_gateway_is_killed() {
    forgets_nothing_when_killed(&Redis::start(&[]).await.flags()).await;
}
