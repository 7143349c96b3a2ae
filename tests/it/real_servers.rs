//! Third-party servers and clients, with the gateway between them.

mod directly;
pub(crate) mod world;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use harness::raw::{Face, session, tool_call};
use harness::{Admin, Client, client, inspector};
use serde_json::{Value, json};

use self::world::{EVERYTHING, SERVERS, World, world};

/// Expected counts of a server of a pinned version, and a call with a text that its answer contains.
struct Offer {
    counts: [usize; 4],
    call: Value,
    answer: &'static str,
}

fn offer(world: &World, server: &str) -> Offer {
    let (counts, tool, arguments, answer) = match server {
        "everything" | "everything-http" | "everything-sse" => {
            ([13, 7, 2, 4], "echo", json!({ "message": server }), "Echo: everything")
        }
        "filesystem" => {
            ([14, 0, 0, 0], "read_text_file", json!({ "path": world.path("hello.txt") }), "hello from a file")
        }
        "memory" => ([9, 1, 0, 0], "search_nodes", json!({ "query": "Ada" }), "wrote notes"),
        "time" => {
            let arguments = json!({ "source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo" });
            ([2, 0, 0, 0], "convert_time", arguments, "+9.0h")
        }
        _ => ([12, 0, 0, 0], "git_log", json!({ "repo_path": world.path("repository") }), "Message: first"),
    };
    Offer { counts, call: json!({ "tool": tool, "arguments": arguments }), answer }
}

async fn serves_both_clients(server: &'static str) {
    let world = world();
    let Offer { counts, call, answer } = offer(&world, server);
    join_all(every_way(&[server]).map(async |(server, transport, kind)| {
        let url = world.url(&format!("{server}/{transport}"));
        let report = client(kind, &json!({ "url": url, "transport": transport, "calls": [call] })).await;
        let count = |list: &str| report[list].as_array().map_or(0, Vec::len);
        let found = ["tools", "resources", "templates", "prompts"].map(count);
        assert_eq!(found, counts, "{kind:?} at {url}: {report}");
        let text = report["calls"][0]["result"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(text.contains(answer), "{kind:?} at {url}: {}", report["calls"]);
    }))
    .await;
}

#[tokio::test]
async fn everything_over_stdio_serves_both_clients() {
    serves_both_clients("everything").await;
}

#[tokio::test]
async fn everything_over_streamable_http_serves_both_clients() {
    serves_both_clients("everything-http").await;
}

#[tokio::test]
async fn everything_over_sse_serves_both_clients() {
    serves_both_clients("everything-sse").await;
}

#[tokio::test]
async fn filesystem_serves_both_clients() {
    serves_both_clients("filesystem").await;
}

#[tokio::test]
async fn memory_serves_both_clients() {
    serves_both_clients("memory").await;
}

#[tokio::test]
async fn time_serves_both_clients() {
    serves_both_clients("time").await;
}

#[tokio::test]
async fn git_serves_both_clients() {
    serves_both_clients("git").await;
}

#[tokio::test]
async fn one_gateway_serves_every_server_at_once() {
    let admin = Admin::new(&world().gateway.url);
    let listed = admin.get("/admin/mcps").await.json();
    let connected =
        listed["mcps"].as_array().into_iter().flatten().filter(|mcp| mcp["status"]["status"] == "connected");
    let names: Vec<_> = connected.map(|mcp| mcp["definition"]["name"].clone()).collect();
    assert_eq!(names, SERVERS);
    let tools = admin.get("/admin/tools").await.json();
    let count =
        |server| tools["tools"].as_array().into_iter().flatten().filter(|tool| tool["mcpName"] == server).count();
    assert_eq!(SERVERS.map(count), [13, 13, 13, 14, 9, 2, 12]);
}

#[tokio::test]
async fn the_inspector_lists_the_tools_of_every_server_over_streamable_http() {
    let world = world();
    join_all(SERVERS.map(async |server| {
        let url = world.url(&format!("{server}/stream"));
        let listed = inspector(&url, "http", &["--method", "tools/list"]).await;
        let tools: Vec<_> = listed["tools"].as_array().into_iter().flatten().map(|tool| &tool["name"]).collect();
        assert!(tools.contains(&&offer(&world, server).call["tool"]), "{url}: {listed}");
    }))
    .await;
}

#[tokio::test]
async fn the_inspector_calls_a_tool_of_every_server_over_sse() {
    let world = world();
    join_all(SERVERS.map(async |server| {
        let Offer { call, answer, .. } = offer(&world, server);
        let url = world.url(&format!("{server}/sse"));
        let tool = call["tool"].as_str().expect("a name");
        let mut request: Vec<String> = ["--method", "tools/call", "--tool-name", tool].map(str::to_owned).into();
        for (name, value) in call["arguments"].as_object().expect("arguments") {
            request.extend(["--tool-arg".to_owned(), format!("{name}={}", value.as_str().expect("a string"))]);
        }
        let called = inspector(&url, "sse", &request.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert!(called["content"][0]["text"].as_str().is_some_and(|text| text.contains(answer)), "{url}: {called}");
    }))
    .await;
}

/// Returns a plan that uses every feature of `server-everything`.
fn everything(url: &str, transport: &str) -> Value {
    let document = "demo://resource/static/document/features.md";
    let completable = json!({ "type": "ref/prompt", "name": "completable-prompt" });
    json!({
        "url": url,
        "transport": transport,
        "capabilities": ["sampling", "elicitation", "roots"],
        "elicitation_answer": { "name": "Ada" },
        "sampling_answer": "a sample",
        "roots": ["file:///srv/ada"],
        "log_level": "debug",
        "subscribe": [document],
        "calls": [
            { "tool": "trigger-elicitation-request" },
            { "tool": "trigger-sampling-request", "arguments": { "prompt": "hello" } },
            { "tool": "get-roots-list" },
            { "tool": "trigger-long-running-operation", "arguments": { "duration": 0.3, "steps": 3 }, "progress": true },
            { "tool": "get-structured-content", "arguments": { "location": "Chicago" } },
            { "tool": "get-tiny-image" },
            { "tool": "get-sum", "arguments": { "a": "no number" } },
            { "tool": "no-such-tool" },
            { "tool": "toggle-simulated-logging" },
            { "tool": "toggle-subscriber-updates" },
        ],
        "read": [document, "nowhere://x"],
        "prompts": [{ "name": "args-prompt", "arguments": { "city": "Oslo" } }, { "name": "no-such-prompt" }],
        "complete": [
            { "ref": completable, "argument": { "name": "department", "value": "S" } },
            {
                "ref": completable,
                "argument": { "name": "name", "value": "D" },
                "context": { "arguments": { "department": "Sales" } },
            },
        ],
        "wait_for": ["notifications/message", "notifications/resources/updated"],
    })
}

#[tokio::test]
async fn questions_reach_the_client_that_called_and_its_answers_the_server() {
    let world = world();
    join_all(every_way(&EVERYTHING).map(async |(server, transport, kind)| {
        let url = world.url(&format!("{server}/{transport}"));
        let report = client(kind, &everything(&url, transport)).await;
        let asked =
            report["questions"].as_array().into_iter().flatten().filter_map(|question| question["method"].as_str());
        let asked: BTreeSet<_> = asked.collect();
        let expected = ["elicitation/create", "roots/list", "sampling/createMessage"];
        assert!(asked.into_iter().eq(expected), "{kind:?} at {url}: {}", report["questions"]);
        let calls = &report["calls"];
        for (at, answer) in ["Name: Ada", "a sample", "file:///srv/ada"].iter().enumerate() {
            let content = calls[at]["result"]["content"].to_string();
            assert!(content.contains(answer), "{kind:?} at {url}: {content}");
        }
    }))
    .await;
}

#[tokio::test]
async fn a_client_sees_the_same_through_the_gateway_as_without_it() {
    let world = world();
    let direct = [("everything-http", "stream", &world.http_server), ("everything-sse", "sse", &world.sse_server)];
    join_all(direct.into_iter().flat_map(|way| Client::LEGACY.map(|kind| (way, kind))).map(
        async |((server, transport, direct), kind)| {
            let through = world.url(&format!("{server}/{transport}"));
            let expected = client(kind, &everything(direct, transport)).await;
            let found = comparable(client(kind, &everything(&through, transport)).await);
            for (member, expected) in comparable(expected).as_object().into_iter().flatten() {
                assert_eq!(&found[member], expected, "{member} of {kind:?} at {through}");
            }
        },
    ))
    .await;
}

/// Removes the parts of a report that differ between conversations: session ids, log messages of random levels, and the
/// server's requests for roots, whose time and number depend on a race between the server's timer and the tool.
fn comparable(mut report: Value) -> Value {
    for list in ["notifications", "questions"] {
        let said = report[list].as_array_mut().expect("a list");
        said.retain(|one| !one["params"]["data"].as_str().is_some_and(|text| text.contains("evel-message")));
        said.retain(|one| !one["params"]["data"].as_str().is_some_and(|text| text.contains("evel message")));
        said.sort_by_key(Value::to_string);
        said.dedup();
    }
    let text = report.to_string();
    let is_id = |word: &str| word.len() == 36 && word.bytes().filter(|letter| *letter == b'-').count() == 4;
    let words = text.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    let shown = words.map(|word| {
        let id = word.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
        if is_id(id) { word.replace(id, "ID") } else { word.to_owned() }
    });
    serde_json::from_str(&shown.collect::<String>()).expect("JSON but for ids")
}

#[tokio::test]
async fn two_clients_asked_at_the_same_time_are_each_asked_their_own_question() {
    let world = world();
    for (server, face) in EVERYTHING.into_iter().flat_map(|server| Face::ALL.map(|face| (server, face))) {
        let session = || session(&world.gateway.url, server).over(face).capabilities(r#"{"elicitation":{"form":{}}}"#);
        let (mut first, mut second) = (session().open().await, session().open().await);
        for session in [&mut first, &mut second] {
            session.begin(tool_call("7", "trigger-elicitation-request", "{}"));
        }
        let (for_first, for_second) = (first.next("elicitation/create").await, second.next("elicitation/create").await);
        // Both are waiting now. The second request is answered first.
        second.tell(accept(&for_second, "Second")).await;
        let answer = second.answer("7").await;
        assert!(answer.contains("Name: Second"), "{server} over {face:?}: {answer}");
        first.tell(accept(&for_first, "First")).await;
        let answer = first.answer("7").await;
        assert!(answer.contains("Name: First"), "{server} over {face:?}: {answer}");
    }
}

fn accept(question: &str, name: &str) -> String {
    let question: Value = serde_json::from_str(question).expect("a question in JSON");
    let result = json!({ "action": "accept", "content": { "name": name } });
    json!({ "jsonrpc": "2.0", "id": question["id"], "result": result }).to_string()
}

#[tokio::test]
async fn official_clients_asked_side_by_side_give_their_own_answers() {
    let world = world();
    join_all(every_way(&["everything"]).enumerate().map(async |(number, (server, transport, kind))| {
        let name = format!("client {number}");
        let report = client(
            kind,
            &json!({
                "url": world.url(&format!("{server}/{transport}")),
                "transport": transport,
                "capabilities": ["elicitation", "sampling"],
                "elicitation_answer": { "name": name },
                "sampling_answer": name,
                "calls": vec![json!({ "tool": "trigger-elicitation-request" }); 5],
            }),
        )
        .await;
        let answers =
            report["calls"].as_array().into_iter().flatten().map(|call| &call["result"]["content"][1]["text"]);
        assert_eq!(answers.collect::<Vec<_>>(), [&json!(format!("User inputs:\n- Name: {name}")); 5], "{kind:?}");
    }))
    .await;
}

#[tokio::test]
async fn equal_progress_tokens_of_two_clients_never_meet() {
    let world = world();
    for (server, face) in EVERYTHING.into_iter().flat_map(|server| Face::ALL.map(|face| (server, face))) {
        let session = || session(&world.gateway.url, server).over(face);
        let (mut three, mut five) = (session().open().await, session().open().await);
        for (session, steps) in [(&mut three, 3), (&mut five, 5)] {
            session.begin(
                json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
                    "name": "trigger-long-running-operation",
                    "arguments": { "duration": 0.3, "steps": steps },
                    "_meta": { "progressToken": "same" },
                }})
                .to_string(),
            );
        }
        for (session, steps) in [(&mut three, 3), (&mut five, 5)] {
            session.answer("1").await;
            let progress = session.rest().into_iter().filter(|message| message.contains("notifications/progress"));
            let progress =
                progress.map(|message| serde_json::from_str::<Value>(&message).expect("JSON")["params"].take());
            let expected = (1..=steps).map(|n| json!({ "progress": n, "total": steps, "progressToken": "same" }));
            assert_eq!(progress.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{server} over {face:?}");
        }
    }
}

#[tokio::test]
async fn every_spelling_of_an_endpoint_serves() {
    let world = world();
    let ways = [
        ("time/mcp", "stream"),
        ("time/mcp/deeper/down", "stream"),
        ("time/stream/deeper/down", "stream"),
        ("time/sse/deeper/down", "sse"),
        ("mcp-proxy/time/stream", "stream"),
        ("mcp-proxy/time/mcp", "stream"),
        ("mcp-proxy/time/sse", "sse"),
        ("mcp-proxy/time/stream/deeper", "stream"),
        ("mcp-proxy/time/sse/deeper", "sse"),
        ("time/stream/", "stream"),
        ("time/sse/", "sse"),
    ];
    join_all(ways.map(async |(path, transport)| {
        let Offer { call, answer, .. } = offer(&world, "time");
        let plan = json!({ "url": world.url(path), "transport": transport, "calls": [call] });
        let report = client(Client::TypeScript, &plan).await;
        assert_eq!(report["tools"], json!(["get_current_time", "convert_time"]), "{path}");
        assert!(report["calls"].to_string().contains(answer), "{path}: {}", report["calls"]);
    }))
    .await;
}

/// Iterates over these servers, through either endpoint, with either client.
fn every_way(servers: &[&'static str]) -> impl Iterator<Item = (&'static str, &'static str, Client)> {
    let ways = ["stream", "sse"].into_iter().flat_map(|transport| Client::LEGACY.map(|kind| (transport, kind)));
    servers.iter().flat_map(move |server| ways.clone().map(|(transport, kind)| (*server, transport, kind)))
}
