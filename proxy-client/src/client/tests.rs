mod ownership;

use std::error::Error as _;

use schemas::admin::{State, ToolCall};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::*;
use crate::scripted::{Line, Scripted, answer, hang, nobody, quick};

const REGISTERED: &str = r#"{"definition":{"name":"gh","transport":"streamable-http","url":"https://x/mcp",
    "headers":{"Authorization":"Bearer t"},"timeout":30000000000,"createdAt":"2025-10-01T10:00:00.123456789-03:00"},
    "status":{"name":"gh","status":"connected","lastConnected":"2025-10-01T10:00:01.5-03:00","reconnectAttempts":0,
    "upTime":12000000000,"totalRequests":3,"totalErrors":0,"avgResponseTime":41000000}}"#;

fn definition() -> Definition {
    serde_json::from_str(r#"{"name":"fs","transport":"stdio","command":["npx","-y"],"args":["pkg"],"timeout":"30s"}"#)
        .unwrap()
}

fn name(text: &str) -> ServerName {
    ServerName::stored(text).unwrap()
}

async fn answering(status: u16, body: &str) -> (Scripted, Client) {
    let gateway = Scripted::start([answer(status, body)]).await;
    let client = gateway.client();
    (gateway, client)
}

fn line(request: &str) -> &str {
    request.lines().next().unwrap_or_default()
}

fn listed(states: &[(&str, &str, &str)]) -> Line {
    let entries: Vec<_> = states
        .iter()
        .map(|(name, state, error)| {
            serde_json::json!({"definition": {"name": name}, "status": {"status": state, "lastError": error}})
        })
        .collect();
    answer(200, &serde_json::json!({ "mcps": entries }).to_string())
}

#[tokio::test]
async fn registers_with_exactly_201_even_without_a_body() {
    let (gateway, client) = answering(201, "").await;
    assert_eq!(client.register(&definition()).await.unwrap(), Registered::Created);
    let request = &gateway.requests()[0];
    assert_eq!(line(request), "POST /admin/mcps HTTP/1.1");
    assert!(request.contains("\r\ncontent-type: application/json\r\n"), "{request}");
    let body = r#"{"name":"fs","transport":"stdio","command":"npx","args":["-y","pkg"],"timeout":30000000000}"#;
    assert!(request.ends_with(body), "{request}");
}

#[tokio::test]
async fn any_other_success_is_no_registration() {
    for status in [200, 202, 204] {
        let (_gateway, client) = answering(status, "").await;
        assert_eq!(client.register(&definition()).await.unwrap_err().status(), Some(status));
    }
}

#[tokio::test]
async fn a_taken_name_is_a_value_also_after_a_retry() {
    let taken = answer(409, r#"{"error":"MCP already exists","details":"MCP already exists: fs"}"#);
    for script in [vec![taken.clone()], vec![answer(500, ""), taken]] {
        let gateway = Scripted::start(script).await;
        assert_eq!(gateway.client().register(&definition()).await.unwrap(), Registered::AlreadyExists);
    }
}

#[tokio::test]
async fn an_update_says_when_the_upstream_was_not_started() {
    let (gateway, client) = answering(200, r#"{"message":"MCP definition updated successfully"}"#).await;
    assert_eq!(client.update(&definition()).await.unwrap().warning, None);
    assert_eq!(line(&gateway.requests()[0]), "PUT /admin/mcps/fs HTTP/1.1");

    let check = async |body: &str, expected: &str| {
        let (_gateway, client) = answering(202, body).await;
        assert_eq!(client.update(&definition()).await.unwrap().warning.as_deref(), Some(expected));
    };
    check(r#"{"message":"m","name":"fs","warning":"no such file"}"#, "no such file").await;
    check(r#"{"message":"connection failed","name":"fs"}"#, "connection failed").await;
    check("", "saved, but not connected").await;

    let (_gateway, client) = answering(404, r#"{"error":"MCP not found","name":"fs"}"#).await;
    assert!(client.update(&definition()).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn gets_one_or_none() {
    let (gateway, client) = answering(200, REGISTERED).await;
    let found = client.get(&name("gh")).await.unwrap().unwrap();
    assert_eq!((found.definition.name(), found.status.status), ("gh", State::Connected));
    assert_eq!(line(&gateway.requests()[0]), "GET /admin/mcps/gh HTTP/1.1");
    let (_gateway, client) = answering(404, "404 page not found").await;
    assert_eq!(client.get(&name("gh")).await.unwrap(), None);
}

#[tokio::test]
async fn lists_what_go_nests_with_or_without_a_count() {
    let (_gateway, client) = answering(200, &format!(r#"{{"mcps":[{REGISTERED}],"count":1}}"#)).await;
    assert_eq!(client.list().await.unwrap()[0].definition.name(), "gh");
    for empty in [r#"{"mcps":[],"count":0}"#, r#"{"mcps":null}"#] {
        let (_gateway, client) = answering(200, empty).await;
        assert_eq!(client.list().await.unwrap(), []);
    }
}

#[tokio::test]
async fn deregisters_what_is_there_and_minds_nothing_that_is_not() {
    for (status, body, expected) in [(204, "", true), (200, "{}", true), (404, "404 page not found", false)] {
        let (gateway, client) = answering(status, body).await;
        assert_eq!(client.deregister(&name("gh")).await.unwrap(), expected, "{status}");
        assert_eq!(line(&gateway.requests()[0]), "DELETE /admin/mcps/gh HTTP/1.1");
    }
}

#[tokio::test]
async fn a_name_is_one_segment_below_the_prefix() {
    let gateway = Scripted::start([answer(204, "")]).await;
    let client = quick(gateway.url() + "/pre%20fix/").build().unwrap();
    for (given, sent) in [("a/b", "a%2Fb"), ("a b?c#d", "a%20b%3Fc%23d"), ("ü%2e\t", "%C3%BC%252e%09"), ("..x", "..x")]
    {
        client.deregister(&name(given)).await.unwrap();
        let expected = format!("DELETE /pre%20fix/admin/mcps/{sent} HTTP/1.1");
        assert_eq!(line(gateway.requests().last().unwrap()), expected);
    }
    let sent = gateway.requests().len();
    assert_eq!(client.deregister(&name("..")).await.unwrap_err().to_string(), "no URL can name `..`");
    assert_eq!(gateway.requests().len(), sent);
}

#[tokio::test]
async fn lists_tools_of_a_proxy_that_has_none() {
    for (body, expected) in [
        (r#"{"tools":null}"#, 0),
        (r#"{"tools":[],"count":0}"#, 0),
        (r#"{"tools":[{"name":"add","description":"","inputSchema":null,"mcpName":"m"}]}"#, 1),
    ] {
        let (_gateway, client) = answering(200, body).await;
        assert_eq!(client.list_tools().await.unwrap().len(), expected, "{body}");
    }
}

#[tokio::test]
async fn calls_a_tool_with_the_arguments_as_they_are() {
    let (gateway, client) = answering(200, r#"{"result":{"type":"text","text":"3"}}"#).await;
    let arguments = RawValue::from_string(r#"{"b": 2, "a":1.00}"#.to_owned()).unwrap();
    let call = ToolCall { mcp_name: "m".into(), tool_name: "add".into(), arguments: Some(arguments) };
    let result = client.call_tool(&call).await.unwrap().into_result().unwrap();
    assert_eq!(result.text().as_deref(), Some("3"));
    let request = &gateway.requests()[0];
    assert_eq!(line(request), "POST /admin/tools/call HTTP/1.1");
    assert!(request.ends_with(r#"{"mcpName":"m","toolName":"add","arguments":{"b": 2, "a":1.00}}"#), "{request}");
}

#[tokio::test]
async fn a_failed_tool_is_an_outcome_and_an_unknown_one_an_error() {
    let (gateway, client) = answering(200, r#"{"result":null,"error":"boom"}"#).await;
    let failure = client.call_tool(&ToolCall::default()).await.unwrap().into_result().unwrap_err();
    assert_eq!((failure.message(), gateway.requests().len()), ("boom", 1));
    let (_gateway, client) = answering(404, r#"{"error":"MCP not found or not connected"}"#).await;
    assert!(client.call_tool(&ToolCall::default()).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn reads_metrics_and_health() {
    let metrics = r#"{"timestamp":"2025-10-01T10:00:00Z","metrics":{"total_clients":2,"connected":1}}"#;
    let (_gateway, client) = answering(200, metrics).await;
    assert_eq!(client.metrics().await.unwrap().metrics.total_clients, 2);
    for body in [r#"{"status":"ok"}"#, r#"{"status":"healthy","timestamp":"t","version":"1.0.0"}"#] {
        let (gateway, client) = answering(200, body).await;
        assert!(client.health().await.is_ok());
        assert_eq!(line(&gateway.requests()[0]), "GET /healthz HTTP/1.1");
    }
}

#[tokio::test]
async fn the_token_goes_to_all_but_the_health_check() {
    let gateway = Scripted::start([answer(200, r#"{"status":"ok"}"#)]).await;
    let client = quick(gateway.url()).token("t0ken").user_agent("worker/7").build().unwrap();
    client.health().await.unwrap();
    client.list().await.unwrap();
    let requests = gateway.requests();
    assert!(!requests[0].contains("authorization"), "{}", requests[0]);
    assert!(requests[1].contains("\r\nauthorization: Bearer t0ken\r\n"), "{}", requests[1]);
    assert!(requests.iter().all(|request| request.contains("\r\nuser-agent: worker/7\r\n")));
}

#[tokio::test]
async fn a_wrong_token_is_unauthorized() {
    let (_gateway, client) = answering(401, r#"{"error":"Unauthorized: invalid admin token"}"#).await;
    let error = client.list().await.unwrap_err();
    assert!(error.is_unauthorized() && !error.is_not_found());
    assert_eq!(error.to_string(), "proxy request failed (status 401): Unauthorized: invalid admin token");
}

#[tokio::test]
async fn a_connection_that_the_gateway_closed_is_not_used() {
    let body = r#"{"result":1}"#;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let gateway = Scripted::start([Line::Say(head + body)]).await;
    let client = gateway.client();
    for _ in 0..3 {
        client.call_tool(&ToolCall::default()).await.unwrap();
    }
    assert_eq!(gateway.requests().len(), 3);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Scripted::start([answer(200, r#"{"mcps":[]}"#)]).await;
    let location = format!("Location: {}", elsewhere.url());
    let gateway = Scripted::start([crate::scripted::answer_with(307, &location, "")]).await;
    assert_eq!(gateway.client().list().await.unwrap_err().status(), Some(307));
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn an_error_tells_where_and_why() {
    let url = nobody().await;
    let error = quick(url.clone()).build().unwrap().list().await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to `{url}/`"));
    assert!(error.source().is_some());
    let (gateway, client) = answering(200, "<html>").await;
    let error = client.list().await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read the answer of `{}/`", gateway.url()));
}

#[tokio::test]
async fn waits_until_all_are_connected() {
    let gateway = Scripted::start([
        listed(&[("a", "connecting", ""), ("b", "Connected", "")]),
        answer(401, ""),
        listed(&[("a", "error", "refused"), ("b", "connected", "")]),
        listed(&[("a", "connected", ""), ("b", "connected", ""), ("c", "error", "")]),
    ])
    .await;
    let names = [name("a"), name("b")];
    let poll = Duration::from_millis(1);
    gateway.client().wait_for_connections(&names, poll, Duration::from_secs(10)).await.unwrap();
    assert_eq!(gateway.requests().len(), 4);
}

#[tokio::test]
async fn waiting_for_nobody_asks_nothing() {
    let (gateway, client) = answering(500, "").await;
    client.wait_for_connections(&[], Duration::ZERO, Duration::ZERO).await.unwrap();
    assert_eq!(gateway.requests().len(), 0);
}

#[tokio::test]
async fn names_who_is_missing_in_order() {
    let gateway = Scripted::start([listed(&[("b", "error", "refused"), ("c", "connected", "")])]).await;
    let names = [name("b"), name("c"), name("a"), name("b")];
    let (poll, deadline) = (Duration::from_millis(20), Duration::from_millis(300));
    let late = gateway.client().wait_for_connections(&names, poll, deadline).await.unwrap_err();
    assert_eq!(late.to_string(), "not connected: `a` (not registered), `b` (error: refused)");
    assert!(late.source().is_none());
    assert!(gateway.requests().len() > 1);
}

#[tokio::test]
async fn waiting_ends_at_the_deadline_and_says_why_the_gateway_did_not() {
    let gateway = Scripted::start([listed(&[("a", "connecting", "")]), hang()]).await;
    let (start, deadline) = (Instant::now(), Duration::from_millis(300));
    let late = gateway.client().wait_for_connections(&[name("a")], Duration::ZERO, deadline).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(late.missing[0].state, Some(State::Connecting));
    assert!(late.source.is_some_and(|error| error.is_timeout()));
}

#[test]
fn what_a_client_does_may_move_between_threads() {
    fn check<T: Send>(_: T) {}
    let client = Client::builder("h").build().unwrap();
    check(client.clone());
    check(client.list());
    check(client.call_tool(&ToolCall::default()));
    check(client.wait_for_connections(&[], Duration::ZERO, Duration::ZERO));
}
