//! `/metrics`, read by a real Prometheus server and its checker.

use std::collections::BTreeSet;

use harness::fake::{Call, Via, fake};
use harness::prometheus::{Prometheus, lint};
use harness::raw::{raw, session, session_with_all};
use harness::{Served, binary, eventually};
use reqwest::{Method, header};
use serde_json::json;

use crate::modern::client;

const ADMIN: &str = "root";

async fn gateway(more: &[&str]) -> Served {
    let mut gateway =
        binary("mcp-proxy").args(["--port=0", "--storage=memory", "--admin-tokens", ADMIN]).args(more).serve().await;
    gateway.admin = gateway.admin.with_token(ADMIN);
    gateway
}

/// Returns the text in the format of Prometheus.
async fn metrics(gateway: &Served) -> String {
    let answer = gateway.admin.get("/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    answer.text
}

/// Returns the names and labels of all samples.
fn series(text: &str) -> BTreeSet<&str> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name).collect()
}

/// Returns the value of a sample.
fn value(text: &str, sample: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
}

#[tokio::test]
async fn prometheus_reads_what_the_gateway_counts() {
    let gateway = gateway(&[]).await;
    let upstream = fake("one").echo("echo").start(Via::Stdio).await;
    gateway.admin.connect(&upstream.definition()).await;
    let prometheus = Prometheus::scraping(&gateway.url, ADMIN).await;
    let mut session = session(&gateway.url, "one").open().await;
    for number in 0..7 {
        session.call(&number.to_string(), "echo", "{}").await;
    }
    let mut together = session_with_all(&gateway.url).open().await;
    together.call("1", "one__echo", "{}").await;
    together.call("2", "none", "{}").await;
    for (expression, expected) in [
        ("up", 1.0),
        (r#"mcp_proxy_calls_total{method="tools/call",outcome="answered",principal="anonymous"}"#, 8.0),
        (r#"mcp_proxy_calls_total{outcome="unknown_tool"}"#, 1.0),
        (r#"mcp_proxy_upstream_requests_total{upstream="one",method="tools/call",outcome="ok"}"#, 8.0),
        (r#"mcp_proxy_requests_duration_seconds_count{upstream="one",method="tools/call"}"#, 8.0),
        (r#"histogram_quantile(0.9, mcp_proxy_requests_duration_seconds_bucket{method="tools/call"}) < bool 1"#, 1.0),
        (r#"mcp_proxy_upstream_state{upstream="one",state="connected"}"#, 1.0),
        (r#"mcp_proxy_catalog_items{upstream="one",list="tools"}"#, 1.0),
        (r#"mcp_proxy_upstream_resident_memory_bytes{upstream="one"} > bool 100000"#, 1.0),
        ("mcp_proxy_sessions", 2.0),
        ("mcp_proxy_registrations", 1.0),
        (r#"mcp_proxy_storage_up{storage="memory"}"#, 1.0),
        ("time() - process_start_time_seconds < bool 300", 1.0),
    ] {
        let is_there = || async { (prometheus.value(expression).await == Some(expected)).then_some(()) };
        eventually(&format!("{expression} is {expected}"), is_there).await;
    }
}

#[tokio::test]
async fn the_checker_of_prometheus_finds_nothing() {
    let gateway = gateway(&[]).await;
    let upstream = fake("one").echo("echo").start(Via::Stdio).await;
    gateway.admin.connect(&upstream.definition()).await;
    session(&gateway.url, "one").open().await.call("1", "echo", "{}").await;
    let text = metrics(&gateway).await;
    assert_eq!(lint(&text).await, "", "{text}");
    assert_ne!(lint("# HELP a b\n# TYPE a counter\na 1\n").await, "", "it finds faults");
}

#[tokio::test]
async fn the_format_is_what_the_reader_asks_for() {
    let gateway = gateway(&[]).await;
    let asked = |accept: &str| gateway.admin.request(Method::GET, "/metrics").header(header::ACCEPT, accept);
    // Sent by Prometheus 2.42.
    let open = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let answer = harness::admin::send(asked(open)).await;
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(answer.text.ends_with("# EOF\n") && answer.text.contains("# TYPE mcp_proxy_connections counter"));
    let plain = harness::admin::send(asked("*/*")).await;
    assert!(!plain.text.contains("# EOF") && plain.text.contains("# TYPE mcp_proxy_connections_total counter"));
}

#[tokio::test]
async fn nothing_that_a_client_sends_becomes_a_label() {
    let gateway = gateway(&["--global-auth-tokens=client"]).await;
    let upstream = fake("one").echo("echo").start(Via::Json).await;
    gateway.admin.connect(&upstream.definition()).await;
    let mut sessions = [
        session(&gateway.url, "one").token("client").open().await,
        session_with_all(&gateway.url).token("client").open().await,
    ];
    let attack = async |sessions: &mut [harness::raw::Session; 2], round: usize| {
        for session in sessions {
            for number in 0..50 {
                let junk = format!("jUnK-{round}-{number}");
                let id = format!("\"{junk}\"");
                session.request(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{junk}/call"}}"#)).await;
                session.call(&id, &junk, "{}").await;
                session
                    .request(&format!(
                        r#"{{"jsonrpc":"2.0","id":{id},"method":"resources/read","params":{{"uri":"{junk}:x"}}}}"#
                    ))
                    .await;
            }
        }
        for number in 0..50 {
            let url = format!("{}/jUnK-{round}-{number}/mcp?token=jUnK", gateway.url);
            raw("POST", &url).header("authorization", &format!("Bearer jUnK{number}")).body("{}").send().await;
            let url = format!("{}/one/mcp", gateway.url);
            raw("POST", &url).header("authorization", &format!("Bearer jUnK{number}")).body("{}").send().await;
        }
    };
    attack(&mut sessions, 1).await;
    let first = metrics(&gateway).await;
    attack(&mut sessions, 2).await;
    let second = metrics(&gateway).await;
    assert_eq!(series(&first), series(&second), "no attempt adds a series");
    assert!(!second.contains("jUnK"), "{second}");
    assert_eq!(value(&second, r#"mcp_proxy_denied_total{reason="wrong_token"}"#), Some(100.0), "{second}");
    let unknown = r#"mcp_proxy_calls_total{method="tools/call",outcome="unknown_tool",principal="global_token"}"#;
    assert_eq!(value(&second, unknown), Some(100.0), "{second}");
}

#[tokio::test]
async fn what_did_not_come_to_its_end_counts_too() {
    let gateway = gateway(&[]).await;
    let upstream = fake("slow").tool("wait", Call::never).start(Via::Json).await;
    gateway.admin.connect(&upstream.definition()).await;
    let call = client(&gateway.url, "slow").request("tools/call", &json!({ "name": "wait", "arguments": {} }));
    tokio::select! {
        reply = call.send() => panic!("answered with {}", reply.status),
        () = eventually("the call is there", || async { (upstream.count("tools/call") == 1).then_some(()) }) => {}
    }
    let issued = gateway.admin.post("/admin/tokens", json!({ "name": "a", "rights": ["write"] })).await.json();
    let writer = gateway.admin.with_token(issued["secret"].as_str().expect("a secret"));
    assert_eq!(writer.post("/admin/tokens", json!({ "name": "b" })).await.status, 403);
    for sample in [
        r#"mcp_proxy_calls_total{method="tools/call",outcome="cancelled",principal="anonymous"}"#,
        r#"mcp_proxy_upstream_requests_total{upstream="slow",method="tools/call",outcome="cancelled"}"#,
        r#"mcp_proxy_denied_total{reason="may_not_issue"}"#,
    ] {
        let is_there = || async { (value(&metrics(&gateway).await, sample) == Some(1.0)).then_some(()) };
        eventually(sample, is_there).await;
    }
    let text = metrics(&gateway).await;
    assert_eq!(value(&text, "mcp_proxy_failovers_total"), Some(0.0));
    assert_eq!(value(&text, r#"mcp_proxy_errors_total{type="connection"}"#), Some(0.0));
}

#[tokio::test]
async fn metrics_are_for_readers_of_the_admin_api_unless_they_are_public() {
    let closed = gateway(&[]).await;
    let issued = closed.admin.post("/admin/tokens", json!({ "name": "prometheus", "rights": ["read"] })).await.json();
    let status = async |url: &str, token: &str| {
        raw("GET", &format!("{url}/metrics")).header("authorization", &format!("Bearer {token}")).send().await.status
    };
    assert_eq!(status(&closed.url, issued["secret"].as_str().expect("a secret")).await, 200);
    assert_eq!(status(&closed.url, "other").await, 401);
    let public = gateway(&["--public-metrics=on"]).await;
    assert_eq!(status(&public.url, "other").await, 200);
}
