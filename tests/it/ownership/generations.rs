//! Changes that are made all together or not at all.

use harness::{Answer, gateway};
use serde_json::{Value, json};

use super::{is, names, nowhere, shown, with};

fn create(definition: Value) -> Value {
    json!({ "change": "create", "definition": definition })
}

fn update(definition: Value, revision: &Value) -> Value {
    json!({ "change": "update", "definition": definition, "revision": revision })
}

fn delete(name: &str, revision: &Value) -> Value {
    json!({ "change": "delete", "name": name, "revision": revision })
}

async fn make(admin: &harness::Admin, changes: &[Value]) -> Answer {
    admin.post("/admin/generations", json!({ "changes": changes })).await
}

/// Returns name and obstacle of each refused change.
fn refused(answer: &Answer) -> Vec<(String, String)> {
    let body = answer.json();
    assert_eq!((answer.status, &body["code"]), (409, &json!("generation_refused")), "{}", answer.text);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let all = body["refused"].as_array().expect("a list").iter();
    all.map(|one| (text(&one["name"]), text(&one["why"]))).collect()
}

#[tokio::test]
async fn all_changes_are_made_and_answered_in_their_order() {
    let gateway = gateway().start().await;
    let admin = &gateway.admin;
    for name in ["old", "kept"] {
        admin.post("/admin/mcps", nowhere(name)).await;
    }
    let (old, kept) = (shown(admin, "old").await["revision"].take(), shown(admin, "kept").await["revision"].take());
    let other = with(nowhere("kept"), json!({ "description": "other" }));
    let changes = [create(nowhere("new")), update(other, &kept), delete("old", &old)];
    let first = make(admin, &changes).await;
    let (new, kept) = (shown(admin, "new").await, shown(admin, "kept").await);
    let expected = json!({ "changed": [
        { "name": "new", "revision": new["revision"] }, { "name": "kept", "revision": kept["revision"] },
        { "name": "old" },
    ] });
    is(&first, 200, expected.clone());
    assert_eq!(
        (names(admin).await, &kept["definition"]["description"]),
        (vec!["kept".to_owned(), "new".to_owned()], &json!("other"))
    );
    // A repeated request makes no further change.
    is(&make(admin, &changes).await, 200, expected);
    assert_eq!((shown(admin, "new").await, shown(admin, "kept").await), (new, kept));
}

#[tokio::test]
async fn if_one_change_cannot_be_made_none_is_and_each_obstacle_is_named() {
    let gateway = gateway().start().await;
    let admin = &gateway.admin;
    for name in ["taken", "moved"] {
        admin.post("/admin/mcps", nowhere(name)).await;
    }
    let past = shown(admin, "moved").await["revision"].take();
    admin.put("/admin/mcps/moved", with(nowhere("moved"), json!({ "description": "moved on" }))).await;
    let before = admin.get("/admin/mcps").await.json()["mcps"].clone();
    let other = |name| with(nowhere(name), json!({ "description": "other" }));
    let program = json!({ "name": "program", "transport": "stdio", "command": "no-such-program-anywhere" });
    let answer = make(
        admin,
        &[
            create(nowhere("fine")),
            create(other("taken")),
            update(other("moved"), &past),
            update(other("absent"), &past),
            create(program),
        ],
    )
    .await;
    let pair = |name: &str, why: &str| (name.to_owned(), why.to_owned());
    assert_eq!(
        refused(&answer),
        [pair("taken", "exists"), pair("moved", "stale"), pair("absent", "missing"), pair("program", "unusable"),]
    );
    assert_eq!(
        refused(&make(admin, &[create(nowhere("fine")), delete("moved", &past)]).await),
        [pair("moved", "stale")]
    );
    let after = admin.get("/admin/mcps").await.json()["mcps"].clone();
    let definitions = |all: &Value| -> Vec<Value> {
        all.as_array().expect("a list").iter().map(|one| json!([one["definition"], one["revision"]])).collect()
    };
    assert_eq!(definitions(&after), definitions(&before));
}

#[tokio::test]
async fn what_is_removed_makes_room_for_what_is_created() {
    let gateway = gateway().flags(["--max-servers", "2"]).start().await;
    let admin = &gateway.admin;
    assert_eq!(make(admin, &[create(nowhere("a")), create(nowhere("b"))]).await.status, 200);
    let a = shown(admin, "a").await["revision"].take();
    let crowd = [create(nowhere("c")), delete("a", &a), create(nowhere("d"))];
    assert_eq!(refused(&make(admin, &crowd).await), [("d".to_owned(), "full".to_owned())]);
    assert_eq!(make(admin, &[create(nowhere("c")), delete("a", &a)]).await.status, 200);
    assert_eq!(names(admin).await, ["b", "c"]);
}

#[tokio::test]
async fn what_is_no_generation_is_refused() {
    let gateway = gateway().start().await;
    for body in [
        json!([]),
        json!({}),
        json!({ "changes": [create(nowhere("a")), create(nowhere("a"))] }),
        json!({ "changes": [{ "change": "replace", "name": "a" }] }),
        json!({ "changes": [create(json!({ "name": "a" }))] }),
        json!({ "changes": [], "x": 1 }),
    ] {
        let answer = gateway.admin.post("/admin/generations", body.clone()).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
    }
    assert!(names(&gateway.admin).await.is_empty());
}
