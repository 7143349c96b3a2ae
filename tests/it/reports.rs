//! Reports of `register-service validate` for other programs, checked with the schemas of their formats.

use std::fs;

use harness::fake::{Via, fake};
use harness::process::Ended;
use harness::{binary, gateway, python, root};
use serde_json::{Value, json};

async fn validate(format: &str) -> Ended {
    let corpus = root().join("tests/fixtures/defects");
    let tool = binary("register-service").env("TOKEN", "t0ken").env("ROOT", "/srv").env("MODE", "dev");
    let ended = tool.args(["--output", format, "validate", "--strict-env"]).args([corpus]).run().await;
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(!format!("{}{}", ended.out, ended.err).contains("t0ken"));
    ended
}

/// Returns the faults of a report according to the public schema of its format.
fn faults(schema: &str, report: &str) -> String {
    let formats = root().join("tests/fixtures/formats");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report");
    fs::write(&file, report).expect("a file");
    let mut check = std::process::Command::new(python());
    let output = check.arg(formats.join("check.py")).arg(formats.join(schema)).arg(file).output().expect("a program");
    let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert_eq!(output.status.success(), told.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    told
}

#[tokio::test]
async fn sarif_is_valid_by_its_schema() {
    let ended = validate("sarif").await;
    let schema = "sarif-2.1.0.schema.json";
    assert_eq!(faults(schema, &ended.out), "");
    let broken = ended.out.replacen("\"startLine\": ", "\"startLine\": -", 1);
    assert!(faults(schema, &broken).contains("startLine"), "the check finds what is wrong");
    let report: Value = serde_json::from_str(&ended.out).expect("JSON");
    let results = report["runs"][0]["results"].as_array().expect("results");
    assert!(results.len() >= 60, "{}", results.len());
}

#[tokio::test]
async fn junit_is_valid_by_its_schema() {
    let ended = validate("junit").await;
    assert_eq!(faults("junit-10.xsd", &ended.out), "");
    let broken = ended.out.replacen(" name=", " nome=", 1);
    assert!(faults("junit-10.xsd", &broken).contains("nome"), "the check finds what is wrong");
}

#[tokio::test]
async fn annotations_are_one_line_each() {
    let ended = validate("github").await;
    let lines: Vec<&str> = ended.out.lines().collect();
    assert!(lines.len() >= 60, "{}", lines.len());
    for line in lines {
        assert!(["::error file=", "::warning file=", "::notice file="].iter().any(|it| line.starts_with(it)), "{line}");
    }
}

#[tokio::test]
async fn json_says_where_each_mistake_begins_and_ends() {
    let ended = validate("json").await;
    let report: Value = serde_json::from_str(&ended.out).expect("JSON");
    assert_eq!((&report["version"], &report["class"]), (&1.into(), &"invalid-files".into()));
    let of_file = |it: &&Value| {
        it["code"] == "unknown-key" && it["file"].as_str().is_some_and(|file| file.ends_with("/misspelt-command.yaml"))
    };
    let diagnostics = report["diagnostics"].as_array().expect("diagnostics");
    let found: Vec<&Value> = diagnostics.iter().filter(of_file).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let place = ["line", "column", "endLine", "endColumn"].map(|key| found[0][key].as_u64().unwrap_or_default());
    assert_eq!(place, [16, 5, 16, 8]);
    assert_eq!(found[0]["help"], "register-service explain unknown-key");
}

#[tokio::test]
async fn strict_makes_warnings_fail_in_validate_plan_and_sync() {
    let gateway = gateway().start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let write = |text: &str| fs::write(folder.path().join("w.yaml"), text).expect("a file");
    let run = async |args: &[&str]| {
        let tool = binary("register-service").env("MCP_PROXY_URL", &gateway.url);
        tool.args(args).args([folder.path()]).run().await
    };
    let entry =
        "mcps:\n  - {id: a, url: 'http://127.0.0.1:9/mcp', use_proxy: true, headers: {X-A: '{{ .env.NOT_SET }}'}}\n";
    write(&format!("colour: red\n{}", entry.replace("{{ .env.NOT_SET }}", "b")));
    for command in ["validate", "plan", "sync"] {
        let ended = run(&["--output", "json", command, "--strict"]).await;
        assert_eq!(ended.code, Some(3), "{command}: {}", ended.err);
        let report: Value = serde_json::from_str(&ended.out).expect("JSON");
        assert_eq!(report["class"], "invalid-files");
        assert_eq!(report["failures"][0]["message"], "1 warning in the files, which --strict refuses");
        let found = &report["diagnostics"][0];
        assert_eq!((&found["code"], &found["severity"]), (&"unknown-key".into(), &"warning".into()));
    }
    assert_eq!(
        gateway.admin.get("/admin/mcps").await.json()["mcps"].as_array().map(Vec::len),
        Some(0),
        "nothing was sent"
    );
    for command in ["validate", "sync"] {
        assert_eq!(run(&[command]).await.code, Some(0), "{command}");
    }

    write(entry);
    assert_eq!(run(&["validate", "--strict"]).await.code, Some(3));
    assert_eq!(run(&["validate", "--strict", "--allow-unset"]).await.code, Some(0));
    assert_eq!(run(&["plan", "--strict", "--allow-unset"]).await.code, Some(0));

    write("services: {web: {image: nginx}}\n");
    let ended = run(&["validate"]).await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.err.contains("warning[no-entries]: 0 entries: this is no workflow"), "{}", ended.err);
    assert_eq!(run(&["validate", "--strict"]).await.code, Some(3));
}

#[tokio::test]
async fn variables_come_from_flags_files_and_the_process_in_this_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    };
    let flow = concat!(
        "id: w\nenv: {A: workflow, B: workflow, C: workflow, D: workflow, E: workflow}\nmcps:\n",
        "  - {id: x, url: 'http://x/{{ .env.A }}/{{ .env.B }}/{{ .env.C }}/{{ .env.D }}/{{ .env.E }}'}\n",
    );
    let flow = write("w.yaml", flow);
    let first = write("first.env", "B=first\nC=first\nD=first\n");
    let second = write("second.env", "C=second\nD=second\n");
    let tool = binary("register-service").env("A", "process").env("B", "process").env("C", "process");
    let tool = tool.args(["render".as_ref(), flow.as_os_str(), "--set".as_ref(), "D=flag".as_ref()]);
    let ended = tool.args(["--env-file".as_ref(), first.as_os_str()]).args(["--env-file".as_ref(), second.as_os_str()]);
    let ended = ended.run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("http://x/process/first/second/flag/workflow"), "{}", ended.out);

    let broken = write("broken.env", "A=1\nB hush\n");
    let tool = binary("register-service").args(["validate".as_ref(), flow.as_os_str()]);
    let ended = tool.args(["--env-file".as_ref(), broken.as_os_str()]).run().await;
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("broken.env:2:1: error[bad-env-file]"), "{}", ended.err);
    assert!(!ended.err.contains("hush"), "{}", ended.err);
}

const SEARCH: &str = r#"{"name":"search","inputSchema":{"type":"object","required":["query"],
    "properties":{"query":{"type":"string"},"limit":{"type":"integer"}}}}"#;
const HIDDEN: &str = r#"{"name":"hidden","inputSchema":{"type":"object"}}"#;

/// Returns an agent whose actions use tools of the server `web`, each in its own line from line 7 on.
fn agent(gateway: &str, actions: &[&str]) -> String {
    let head = format!(
        "id: a\ninstructions: x\nmcps:\n  - {{id: web, url: '{gateway}/web/sse', use_proxy: true}}\n  - {{id: gone, url: \
         '{gateway}/gone/sse', use_proxy: true}}\nactions:\n"
    );
    actions.iter().fold(head, |text, action| format!("{text}  - {{{action}}}\n"))
}

#[tokio::test]
async fn live_says_of_each_tool_whether_the_gateway_could_call_it() {
    let upstream = fake("web").listed(SEARCH).listed(HIDDEN).start(Via::Events).await;
    let gateway = gateway().start().await;
    let mut definition = upstream.definition();
    definition["toolFilter"] = json!({ "mode": "block", "list": ["hidden"] });
    gateway.admin.connect(&definition).await;
    let folder = tempfile::tempdir().expect("a folder");
    let check = async |actions: &[&str]| {
        fs::write(folder.path().join("agent.yaml"), agent(&gateway.url, actions)).expect("a file");
        let tool = binary("register-service").env("MCP_PROXY_URL", &gateway.url);
        tool.args(["validate", "--live"]).args([folder.path()]).run().await
    };

    let right = ["id: x, tool: $mcp(web#search), with: {query: q, limit: 3}", "id: y, tool: $mcp(web#search)"];
    let ended = check(&right).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));

    let wrong = [
        "tool: $mcp(web#serch)",
        "tool: $mcp(web#Search)",
        "tool: $mcp(web#hidden)",
        "tool: $mcp(gone#x)",
        "tool: $mcp(web#search), with: {limit: 3}",
        "tool: $mcp(web#search), with: {query: q, limit: '3'}",
    ];
    let ended = check(&wrong).await;
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    let expected = [
        "agent.yaml:7:21: error[missing-tool]: `web` has no tool `serch`",
        "agent.yaml:8:21: error[renamed-tool]: `web` calls this tool `search`",
        "agent.yaml:9:21: error[hidden-tool]: tool `hidden` of `web` is hidden",
        "agent.yaml:10:17: error[missing-upstream]: the gateway has no upstream `gone`",
        "agent.yaml:11:36: error[missing-argument]: argument `query` of `search` is missing",
        "agent.yaml:12:54: error[wrong-argument]: argument `limit` of `search`: string where it takes integer",
    ];
    for line in expected {
        assert!(ended.err.contains(line), "{line}\n{}", ended.err);
    }

    let nowhere = binary("register-service").env("MCP_PROXY_URL", "http://127.0.0.1:9");
    let ended = nowhere.args(["validate", "--live"]).args([folder.path()]).run().await;
    assert_eq!(ended.code, Some(6), "{}", ended.err);
}
