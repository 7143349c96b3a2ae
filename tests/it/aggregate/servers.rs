//! Third-party servers, all at one address, beside a hung and a dead one.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use harness::{Client, Served, binary, client, inspector};

use super::*;
use crate::real_servers::world::{SERVERS, Shown, World, world};

/// Maximum time for a list, including the client's connection.
const LIST: Duration = Duration::from_millis(50);

/// Starts a separate gateway for the shared servers, `fetch`, a hung server and a dead one.
async fn gateway_of_all(world: &World) -> (Served, Fake) {
    let gateway = binary("mcp-proxy").args(["--port", "0"]).serve().await;
    let hung = fake("hung").on("initialize", |call: Call| async move { call.never().await }).start(Via::Stdio).await;
    gateway.admin.register(&hung.definition()).await;
    gateway.admin.register(&nowhere("dead")).await;
    for definition in world.definitions() {
        gateway.admin.register(&definition).await;
    }
    let fetch = json!({ "name": "fetch", "transport": "stdio", "command": "mcp-server-fetch" });
    gateway.admin.register(&fetch).await;
    for name in SERVERS.iter().chain(&["fetch"]) {
        gateway.admin.connected(name).await;
    }
    (gateway, hung)
}

/// Counts the entries of each server in a list, by the server's prefix in their names.
fn counts(names: &[String], upstream: impl Fn(&str) -> Option<&str>) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(upstream(name).unwrap_or_else(|| panic!("{name} names no server"))).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn one_address_shows_everything_of_the_living_at_once() {
    let world = world();
    let (gateway, _hung) = gateway_of_all(&world).await;
    let mut session = session_with_all(&gateway.url).open().await;
    eventually("everything is listed", || async {
        let tools = gateway.admin.get("/admin/tools").await.json();
        (tools["count"] == 77).then_some(())
    })
    .await;
    let tools = listed(&mut session, "tools/list").await;
    let expected = [
        ("everything", 13),
        ("everything-http", 13),
        ("everything-sse", 13),
        ("fetch", 1),
        ("filesystem", 14),
        ("git", 12),
        ("memory", 9),
        ("time", 2),
    ];
    let found = counts(&tools, |name| name.split_once("__").map(|(upstream, _)| upstream));
    assert_eq!(found, BTreeMap::from(expected));
    let prompts = listed(&mut session, "prompts/list").await;
    assert_eq!(prompts.len(), 13, "{prompts:?}");
    let resources = listed(&mut session, "resources/list").await;
    assert_eq!(resources.len(), 22, "{resources:?}");
    let mut took = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(listed(&mut session, "tools/list").await.len(), 77);
        took.push(began.elapsed());
    }
    took.sort();
    println!("tools/list of 77 tools from 8 servers: median {:?}, slowest {:?}", took[10], took[19]);
    assert!(took[10] < LIST, "{took:?}");
}

#[tokio::test]
async fn both_official_clients_use_every_server_through_one_session() {
    let world = world();
    let (gateway, _hung) = gateway_of_all(&world).await;
    // Each conversation has its own process of each server that it calls.
    let conversations = [(Client::Python, "stream"), (Client::TypeScript, "sse")];
    join_all(conversations.map(async |(kind, face)| {
        let url = format!("{}/{}", gateway.url, if face == "sse" { "sse" } else { "mcp" });
        let report = client(kind, &plan(&world, &url, face)).await;
        assert_eq!(report["tools"].as_array().map(Vec::len), Some(77), "{kind:?} at {url}");
        let answers = [
            "Echo: hi",
            "hello from a file",
            "wrote notes",
            "+9.0h",
            "Message: first",
            "Name: Ada",
            "a sample",
            "file:///srv/ada",
        ];
        for (at, answer) in answers.iter().enumerate() {
            let content = report["calls"][at]["result"]["content"].to_string();
            assert!(content.contains(answer), "{kind:?} at {url}: {content} {}", report["calls"][at]);
        }
        let read = &report["reads"][0]["result"]["contents"][0];
        assert!(read["uri"].as_str().is_some_and(|uri| uri.starts_with("mcp-proxy://everything/demo://")), "{read}");
        let prompt = report["prompts_got"][0]["result"]["messages"][0].to_string();
        assert!(prompt.contains("Oslo"), "{prompt}");
        let values = report["completions"][0]["result"]["completion"]["values"].to_string();
        assert!(values.contains("Sales"), "{}", report["completions"]);
        let asked: Vec<_> = report["questions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|question| question["method"].as_str())
            .collect();
        for method in ["elicitation/create", "sampling/createMessage", "roots/list"] {
            assert!(asked.contains(&method), "{kind:?} at {url}: {asked:?}");
        }
    }))
    .await;
}

fn plan(world: &Shown, url: &str, face: &str) -> Value {
    let document = "mcp-proxy://everything/demo://resource/static/document/features.md";
    json!({
        "url": url,
        "transport": face,
        "deadline": 55,
        "capabilities": ["sampling", "elicitation", "roots"],
        "elicitation_answer": { "name": "Ada" },
        "sampling_answer": "a sample",
        "roots": ["file:///srv/ada"],
        "log_level": "debug",
        "subscribe": [document],
        "calls": [
            { "tool": "everything__echo", "arguments": { "message": "hi" } },
            { "tool": "filesystem__read_text_file", "arguments": { "path": world.path("hello.txt") } },
            { "tool": "memory__search_nodes", "arguments": { "query": "Ada" } },
            {
                "tool": "time__convert_time",
                "arguments": { "source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo" },
            },
            { "tool": "git:git_log", "arguments": { "repo_path": world.path("repository") } },
            { "tool": "everything-http__trigger-elicitation-request" },
            { "tool": "everything__trigger-sampling-request", "arguments": { "prompt": "hello" } },
            { "tool": "everything-sse__get-roots-list" },
        ],
        "read": [document],
        "prompts": [{ "name": "everything__args-prompt", "arguments": { "city": "Oslo" } }],
        "complete": [{
            "ref": { "type": "ref/prompt", "name": "everything-http__completable-prompt" },
            "argument": { "name": "department", "value": "S" },
        }],
    })
}

#[tokio::test]
async fn the_inspector_lists_and_calls_at_the_one_address() {
    let world = world();
    let (gateway, _hung) = gateway_of_all(&world).await;
    for (transport, path) in [("http", "mcp"), ("sse", "sse")] {
        let url = format!("{}/{path}", gateway.url);
        let list = inspector(&url, transport, &["--method", "resources/templates/list"]).await;
        let templates: Vec<_> = list["resourceTemplates"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| it["uriTemplate"].to_string())
            .collect();
        assert!(templates.iter().any(|template| template.contains("mcp-proxy://everything/demo://")), "{list}");
        let call = ["--method", "tools/call", "--tool-name", "everything__echo", "--tool-arg", "message=hi"];
        assert_eq!(inspector(&url, transport, &call).await["content"][0]["text"], "Echo: hi");
    }
}
