//! `/admin/tools` and `/admin/tools/call`.

use harness::fake::{Fake, Via, fake};
use harness::{InProcess, eventually, gateway};
use serde_json::{Value, json};

use super::{is, nowhere, refuses, silence, with};

/// Starts a fake upstream whose tools cover every kind of result that the admin API distinguishes.
async fn server(via: Via) -> Fake {
    let answers = |name: &'static str, result: &'static str| (name, result);
    let results = [
        answers("text", r#"{"content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}"#),
        answers("image", r#"{"content":[{"type":"image","data":"AA==","mimeType":"image/png"}]}"#),
        answers("link", r#"{"content":[{"type":"resource_link","uri":"x:y","name":"z"}]}"#),
        answers("nothing", r#"{"content":[]}"#),
        answers("structured", r#"{"content":[],"structuredContent":{"n":1.50},"isError":false}"#),
        answers("refuse", r#"{"content":[{"type":"text","text":"not today"}],"isError":true}"#),
        answers("silent", r#"{"content":[],"isError":true}"#),
    ];
    let script = results.into_iter().fold(fake("server").echo("echo"), |script, (name, result)| {
        script.tool(name, move |call| async move { call.reply(result) })
    });
    script
        .tool("fail", |call| async move { call.fail(r#"{"code":-32602,"message":"no such city"}"#) })
        .tool("cut", |call| async move { call.hang_up() })
        .start(via)
        .await
}

async fn serving(via: Via) -> (InProcess, Fake) {
    let (gateway, server) = (gateway().start().await, server(via).await);
    gateway.admin.connect(&server.definition()).await;
    (gateway, server)
}

#[tokio::test]
async fn what_does_not_exist_is_named_with_what_is_near() {
    let gateway = gateway().start().await;
    let upstream = fake("search").echo("find_file").on("tools/call find_fiel", |call| async move {
        call.fail(r#"{"code":-32602,"message":"no such tool"}"#);
    });
    let upstream = upstream.start(Via::Json).await;
    gateway.admin.connect(&upstream.definition()).await;
    let answer = gateway.admin.call("serch", "x", &json!({})).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["details"], "no MCP named serch; did you mean `search`?");
    let answer = gateway.admin.call("search", "find_fiel", &json!({})).await.json();
    let told = "no such tool; `find_fiel` is not among the tools that `search` lists; did you mean `find_file`?";
    assert_eq!(answer["error"], told);
}

#[tokio::test]
async fn the_first_item_is_the_result_and_the_whole_stands_beside_it() {
    let (gateway, _server) = serving(Via::Json).await;
    let cases = [
        (
            "echo",
            r#"{"result":{"type":"text","text":"{\"a\":1.50}"},"content":[{"type":"text","text":"{\"a\":1.50}"}],"structuredContent":{"a":1.50}}"#,
        ),
        (
            "text",
            r#"{"result":{"type":"text","text":"one"},"content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}"#,
        ),
        (
            "image",
            r#"{"result":{"type":"image","data":"AA==","mimeType":"image/png"},"content":[{"type":"image","data":"AA==","mimeType":"image/png"}]}"#,
        ),
        (
            "link",
            r#"{"result":{"type":"unknown","data":{"type":"resource_link","uri":"x:y","name":"z"}},"content":[{"type":"resource_link","uri":"x:y","name":"z"}]}"#,
        ),
        ("nothing", r#"{"result":{"error":"No content in tool result"},"content":[]}"#),
        (
            "structured",
            r#"{"result":{"error":"No content in tool result"},"content":[],"structuredContent":{"n":1.50},"isError":false}"#,
        ),
        (
            "refuse",
            r#"{"result":null,"error":"not today","content":[{"type":"text","text":"not today"}],"isError":true}"#,
        ),
        ("silent", r#"{"result":null,"error":"the tool reported an error","content":[],"isError":true}"#),
        ("fail", r#"{"result":null,"error":"no such city"}"#),
    ];
    for (tool, expected) in cases {
        let body = format!(r#"{{"mcpName":"server","toolName":"{tool}","arguments":{{"a":1.50}}}}"#);
        let answer = gateway.admin.post("/admin/tools/call", body).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, expected), "{tool}");
    }
}

#[tokio::test]
async fn arguments_may_be_absent_or_null() {
    let (gateway, server) = serving(Via::Json).await;
    for (number, arguments) in [r#","arguments":null"#, ""].iter().enumerate() {
        let body = format!(r#"{{"mcpName":"server","toolName":"text"{arguments}}}"#);
        assert_eq!(gateway.admin.post("/admin/tools/call", body).await.status, 200);
        let sent = server.nth("tools/call", number).await.value()["params"].take();
        assert!(sent["arguments"].is_null() || sent["arguments"] == json!({}), "{sent}");
    }
}

#[tokio::test]
async fn a_request_that_is_no_call_is_refused() {
    let gateway = gateway().start().await;
    for body in ["", "{", "[]", r#"["a","b"]"#, r#"{"mcpName":1}"#] {
        let answer = gateway.admin.post("/admin/tools/call", body).await;
        let problem = answer.json();
        assert!(
            problem["error"].as_str().is_some_and(|error| error.starts_with("invalid JSON payload: ")),
            "{problem}"
        );
        assert_eq!((answer.status, problem.as_object().map(|members| members.len())), (400, Some(1)));
    }
    for body in [r#"{}"#, r#"{"mcpName":"a"}"#, r#"{"toolName":"a"}"#, r#"{"mcpName":"","toolName":""}"#] {
        let answer = gateway.admin.post("/admin/tools/call", body).await;
        is(&answer, 400, json!({ "error": "mcpName and toolName are required" }));
    }
}

#[tokio::test]
async fn a_call_to_nobody_is_404() {
    let gateway = gateway().start().await;
    let answer = gateway.admin.call("nobody", "x", &json!({})).await;
    is(&answer, 404, json!({ "error": "MCP not found or not connected", "details": "no MCP named nobody" }));
}

#[tokio::test]
async fn a_call_that_was_never_sent_is_503_so_that_clients_try_again() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    gateway.admin.reaches("a", "error").await;
    let answer = gateway.admin.call("a", "x", &json!({})).await;
    refuses(&answer, 503, "Tool execution failed", "");
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn a_call_that_may_have_been_executed_is_never_5xx() {
    for via in Via::ALL {
        let (gateway, server) = serving(via).await;
        let answer = gateway.admin.call("server", "cut", &json!({})).await;
        let body = answer.json();
        assert_eq!((answer.status, &body["result"]), (200, &Value::Null), "{via:?}: {body}");
        assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{via:?}: {body}");
        assert_eq!(server.count("tools/call"), 1, "{via:?}: sent again");
    }
}

#[tokio::test]
async fn without_tools_the_list_is_empty_and_not_null() {
    let gateway = gateway().start().await;
    is(&gateway.admin.get("/admin/tools").await, 200, json!({ "tools": [], "count": 0 }));
}

#[tokio::test]
async fn tools_are_listed_raw_in_registration_order_without_those_of_upstreams_that_are_down() {
    let gateway = gateway().start().await;
    let schema = r#"{"type":"object","properties":{"z":{"type":"number","maximum":1.50},"a":{}}}"#;
    let tool = |name: &str| format!(r#"{{"name":"{name}","description":"about {name}","inputSchema":{schema}}}"#);
    let second = fake("second").listed(&tool("same")).listed(&tool("two")).pages_of(1).start(Via::Stdio).await;
    let first = fake("first").listed(&tool("same")).start(Via::Sse).await;
    gateway.admin.register(&nowhere("down")).await;
    gateway.admin.connect(&second.definition()).await;
    gateway.admin.connect(&first.definition()).await;
    let entry = |name: &str, upstream: &str| {
        format!(r#"{{"name":"{name}","description":"about {name}","inputSchema":{schema},"mcpName":"{upstream}"}}"#)
    };
    let entries = [entry("same", "second"), entry("two", "second"), entry("same", "first")].join(",");
    let answer = gateway.admin.get("/admin/tools").await;
    assert_eq!((answer.status, answer.text), (200, format!(r#"{{"tools":[{entries}],"count":3}}"#)));
}

#[tokio::test]
async fn a_tool_without_description_or_schema_is_listed_too() {
    let gateway = gateway().start().await;
    let upstream = fake("a").listed(r#"{"name":"bare"}"#).start(Via::Json).await;
    gateway.admin.connect(&upstream.definition()).await;
    let bare = json!({ "name": "bare", "description": "", "inputSchema": null, "mcpName": "a" });
    is(&gateway.admin.get("/admin/tools").await, 200, json!({ "tools": [bare], "count": 1 }));
}

#[tokio::test]
async fn a_hidden_tool_is_neither_listed_nor_called() {
    let gateway = gateway().start().await;
    let upstream = fake("a").echo("seen").echo("hidden").start(Via::Json).await;
    for filter in [json!({ "mode": "allow", "list": ["seen"] }), json!({ "mode": "block", "list": ["hidden"] })] {
        gateway.admin.connect(&with(upstream.definition(), json!({ "toolFilter": filter }))).await;
        let listed = gateway.admin.get("/admin/tools").await.json();
        assert_eq!((&listed["tools"][0]["name"], &listed["count"]), (&json!("seen"), &json!(1)));
        let answer = gateway.admin.call("a", "hidden", &json!({})).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (404, Some("Tool not found")));
        assert_eq!(gateway.admin.call("a", "seen", &json!({})).await.status, 200);
        assert_eq!(gateway.admin.delete("/admin/mcps/a").await.status, 204);
    }
    let called: Vec<_> = upstream.received().into_iter().filter(|received| received.method == "tools/call").collect();
    assert!(called.iter().all(|call| call.value()["params"]["name"] == "seen"));
}

#[tokio::test]
async fn an_upstream_that_never_lists_its_tools_holds_up_nobody() {
    let gateway = gateway().start().await;
    let stuck = fake("stuck").on("tools/list", silence).start(Via::Json).await;
    let quick = fake("quick").echo("say").start(Via::Json).await;
    gateway.admin.connect(&stuck.definition()).await;
    gateway.admin.connect(&quick.definition()).await;
    stuck.nth("tools/list", 0).await;
    eventually("the quick one's tools are listed", || async {
        (gateway.admin.get("/admin/tools").await.json()["tools"][0]["mcpName"] == "quick").then_some(())
    })
    .await;
}
