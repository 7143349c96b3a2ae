//! PUT of `/admin/mcps/{name}`.

use harness::fake::{Via, fake};
use harness::{eventually, gateway};
use serde_json::{Value, json};

use super::{is, nowhere, refuses, time, with};

#[tokio::test]
async fn a_definition_is_replaced_whole_under_the_name_in_the_path() {
    let gateway = gateway().start().await;
    gateway.admin.register(&with(nowhere("a"), json!({ "description": "old", "tags": { "x": "y" } }))).await;
    let answer = gateway.admin.put("/admin/mcps/a", with(nowhere("elsewhere"), json!({ "description": "new" }))).await;
    is(&answer, 200, json!({ "message": "MCP definition updated successfully", "name": "a" }));
    let listed = gateway.admin.get("/admin/mcps").await.json();
    let definition = &listed["mcps"][0]["definition"];
    assert_eq!(listed["count"], 1);
    assert_eq!((&definition["name"], &definition["description"]), (&json!("a"), &json!("new")));
    assert_eq!(definition.get("tags"), None, "nothing of the old definition is merged in");
}

#[tokio::test]
async fn times_are_the_gateway_s_own() {
    let gateway = gateway().start().await;
    let claimed = json!({ "createdAt": "1999-01-01T00:00:00Z", "updatedAt": "1999-01-01T00:00:00Z" });
    gateway.admin.register(&with(nowhere("a"), claimed.clone())).await;
    let first = gateway.admin.get("/admin/mcps/a").await.json()["definition"].take();
    assert_eq!(first["createdAt"], first["updatedAt"]);
    assert!(time(&first["createdAt"]).duration_since(jiff::Timestamp::now()).abs().as_secs() < 3600, "{first}");
    assert_eq!(gateway.admin.put("/admin/mcps/a", with(nowhere("a"), claimed)).await.status, 200);
    let second = gateway.admin.get("/admin/mcps/a").await.json()["definition"].take();
    assert_eq!(second["createdAt"], first["createdAt"]);
    assert!(time(&second["updatedAt"]) > time(&first["updatedAt"]), "{second}");
}

#[tokio::test]
async fn the_upstream_of_the_new_definition_takes_over() {
    let gateway = gateway().start().await;
    let (old, new) = (fake("a").echo("old").start(Via::Stdio).await, fake("a").echo("new").start(Via::Stdio).await);
    gateway.admin.connect(&old.definition()).await;
    assert_eq!(gateway.admin.put("/admin/mcps/a", new.definition()).await.status, 200);
    assert_ne!(gateway.admin.status("a").await["status"], "disconnected");
    new.peer(0).await;
    gateway.admin.connected("a").await;
    eventually("the old process is gone", || async { (old.live() == 0).then_some(()) }).await;
    eventually("the new tools are listed", || async {
        let listed = gateway.admin.get("/admin/tools").await.json();
        (listed["tools"][0]["name"] == "new").then_some(())
    })
    .await;
}

#[tokio::test]
async fn another_owner_is_no_reason_to_start_a_program_again() {
    let gateway = gateway().start().await;
    let fake = fake("a").echo("tool").start(Via::Stdio).await;
    gateway.admin.connect(&fake.definition()).await;
    let connected = gateway.admin.status("a").await["lastConnected"].clone();
    let tagged = with(fake.definition(), json!({ "tags": { "owner": "team" } }));
    assert_eq!(gateway.admin.put("/admin/mcps/a", tagged.clone()).await.status, 200);
    let shown = gateway.admin.get("/admin/mcps/a").await.json();
    assert_eq!((&shown["owner"], &shown["status"]["lastConnected"]), (&json!("team"), &connected));
    assert_eq!((&shown["status"]["status"], fake.live()), (&json!("connected"), 1));
    // Putting an identical definition once more restarts the upstream.
    assert_eq!(gateway.admin.put("/admin/mcps/a", tagged).await.status, 200);
    eventually("a new start", || async {
        let status = gateway.admin.status("a").await;
        (status["status"] == "connected" && status["lastConnected"] != connected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_stored_with_a_warning() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    let missing = json!({ "name": "a", "transport": "stdio", "command": "no-such-program" });
    let expected = json!({
        "message": "MCP definition updated but connection failed",
        "name": "a",
        "warning": "program `no-such-program` is not found in PATH",
    });
    is(&gateway.admin.put("/admin/mcps/a", missing).await, 202, expected);
    let stored = gateway.admin.get("/admin/mcps/a").await.json();
    assert_eq!(stored["definition"]["command"], "no-such-program");
    let status = gateway.admin.reaches("a", "error").await;
    assert!(status["lastError"].as_str().is_some_and(|error| error.contains("no-such-program")), "{status}");
}

#[tokio::test]
async fn what_is_no_definition_is_refused_and_changes_nothing() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    let before = gateway.admin.get("/admin/mcps/a").await.json()["definition"].take();
    for body in ["", "{", "[]", r#"["a","","sse"]"#, r#"{"timeout":"soon"}"#] {
        refuses(&gateway.admin.put("/admin/mcps/a", body).await, 400, "Invalid JSON payload", "");
    }
    let invalid = |fault: &str| json!({ "error": "Invalid MCP definition", "details": format!("invalid MCP definition: {fault}") });
    let faults = [
        (json!({}), "invalid transport type: "),
        (json!({ "transport": "stdio" }), "command is required for stdio transport"),
        (with(nowhere("a"), json!({ "timeout": -1 })), "timeout cannot be negative"),
    ];
    for (body, fault) in faults {
        is(&gateway.admin.put("/admin/mcps/a", body).await, 400, invalid(fault));
    }
    assert_eq!(gateway.admin.get("/admin/mcps/a").await.json()["definition"], before);
}

#[tokio::test]
async fn nothing_is_created() {
    let gateway = gateway().start().await;
    let answer = gateway.admin.put("/admin/mcps/a", nowhere("a")).await;
    is(&answer, 404, json!({ "error": "MCP not found", "name": "a" }));
    let none: Value = gateway.admin.get("/admin/mcps").await.json();
    assert_eq!(none, json!({ "mcps": [], "count": 0 }));
}
