//! Conditional changes, which are made only if the revision is still the expected one.

use futures_util::future::join_all;
use harness::fake::{Via, fake};
use harness::gateway;
use reqwest::Method;
use serde_json::{Value, json};

use super::{is, names, nowhere, only_at, refuses, shown, with};

#[tokio::test]
async fn every_change_has_a_revision_of_its_own_that_no_other_state_ever_had() {
    let gateway = gateway().start().await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let created = gateway.admin.post("/admin/mcps", nowhere("a")).await;
        let tag = |revision: &Value| format!("\"{revision}\"");
        let revision = shown(&gateway.admin, "a").await["revision"].take();
        assert_eq!((created.status, created.header("etag")), (201, &*tag(&revision)));
        seen.push(revision.as_u64().expect("a number"));
        let refused = gateway.admin.put("/admin/mcps/a", with(nowhere("a"), json!({ "timeout": -1 }))).await;
        assert_eq!((refused.status, shown(&gateway.admin, "a").await["revision"].take()), (400, revision));
        let changed = gateway.admin.put("/admin/mcps/a", nowhere("a")).await;
        let listed = gateway.admin.get("/admin/mcps").await.json();
        assert_eq!((changed.status, changed.header("etag")), (200, &*tag(&listed["mcps"][0]["revision"])));
        seen.push(listed["mcps"][0]["revision"].as_u64().expect("a number"));
        assert_eq!(gateway.admin.delete("/admin/mcps/a").await.status, 204);
    }
    assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
    assert!(seen.iter().all(|revision| *revision < 1 << 53), "{seen:?} are exact in JavaScript too");
}

#[tokio::test]
async fn a_change_to_a_state_that_has_passed_changes_nothing() {
    let gateway = gateway().start().await;
    let old = gateway.admin.post("/admin/mcps", nowhere("a")).await.header("etag").to_owned();
    let owned = with(nowhere("a"), json!({ "tags": { "owner": "team-a", "source": "chat.yaml:7" } }));
    assert_eq!(gateway.admin.put("/admin/mcps/a", &owned).await.status, 200);
    let before = shown(&gateway.admin, "a").await;
    let current = format!("\"{}\"", before["revision"]);
    let other = with(nowhere("a"), json!({ "description": "other" }));
    let weak = format!("W/{current}");
    for tag in [&*old, &weak, "\"1\"", "\"x\"", &format!("{old}, {weak}")] {
        for method in [Method::PUT, Method::DELETE] {
            let answer = only_at(&gateway.admin, method, "a", tag, other.clone()).await;
            assert_eq!(answer.header("etag"), current);
            let details = format!("the revision of a is {}; If-Match names another", before["revision"]);
            let body = json!({
                "error": "Registration has changed", "details": details, "name": "a", "code": "stale_revision",
                "revision": before["revision"], "owner": "team-a",
            });
            is(&answer, 412, body);
        }
    }
    assert_eq!(shown(&gateway.admin, "a").await, before);
}

#[tokio::test]
async fn a_change_to_the_state_that_is_there_is_made() {
    let gateway = gateway().start().await;
    let mut tag = gateway.admin.post("/admin/mcps", nowhere("a")).await.header("etag").to_owned();
    for form in ["TAG", "\"1\", TAG", "*", "W/\"1\" ,,TAG"] {
        let condition = form.replace("TAG", &tag);
        let body = with(nowhere("a"), json!({ "description": form }));
        let answer = only_at(&gateway.admin, Method::PUT, "a", &condition, body).await;
        assert_eq!(answer.status, 200, "{condition}: {}", answer.text);
        assert_ne!(answer.header("etag"), tag);
        tag = answer.header("etag").to_owned();
        assert_eq!(shown(&gateway.admin, "a").await["definition"]["description"], form);
    }
    assert_eq!(only_at(&gateway.admin, Method::DELETE, "a", &tag, Value::Null).await.status, 204);
    for method in [Method::PUT, Method::DELETE] {
        let answer = only_at(&gateway.admin, method, "a", &tag, nowhere("a")).await;
        is(&answer, 404, json!({ "error": "MCP not found", "name": "a" }));
    }
}

#[tokio::test]
async fn what_is_no_condition_is_refused_and_nothing_done() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    for condition in ["", "7", "\"7", "*, \"7\"", "'7'"] {
        for method in [Method::PUT, Method::DELETE] {
            let answer = only_at(&gateway.admin, method, "a", condition, nowhere("a")).await;
            refuses(&answer, 400, "Invalid request", "`If-Match` is neither `*` nor a list of entity tags");
        }
    }
    assert_eq!(names(&gateway.admin).await, ["a"]);
}

#[tokio::test]
async fn a_change_that_comes_twice_is_answered_as_the_first_time_and_made_once() {
    let gateway = gateway().start().await;
    let upstream = fake("a").start(Via::Json).await;
    let secret = with(upstream.definition(), json!({ "headers": { "X-Key": "hush" } }));
    let old = gateway.admin.post("/admin/mcps", &secret).await.header("etag").to_owned();
    let changed = with(secret.clone(), json!({ "description": "new" }));
    let first = only_at(&gateway.admin, Method::PUT, "a", &old, changed.clone()).await;
    gateway.admin.connected("a").await;
    let before = shown(&gateway.admin, "a").await;
    let redacted = with(changed.clone(), json!({ "headers": { "X-Key": "[redacted]" } }));
    for again in [changed, redacted] {
        let answer = only_at(&gateway.admin, Method::PUT, "a", &old, again).await;
        assert_eq!((answer.status, &answer.text), (200, &first.text));
        assert_eq!(answer.header("etag"), first.header("etag"));
    }
    assert_eq!(shown(&gateway.admin, "a").await, before);
    assert_eq!(gateway.admin.status("a").await["status"], "connected", "the upstream was left alone");
    let almost = with(secret, json!({ "description": "new", "headers": { "X-Key": "other" } }));
    assert_eq!(only_at(&gateway.admin, Method::PUT, "a", &old, almost).await.status, 412);
    // The secret to keep belongs to another revision by now; the caller has to read the registration again.
    let elsewhere = json!({ "url": "http://127.0.0.1:2/mcp", "headers": { "X-Key": "[redacted]" } });
    let answer = only_at(&gateway.admin, Method::PUT, "a", &old, with(nowhere("a"), elsewhere.clone())).await;
    assert_eq!(answer.status, 412, "{}", answer.text);
    let current = first.header("etag");
    let answer = only_at(&gateway.admin, Method::PUT, "a", current, with(nowhere("a"), elsewhere)).await;
    refuses(&answer, 400, "Invalid MCP definition", "invalid MCP definition: `headers.X-Key` is redacted");
}

#[tokio::test]
async fn registering_what_is_stored_is_still_a_conflict() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    let answer = gateway.admin.post("/admin/mcps", nowhere("a")).await;
    is(&answer, 409, json!({ "error": "MCP already exists", "details": "MCP already exists: a" }));
}

#[tokio::test]
async fn owner_and_source_are_those_of_the_tags() {
    let gateway = gateway().start().await;
    let check = async |name: &str, tags: Value, owner: Value, source: Value| {
        gateway.admin.register(&with(nowhere(name), json!({ "tags": tags }))).await;
        let mut shown = shown(&gateway.admin, name).await;
        assert_eq!((shown["owner"].take(), shown["source"].take()), (owner, source));
        assert_eq!(shown["definition"]["tags"], tags, "an old proxy would keep them");
    };
    let tags = json!({ "owner": "team-a", "source": "flows/chat.yaml:7", "commit": "5bd0cc2", "x": "y" });
    check("a", tags, json!("team-a"), json!({ "file": "flows/chat.yaml", "line": 7, "commit": "5bd0cc2" })).await;
    check("b", json!({ "source": "chat.yaml", "owner": "" }), Value::Null, json!({ "file": "chat.yaml" })).await;
    check("c", json!({ "commit": "5bd0cc2" }), Value::Null, Value::Null).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_writers_at_once_lose_no_update() {
    const ROUNDS: usize = 5;
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    let refusals = join_all((0..20).map(async |writer| {
        let (mut done, mut refused) = (0, 0);
        while done < ROUNDS {
            let mut seen = shown(&gateway.admin, "a").await;
            let tag = format!("\"{}\"", seen["revision"]);
            let mut definition = seen["definition"].take();
            definition["tags"][format!("{writer}.{done}")] = json!("written");
            match only_at(&gateway.admin, Method::PUT, "a", &tag, definition).await.status {
                200 => done += 1,
                412 => refused += 1,
                other => panic!("{other}"),
            }
        }
        refused
    }))
    .await;
    assert!(refusals.iter().sum::<usize>() > 0, "nobody met anybody");
    let written = shown(&gateway.admin, "a").await["definition"]["tags"].take();
    assert_eq!(written.as_object().map(|tags| tags.len()), Some(20 * ROUNDS));
}
