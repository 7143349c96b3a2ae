//! Official clients, old and new, connected directly to servers of either era. They must be able to do through a
//! gateway everything that they do here.

pub(crate) mod rust;

use futures_util::future::join_all;
use harness::reference::reference;
use harness::{Client, Process, client, fixture, fixture_path, free_port};
use serde_json::{Value, json};
use tokio::process::Command;

const CATALOG: &str = include_str!("../reference/catalog.json");
const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// Official client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Official {
    /// Client in a separate process.
    Child(Client),
    /// `rmcp`, in this process.
    Rust,
}

impl Official {
    /// All official clients.
    pub(crate) const ALL: [Self; 5] = [
        Self::Child(Client::Python),
        Self::Child(Client::TypeScript),
        Self::Child(Client::PythonModern),
        Self::Child(Client::TypeScriptModern),
        Self::Rust,
    ];

    /// Clients that can start a program and use stdio.
    pub(crate) const CHILDREN: [Self; 4] = [
        Self::Child(Client::Python),
        Self::Child(Client::TypeScript),
        Self::Child(Client::PythonModern),
        Self::Child(Client::TypeScriptModern),
    ];

    /// Clients that speak both eras.
    pub(crate) const MODERN: [Self; 3] =
        [Self::Child(Client::PythonModern), Self::Child(Client::TypeScriptModern), Self::Rust];

    /// Runs one conversation according to the plan, and returns its report.
    pub(crate) async fn converse(self, plan: &Value) -> Value {
        match self {
            Self::Child(kind) => client(kind, plan).await,
            Self::Rust => rust::converse(plan).await,
        }
    }
}

/// Returns a plan that uses all features in which the eras differ: server requests, progress and errors.
fn plan(url: &str, mode: &str) -> Value {
    json!({
        "url": url,
        "mode": mode,
        "capabilities": ["sampling", "elicitation", "roots"],
        "elicitation_answer": { "username": "ada", "email": "ada@example.com" },
        "sampling_answer": "42",
        "roots": ["file:///srv/ada"],
        "calls": [
            { "tool": "echo", "arguments": { "message": "grüße" } },
            { "tool": "test_header_params", "arguments": { "region": "Zürich", "limit": 5 } },
            { "tool": "test_elicitation", "arguments": { "message": "Who are you?" } },
            { "tool": "test_sampling", "arguments": { "prompt": "What is 6 x 7?" } },
            { "tool": "test_input_required_result_list_roots", "arguments": {} },
            { "tool": "test_tool_with_progress", "arguments": {}, "progress": true },
            { "tool": "no-such-tool", "arguments": {} },
        ],
        "read": ["test://template/7/data", "nowhere://x"],
    })
}

async fn converses(official: Official, mode: &str, era: &str, protocol: &str) {
    let upstream = reference(&["--http", "127.0.0.1:0", "--era", era, "--page", "10"]).await;
    let report = official.converse(&plan(&upstream.url, mode)).await;
    let who = format!("{official:?}, {mode}, at a {era} server");
    assert_eq!(report["protocol"], protocol, "{who}");
    let catalog: Value = serde_json::from_str(CATALOG).expect("a catalog");
    for (shelf, name) in [("tools", "name"), ("resources", "uri"), ("prompts", "name")] {
        let offered = catalog[shelf].as_array().into_iter().flatten().filter(|item| item["is_hidden"] != true);
        let names: Vec<_> = offered.map(|item| &item["definition"][name]).collect();
        assert_eq!(report[shelf], json!(names), "{who}");
    }
    let said = |at: usize| report["calls"][at]["result"]["content"][0]["text"].as_str().unwrap_or_default();
    assert_eq!(said(0), "grüße", "{who}: {report}");
    assert_eq!(json_of(said(1)), json!({ "region": "Zürich", "limit": 5 }), "{who}");
    let content = r#"{"username":"ada","email":"ada@example.com"}"#;
    let answered = said(2).strip_prefix("User response: action=accept, content=").unwrap_or_default();
    assert_eq!(json_of(answered), json_of(content), "{who}");
    assert_eq!(said(3), "LLM response: 42", "{who}");
    assert_eq!(json_of(said(4))[0]["uri"], "file:///srv/ada", "{who}");
    assert_eq!(said(5), "Tool with progress executed successfully", "{who}");
    assert_eq!(report["calls"][6]["error"]["code"], -32602, "{who}");
    let contents = report["reads"][0]["result"]["contents"].to_string();
    assert!(contents.contains("ID: 7"), "{who}: {contents}");
    assert!(report["reads"][1]["error"]["code"].is_i64(), "{who}: {}", report["reads"]);
    let methods: Vec<_> = report["questions"].as_array().into_iter().flatten().map(|asked| &asked["method"]).collect();
    assert_eq!(methods, ["elicitation/create", "sampling/createMessage", "roots/list"], "{who}");
    let steps = report["progress"].as_array().into_iter().flatten();
    let steps: Vec<_> = steps.filter_map(|step| step["progress"].as_f64()).collect();
    assert_eq!(steps, [0.0, 50.0, 100.0], "{who}");
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

#[tokio::test]
async fn every_official_client_has_its_whole_conversation_with_a_server_of_its_era() {
    join_all(Official::ALL.map(|official| converses(official, "legacy", "legacy", LEGACY))).await;
    join_all(Official::MODERN.map(|official| converses(official, "modern", "modern", MODERN))).await;
}

#[tokio::test]
async fn official_clients_of_both_eras_find_out_which_one_a_server_speaks() {
    for (era, protocol) in [("dual", MODERN), ("modern", MODERN), ("legacy", LEGACY)] {
        join_all(Official::MODERN.map(|official| converses(official, "auto", era, protocol))).await;
    }
}

#[tokio::test]
async fn every_official_client_uses_a_server_that_nobody_here_wrote() {
    let port = free_port();
    let mut command = Command::new(fixture("mcp-server-everything"));
    command.arg("streamableHttp").env_clear().env("PATH", fixture_path()).env("PORT", port.to_string());
    let server = Process::start(command);
    server.says("on port").await;
    join_all(Official::ALL.map(async |official| {
        let plan = json!({
            "url": format!("http://127.0.0.1:{port}/mcp"),
            "mode": if Official::MODERN.contains(&official) { "auto" } else { "legacy" },
            "capabilities": ["elicitation"],
            "elicitation_answer": { "name": "Ada" },
            "calls": [
                { "tool": "echo", "arguments": { "message": "hello" } },
                { "tool": "trigger-elicitation-request", "arguments": {} },
            ],
        });
        let report = official.converse(&plan).await;
        let said = |call: usize, content: usize| &report["calls"][call]["result"]["content"][content]["text"];
        assert_eq!(said(0, 0), "Echo: hello", "{official:?}: {report}");
        assert_eq!(said(1, 1), "User inputs:\n- Name: Ada", "{official:?}: {report}");
        let count = |list: &str| report[list].as_array().map_or(0, Vec::len);
        assert_eq!((count("resources"), count("prompts")), (7, 4), "{official:?}");
    }))
    .await;
}
