//! Modern clients at the endpoint of all upstreams, of either era.

mod listening;
mod states;

use std::time::Duration;

use harness::fake::{Call, Fake, Script, Via, fake};
use harness::{InProcess, eventually, gateway};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Client, client_of_all};

/// Maximum time on a busy machine for an answer that needs no upstream.
const AT_ONCE: Duration = Duration::from_millis(500);
const SERVER: &str = "io.modelcontextprotocol/serverInfo";

/// Returns a fake upstream of the modern era, for stdio.
fn modern(name: &'static str) -> Script {
    fake(name).on("server/discover", move |call: Call| async move {
        let capabilities = json!({
            "tools": { "listChanged": true }, "resources": { "subscribe": true },
            "extensions": { "io.modelcontextprotocol/tasks": {} },
        });
        let discovery = json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"],
            "capabilities": capabilities, "_meta": { SERVER: { "name": name, "version": "1" } } });
        call.reply(&discovery.to_string());
    })
}

fn modern_definition(fake: &Fake) -> Value {
    let mut definition = fake.definition();
    definition["era"] = json!("modern");
    definition
}

/// Adds the readable resource `x:r`, which is the UI resource of a tool `t`.
fn with_page(script: Script) -> Script {
    script
        .listed(r#"{"name":"t","inputSchema":{"type":"object"},"_meta":{"ui":{"resourceUri":"x:r"}}}"#)
        .on("resources/list", |call| async move { call.reply(r#"{"resources":[{"name":"r","uri":"x:r"}]}"#) })
        .on("resources/templates/list", |call| async move { call.reply(r#"{"resourceTemplates":[]}"#) })
        .on("resources/read", |call| async move {
            call.reply(&json!({ "contents": [{ "uri": call.argument("uri"), "text": "r" }] }).to_string());
        })
        .on("subscriptions/listen", Call::never)
}

/// Waits until the client sees this many tools.
async fn tools(client: &Client, count: usize) -> Vec<Value> {
    eventually("the tools are listed", || async {
        let answer = client.ask("tools/list", &json!({})).await.pop()?;
        answer["result"]["tools"].as_array().filter(|tools| tools.len() == count).cloned()
    })
    .await
}

fn names(tools: &[Value]) -> Vec<&str> {
    tools.iter().filter_map(|tool| tool["name"].as_str()).collect()
}

/// Starts a legacy server `one` and a modern server `other`, whose tools and resources have equal names.
async fn two() -> (Fake, Fake, InProcess) {
    let one = with_page(fake("one")).start(Via::Events).await;
    let other = with_page(modern("other")).start(Via::Stdio).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&one.definition()).await;
    gateway.admin.connect(&modern_definition(&other)).await;
    (one, other, gateway)
}

#[tokio::test]
async fn what_is_offered_is_told_from_memory_while_servers_hang() {
    let hung = fake("hung").on("initialize", Call::never).start(Via::Json).await;
    let stuck = fake("stuck").echo("t").on("tools/list", Call::never).start(Via::Stdio).await;
    let (_one, _other, gateway) = two().await;
    gateway.admin.register(&hung.definition()).await;
    gateway.admin.connect(&stuck.definition()).await;
    gateway.admin.register(&json!({ "name": "dead", "transport": "sse", "url": "http://127.0.0.1:1/sse" })).await;
    let client = client_of_all(&gateway.url);
    tools(&client, 2).await;
    for (method, member) in [
        ("tools/list", "tools"),
        ("prompts/list", "prompts"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
        ("server/discover", "supportedVersions"),
    ] {
        let began = Instant::now();
        let answer = client.ask(method, &json!({})).await.pop().expect("an answer");
        assert!(began.elapsed() < AT_ONCE, "{method} took {:?}", began.elapsed());
        let result = &answer["result"];
        assert!(result[member].is_array(), "{answer}");
        assert_eq!((&result["resultType"], &result["cacheScope"]), (&json!("complete"), &json!("private")), "{answer}");
        assert!(result["ttlMs"].is_u64(), "{answer}");
        assert_eq!(result["_meta"][SERVER]["name"], "mcp-proxy", "{answer}");
    }
    let discovery = client.ask("server/discover", &json!({})).await.pop().expect("an answer");
    assert_eq!(discovery["result"]["supportedVersions"], json!(["2026-07-28"]));
    assert!(discovery["result"]["capabilities"]["extensions"]["io.modelcontextprotocol/tasks"].is_object());
    let wrong = client.ask("tools/list", &json!({ "cursor": "x" })).await.pop().expect("an answer");
    assert_eq!(wrong["error"]["code"], -32602, "{wrong}");
}

#[tokio::test]
async fn things_of_equal_names_are_each_reached_where_they_are() {
    let (one, other, gateway) = two().await;
    let client = client_of_all(&gateway.url);
    let listed = tools(&client, 2).await;
    assert_eq!(names(&listed), ["one__t", "other__t"]);
    for (name, fake, at) in [("one", &one, 0), ("other", &other, 1)] {
        let page = format!("mcp-proxy://{name}/x:r");
        assert_eq!(listed[at]["_meta"]["ui"]["resourceUri"], page);
        let answer = client.call(&format!("{name}__t"), json!({ "arguments": { "n": 1.5 } })).await;
        assert_eq!(answer["result"]["structuredContent"], json!({ "n": 1.5 }), "{answer}");
        let sent = fake.nth("tools/call", 0).await.value();
        assert_eq!(sent["params"]["name"], "t", "{sent}");
        let read = client.ask("resources/read", &json!({ "uri": page })).await.pop().expect("an answer");
        assert_eq!(read["result"]["contents"][0]["uri"], page, "{read}");
        assert_eq!(fake.nth("resources/read", 0).await.value()["params"]["uri"], "x:r");
    }
    let headed_otherwise = client.request("tools/call", &json!({ "name": "one__t" })).header("mcp-name", "t");
    let mut refused = headed_otherwise.send().await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().await.contains("-32020"));
}

#[tokio::test]
async fn arguments_are_repeated_in_headers_where_the_tool_wants_it() {
    let listed =
        r#"{"name":"t","inputSchema":{"type":"object","properties":{"r":{"type":"string","x-mcp-header":"R"}}}}"#;
    let upstream = modern("u").listed(listed).on("subscriptions/listen", Call::never).start(Via::Stdio).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&modern_definition(&upstream)).await;
    let client = client_of_all(&gateway.url);
    tools(&client, 1).await;
    let call = || client.request("tools/call", &json!({ "name": "u__t", "arguments": { "r": "eu" } }));
    for (request, expected) in
        [(call(), 400), (call().header("mcp-param-r", "us"), 400), (call().header("mcp-param-r", "eu"), 200)]
    {
        assert_eq!(request.send().await.status, expected);
    }
    assert_eq!(upstream.count("tools/call"), 1);
}

#[tokio::test]
async fn what_is_unknown_is_refused_as_this_era_has_it() {
    let (_one, _other, gateway) = two().await;
    let client = client_of_all(&gateway.url);
    tools(&client, 2).await;
    let check = async |method: &str, params: Value, status: u16, code: i64| {
        let mut reply = client.request(method, &params).send().await;
        let answer: Value = serde_json::from_str(&reply.text().await).expect("JSON");
        assert_eq!((reply.status, answer["error"]["code"].as_i64()), (status, Some(code)), "{method}: {answer}");
        answer["error"].clone()
    };
    check("tools/call", json!({ "name": "nobody__t" }), 200, -32602).await;
    check("tools/call", json!({}), 200, -32602).await;
    check("prompts/get", json!({ "name": "p" }), 200, -32602).await;
    let missing = check("resources/read", json!({ "uri": "y:z" }), 200, -32602).await;
    assert_eq!(missing["data"]["uri"], "y:z");
    check("tasks/get", json!({ "taskId": "other:t" }), 400, -32021).await;
    check("vendor/method", json!({}), 404, -32601).await;
    check("ping", json!({}), 404, -32601).await;
    check("subscriptions/listen", json!({}), 200, -32602).await;
    let client = client.of_tasks();
    for (id, status, code) in [("nobody:t", 200, -32602), ("one:t", 404, -32601)] {
        let mut reply = client.request("tasks/get", &json!({ "taskId": id })).send().await;
        let answer: Value = serde_json::from_str(&reply.text().await).expect("JSON");
        assert_eq!((reply.status, answer["error"]["code"].as_i64()), (status, Some(code)), "{id}: {answer}");
    }
}

#[tokio::test]
async fn tasks_are_found_again_by_ids_that_name_their_upstream() {
    let script = modern("u").tool("long", |call| async move {
        call.reply(r#"{"resultType":"task","taskId":"a:b","status":"working"}"#);
    });
    let script = script.on("tasks/get", |call| async move {
        let link = json!({ "type": "resource_link", "name": "r", "uri": "x:r" });
        let task = json!({ "resultType": "complete", "taskId": call.argument("taskId"), "status": "completed",
            "result": { "content": [link] } });
        call.reply(&task.to_string());
    });
    let upstream = script.on("subscriptions/listen", Call::never).start(Via::Stdio).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&modern_definition(&upstream)).await;
    let client = client_of_all(&gateway.url).of_tasks();
    tools(&client, 1).await;
    let started = client.call("u__long", json!({})).await;
    assert_eq!(started["result"]["taskId"], "u:a:b", "{started}");
    let task = client.ask("tasks/get", &json!({ "taskId": "u:a:b" })).await.pop().expect("an answer");
    assert_eq!(task["result"]["taskId"], "u:a:b", "{task}");
    assert_eq!(task["result"]["result"]["content"][0]["uri"], "mcp-proxy://u/x:r", "{task}");
    assert_eq!(upstream.nth("tasks/get", 0).await.value()["params"]["taskId"], "a:b");
}

#[tokio::test]
async fn a_replica_that_cannot_stands_back() {
    let listed = r#"{"name":"t","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}"#;
    let (one, other) = (fake("one").listed(listed).start(Via::Json).await, fake("other").listed(listed));
    let other = other.start(Via::Stdio).await;
    let gateway = gateway().flags(["--naming-mode", "never"]).start().await;
    gateway.admin.connect(&one.definition()).await;
    gateway.admin.connect(&other.definition()).await;
    let client = client_of_all(&gateway.url);
    tools(&client, 1).await;
    eventually("both take calls in turn", || async {
        client.call("t", json!({})).await;
        (one.count("tools/call") > 0 && other.count("tools/call") > 0).then_some(())
    })
    .await;
    one.refuse("tools/call", 503);
    for number in 0..4 {
        let answer = client.call("t", json!({ "arguments": { "number": number } })).await;
        assert_eq!(answer["result"]["structuredContent"]["number"], number, "{answer}");
    }
}

#[tokio::test]
async fn a_caller_sees_and_reaches_what_it_may_use_and_nothing_else() {
    let one = with_page(fake("one")).start(Via::Events).await;
    let other = with_page(modern("other")).start(Via::Stdio).await;
    let gateway = gateway().flags(["--global-auth-tokens", "global"]).start().await;
    let mut definition = one.definition();
    definition["authTokens"] = json!(["own"]);
    gateway.admin.connect(&definition).await;
    gateway.admin.connect(&modern_definition(&other)).await;
    let all = client_of_all(&gateway.url).token("global");
    let part = client_of_all(&gateway.url).token("own").of_tasks();
    tools(&all, 2).await;
    assert_eq!(names(&tools(&part, 1).await), ["one__t"]);
    let discovery = part.ask("server/discover", &json!({})).await.pop().expect("an answer");
    assert!(!discovery.to_string().contains("/tasks"), "{discovery}");
    let refused = async |method: &str, subject: &str, name: &str| {
        let answer = part.ask(method, &json!({ subject: name })).await.pop().expect("an answer");
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        answer["error"]["message"].as_str().unwrap_or_default().to_owned()
    };
    // No upstream is called `otler`; its edit distance to the names that this caller may see equals that of `other`.
    for (method, subject, of_other, of_nobody) in [
        ("tools/call", "name", "other__t", "otler__t"),
        ("tools/call", "name", "other:t", "otler:t"),
        ("resources/read", "uri", "mcp-proxy://other/x:r", "mcp-proxy://otler/x:r"),
        ("tasks/get", "taskId", "other:t", "otler:t"),
    ] {
        let missing = refused(method, subject, of_nobody).await.replace("otler", "other");
        assert_eq!(refused(method, subject, of_other).await, missing, "{method}");
    }
    let wanted = json!({ "notifications": { "resourceSubscriptions": ["mcp-proxy://other/x:r"] } });
    let mut stream = part.request("subscriptions/listen", &wanted).send().await;
    let agreed = stream.event().await.expect("an event").data;
    assert!(agreed.contains(r#""notifications":{}"#), "{agreed}");
    let reached = ["tools/call", "resources/read", "tasks/get"].map(|method| other.count(method));
    assert_eq!(reached, [0, 0, 0]);
}
