//! The JSON Schemas as editors use them: with the YAML language server, headless.

mod server;

use std::fs;
use std::path::{Path, PathBuf};

use harness::{binary, root};
use schemas::FingerprintSalt;
use schemas::plan::{Adopt, Prune, Reason, SavedChange, SavedPlan};
use serde_json::{Value, json};

use crate::editors::server::{LanguageServer, uri};

async fn server() -> LanguageServer {
    let schema = |name: &str| uri(&root().join(format!("schemas/json/{name}.schema.json")));
    let files = json!({
        schema("workflow"): "/workflow/**", schema("agent"): "/agent/**", schema("project"): "/project/**",
        schema("mcp"): "/mcp/**", schema("proxy-config"): "/proxy-config/**", schema("plan"): "/plan/**",
        schema("mcp-proxy"): "/mcp-proxy/**",
    });
    LanguageServer::start(files).await
}

/// Returns every YAML file below a folder of the repository.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> = entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|it| it == "yaml" || it == "yml"))
        .collect();
    found.sort();
    found
}

/// Returns the kind of schema that an author would choose for a file.
fn kind(path: &Path, text: &str) -> &'static str {
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    if path.file_name().is_some_and(|name| name == "compozy.yaml") {
        "project"
    } else if !text.contains("\n---") && has("instructions:") && !has("tasks:") && !has("agents:") {
        "agent"
    } else {
        "workflow"
    }
}

/// Opens a text and returns its diagnostics, each with its first line, counted from 1.
async fn remarks(server: &mut LanguageServer, uri: &str, text: &str) -> Vec<String> {
    server.open(uri, text).await;
    lines(&server.diagnostics(uri).await)
}

fn lines(diagnostics: &[Value]) -> Vec<String> {
    let remark = |it: &Value| {
        let line = it["range"]["start"]["line"].as_u64().unwrap_or_default() + 1;
        format!("{line}: {}", it["message"].as_str().unwrap_or_default())
    };
    diagnostics.iter().map(remark).collect()
}

/// Returns the path below the folder of fixtures, or the whole path if it is elsewhere.
fn name(path: &Path) -> String {
    let path = path.display().to_string();
    path.rsplit_once("/fixtures/").map_or(path.clone(), |(_, name)| name.to_owned())
}

/// Opens files under URIs that tell the server which schema applies.
async fn open(server: &mut LanguageServer, paths: Vec<PathBuf>) -> Vec<(PathBuf, String, String)> {
    let mut opened = Vec::new();
    for path in paths {
        // A file that is not UTF-8 cannot be sent to a language server.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let uri = format!("file:///{}/{}", kind(&path, &text), name(&path));
        server.open(&uri, &text).await;
        opened.push((path, uri, text));
    }
    opened
}

#[tokio::test]
async fn every_workflow_names_its_schema_and_nothing_is_wrong_with_it() {
    let mut server = server().await;
    let root = fs::canonicalize(root()).expect("a folder");
    let files = files(&root.join("workflows"));
    assert!(files.len() >= 4, "{files:?}");
    for path in files {
        let text = fs::read_to_string(&path).expect("a file");
        assert!(text.starts_with("# yaml-language-server: $schema=../schemas/json/"), "{}", path.display());
        assert_eq!(remarks(&mut server, &uri(&path), &text).await, [""; 0], "{}", path.display());
        let broken = text.replacen("  - id: ", "  - idd: ", 1);
        let told = remarks(&mut server, &format!("{}.broken.yaml", uri(&path)), &broken).await;
        assert!(told.iter().any(|it| it.ends_with("Property idd is not allowed.")), "{told:?}");
    }
}

/// Files that are not workflows, agents or projects, and one whose later documents are not: a schema checks every
/// document of a file, but the engine reads only the first.
const FOREIGN: [&str; 4] = ["foreign.yaml", "helm.yaml", "list.yaml", "many-documents.yaml"];

#[tokio::test]
async fn nothing_is_said_of_files_in_which_nothing_is_wrong() {
    let mut server = server().await;
    let is_ours = |path: &PathBuf| !FOREIGN.iter().any(|name| path.ends_with(name));
    let files: Vec<PathBuf> = files(&root().join("tests/fixtures/clean")).into_iter().filter(is_ours).collect();
    assert!(files.len() >= 20, "{files:?}");
    let mut wrong = Vec::new();
    for (path, uri, _) in open(&mut server, files).await {
        let told = lines(&server.diagnostics(&uri).await);
        wrong.extend(told.into_iter().map(|it| format!("{}: {it}", name(&path))));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // An empty result proves nothing unless an error would be reported.
    for kind in ["workflow", "agent", "project"] {
        let told = remarks(&mut server, &format!("file:///{kind}/clean/seeded.yaml"), "mcps: none\n").await;
        assert_eq!(told, ["1: Incorrect type. Expected one of array, null."], "{kind}");
    }
}

/// Codes of mistakes that a schema can find in a single document.
const STRUCTURAL: [&str; 13] = [
    "bad-duration",
    "bad-id",
    "bad-limit",
    "bad-reference",
    "bad-selector",
    "documented-only",
    "duplicate-key",
    "misplaced-key",
    "missing-command",
    "missing-id",
    "missing-url",
    "unknown-key",
    "unknown-transport",
];

/// Files with a value of a wrong type that the language server's parser reads as a merge.
const UNTOLD: [&str; 2] = ["merge-of-a-text.yaml", "merge-of-nothing.yaml"];

#[tokio::test]
async fn mistakes_of_form_are_shown_where_they_are() {
    let mut server = server().await;
    let (mut checked, mut wrong) = (0, Vec::new());
    for (path, uri, text) in open(&mut server, files(&root().join("tests/fixtures/defects"))).await {
        let told = server.diagnostics(&uri).await;
        let Some((code, place)) = text.lines().find_map(|line| line.strip_prefix("# expect: ")?.split_once(' ')) else {
            continue;
        };
        let is_structural =
            STRUCTURAL.contains(&code) || (code == "wrong-type" && !UNTOLD.iter().any(|name| path.ends_with(name)));
        if !is_structural {
            continue;
        }
        checked += 1;
        let expected: u64 = place.split(':').next().and_then(|line| line.parse().ok()).expect("a line");
        // The server may mark the key and `validate` the value, or the other way round.
        let is_near =
            |it: &Value| it["range"]["start"]["line"].as_u64().is_some_and(|line| (line + 1).abs_diff(expected) <= 1);
        if !told.iter().any(is_near) {
            wrong.push(format!("{}: {code} {place}, but {:?}", name(&path), lines(&told)));
        }
    }
    assert!(wrong.is_empty(), "{} of {checked}\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked >= 45, "{checked}");
}

#[tokio::test]
async fn messages_say_what_to_do() {
    let mut server = server().await;
    let check = async |server: &mut LanguageServer, number: usize, entry: &str, expected: &[&str]| {
        let uri = format!("file:///workflow/{number}.yaml");
        let told = remarks(server, &uri, &format!("mcps:\n  - {entry}\n")).await;
        assert_eq!(told, expected, "{entry}");
    };
    let cases: [(&str, &[&str]); 10] = [
        (
            "{id: a, url: 'https://x.test/mcp', command: b}",
            &["2: `url` cannot be used with a program: leave out `url`, or `command`"],
        ),
        ("{id: a, url: 'http://127.0.0.1:6001/a/sse', command: b, use_proxy: true}", &[]),
        (
            "{id: a, url: 'http://127.0.0.1:6001/a/sse', command: b, use_proxy: false}",
            &["2: `url` cannot be used with a program: leave out `url`, or `command`"],
        ),
        (
            "{id: a, url: 'https://x.test/mcp', args: [b]}",
            &["2: `args` cannot be used with transport `sse` or `streamable-http`"],
        ),
        (
            "{id: a, command: b, headers: {X-A: b}}",
            &["2: `headers` cannot be used with a program, which takes its secrets from `env`"],
        ),
        ("{id: a}", &["2: a server needs a `url` or a `command`"]),
        (
            "{id: a, command: b, gateway: {era: old}}",
            &["2: Value is not accepted. Valid values: \"auto\", \"legacy\", \"modern\"."],
        ),
        (
            "{id: a, command: b, gateway: {session_mode: none}}",
            &["2: Value is not accepted. Valid values: \"auto\", \"shared\", \"dedicated\"."],
        ),
        (
            "{id: a, command: b, gateway: {tool_filter: {mode: deny, list: [c]}}}",
            &["2: Value is not accepted. Valid values: \"allow\", \"block\"."],
        ),
        ("{$use: 'mcp(local::mcps.#(id=\"a\"))'}", &[]),
    ];
    for (number, (entry, expected)) in cases.into_iter().enumerate() {
        check(&mut server, number, entry, expected).await;
    }
}

#[tokio::test]
async fn an_entry_is_completed_and_explained() {
    let mut server = server().await;
    let uri = "file:///workflow/new.yaml";
    let text = "id: w\nmcps:\n  - id: search\n    use_proxy: true\n    transport: sse\n    \n    gateway:\n      \n";
    server.open(uri, text).await;
    let offered = server.completions(uri, (5, 4)).await;
    for key in ["url", "command", "args", "headers", "env", "start_timeout", "max_sessions", "prevent_destroy"] {
        assert!(offered.iter().any(|it| it == key), "{key} is not among {offered:?}");
    }
    for key in ["id", "use_proxy", "auth"] {
        assert!(!offered.iter().any(|it| it == key), "{key} is among {offered:?}");
    }
    let offered = server.completions(uri, (7, 6)).await;
    for key in ["tool_filter", "era", "session_mode", "auth_tokens"] {
        assert!(offered.iter().any(|it| it == key), "{key} is not among {offered:?}");
    }
    let shown = server.hover(uri, (3, 6)).await;
    assert!(shown.contains("True to register this server at the gateway"), "{shown}");
    let shown = server.hover(uri, (4, 16)).await;
    assert!(shown.contains("Transport to the server.") && shown.contains("Needs `command`."), "{shown}");
}

#[tokio::test]
async fn plans_and_server_files_have_a_form_too() {
    let mut server = server().await;
    let change = SavedChange {
        name: "search".to_owned(),
        change: "update".to_owned(),
        declared: Some("a0".to_owned()),
        base: None,
        source: Some("w.yaml:3".to_owned()),
        reasons: vec![Reason::new("url", None)],
    };
    let plan = SavedPlan {
        version: 1,
        gateway: "http://127.0.0.1:6001".to_owned(),
        gateway_version: Some("0.1.0".to_owned()),
        owner: "me".to_owned(),
        adopt: Adopt::Unowned,
        prune: Prune::Owned,
        salt: FingerprintSalt::new([1; 16]),
        changes: vec![change],
    };
    let plan = serde_json::to_string(&plan).expect("JSON");
    let servers = r#"{"mcpServers": {"time": {"command": "uvx", "args": ["mcp-server-time"], "autoApprove": []},
        "docs": {"type": "http", "httpUrl": "https://x.test/mcp"}, "off": {"disabled": true}}}"#;
    let own = "port: 7000\nserver-cards: \"on\"\nadmin-tokens-file: /run/secrets/token\ninclude: [conf.d]\nservers:\n  \
               time: {command: uvx, args: [mcp-server-time], callTimeout: 1m}\n  docs: {url: \"https://x.test/mcp\"}\n";
    for (kind, text, wrong) in [
        ("plan", plan.as_str(), ["update", "upgrade"]),
        ("proxy-config", servers, ["uvx\"", "uvx\", \"era\": \"old\""]),
        ("mcp-proxy", own, ["server-cards: \"on\"", "server-cards: \"yes\""]),
    ] {
        assert_eq!(remarks(&mut server, &format!("file:///{kind}/right.yaml"), text).await, [""; 0], "{text}");
        let told = remarks(&mut server, &format!("file:///{kind}/wrong.yaml"), &text.replace(wrong[0], wrong[1])).await;
        assert!(told.len() == 1 && told[0].contains("Value is not accepted."), "{told:?}");
    }
}

#[tokio::test]
async fn the_tool_prints_every_schema() {
    let files = fs::read_dir(root().join("schemas/json")).expect("a folder");
    let mut count = 0;
    for file in files.map(|entry| entry.expect("an entry").path()) {
        let name = file.file_name().and_then(|name| name.to_str()?.strip_suffix(".schema.json")).expect("a schema");
        let ended = binary("register-service").args(["schema", name]).run().await;
        assert!(
            ended.code == Some(0) && ended.out == fs::read_to_string(&file).expect("a file"),
            "{name}: {}",
            ended.err
        );
        count += 1;
    }
    assert_eq!(count, 8);
}
