//! The audit log: a record of every change and refusal, and the command that finds what was removed or edited.

use std::fs;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use harness::process::{Ended, Signal};
use harness::raw::raw;
use harness::{DEADLINE, Served, binary, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

struct House {
    gateway: Served,
    log: PathBuf,
    _folder: TempDir,
}

async fn serve(log: &Path, more: &[&str]) -> Served {
    let path = log.display().to_string();
    let flags = ["--port=0", "--admin-tokens=root", "--audit-log", &path];
    let mut gateway = binary("mcp-proxy").args(flags).args(more).serve().await;
    gateway.admin = gateway.admin.with_token("root");
    gateway
}

impl House {
    async fn start(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, data) = (folder.path().join("audit.jsonl"), folder.path().join("data").display().to_string());
        let flags: Vec<&str> = more.iter().copied().chain(["--data-dir", &data]).collect();
        Self { gateway: serve(&log, &flags).await, log, _folder: folder }
    }

    /// Ends the gateway, and verifies its log.
    async fn end(mut self) -> (Ended, TempDir, PathBuf) {
        self.gateway.process.signal(Signal::TERM);
        assert_eq!(self.gateway.process.ended(DEADLINE).await.code, Some(0));
        (verify(&[&self.log], &[]).await, self._folder, self.log)
    }
}

fn remote(name: &str) -> Value {
    json!({ "name": name, "transport": "streamable-http", "url": "http://127.0.0.1:1/mcp",
        "headers": { "X-Key": "hush-hush-value" } })
}

fn records(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).expect("a log");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn actions(log: &Path) -> Vec<String> {
    let action = |record: &Value| record["action"].as_str().unwrap_or_default().to_owned();
    records(log).iter().map(action).collect()
}

async fn verify(files: &[&Path], more: &[&str]) -> Ended {
    binary("mcp-proxy").args(["audit", "verify"]).args(files).args(more).run().await
}

#[tokio::test]
async fn every_change_is_recorded_with_its_author_and_without_secrets() {
    let house = House::start(&["--storage=memory"]).await;
    let admin = &house.gateway.admin;
    admin.register(&remote("one")).await;
    let mut changed = remote("one");
    changed["headers"]["X-Key"] = "another-hush-value".into();
    assert_eq!(admin.put("/admin/mcps/one", &changed).await.status, 200);
    let issued = admin.post("/admin/tokens", json!({ "name": "ci", "rights": ["read", "write"] })).await.json();
    let secret = issued["secret"].as_str().expect("a secret");
    let ci = admin.with_token(secret);
    assert_eq!(ci.put("/admin/leases/worker", json!({ "ttl": "1m", "mcps": ["one"] })).await.status, 200);
    assert_eq!(ci.put("/admin/leases/worker", json!({ "ttl": "1m" })).await.status, 200, "a renewal");
    assert_eq!(ci.delete("/admin/leases/worker").await.status, 200);
    assert_eq!(ci.delete("/admin/mcps/one").await.status, 204);
    assert_eq!(admin.put("/admin/tokens/ci", json!({ "rights": ["read"] })).await.status, 200);
    assert_eq!(ci.get("/admin/mcps?secrets=true").await.status, 403);
    assert_eq!(admin.get("/admin/mcps?secrets=true").await.status, 200);
    assert_eq!(admin.post("/admin/tokens/ci/rotate", json!({})).await.status, 200);
    assert_eq!(admin.delete("/admin/tokens/ci").await.status, 204);
    assert_eq!(admin.put("/admin/log-levels", json!({ "level": "warn" })).await.status, 200);
    let (verified, _folder, log) = house.end().await;
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    assert_eq!(
        actions(&log),
        [
            "gateway.started",
            "registration.created",
            "registration.updated",
            "token.issued",
            "leases.changed",
            "leases.changed",
            "registration.deleted",
            "token.updated",
            "access.refused",
            "secrets.read",
            "token.rotated",
            "token.revoked",
            "log_levels.changed",
            "gateway.stopped",
        ]
    );
    let all = records(&log);
    let by_root = json!({ "kind": "admin", "principal": "admin token 0", "address": "127.0.0.1" });
    let by_ci = json!({ "kind": "admin", "principal": "token ci", "address": "127.0.0.1" });
    assert_eq!((&all[1]["actor"], &all[1]["subject"]), (&by_root, &json!("one")));
    assert_eq!(all[2]["details"]["changed"], json!(["headers"]));
    assert_eq!((&all[4]["actor"], &all[4]["details"]["mcps"]), (&by_ci, &json!(["one"])));
    assert_eq!((&all[6]["actor"], &all[8]["details"]["reason"]), (&by_ci, &json!("may_not_reveal")));
    let text = fs::read_to_string(&log).expect("a log");
    assert!(!text.contains("hush") && !text.contains(secret), "{text}");
}

#[tokio::test]
async fn refused_accesses_are_recorded_and_a_flood_of_them_is_counted() {
    let house = House::start(&["--storage=memory", "--require-auth=on"]).await;
    let (admin, url) = (&house.gateway.admin, &house.gateway.url);
    admin.register(&remote("one")).await;
    for _ in 0..200 {
        assert_eq!(admin.with_token("guessed").get("/admin/mcps").await.status, 401);
        assert_eq!(raw("POST", &format!("{url}/one/mcp?token=hush")).body("{}").send().await.status, 401);
    }
    let (verified, _folder, log) = house.end().await;
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    let all = records(&log);
    let refused: Vec<_> = all.iter().filter(|record| record["action"] == "access.refused").collect();
    let total: u64 = refused.iter().map(|record| record["details"]["repeated"].as_u64().unwrap_or(1)).sum();
    assert_eq!(total, 400, "{refused:#?}");
    assert!(refused.len() <= 20, "{refused:#?}");
    let first = |kind: &str| refused.iter().find(|record| record["actor"]["kind"] == kind).expect("a record");
    assert_eq!((&first("admin")["subject"], &first("client")["subject"]), (&json!("/admin/mcps"), &json!("/one/mcp")));
    let text = fs::read_to_string(&log).expect("a log");
    assert!(!text.contains("hush") && !text.contains("guessed"), "{text}");
}

#[tokio::test]
async fn a_thousand_concurrent_changes_are_all_there_in_order() {
    let house = House::start(&["--storage=embedded"]).await;
    let admin = &house.gateway.admin;
    let create = |number: usize| async move { admin.post("/admin/mcps", remote(&format!("s{number}"))).await.status };
    for batch in 0..10 {
        let statuses = join_all((batch * 100..batch * 100 + 100).map(create)).await;
        assert!(statuses.iter().all(|status| *status == 201), "{statuses:?}");
    }
    let shown = admin.get("/admin/mcps").await.json();
    let (verified, _folder, log) = house.end().await;
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    assert!(verified.out.starts_with("1002 records are intact"), "{}", verified.out);
    let created: Vec<_> =
        records(&log).into_iter().filter(|record| record["action"] == "registration.created").collect();
    let stored = shown["mcps"].as_array().expect("a list").iter().map(|one| &one["definition"]["name"]);
    // The list is in the order of creation.
    assert!(created.iter().map(|record| &record["subject"]).eq(stored));
}

#[tokio::test]
async fn whatever_is_done_to_the_file_is_found() {
    let house = House::start(&["--storage=memory"]).await;
    for number in 0..5 {
        house.gateway.admin.register(&remote(&format!("s{number}"))).await;
    }
    let shown = house.gateway.admin.get("/admin/audit?after=1&limit=2").await.json();
    assert_eq!((&shown["records"][0]["seq"], &shown["records"][1]["seq"]), (&json!(2), &json!(3)));
    let noted = format!("{}:{}", shown["seq"], shown["digest"].as_str().unwrap_or_default());
    let (verified, folder, log) = house.end().await;
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    assert_eq!(verify(&[&log], &["--head", &noted]).await.code, Some(0));
    let lines: Vec<String> = fs::read_to_string(&log).expect("a log").lines().map(str::to_owned).collect();
    let copy = folder.path().join("copy.jsonl");
    fs::copy(folder.path().join("audit.jsonl.head"), folder.path().join("copy.jsonl.head")).expect("copied");
    let check = async |lines: &[String], words: &str| {
        fs::write(&copy, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("written");
        let ended = verify(&[&copy], &[]).await;
        assert_eq!(ended.code, Some(1), "{words}: {}", ended.out);
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    };
    for removed in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(removed);
        let words = if removed + 1 == lines.len() { "names 7 as its last" } else { "records were removed" };
        check(&fewer, words).await;
    }
    for (at, line) in lines.iter().enumerate() {
        let mut edited = lines.clone();
        edited[at] = line.replacen("gateway", "gateWay", 1).replacen("s1", "s9", 1).replacen(
            "admin token 0",
            "admin token 1",
            1,
        );
        assert_ne!(&edited[at], line);
        check(&edited, if at + 1 == lines.len() { "names 7 as its last" } else { "does not follow the one before it" })
            .await;
    }
    let mut moved = lines.clone();
    moved.swap(2, 3);
    check(&moved, "copy.jsonl:3").await;
    check(&[], "names 7 as its last").await;
    // A chain that was written anew, with its end, is found by the record that was noted.
    let another = House::start(&["--storage=memory"]).await;
    another.gateway.admin.register(&remote("other")).await;
    let (verified, _folder, log) = another.end().await;
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    let ended = verify(&[&log], &["--head", &noted]).await;
    assert!(ended.code == Some(1) && ended.err.contains("is not in the chain"), "{}", ended.err);
}

#[tokio::test]
async fn a_longer_chain_that_was_written_anew_is_found_by_the_end_of_the_former() {
    let house = House::start(&["--storage=memory"]).await;
    house.gateway.admin.register(&remote("one")).await;
    let (verified, folder, log) = house.end().await;
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    let forged = House::start(&["--storage=memory"]).await;
    for number in 0..9 {
        forged.gateway.admin.register(&remote(&format!("s{number}"))).await;
    }
    let (_, _other, longer) = forged.end().await;
    fs::copy(longer, &log).expect("replaced");
    let ended = verify(&[&log], &[]).await;
    assert!(ended.code == Some(1) && ended.err.contains("names 3 as its last"), "{}{}", ended.out, ended.err);
    drop(folder);
}

#[tokio::test]
async fn a_change_with_thousands_of_names_is_a_record_that_can_be_verified() {
    let house = House::start(&["--storage=memory"]).await;
    let servers: Vec<String> = (0..20_000).map(|number| format!("{number:0>60}")).collect();
    let token = json!({ "name": "many", "servers": servers });
    assert_eq!(house.gateway.admin.post("/admin/tokens", &token).await.status, 201);
    let (verified, _folder, log) = house.end().await;
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    assert_eq!(records(&log)[1]["details"]["servers"][100], "and 19900 more");
}

#[tokio::test]
async fn leases_are_renewed_while_nothing_can_be_recorded() {
    let house = House::start(&["--storage=memory"]).await;
    let admin = &house.gateway.admin;
    let leased = admin.post("/admin/mcps?lease=worker&ttl=30s", remote("one")).await;
    assert_eq!(leased.status, 201, "{}", leased.text);
    let lock = fs::File::open(house.log.with_file_name("audit.jsonl.head")).expect("a file");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("locked");
    // The first change waits, and shows that no record can be written.
    assert_eq!(admin.post("/admin/mcps", remote("two")).await.status, 201);
    let number = std::sync::atomic::AtomicU32::new(0);
    let change = || async {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        admin.post("/admin/mcps", remote(&format!("n{number}"))).await.status
    };
    eventually("changes are refused", || async { (change().await == 503).then_some(()) }).await;
    let renewed = admin.put("/admin/leases/worker", json!({ "ttl": "30s" })).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    drop(lock);
    eventually("changes are accepted", || async { (change().await == 201).then_some(()) }).await;
    assert_eq!(admin.get("/admin/mcps/one").await.status, 200);
}

#[tokio::test]
async fn records_go_on_after_a_kill_and_in_a_new_file_after_a_rotation() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("audit.jsonl");
    let mut gateway = serve(&log, &["--storage=memory"]).await;
    gateway.admin.register(&remote("one")).await;
    gateway.process.signal(Signal::KILL);
    gateway.process.ended(DEADLINE).await;
    let mut gateway = serve(&log, &["--storage=memory"]).await;
    gateway.admin.register(&remote("two")).await;
    let former = folder.path().join("audit.jsonl.1");
    fs::rename(&log, &former).expect("renamed");
    gateway.admin.register(&remote("three")).await;
    gateway.process.signal(Signal::TERM);
    gateway.process.ended(DEADLINE).await;
    assert_eq!(
        actions(&former),
        ["gateway.started", "registration.created", "gateway.started", "registration.created"]
    );
    assert_eq!(actions(&log), ["registration.created", "gateway.stopped"]);
    let both = verify(&[&former, &log], &["--output", "json"]).await;
    let told: Value = serde_json::from_str(&both.out).expect("JSON");
    assert_eq!((&told["records"], &told["complete"]), (&json!(6), &json!(true)), "{}", both.err);
    let alone = verify(&[&log], &[]).await;
    assert!(alone.err.contains("has number 5, and 1 was expected"), "{}", alone.err);
    let unknown = verify(&[&former], &[]).await;
    assert!(unknown.code == Some(1) && unknown.err.contains("nothing tells if records are missing"), "{}", unknown.err);
    let archived = verify(&[&former], &["--open-end"]).await;
    let end = archived.out.split("the last is ").nth(1).and_then(|end| end.split(';').next()).expect("an end");
    let rest = verify(&[&log], &["--after", end.trim()]).await;
    assert_eq!(rest.code, Some(0), "{}", rest.err);
}

#[tokio::test]
async fn without_room_for_records_changes_are_refused_until_there_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("place/audit.jsonl");
    fs::create_dir(folder.path().join("place")).expect("a folder");
    let mut gateway = serve(&log, &["--storage=memory"]).await;
    gateway.admin.register(&remote("one")).await;
    fs::remove_dir_all(folder.path().join("place")).expect("removed");
    // Made, although its record cannot be written yet.
    assert_eq!(gateway.admin.post("/admin/mcps", remote("two")).await.status, 201);
    let refused = gateway.admin.post("/admin/mcps", remote("three")).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "2"), "{}", refused.text);
    assert!(refused.text.contains("cannot be recorded in the audit log"), "{}", refused.text);
    assert_eq!(gateway.admin.get("/admin/mcps").await.json()["count"], 2);
    fs::create_dir(folder.path().join("place")).expect("a folder");
    let accepted = || async { (gateway.admin.post("/admin/mcps", remote("three")).await.status == 201).then_some(()) };
    eventually("changes are accepted", accepted).await;
    gateway.process.signal(Signal::TERM);
    gateway.process.ended(DEADLINE).await;
    let subjects: Vec<_> = records(&log).iter().map(|record| record["subject"].clone()).collect();
    assert_eq!(subjects[..2], [json!("two"), json!("three")], "nothing that was made is missing");
}

#[tokio::test]
async fn a_file_that_is_no_audit_log_keeps_the_gateway_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    let notes = folder.path().join("notes");
    fs::write(&notes, "mine\n").expect("written");
    let ended = binary("mcp-proxy").args(["--port=0", "--storage=memory", "--audit-log"]).args([&notes]).run().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("--audit-log") && ended.err.contains("move the log away"), "{}", ended.err);
    assert_eq!(fs::read_to_string(&notes).expect("a file"), "mine\n");
}
