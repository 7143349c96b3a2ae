//! The gateway as the client of the suite's own servers, behind an official client: every scored scenario except those
//! of OAuth.

use futures_util::future::join_all;
use harness::conformance::client_scenario;
use harness::gateway;

use super::{LEGACY, MODERN};

const SCENARIOS: [(&str, &str); 13] = [
    ("initialize", LEGACY),
    ("tools_call", LEGACY),
    ("json-schema-2020-12-preservation", LEGACY),
    ("elicitation-sep1034-client-defaults", LEGACY),
    ("sse-retry", LEGACY),
    ("tools_call", MODERN),
    ("request-metadata", MODERN),
    ("sep-2322-client-request-state", MODERN),
    ("http-standard-headers", MODERN),
    ("http-custom-headers", MODERN),
    ("http-invalid-tool-headers", MODERN),
    ("json-schema-ref-no-deref", MODERN),
    ("json-schema-2020-12-preservation", MODERN),
];

async fn check(endpoint: &str) {
    let each = SCENARIOS.map(|(scenario, revision)| async move {
        let gateway = gateway().flags(["--naming-mode", "never"]).start().await;
        client_scenario(scenario, revision, &gateway.url, endpoint).await;
    });
    join_all(each).await;
}

#[tokio::test]
async fn at_a_servers_own_endpoint_all_scenarios_pass() {
    check("x/stream").await;
}

#[tokio::test]
async fn at_the_one_address_all_scenarios_pass() {
    check("mcp").await;
}
