//! POST, GET and DELETE of `/admin/mcps`.

use harness::fake::{Via, fake};
use harness::{Admin, gateway};
use serde_json::{Value, json};

use super::{is, nowhere, refuses, silence, time, with};

#[tokio::test]
async fn registering_is_answered_with_201_exactly() {
    let gateway = gateway().start().await;
    let answer = gateway.admin.post("/admin/mcps", nowhere("a")).await;
    is(&answer, 201, json!({ "message": "MCP definition added successfully", "name": "a" }));
}

#[tokio::test]
async fn a_taken_name_is_a_conflict_and_changes_nothing() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    let other = with(nowhere("a"), json!({ "description": "another" }));
    let answer = gateway.admin.post("/admin/mcps", other).await;
    is(&answer, 409, json!({ "error": "MCP already exists", "details": "MCP already exists: a" }));
    let kept = gateway.admin.get("/admin/mcps/a").await.json();
    assert_eq!(kept["definition"].get("description"), None);
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    let gateway = gateway().start().await;
    for body in [
        "",
        "{",
        "[]",
        "\"a\"",
        r#"["a","","sse"]"#,
        r#"{"name":1}"#,
        r#"{"name":"a","timeout":"soon"}"#,
        r#"{"args":"x"}"#,
    ] {
        let answer = gateway.admin.post("/admin/mcps", body).await;
        refuses(&answer, 400, "Invalid request", "invalid JSON payload: ");
    }
    is(&gateway.admin.get("/admin/mcps").await, 200, json!({ "mcps": [], "count": 0 }));
}

#[tokio::test]
async fn the_first_fault_in_the_order_of_the_contract_is_told() {
    let gateway = gateway().start().await;
    let mut body = json!({
        "toolFilter": { "mode": "hide", "list": [] },
        "timeout": -1, "maxReconnects": -1, "reconnectDelay": -1, "healthCheckInterval": -1,
    });
    let faults = [
        ("name is required", json!({ "name": "a" })),
        ("invalid transport type: ", json!({ "transport": "pigeon" })),
        ("invalid transport type: pigeon", json!({ "transport": "stdio" })),
        ("command is required for stdio transport", json!({ "transport": "sse" })),
        ("url is required for HTTP-based transports", json!({ "transport": "streamable-http" })),
        ("url is required for HTTP-based transports", json!({ "url": "http://127.0.0.1:1" })),
        ("tool filter validation failed: invalid tool filter mode: hide", json!({ "toolFilter": { "mode": "allow" } })),
        (
            "tool filter validation failed: tool filter list cannot be empty",
            json!({ "toolFilter": { "mode": "allow", "list": ["x"] } }),
        ),
        ("timeout cannot be negative", json!({ "timeout": 0 })),
        ("maxReconnects cannot be negative", json!({ "maxReconnects": 0 })),
        ("reconnectDelay cannot be negative", json!({ "reconnectDelay": 0 })),
        ("healthCheckInterval cannot be negative", json!({ "healthCheckInterval": 0 })),
    ];
    for (fault, remedy) in faults {
        let expected = json!({ "error": "Invalid request", "details": format!("invalid MCP definition: {fault}") });
        is(&gateway.admin.post("/admin/mcps", &body).await, 400, expected);
        body = with(body, remedy);
    }
    gateway.admin.register(&body).await;
}

#[tokio::test]
async fn a_member_that_no_definition_has_is_refused_or_told() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("b")).await;
    for (member, meant) in [("authToken", "authTokens"), ("require_auth", "requireAuth"), ("HEADERS", "headers")] {
        let body = with(nowhere("a"), json!({ member: [] }));
        let details = format!("unknown member `{member}`; did you mean `{meant}`?");
        let answer = gateway.admin.post("/admin/mcps", &body).await;
        refuses(&answer, 400, "Invalid request", &format!("invalid MCP definition: {details}"));
        let answer = gateway.admin.put("/admin/mcps/b", &body).await;
        refuses(&answer, 400, "Invalid MCP definition", &format!("invalid MCP definition: {details}"));
        let changes = json!({ "changes": [{ "change": "create", "definition": body }] });
        let answer = gateway.admin.post("/admin/generations", changes).await;
        refuses(&answer, 400, "Invalid request", "invalid JSON payload: ");
        assert!(answer.json()["details"].as_str().is_some_and(|told| told.contains(&details)), "{}", answer.text);
    }
    let warnings = json!(["unknown member `icon` has no effect"]);
    let body = with(nowhere("a"), json!({ "icon": "i" }));
    assert_eq!(gateway.admin.post("/admin/mcps", &body).await.json()["warnings"], warnings);
    assert_eq!(gateway.admin.put("/admin/mcps/a", &body).await.json()["warnings"], warnings);
    let changes = json!({ "changes": [{ "change": "update", "definition": body }] });
    refuses(&gateway.admin.post("/admin/generations", changes).await, 400, "Invalid request", "invalid JSON payload: ");
    let tokens = with(nowhere("c"), json!({ "authTokens": ["", ""] }));
    let details = "invalid MCP definition: invalid authTokens entry: the token is empty";
    refuses(&gateway.admin.post("/admin/mcps", tokens).await, 400, "Invalid request", details);
    assert_eq!(gateway.admin.get("/admin/mcps/c").await.status, 404);
}

#[tokio::test]
async fn names_that_no_path_could_hold_or_that_mean_something_else_are_refused() {
    let gateway = gateway().start().await;
    let reserved = "admin mcp sse message healthz readyz metrics api mcp-proxy".split(' ');
    for name in reserved.chain(["a/b", "a b", "ä", "..", "."]).chain([&*"x".repeat(65)]) {
        let answer = gateway.admin.post("/admin/mcps", nowhere(name)).await;
        refuses(&answer, 400, "Invalid request", "invalid MCP definition: ");
    }
    for name in ["A.b_c-1", &"x".repeat(64)] {
        gateway.admin.register(&nowhere(name)).await;
    }
}

#[tokio::test]
async fn every_way_to_write_a_definition_comes_out_in_one_form() {
    let gateway = gateway().start().await;
    let stdio = fake("child").start(Via::Stdio).await.definition();
    let (program, address) = (&stdio["command"], &stdio["args"][0]);
    let ways = [
        json!({ "command": program, "args": [address, "x"], "timeout": 90_000_000_000_u64 }),
        json!({ "command": [program, address], "args": ["x"], "timeout": "90s" }),
        json!({ "command": program, "args": [address], "startup_args": ["x"], "timeout": "1m30s" }),
        json!({ "command": [program, address, "x"], "timeout": "1.5m", "unknownMember": { "a": 1 } }),
    ];
    for way in ways {
        gateway.admin.register(&with(way, json!({ "name": "a", "transport": "stdio" }))).await;
        let mut shown = gateway.admin.get("/admin/mcps/a").await.json()["definition"].take();
        time(&shown["createdAt"].take());
        time(&shown["updatedAt"].take());
        let expected = json!({
            "name": "a", "transport": "stdio", "command": program, "args": [address, "x"],
            "timeout": 90_000_000_000_u64, "createdAt": null, "updatedAt": null,
        });
        assert_eq!(shown, expected);
        assert_eq!(gateway.admin.delete("/admin/mcps/a").await.status, 204);
    }
}

#[tokio::test]
async fn durations_come_out_in_nanoseconds_and_defaults_filled_in() {
    let gateway = gateway().start().await;
    let sent =
        with(nowhere("a"), json!({ "autoReconnect": true, "healthCheckEnabled": true, "tags": { "team": "x" } }));
    gateway.admin.register(&sent).await;
    let mut registration = gateway.admin.get("/admin/mcps/a").await.json();
    let durations = registration["durations"].take();
    let texts = json!({ "timeout": "30s", "reconnectDelay": "5s", "healthCheckInterval": "30s" });
    assert_eq!(durations, texts, "the same as texts, beside the definition");
    let mut shown = registration["definition"].take();
    for member in ["createdAt", "updatedAt"] {
        time(&shown[member].take());
    }
    let expected = with(
        sent,
        json!({
            "timeout": 30_000_000_000_u64, "maxReconnects": 5, "reconnectDelay": 5_000_000_000_u64,
            "healthCheckInterval": 30_000_000_000_u64, "createdAt": null, "updatedAt": null,
        }),
    );
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_not_registered() {
    let gateway = gateway().start().await;
    let definition = json!({ "name": "a", "transport": "stdio", "command": "no-such-program" });
    let details = "program `no-such-program` is not found in PATH";
    let expected = json!({ "error": "Failed to create MCP", "details": details });
    is(&gateway.admin.post("/admin/mcps", definition).await, 500, expected);
    is(&gateway.admin.get("/admin/mcps/a").await, 404, json!({ "error": "MCP not found", "name": "a" }));
}

#[tokio::test]
async fn there_is_a_bound_to_the_number_of_registrations() {
    let gateway = gateway().start().await;
    let max = gateway.admin.get("/admin/metrics").await.json()["metrics"]["max_connections"].as_u64();
    let max = max.expect("a number");
    for number in 0..max {
        gateway.admin.register(&nowhere(&format!("n{number}"))).await;
    }
    let answer = gateway.admin.post("/admin/mcps", nowhere("one-more")).await;
    let details = format!("maximum concurrent connections ({max}) reached");
    is(&answer, 500, json!({ "error": "Failed to create MCP", "details": details }));
    assert_eq!(gateway.admin.delete("/admin/mcps/n0").await.status, 204);
    gateway.admin.register(&nowhere("one-more")).await;
}

#[tokio::test]
async fn the_list_is_nested_in_registration_order_with_nothing_flat() {
    let gateway = gateway().start().await;
    for name in ["b", "a", "c"] {
        gateway.admin.register(&nowhere(name)).await;
    }
    let listed = gateway.admin.get("/admin/mcps").await.json();
    assert_eq!(listed["count"], 3);
    for (entry, name) in listed["mcps"].as_array().expect("a list").iter().zip(["b", "a", "c"]) {
        let members: Vec<&String> = entry.as_object().expect("an object").keys().collect();
        assert_eq!(members, ["definition", "status", "fingerprints", "durations", "revision"]);
        assert_eq!((&entry["definition"]["name"], &entry["status"]["name"]), (&json!(name), &json!(name)));
    }
    is(&gateway.admin.get("/admin/mcps/a").await, 200, gateway_entry(&gateway.admin, "a").await);
}

/// Returns an entry of the list; a single registration has the same form.
async fn gateway_entry(admin: &Admin, name: &str) -> Value {
    let listed = admin.get("/admin/mcps").await.json();
    let mut entries = listed["mcps"].as_array().expect("a list").iter();
    entries.find(|entry| entry["definition"]["name"] == name).expect("an entry").clone()
}

#[tokio::test]
async fn a_status_tells_of_a_connected_upstream() {
    let gateway = gateway().start().await;
    let upstream = fake("a").echo("say").start(Via::Json).await;
    gateway.admin.connect(&upstream.definition()).await;
    let mut status = gateway.admin.status("a").await;
    time(&status["lastConnected"].take());
    assert!(status["upTime"].take().as_u64().is_some_and(|time| time > 0));
    let expected = json!({
        "name": "a", "status": "connected", "lastConnected": null, "era": "legacy", "reconnectAttempts": 0, "upTime": null,
        "totalRequests": 0, "totalErrors": 0, "avgResponseTime": 0,
    });
    assert_eq!(status, expected);
    gateway.admin.call("a", "say", &json!({})).await;
    let status = gateway.admin.status("a").await;
    assert_eq!((&status["totalRequests"], &status["totalErrors"]), (&json!(1), &json!(0)));
    assert!(status["avgResponseTime"].as_u64().is_some_and(|time| time > 0), "{status}");
}

#[tokio::test]
async fn a_status_tells_why_an_upstream_is_not_connected() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    let status = gateway.admin.reaches("a", "error").await;
    assert!(status["lastError"].as_str().is_some_and(|error| error.contains("refused")), "{status}");
    time(&status["lastErrorTime"]);
    assert!(status["reconnectAttempts"].as_u64().is_some_and(|attempts| attempts > 0), "{status}");
    assert_eq!((&status["upTime"], status.get("lastConnected")), (&json!(0), None));
}

#[tokio::test]
async fn an_upstream_is_connecting_by_the_time_its_registration_is_answered() {
    let gateway = gateway().start().await;
    let slow = fake("a").on("initialize", silence).start(Via::Json).await;
    gateway.admin.register(&slow.definition()).await;
    assert_eq!(gateway.admin.status("a").await["status"], "connecting");
    slow.nth("initialize", 0).await;
    assert_eq!(gateway.admin.status("a").await["status"], "connecting");
}

#[tokio::test]
async fn deregistering_is_answered_with_204_and_nothing() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    gateway.admin.register(&nowhere("b")).await;
    let answer = gateway.admin.delete("/admin/mcps/a").await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    let gone = json!({ "error": "MCP not found", "name": "a" });
    is(&gateway.admin.delete("/admin/mcps/a").await, 404, gone.clone());
    is(&gateway.admin.get("/admin/mcps/a").await, 404, gone);
    let left = gateway.admin.get("/admin/mcps").await.json();
    assert_eq!((&left["count"], &left["mcps"][0]["definition"]["name"]), (&json!(1), &json!("b")));
}

#[tokio::test]
async fn deregistering_nothing_finds_nothing_and_removes_nothing() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    for path in ["/admin/mcps/", "/admin/mcps", "/admin/mcps//"] {
        assert_eq!(gateway.admin.delete(path).await.status, 404, "{path}");
    }
    assert_eq!(gateway.admin.get("/admin/mcps").await.json()["count"], 1);
}

#[tokio::test]
async fn a_name_in_a_path_is_decoded_once() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a.b")).await;
    assert_eq!(gateway.admin.get("/admin/mcps/a%2Eb").await.status, 200);
    is(&gateway.admin.get("/admin/mcps/a%252Eb").await, 404, json!({ "error": "MCP not found", "name": "a%2Eb" }));
    is(&gateway.admin.get("/admin/mcps/a%2Fb").await, 404, json!({ "error": "MCP not found", "name": "a/b" }));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let gateway = gateway().start().await;
    let huge = with(nowhere("a"), json!({ "description": "x".repeat(256 << 10) }));
    let answer = gateway.admin.post("/admin/mcps", huge).await;
    refuses(&answer, 413, "Invalid request", "the body is larger than 262144 bytes (--max-definition-bytes)");
    let huge = json!({ "mcpName": "a", "toolName": "x".repeat(16 << 20) });
    let answer = gateway.admin.post("/admin/tools/call", huge).await;
    refuses(&answer, 413, "Invalid request", "the body is larger than 16777216 bytes (--max-body-bytes)");
}
