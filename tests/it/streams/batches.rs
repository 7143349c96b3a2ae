//! Batches of messages in one body: allowed in sessions of 2025-03-26, refused in all others.

use harness::fake::{Call, Via, fake};
use harness::gateway;
use harness::raw::{Face, Session, session, tool_call};
use serde_json::{Value, json};

const OLD: &str = r#"{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}"#;

async fn refused(session: &Session, body: String) {
    let mut reply = session.post(body.clone()).send().await;
    let text = reply.text().await;
    assert!(reply.status == 400 && text.contains("-32600"), "{body}: {} {text}", reply.status);
}

fn ids(answers: &Value) -> Vec<&Value> {
    answers.as_array().unwrap_or_else(|| panic!("no array: {answers}")).iter().map(|answer| &answer["id"]).collect()
}

#[tokio::test]
async fn requests_of_a_batch_run_at_once_and_are_answered_together() {
    let report = |call: Call| async move {
        call.progress(r#""progress":1"#);
        call.echo();
    };
    let upstream = fake("u").echo("a").tool("report", report).start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = session(&gateway.url, "u").hello(OLD).open().await;
    let (one, two) = (tool_call("1", "a", "{}"), tool_call(r#""2""#, "a", "{}"));
    let ping = r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#;
    let told = r#"{"jsonrpc":"2.0","method":"notifications/vendor"}"#;
    let mut reply = client.post(format!("[{one},{told}, {two},{ping}]")).send().await;
    let answers: Value = serde_json::from_str(&reply.text().await).expect("JSON");
    assert_eq!((reply.status, ids(&answers)), (200, vec![&json!(1), &json!("2"), &json!(3)]));
    upstream.nth("notifications/vendor", 0).await;

    let with_token =
        |id: &str| tool_call(id, "report", "{}").replace(r#""name""#, r#""_meta":{"progressToken":7},"name""#);
    let mut reply = client.post(format!("[{},{}]", with_token("4"), with_token("5"))).send().await;
    assert!(reply.is_stream(), "progress comes before the answers");
    let mut last = String::new();
    while let Some(event) = reply.event().await {
        last = event.data;
    }
    assert_eq!(ids(&serde_json::from_str(&last).expect("JSON")), [&json!(4), &json!(5)]);
    let mut reply = client.post(format!("[{told}]")).send().await;
    assert_eq!((reply.status, reply.text().await.as_str()), (202, ""));
}

#[tokio::test]
async fn a_batch_over_sse_is_answered_on_the_stream() {
    let upstream = fake("u").echo("a").start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let mut client = session(&gateway.url, "u").over(Face::Sse).hello(OLD).open().await;
    client.tell(format!("[{},{}]", tool_call("1", "a", "{}"), tool_call("2", "a", "{}"))).await;
    client.answer("2").await;
    client.answer("1").await;
}

#[tokio::test]
async fn batches_that_are_wrong_or_of_another_revision_are_refused() {
    let upstream = fake("u").echo("a").start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let call = tool_call("1", "a", "{}");
    let old = session(&gateway.url, "u").hello(OLD).open().await;
    refused(&old, "[]".to_owned()).await;
    refused(&old, format!("[{}]", vec![call.clone(); 101].join(","))).await;
    refused(&old, format!("[{call},7]")).await;
    refused(&old, format!("[[{call}]]")).await;
    refused(&old, format!(r#"[{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{OLD}}}]"#)).await;
    for version in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        let other = session(&gateway.url, "u").hello(&OLD.replace("2025-03-26", version)).open().await;
        refused(&other, format!("[{call}]")).await;
    }
    assert_eq!(upstream.count("tools/call"), 0);
}
