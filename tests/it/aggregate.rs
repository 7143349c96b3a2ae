//! Endpoint of all upstreams: the tools, prompts and resources of every server at one address, even if some servers are
//! slow, hung or dead.

mod changes;
mod naming;
mod policy;
mod servers;

use std::time::Duration;

use harness::fake::{Call, Fake, Script, Via, fake};
use harness::raw::{Face, Session, raw, session_with_all, tool_call};
use harness::{DEADLINE, InProcess, eventually, gateway, within};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Maximum time on a busy machine for an answer that needs no upstream.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Returns a definition of an upstream that never connects: its port has no listener.
fn nowhere(name: &str) -> Value {
    json!({ "name": name, "transport": "streamable-http", "url": "http://127.0.0.1:1/mcp" })
}

/// Returns a fake upstream that also has the prompt `p` and the resource `x:NAME`, which can be read.
fn library(name: &'static str) -> Script {
    let capabilities = r#"{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"completions":{},"logging":{}}"#;
    fake(name)
        .on("initialize", move |call: Call| async move {
            let version = call.argument("protocolVersion");
            call.reply(&format!(
                r#"{{"protocolVersion":"{version}","capabilities":{capabilities},"serverInfo":{{"name":"{name}","version":"1"}},"instructions":"About {name}."}}"#
            ));
        })
        .on("prompts/list", |call| async move { call.reply(r#"{"prompts":[{"name":"p","x":1.10}]}"#) })
        .on("prompts/get", move |call| async move {
            let block = format!(r#"{{"type":"resource","resource":{{"uri":"x:{name}","text":"{}"}}}}"#, call.argument("name"));
            call.reply(&format!(r#"{{"messages":[{{"role":"user","content":{block}}}]}}"#));
        })
        .on("resources/list", move |call| async move {
            call.reply(&format!(r#"{{"resources":[{{"name":"r","uri":"x:{name}","x":1.10}}]}}"#));
        })
        .on("resources/templates/list", move |call| async move {
            call.reply(&format!(r#"{{"resourceTemplates":[{{"name":"t","uriTemplate":"{name}://{{id}}"}}]}}"#));
        })
        .on("resources/read", |call| async move {
            call.reply(&format!(r#"{{"contents":[{{"uri":"{}","text":"x:r"}}]}}"#, call.argument("uri")));
        })
        .on("completion/complete", |call| async move { call.reply(r#"{"completion":{"values":["v"]}}"#) })
}

/// Returns the names in a list, in order.
async fn listed(client: &mut Session, list: &str) -> Vec<String> {
    let request = format!(r#"{{"jsonrpc":"2.0","id":"list","method":"{list}"}}"#);
    let answer: Value = serde_json::from_str(&client.request(&request).await).expect("JSON");
    let items = answer["result"].as_object().and_then(|result| result.values().find_map(Value::as_array));
    let key = |item: &Value| {
        let named = ["uri", "uriTemplate", "name"].iter().find_map(|key| item[key].as_str());
        named.unwrap_or_default().to_owned()
    };
    items.unwrap_or_else(|| panic!("{answer}")).iter().map(key).collect()
}

/// Waits until a list equals the expected one.
async fn lists(client: &mut Session, list: &str, expected: &[&str]) {
    let started = Instant::now();
    loop {
        let found = listed(client, list).await;
        if found == expected {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "{list} stays {found:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Starts a gateway with these fakes as connected upstreams.
async fn serve(flags: &[&str], fakes: &[&Fake]) -> InProcess {
    let gateway = gateway().flags(flags).start().await;
    for fake in fakes {
        gateway.admin.connect(&fake.definition()).await;
    }
    gateway
}

fn request(id: &str, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

/// Returns the expected answer of a fake's echo tool.
fn echoed(id: &str, arguments: &str) -> String {
    let text = Value::from(arguments);
    result(id, &format!(r#"{{"content":[{{"type":"text","text":{text}}}],"structuredContent":{arguments}}}"#))
}

fn result(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

#[tokio::test]
async fn everything_of_every_server_is_listed_and_reached_on_both_faces() {
    let (b, a) = (library("b").echo("t").echo("u").pages_of(1), library("a").echo("t"));
    let (b, a) = (b.start(Via::Stdio).await, a.start(Via::Events).await);
    let gateway = serve(&[], &[&b, &a]).await;
    for face in Face::ALL {
        let mut client = session_with_all(&gateway.url).over(face).open().await;
        lists(&mut client, "tools/list", &["b__t", "b__u", "a__t"]).await;
        lists(&mut client, "prompts/list", &["b__p", "a__p"]).await;
        lists(&mut client, "resources/list", &["mcp-proxy://b/x:b", "mcp-proxy://a/x:a"]).await;
        lists(&mut client, "resources/templates/list", &["mcp-proxy://b/b://{id}", "mcp-proxy://a/a://{id}"]).await;
        let prompts = client.request(&request("1", "prompts/list", "{}")).await;
        assert_eq!(prompts, result("1", r#"{"prompts":[{"name":"b__p","x":1.10},{"name":"a__p","x":1.10}]}"#));
        let arguments = r#"{"z":1.50,"a":[ ]}"#;
        assert_eq!(client.call("2", "a__t", arguments).await, echoed("2", arguments));
        assert_eq!(client.call("3", "b:u", arguments).await, echoed("3", arguments));
        let prompt = client.request(&request("4", "prompts/get", r#"{"name":"a__p"}"#)).await;
        let block = r#"{"type":"resource","resource":{"uri":"mcp-proxy://a/x:a","text":"p"}}"#;
        assert_eq!(prompt, result("4", &format!(r#"{{"messages":[{{"role":"user","content":{block}}}]}}"#)));
        for uri in ["mcp-proxy://b/x:b", "mcp-proxy://a/a://7"] {
            let read = client.request(&request("5", "resources/read", &json!({ "uri": uri }).to_string())).await;
            assert_eq!(read, result("5", &format!(r#"{{"contents":[{{"uri":"{uri}","text":"x:r"}}]}}"#)));
        }
        let reference = r#"{"ref":{"type":"ref/prompt","name":"a__p"},"argument":{"name":"n","value":""}}"#;
        let completed = client.request(&request("6", "completion/complete", reference)).await;
        assert_eq!(completed, result("6", r#"{"completion":{"values":["v"]}}"#));
        client.end().await;
    }
    let read: Vec<_> =
        a.received().into_iter().filter(|it| it.method == "resources/read").map(|it| it.value()).collect();
    assert!(read.iter().all(|read| read["params"]["uri"] == "a://7"), "{read:?}");
    let completed = a.nth("completion/complete", 0).await.value();
    assert_eq!(completed["params"]["ref"], json!({ "type": "ref/prompt", "name": "p" }));
}

#[tokio::test]
async fn the_handshake_and_the_lists_wait_for_nobody() {
    let silent = |call: Call| async move { call.never().await };
    let hung = fake("hung").on("initialize", silent).start(Via::Json).await;
    let stuck = fake("stuck").echo("t").on("resources/list", silent).on("tools/list", silent).start(Via::Stdio).await;
    let good = library("good").echo("t").start(Via::Stdio).await;
    let gateway = gateway().start().await;
    gateway.admin.register(&hung.definition()).await;
    gateway.admin.register(&nowhere("dead")).await;
    gateway.admin.connect(&stuck.definition()).await;
    gateway.admin.connect(&good.definition()).await;
    hung.nth("initialize", 0).await;
    let began = Instant::now();
    let mut client = session_with_all(&gateway.url).open().await;
    assert!(began.elapsed() < AT_ONCE, "the handshake took {:?}", began.elapsed());
    lists(&mut client, "tools/list", &["good__t"]).await;
    lists(&mut client, "prompts/list", &["good__p"]).await;
    for list in ["tools/list", "prompts/list", "resources/list", "resources/templates/list"] {
        let began = Instant::now();
        assert_eq!(listed(&mut client, list).await.len(), 1, "{list}");
        assert!(began.elapsed() < AT_ONCE, "{list} took {:?}", began.elapsed());
    }
    assert_eq!(client.call("1", "good__t", "{}").await, echoed("1", "{}"));
    let down = client.call("2", "dead__t", "{}").await;
    assert!(down.contains("upstream `dead` is not connected; nothing was sent"), "{down}");
}

#[tokio::test]
async fn the_handshake_tells_of_all_upstreams() {
    let (b, a) = (library("b").start(Via::Json).await, library("a").start(Via::Json).await);
    let gateway = serve(&[], &[&b, &a]).await;
    let mut warm = session_with_all(&gateway.url).open().await;
    lists(&mut warm, "prompts/list", &["b__p", "a__p"]).await;
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let hello = format!(
            r#"{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"c","version":"1"}}}}"#
        );
        let client = session_with_all(&gateway.url).hello(&hello).open().await;
        let answer: Value = serde_json::from_str(&client.handshake).expect("JSON");
        let greeting = &answer["result"];
        assert_eq!(
            (&greeting["protocolVersion"], &greeting["serverInfo"]["name"]),
            (&json!(version), &json!("mcp-proxy"))
        );
        assert_eq!(greeting["instructions"], "# b\n\nAbout b.\n\n# a\n\nAbout a.");
        for capability in ["tools", "prompts", "resources", "logging", "completions"] {
            assert!(greeting["capabilities"][capability].is_object(), "{greeting}");
        }
        client.end().await;
    }
    let hello = r#"{"protocolVersion":"1999-01-01","capabilities":{}}"#;
    let client = session_with_all(&gateway.url).hello(hello).open().await;
    assert!(client.handshake.contains("2025-11-25"), "{}", client.handshake);
}

#[tokio::test]
async fn every_address_of_the_endpoint_answers() {
    let good = fake("good").echo("t").start(Via::Json).await;
    let gateway = serve(&[], &[&good]).await;
    let hello =
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}"#;
    for path in ["/mcp", "/", "/mcp/", "/mcp-proxy/mcp"] {
        let url = format!("{}{path}", gateway.url);
        let mut reply = raw("POST", &url).header("content-type", "application/json").body(hello).send().await;
        assert!(reply.text().await.contains("mcp-proxy"), "{path}");
        assert!(!reply.header("mcp-session-id").is_empty(), "{path}");
    }
    for (path, expected) in [("/sse", "/message?sessionId="), ("/mcp-proxy/sse", "/mcp-proxy/message?sessionId=")] {
        let mut stream = raw("GET", &format!("{}{path}", gateway.url)).send().await;
        let event = stream.event().await.expect("an event");
        assert!(event.data.starts_with(expected), "{path}: {}", event.data);
    }
    assert_eq!(raw("PUT", &format!("{}/mcp", gateway.url)).send().await.status, 405);
}

#[tokio::test]
async fn clients_with_equal_ids_get_their_own_answers_progress_and_cancellations() {
    let slow = |call: Call| async move {
        call.progress(r#""progress":1"#);
        call.never().await;
    };
    let one = fake("one").tool("slow", slow).echo("quick").start(Via::Stdio).await;
    let other = fake("other").echo("quick").start(Via::Events).await;
    let gateway = serve(&[], &[&one, &other]).await;
    let mut clients = Vec::new();
    for face in Face::ALL {
        for _ in 0..2 {
            clients.push(session_with_all(&gateway.url).over(face).open().await);
        }
    }
    lists(&mut clients[0], "tools/list", &["one__slow", "one__quick", "other__quick"]).await;
    for (number, client) in clients.iter_mut().enumerate() {
        let token = r#"{"name":"one__slow","arguments":{},"_meta":{"progressToken":"p"}}"#;
        client.begin(request("1", "tools/call", token));
        let progress = client.next("notifications/progress").await;
        assert!(progress.contains(r#""progressToken":"p""#), "{progress}");
        let arguments = format!(r#"{{"number":{number}}}"#);
        assert_eq!(client.call("2", "one__quick", &arguments).await, echoed("2", &arguments));
        assert_eq!(client.call("2", "other__quick", &arguments).await, echoed("2", &arguments));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.tell(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#).await;
        one.nth("notifications/cancelled", number).await;
        assert_eq!(client.call("1", "one__quick", "{}").await, echoed("1", "{}"));
    }
}

#[tokio::test]
async fn questions_of_any_upstream_reach_the_client_that_called() {
    let question = r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"who?"}}"#;
    let ask = move |call: Call| async move {
        let answer = call.ask(question).await;
        call.reply(&json!({ "content": [{ "type": "text", "text": answer }] }).to_string());
    };
    for via in Via::ALL {
        let (one, other) =
            (fake("one").tool("ask", ask).start(via).await, fake("other").tool("ask", ask).start(via).await);
        let gateway = serve(&[], &[&one, &other]).await;
        let mut clients = Vec::new();
        for face in Face::ALL {
            clients.push(session_with_all(&gateway.url).over(face).capabilities(r#"{"elicitation":{}}"#).open().await);
        }
        lists(&mut clients[0], "tools/list", &["one__ask", "other__ask"]).await;
        for (number, client) in clients.iter_mut().enumerate() {
            for name in ["one__ask", "other__ask"] {
                if via == Via::Json {
                    client.listen().await;
                }
                client.begin(tool_call("1", name, "{}"));
                let asked: Value = serde_json::from_str(&client.next("elicitation/create").await).expect("JSON");
                client
                    .tell(json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "me": number } }).to_string())
                    .await;
                let answer = client.answer("1").await;
                assert!(answer.contains(&format!(r#"{{\"me\":{number}}}"#)), "{name} over {via:?}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_unknown_is_refused_in_its_own_words() {
    let (one, other) =
        (library("one").echo("t").start(Via::Json).await, fake("other").echo("t").start(Via::Json).await);
    let gateway = serve(&[], &[&one, &other]).await;
    gateway.admin.register(&nowhere("down")).await;
    let mut client = session_with_all(&gateway.url).open().await;
    lists(&mut client, "tools/list", &["one__t", "other__t"]).await;
    lists(&mut client, "resources/list", &["mcp-proxy://one/x:one"]).await;
    let check = async |client: &mut Session, method: &str, params: &str, code: i64, words: &str| {
        let answer: Value = serde_json::from_str(&client.request(&request("1", method, params)).await).expect("JSON");
        let error = &answer["error"];
        assert_eq!((error["code"].as_i64(), error["message"].as_str()), (Some(code), Some(words)), "{method} {params}");
        error["data"].clone()
    };
    check(&mut client, "tools/call", r#"{"name":"nobody__no"}"#, -32602, "Unknown tool").await;
    check(&mut client, "tools/call", r#"{"name":"zz:t"}"#, -32602, "Unknown upstream").await;
    let near = "Unknown tool `oen__t`; did you mean `one__t`?";
    check(&mut client, "tools/call", r#"{"name":"oen__t"}"#, -32602, near).await;
    let near = "Unknown upstream `oen`; did you mean `one`?";
    check(&mut client, "tools/call", r#"{"name":"oen:t"}"#, -32602, near).await;
    let near = "Resource not found `mcp-proxy://oen/x:one`; did you mean `mcp-proxy://one/x:one`?";
    check(&mut client, "resources/read", r#"{"uri":"mcp-proxy://oen/x:one"}"#, -32002, near).await;
    let down = "upstream `down` is not connected; nothing was sent";
    check(&mut client, "tools/call", r#"{"name":"down:t"}"#, -32603, down).await;
    check(&mut client, "prompts/get", r#"{"name":"no"}"#, -32602, "Unknown prompt").await;
    let data = check(&mut client, "resources/read", r#"{"uri":"no:r"}"#, -32002, "Resource not found").await;
    assert_eq!(data["uri"], "no:r");
    check(&mut client, "tasks/list", "{}", -32601, "Method not found").await;
    check(&mut client, "vendor/method", "{}", -32601, "Method not found").await;
    let cursor = "Invalid params: the cursor is not one of this list's";
    check(&mut client, "tools/list", r#"{"cursor":"7"}"#, -32602, cursor).await;
    assert_eq!(client.request(&request("1", "ping", "{}")).await, result("1", "{}"));
}

#[tokio::test]
async fn a_log_level_and_changed_roots_reach_every_upstream_in_use() {
    let script = |name| {
        library(name).tool("log", |call: Call| async move {
            call.send(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"low"}}"#);
            call.send(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"high"}}"#);
            call.reply("{}");
        })
    };
    let (one, other) = (script("one").start(Via::Stdio).await, script("other").start(Via::Stdio).await);
    let gateway = serve(&[], &[&one, &other]).await;
    let mut client = session_with_all(&gateway.url).capabilities(r#"{"roots":{"listChanged":true}}"#).open().await;
    lists(&mut client, "tools/list", &["one__log", "other__log"]).await;
    client.call("1", "one__log", "{}").await;
    let level = client.request(&request("2", "logging/setLevel", r#"{"level":"error"}"#)).await;
    assert_eq!(level, result("2", "{}"));
    assert_eq!(one.nth("logging/setLevel", 0).await.value()["params"]["level"], "error");
    client.call("3", "other__log", "{}").await;
    assert_eq!(other.nth("logging/setLevel", 0).await.value()["params"]["level"], "error");
    let wrong = client.request(&request("4", "logging/setLevel", r#"{"level":"loud"}"#)).await;
    assert!(wrong.contains("-32602"), "{wrong}");
    client.tell(r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#).await;
    one.nth("notifications/roots/list_changed", 0).await;
    other.nth("notifications/roots/list_changed", 0).await;
}

#[tokio::test]
async fn an_upstream_is_used_by_a_client_only_once_it_is_called_and_let_go_at_the_end() {
    let (one, other) =
        (fake("one").echo("t").start(Via::Events).await, fake("other").echo("t").start(Via::Events).await);
    let gateway = serve(&[], &[&one, &other]).await;
    let mut client = session_with_all(&gateway.url).open().await;
    lists(&mut client, "tools/list", &["one__t", "other__t"]).await;
    client.call("1", "one__t", "{}").await;
    client.call("2", "one__t", "{}").await;
    assert_eq!((one.live(), other.live()), (2, 1), "the gateway's own session, and the client's with one");
    client.end().await;
    eventually("the client's session ends", || async { (one.live() == 1).then_some(()) }).await;
    let open = within(DEADLINE, "nothing more", async { other.count("initialize") }).await;
    assert_eq!(open, 1);
}
