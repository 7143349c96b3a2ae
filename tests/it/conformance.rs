//! The official conformance suite through the gateway, in front of the reference upstream.

use harness::conformance::conformance;
use harness::reference::{reference, reference_program};
use harness::{Admin, gateway};
use serde_json::{Value, json};

/// What the requirement set of 2025-11-25 scores.
const SCORED: usize = 30;

async fn check(url: &str, admin: &Admin, definition: &Value) {
    admin.connect(definition).await;
    let name = definition["name"].as_str().expect("a name");
    let report = conformance(&format!("{url}/{name}/stream"), "2025-11-25").await;
    println!("{name}:\n{report}");
    assert_eq!((report.passed, report.failed.as_slice()), (SCORED, [].as_slice()), "{report}");
}

#[tokio::test]
async fn legacy_clients_lose_nothing_in_front_of_a_legacy_upstream() {
    let gateway = gateway().start().await;
    let http = reference(&["--era", "legacy", "--http", "127.0.0.1:0"]).await;
    let sse = reference(&["--sse", "127.0.0.1:0"]).await;
    let over_http = json!({ "name": "http", "transport": "streamable-http", "url": http.url });
    check(&gateway.url, &gateway.admin, &over_http).await;
    let over_sse = json!({ "name": "events", "transport": "sse", "url": sse.url });
    check(&gateway.url, &gateway.admin, &over_sse).await;
    let over_stdio = json!({ "name": "stdio", "transport": "stdio", "command": reference_program(),
        "args": ["--stdio", "--era", "legacy"] });
    check(&gateway.url, &gateway.admin, &over_stdio).await;
}

/// The same at the endpoint of all upstreams, in front of one whose names stay as they are.
#[tokio::test]
async fn legacy_clients_lose_nothing_at_the_endpoint_of_all_upstreams() {
    let http = reference(&["--era", "legacy", "--http", "127.0.0.1:0"]).await;
    let sse = reference(&["--sse", "127.0.0.1:0"]).await;
    let definitions = [
        json!({ "name": "http", "transport": "streamable-http", "url": http.url }),
        json!({ "name": "events", "transport": "sse", "url": sse.url }),
        json!({ "name": "stdio", "transport": "stdio", "command": reference_program(),
            "args": ["--stdio", "--era", "legacy"] }),
    ];
    for definition in &definitions {
        let gateway = gateway().flags(["--naming-mode", "never"]).start().await;
        gateway.admin.connect(definition).await;
        let report = conformance(&format!("{}/mcp", gateway.url), "2025-11-25").await;
        println!("{} at /mcp:\n{report}", definition["name"]);
        assert_eq!((report.passed, report.failed.as_slice()), (SCORED, [].as_slice()), "{report}");
    }
}

#[tokio::test]
async fn legacy_clients_lose_nothing_in_front_of_a_modern_upstream() {
    let gateway = gateway().start().await;
    let http = reference(&["--era", "modern", "--http", "127.0.0.1:0"]).await;
    let over_http = json!({ "name": "http", "transport": "streamable-http", "url": http.url });
    check(&gateway.url, &gateway.admin, &over_http).await;
    let over_stdio = json!({ "name": "stdio", "transport": "stdio", "command": reference_program(),
        "args": ["--stdio", "--era", "modern"] });
    check(&gateway.url, &gateway.admin, &over_stdio).await;
}
