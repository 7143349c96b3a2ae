//! The official conformance suite through the gateway, in front of the reference upstream.

mod client_role;

use futures_util::future::join_all;
use harness::conformance::conformance;
use harness::reference::{Reference, reference, reference_program};
use harness::{Admin, gateway};
use serde_json::{Value, json};

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";
/// Scenarios that a legacy upstream cannot express: a server request with its own key, and an error that names a
/// capability.
const NOT_BRIDGED: [&str; 2] = ["input-required-result-basic-elicitation", "server-stateless"];

/// Revision, number of scenarios that pass, and scenarios that fail.
type Expected<const N: usize> = (&'static str, usize, [&'static str; N]);

async fn check<const N: usize>(url: &str, admin: &Admin, definition: &Value, expected: Expected<N>) {
    admin.connect(definition).await;
    let name = definition["name"].as_str().expect("a name");
    let (revision, passed, failed) = expected;
    let mut report = conformance(&format!("{url}/{name}/stream"), revision).await;
    println!("{name}:\n{report}");
    report.failed.sort();
    assert_eq!((report.passed, report.failed.as_slice()), (passed, failed.map(str::to_owned).as_slice()), "{report}");
}

/// Runs the suite against legacy upstreams over each transport, concurrently.
async fn check_all<const N: usize>(expected: Expected<N>) {
    let gateway = gateway().start().await;
    let http = reference(&["--era", "legacy", "--http", "127.0.0.1:0"]).await;
    let sse = reference(&["--sse", "127.0.0.1:0"]).await;
    let over_http = json!({ "name": "http", "transport": "streamable-http", "url": http.url });
    let over_sse = json!({ "name": "events", "transport": "sse", "url": sse.url });
    let over_stdio = json!({ "name": "stdio", "transport": "stdio", "command": reference_program(),
        "args": ["--stdio", "--era", "legacy"] });
    let (url, admin) = (&gateway.url, &gateway.admin);
    tokio::join!(
        check(url, admin, &over_http, expected),
        check(url, admin, &over_sse, expected),
        check(url, admin, &over_stdio, expected),
    );
}

#[tokio::test]
async fn legacy_clients_lose_nothing_in_front_of_a_legacy_upstream() {
    check_all((LEGACY, 30, [])).await;
}

#[tokio::test]
async fn modern_clients_lose_two_scenarios_in_front_of_a_legacy_upstream() {
    check_all((MODERN, 35, NOT_BRIDGED)).await;
}

/// Runs the suite against modern upstreams over both of their transports.
async fn check_modern(revision: &'static str, passed: usize) {
    let gateway = gateway().start().await;
    let http = reference(&["--era", "modern", "--http", "127.0.0.1:0"]).await;
    let over_http = json!({ "name": "http", "transport": "streamable-http", "url": http.url });
    let over_stdio = json!({ "name": "stdio", "transport": "stdio", "command": reference_program(),
        "args": ["--stdio", "--era", "modern"] });
    let (url, admin) = (&gateway.url, &gateway.admin);
    tokio::join!(
        check(url, admin, &over_http, (revision, passed, [])),
        check(url, admin, &over_stdio, (revision, passed, [])),
    );
}

#[tokio::test]
async fn legacy_clients_lose_nothing_in_front_of_a_modern_upstream() {
    check_modern(LEGACY, 30).await;
}

#[tokio::test]
async fn modern_clients_lose_nothing_in_front_of_a_modern_upstream() {
    check_modern(MODERN, 37).await;
}

/// Runs the suite at the endpoint of all upstreams, with one upstream at a time, whose names are not prefixed.
async fn check_together<const N: usize>(definitions: &[Value], expected: Expected<N>) {
    let (revision, passed, failed) = expected;
    let failed = failed.map(str::to_owned);
    let each = definitions.iter().map(|definition| async {
        let gateway = gateway().flags(["--naming-mode", "never"]).start().await;
        gateway.admin.connect(definition).await;
        let mut report = conformance(&format!("{}/mcp", gateway.url), revision).await;
        println!("{} at /mcp:\n{report}", definition["name"]);
        report.failed.sort();
        assert_eq!((report.passed, report.failed.as_slice()), (passed, failed.as_slice()), "{report}");
    });
    join_all(each).await;
}

/// Starts legacy upstreams over each transport; the two that listen end with the returned handles.
async fn legacy_upstreams() -> ([Value; 3], [Reference; 2]) {
    let http = reference(&["--era", "legacy", "--http", "127.0.0.1:0"]).await;
    let sse = reference(&["--sse", "127.0.0.1:0"]).await;
    let definitions = [
        json!({ "name": "http", "transport": "streamable-http", "url": http.url }),
        json!({ "name": "events", "transport": "sse", "url": sse.url }),
        json!({ "name": "stdio", "transport": "stdio", "command": reference_program(),
            "args": ["--stdio", "--era", "legacy"] }),
    ];
    (definitions, [http, sse])
}

/// Starts modern upstreams over both of their transports; the one that listens ends with the returned handle.
async fn modern_upstreams() -> ([Value; 2], Reference) {
    let http = reference(&["--era", "modern", "--http", "127.0.0.1:0"]).await;
    let definitions = [
        json!({ "name": "http", "transport": "streamable-http", "url": http.url }),
        json!({ "name": "stdio", "transport": "stdio", "command": reference_program(),
            "args": ["--stdio", "--era", "modern"] }),
    ];
    (definitions, http)
}

#[tokio::test]
async fn at_the_one_address_legacy_clients_lose_nothing_in_front_of_legacy_upstreams() {
    let (definitions, _living) = legacy_upstreams().await;
    check_together(&definitions, (LEGACY, 30, [])).await;
}

#[tokio::test]
async fn at_the_one_address_modern_clients_lose_two_scenarios_in_front_of_legacy_upstreams() {
    let (definitions, _living) = legacy_upstreams().await;
    check_together(&definitions, (MODERN, 35, NOT_BRIDGED)).await;
}

#[tokio::test]
async fn at_the_one_address_legacy_clients_lose_nothing_in_front_of_modern_upstreams() {
    let (definitions, _living) = modern_upstreams().await;
    check_together(&definitions, (LEGACY, 30, [])).await;
}

#[tokio::test]
async fn at_the_one_address_modern_clients_lose_nothing_in_front_of_modern_upstreams() {
    let (definitions, _living) = modern_upstreams().await;
    check_together(&definitions, (MODERN, 37, [])).await;
}

/// Starts upstreams of both eras whose legacy side is the complete one, over both of their transports.
async fn thin_upstreams() -> ([Value; 2], Reference) {
    let flags = ["--thin-modern", "--latch"];
    let http = reference(&["--http", "127.0.0.1:0", "--thin-modern"]).await;
    let definitions = [
        json!({ "name": "http", "transport": "streamable-http", "url": http.url }),
        json!({ "name": "stdio", "transport": "stdio", "command": reference_program(), "args": ["--stdio", flags[0], flags[1]] }),
    ];
    (definitions, http)
}

#[tokio::test]
async fn legacy_clients_lose_nothing_of_a_server_whose_legacy_side_is_the_complete_one() {
    let (definitions, _living) = thin_upstreams().await;
    let gateway = gateway().start().await;
    let (url, admin) = (&gateway.url, &gateway.admin);
    let [http, stdio] = &definitions;
    tokio::join!(
        check(url, admin, http, (LEGACY, 30, [])),
        check(url, admin, stdio, (LEGACY, 30, [])),
        check_together(&definitions, (LEGACY, 30, [])),
    );
}

#[tokio::test]
async fn modern_clients_have_of_such_a_server_what_it_gives_them_directly() {
    let ([http, _], living) = thin_upstreams().await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&http).await;
    let through = format!("{}/http/stream", gateway.url);
    let (direct, through) = tokio::join!(conformance(&living.url, MODERN), conformance(&through, MODERN));
    println!("directly:\n{direct}through the gateway:\n{through}");
    assert!(direct.passed < 37, "{direct}");
    assert_eq!((through.passed, through.failed), (direct.passed, direct.failed));
}
