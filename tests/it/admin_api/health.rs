//! Health, readiness, counters, and the list of paths.

use harness::fake::{Via, fake};
use harness::{gateway, send};
use reqwest::Method;
use serde_json::json;

use super::{is, nowhere, time};

#[tokio::test]
async fn health_is_healthy_for_get_and_head() {
    let gateway = gateway().start().await;
    let answer = gateway.admin.get("/healthz").await;
    assert_eq!(answer.status, 200);
    let mut health = answer.json();
    time(&health["timestamp"].take());
    assert!(health["uptime"].take().is_string() && health["connections"].take().is_object());
    let expected = json!({
        "status": "healthy", "timestamp": null, "version": env!("CARGO_PKG_VERSION"), "uptime": null,
        "connections": null, "storage": { "type": "memory", "status": "connected" },
    });
    assert_eq!(health, expected);
    let head = send(gateway.admin.request(Method::HEAD, "/healthz")).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn an_upstream_that_is_down_makes_the_gateway_neither_ill_nor_unready() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    gateway.admin.reaches("a", "error").await;
    assert_eq!(gateway.admin.get("/healthz").await.status, 200);
    is(
        &gateway.admin.get("/readyz").await,
        200,
        json!({ "status": "ready", "registrations": 1, "storage": { "type": "memory", "status": "connected" } }),
    );
}

#[tokio::test]
async fn metrics_count_upstreams_by_state_in_a_wrapper() {
    let gateway = gateway().start().await;
    let up = fake("up").echo("say").start(Via::Json).await;
    gateway.admin.connect(&up.definition()).await;
    gateway.admin.register(&nowhere("down")).await;
    gateway.admin.reaches("down", "error").await;
    gateway.admin.call("up", "say", &json!({})).await;
    let mut body = gateway.admin.get("/admin/metrics").await.json();
    time(&body["timestamp"].take());
    let expected = json!({
        "timestamp": null,
        "metrics": {
            "total_clients": 2, "connected": 1, "connecting": 0, "errored": 1, "disconnected": 0,
            "total_requests": 1, "total_errors": 0, "max_connections": 1000,
        },
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_trailing_slash_makes_no_difference() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    for path in
        ["/healthz", "/readyz", "/api/v1/ping", "/admin/mcps", "/admin/mcps/a", "/admin/tools", "/admin/metrics"]
    {
        assert_eq!(gateway.admin.get(&format!("{path}/")).await.status, 200, "{path}/");
    }
    assert_eq!(gateway.admin.post("/admin/mcps/", nowhere("b")).await.status, 201);
    assert_eq!(gateway.admin.put("/admin/mcps/b/", nowhere("b")).await.status, 200);
    assert_eq!(gateway.admin.post("/admin/tools/call/", "{}").await.status, 400);
    assert_eq!(gateway.admin.delete("/admin/mcps/b/").await.status, 204);
}

#[tokio::test]
async fn ping_is_answered_with_pong() {
    let gateway = gateway().start().await;
    is(&gateway.admin.get("/api/v1/ping").await, 200, json!({ "message": "pong" }));
}

#[tokio::test]
async fn a_path_that_is_none_is_404_in_json_and_a_method_that_is_none_405() {
    let gateway = gateway().start().await;
    for path in ["/", "/nothing", "/admin", "/admin/nothing", "/admin/mcps/a/b", "/healthz/x"] {
        is(&gateway.admin.get(path).await, 404, json!({ "error": "Not found" }));
    }
    for (method, path) in
        [(Method::POST, "/healthz"), (Method::DELETE, "/admin/tools"), (Method::PATCH, "/admin/mcps/a")]
    {
        assert_eq!(send(gateway.admin.request(method.clone(), path)).await.status, 405, "{method} {path}");
    }
}

#[tokio::test]
async fn an_upstream_that_is_none_is_404_with_its_name() {
    let gateway = gateway().start().await;
    for path in ["/a/stream", "/a/sse", "/mcp-proxy/a/mcp"] {
        is(&gateway.admin.get(path).await, 404, json!({ "error": "MCP server not found", "details": "name=a" }));
    }
}
