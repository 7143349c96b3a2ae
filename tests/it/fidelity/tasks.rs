//! Tasks of 2025-11-25 pass between a legacy client and its legacy upstream.

use harness::fake::{Via, fake};
use harness::gateway;
use harness::raw::{Face, session};

const TASK: &str = r#"{"task":{"taskId":"t","status":"working","ttl":60000,"pollInterval":1.50}}"#;

#[tokio::test]
async fn legacy_tasks_pass_as_they_come() {
    let script = fake("u").tool("long", |call| async move { call.reply(TASK) });
    let script = script.on("tasks/get", |call| async move { call.reply(&call.envelope.params.clone()) });
    let upstream =
        script.on("tasks/result", |call| async move { call.reply(r#"{"content":[]}"#) }).start(Via::Events).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    for face in Face::ALL {
        let mut client = session(&gateway.url, "u").over(face).capabilities(r#"{"tasks":{"list":{}}}"#).open().await;
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"long","task":{"ttl":60000}}}"#;
        assert_eq!(client.request(call).await, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{TASK}}}"#));
        let get = r#"{"jsonrpc":"2.0","id":2,"method":"tasks/get","params":{"taskId":"t","x":1.0}}"#;
        assert_eq!(client.request(get).await, r#"{"jsonrpc":"2.0","id":2,"result":{"taskId":"t","x":1.0}}"#);
        let result = r#"{"jsonrpc":"2.0","id":3,"method":"tasks/result","params":{"taskId":"t"}}"#;
        assert_eq!(client.request(result).await, r#"{"jsonrpc":"2.0","id":3,"result":{"content":[]}}"#);
    }
    let sent = upstream.nth("tools/call", 0).await;
    assert_eq!(sent.envelope.param("task"), r#"{"ttl":60000}"#);
}
