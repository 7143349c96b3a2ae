//! A tool that a filter hides does not exist for any client, and calls of it never reach the upstream.

use harness::fake::{Fake, Via, fake};
use harness::raw::{Face, session, tool_call};
use harness::{InProcess, gateway};
use serde_json::{Value, json};

const SEEN: &str =
    r#"{"x-vendor":1.10,"name":"seen","inputSchema":{"type":"object","n":123456789012345678901234567890}}"#;
const HIDDEN: &str = r#"{"name":"hid\u0064en","inputSchema":{"type":"object"}}"#;

async fn filtered(mode: &str, name: &str) -> (Fake, InProcess) {
    let script = fake("filtered").listed(SEEN).listed(HIDDEN).pages_of(1);
    let upstream = script.start(Via::Events).await;
    let gateway = gateway().start().await;
    let mut definition = upstream.definition();
    definition["toolFilter"] = json!({ "mode": mode, "list": [name] });
    gateway.admin.connect(&definition).await;
    (upstream, gateway)
}

#[tokio::test]
async fn a_hidden_tool_is_not_listed_and_every_other_byte_is() {
    for (mode, name) in [("block", "hidden"), ("allow", "seen")] {
        let (_upstream, gateway) = filtered(mode, name).await;
        for face in Face::ALL {
            let mut client = session(&gateway.url, "filtered").over(face).open().await;
            let first = client.request(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
            let page = format!(r#"{{"tools":[{SEEN}],"nextCursor":"1"}}"#);
            assert_eq!(first, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{page}}}"#));
            let next = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"cursor":"1"}}"#;
            assert_eq!(client.request(next).await, r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}"#);
        }
        let listed = gateway.admin.get("/admin/tools").await.json();
        assert_eq!((&listed["count"], &listed["tools"][0]["name"]), (&json!(1), &json!("seen")));
    }
}

#[tokio::test]
async fn a_call_of_a_hidden_tool_never_reaches_the_upstream() {
    let (upstream, gateway) = filtered("block", "hidden").await;
    let calls = [
        r#"{"name":"hidden"}"#,
        r#"{"name":"hid\u0064en","arguments":{}}"#,
        r#"{"arguments":{"name":"seen"},"name":"hidden"}"#,
        r#"{"name":"seen","name":"hidden"}"#,
        r#"{"name":"hidden","name":"seen"}"#,
        r#"{"name":"seen","n\u0061me":"hidden"}"#,
        r#"{"name":"seen","Name":"hidden"}"#,
        r#"{"name":["hidden"]}"#,
        r#"["hidden"]"#,
    ];
    for face in Face::ALL {
        let mut client = session(&gateway.url, "filtered").over(face).open().await;
        for params in calls {
            for method in ["tools/call", r"tools\/call", r"tools/c\u0061ll"] {
                let call = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
                let refusal = client.request(&call).await;
                assert!(refusal.contains(r#""code":-32602"#), "{face:?} {call}: {refusal}");
            }
        }
    }
    for face in Face::ALL {
        let client = session(&gateway.url, "filtered").over(face).open().await;
        let without_id = r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"hidden"}}"#;
        let mut refusal = client.post(without_id).send().await;
        assert!(refusal.text().await.contains("a request needs an `id`"), "{face:?}");
        assert_eq!(refusal.status, 400, "{face:?}");
    }
    for tool in ["hidden", "missing"] {
        let refusal = gateway.admin.call("filtered", tool, &json!({})).await;
        assert_eq!(refusal.status == 404, tool == "hidden", "{}", refusal.text);
    }
    let reached: Vec<Value> = upstream.received().iter().map(harness::fake::Received::value).collect();
    let names = reached.iter().filter(|one| one["method"] == "tools/call").map(|one| &one["params"]["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["missing"]);
}

#[tokio::test]
async fn a_hidden_and_a_missing_tool_are_answered_alike() {
    let script = fake("filtered").listed(SEEN).on("tools/call missing", |call| async move {
        call.fail(r#"{"code":-32602,"message":"Unknown tool"}"#);
    });
    let upstream = script.start(Via::Stdio).await;
    let gateway = gateway().start().await;
    let mut definition = upstream.definition();
    definition["toolFilter"] = json!({ "mode": "block", "list": ["hidden"] });
    gateway.admin.connect(&definition).await;
    let mut client = session(&gateway.url, "filtered").open().await;
    let error = |answer: String| serde_json::from_str::<Value>(&answer).unwrap_or_default()["error"].take();
    let hidden = error(client.request(&tool_call("1", "hidden", "{}")).await);
    let missing = error(client.request(&tool_call("1", "missing", "{}")).await);
    assert_eq!((&hidden["code"], &hidden["message"]), (&missing["code"], &missing["message"]));
}
