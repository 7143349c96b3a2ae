//! `register-service` against a gateway, as CI and workers use it.

use std::fs;
use std::path::Path;

use harness::binary::Started;
use harness::process::{Ended, Signal};
use harness::recorder::recorder;
use harness::{DEADLINE, InProcess, binary, eventually, fixture, gateway, root};
use serde_json::Value;
use tempfile::TempDir;

const WORKFLOW: &str = r#"id: w
mcps:
  - id: here
    command: cat
    use_proxy: true
  - id: there
    url: http://127.0.0.1:9/mcp
    transport: streamable-http
    headers: {Authorization: "Bearer {{ .env.TOKEN }}"}
    use_proxy: true
  - id: direct
    url: http://127.0.0.1:9/mcp
    transport: streamable-http
"#;

fn folder(file: &str, text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join(file), text).expect("a file");
    folder
}

async fn register_service(url: &str, args: &[&str], folder: &Path) -> Ended {
    let tool = binary("register-service").env("MCP_PROXY_URL", url).env("TOKEN", "t0ken");
    tool.args(args).args([folder]).run().await
}

/// Returns the names of all registrations, sorted: a run registers in no particular order.
async fn names(gateway: &InProcess) -> Vec<String> {
    let listed = gateway.admin.get("/admin/mcps").await.json();
    let entries = listed["mcps"].as_array().expect("a list").iter();
    let mut names: Vec<_> =
        entries.map(|entry| entry["definition"]["name"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_second_sync_changes_nothing_and_an_edited_header_is_one_put() {
    let gateway = gateway().start().await;
    let recorder = recorder(&gateway.url).await;
    let folder = folder("w.yaml", WORKFLOW);
    let sync = async || {
        let ended = register_service(&recorder.url, &["sync"], folder.path()).await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(!format!("{}{}", ended.out, ended.err).contains("t0ken"), "{}", ended.out);
        let writes: Vec<_> = recorder.take().into_iter().filter(|request| !request.starts_with("GET")).collect();
        (ended.out, writes)
    };

    let (out, mut writes) = sync().await;
    writes.sort();
    let lock = "/admin/locks/register-service";
    let (taken, given_back) = (format!("PUT {lock}"), format!("DELETE {lock}"));
    assert_eq!(writes, [&given_back, "POST /admin/generations", &taken]);
    assert!(out.contains("created 2, updated 0, unchanged 0"), "{out}");
    assert_eq!(names(&gateway).await, ["here", "there"]);

    let (out, writes) = sync().await;
    assert_eq!(writes, [""; 0]);
    assert!(out.contains("created 0, updated 0, unchanged 2"), "{out}");

    let edited = WORKFLOW.replace("Bearer {{", "Token {{");
    fs::write(folder.path().join("w.yaml"), edited).expect("a file");
    let (out, writes) = sync().await;
    assert_eq!(writes, [&taken, "PUT /admin/mcps/there", &given_back]);
    assert!(out.contains("created 0, updated 1, unchanged 1"), "{out}");
}

#[tokio::test]
async fn four_mistakes_are_four_errors_in_one_run_and_no_request() {
    let gateway = gateway().start().await;
    let recorder = recorder(&gateway.url).await;
    let folder = folder(
        "w.yaml",
        r#"id: w
mcps:
  - id: a
    url: https://a.example/mcp
    transport: carrier-pigeon
    use_proxy: true
  - id: b
    url: https://b.example/mcp
    headers:
      Authorization: "Bearer {{ .env.NOWHERE }}"
    use_proxy: true
  - id: c
    url: "ht!tp:/nowhere"
    use_proxy: true
  - id: b
    command: npx thing
    use_proxy: true
"#,
    );
    for command in [&["validate", "--strict-env"][..], &["sync"]] {
        let ended = register_service(&recorder.url, command, folder.path()).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{}", ended.err);
        let file = folder.path().join("w.yaml").display().to_string();
        let errors = ended.err.lines().filter_map(|line| line.strip_prefix(&file)).map(|line| {
            let (place, rest) = line.split_once(": error[").expect(line);
            (place.to_owned(), rest.split_once(']').expect(line).0.to_owned())
        });
        let expected = [
            (":5:16", "unknown-transport"),
            (":10:33", "missing-variable"),
            (":13:10", "bad-url"),
            (":15:9", "duplicate-id"),
        ];
        assert_eq!(errors.collect::<Vec<_>>(), expected.map(|(place, code)| (place.to_owned(), code.to_owned())));
    }
    assert_eq!(recorder.take(), [""; 0]);
}

#[tokio::test]
async fn a_plan_without_the_variables_names_what_it_leaves_out_and_removes_none_of_it() {
    let gateway = gateway().start().await;
    let folder = folder("w.yaml", WORKFLOW);
    let ended = register_service(&gateway.url, &["sync"], folder.path()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let plan = async |more: &[&str]| {
        let tool = binary("register-service").env("MCP_PROXY_URL", &gateway.url).env("CI", "false");
        tool.args(["plan", "--prune", "owned"]).args(more).args([folder.path()]).run().await
    };
    assert_eq!(plan(&[]).await.code, Some(3), "a variable is missing");
    let ended = plan(&["--allow-unset"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("? there  (") && ended.out.contains("not known here"), "{}", ended.out);
    assert!(ended.out.contains("unchanged 1") && !ended.out.contains("delete"), "{}", ended.out);
}

#[tokio::test]
async fn a_secret_that_ci_sets_to_nothing_is_not_known_and_no_setting_of_the_gateway_fails_a_check_of_files() {
    let gateway = gateway().start().await;
    let folder = folder("w.yaml", WORKFLOW);
    assert_eq!(register_service(&gateway.url, &["sync"], folder.path()).await.code, Some(0));
    let run = async |args: &[&str]| {
        let tool = binary("register-service").env("MCP_PROXY_URL", &gateway.url).env("CI", "false");
        tool.env("MCP_PROXY_ADMIN_TOKEN", "").env("TOKEN", "").args(args).args([folder.path()]).run().await
    };
    let ended = run(&["plan", "--prune", "owned", "--allow-unset"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("? there  (") && ended.out.contains("unchanged 1"), "{}", ended.out);
    let ended = run(&["plan", "--prune", "owned"]).await;
    assert!(ended.code != Some(0) && ended.err.contains("`MCP_PROXY_ADMIN_TOKEN`"), "{}", ended.err);
    assert_eq!(run(&["validate"]).await.code, Some(0));
    let ended = run(&["validate", "--strict", "--allow-unset"]).await;
    assert!(ended.code == Some(0) && ended.out.contains("1 unresolved"), "{} {}", ended.out, ended.err);
}

#[tokio::test]
async fn validate_and_render_ask_nobody() {
    let folder = folder("w.yaml", WORKFLOW);
    let nowhere = "http://127.0.0.1:7";
    let ended = register_service(nowhere, &["validate"], folder.path()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let ended = register_service(nowhere, &["render"], folder.path()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for line in
        ["url: http://127.0.0.1:7/here/stream", "url: http://127.0.0.1:7/there/stream", "url: http://127.0.0.1:9/mcp"]
    {
        assert!(ended.out.contains(line), "{line} in {}", ended.out);
    }
    assert!(!ended.out.contains("t0ken"), "{}", ended.out);
}

#[tokio::test]
async fn a_gateway_that_is_not_there_or_asks_for_a_token_has_exit_codes_of_its_own() {
    let folder = folder("w.yaml", WORKFLOW);
    let ended = register_service("http://127.0.0.1:7", &["sync"], folder.path()).await;
    assert_eq!(ended.code, Some(6), "{}", ended.err);
    let guarded = gateway().flags(["--admin-tokens", "secret"]).start().await;
    let ended = register_service(&guarded.url, &["sync"], folder.path()).await;
    assert_eq!(ended.code, Some(7), "{}", ended.err);
    let ended = register_service(&guarded.url, &["--admin-token", "secret", "sync"], folder.path()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

#[tokio::test]
async fn a_worker_that_stops_takes_only_its_own() {
    let gateway = gateway().start().await;
    let entry =
        |id: &str| format!("  - {{id: {id}, command: {}, use_proxy: true}}\n", fixture("mcp-server-memory").display());
    let first = folder("w.yaml", &format!("mcps:\n{}{}", entry("first"), entry("both")));
    let second = folder("w.yaml", &format!("mcps:\n{}{}", entry("second"), entry("both")));
    let start = async |folder: &TempDir| {
        let worker = binary("examples/worker").args(["--proxy-url", &gateway.url]).args([folder.path()]).start();
        worker.process.prints("ready").await;
        worker
    };
    let stop = async |mut worker: Started| {
        worker.process.signal(Signal::TERM);
        let ended = worker.process.ended(DEADLINE).await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    };
    let older = start(&first).await;
    let newer = start(&second).await;
    assert_eq!(names(&gateway).await, ["both", "first", "second"]);
    stop(newer).await;
    assert_eq!(names(&gateway).await, ["both", "first"], "what was there before stays");
    stop(older).await;
    assert_eq!(names(&gateway).await, [""; 0]);
}

#[tokio::test]
async fn a_worker_says_what_is_missing() {
    let gateway = gateway().start().await;
    let folder = folder("w.yaml", "mcps:\n  - {id: gone, url: \"http://127.0.0.1:9/mcp\", use_proxy: true}\n");
    let worker = binary("examples/worker").args(["--proxy-url", &gateway.url, "--patience", "1"]).args([folder.path()]);
    let ended = worker.run().await;
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("gone"), "{}", ended.err);
    assert_eq!(names(&gateway).await, [""; 0], "what it registered is gone again");
}

#[tokio::test]
async fn the_quickstart_does_the_whole_job() {
    let ended = binary("examples/quickstart").run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for line in ["registered  demo", "called      add {\"a\":19,\"b\":23} -> 42", "removed     demo", "done"] {
        assert!(ended.out.contains(line), "{line} in {}", ended.out);
    }
}

#[tokio::test]
async fn every_sample_workflow_is_valid() {
    let tool = binary("register-service").args(["--output", "json", "validate"]).args([root().join("workflows")]);
    let variables = ["LLM_API_KEY", "BATCH_TOKEN", "DEMO_SERVER"];
    let ended = variables.iter().fold(tool, |tool, name| tool.env(name, "x")).run().await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.err, ended.out);
    let report: Value = serde_json::from_str(&ended.out).expect("JSON");
    assert_eq!(report["diagnostics"].as_array().map(Vec::len), Some(0), "{report}");
}

#[tokio::test]
async fn sync_waits_until_what_it_registered_is_usable() {
    let gateway = gateway().start().await;
    let text = format!("mcps:\n  - {{id: time, command: {}, use_proxy: true}}\n", fixture("mcp-server-time").display());
    let folder = folder("w.yaml", &text);
    let ended = register_service(&gateway.url, &["sync", "--wait", "--timeout", "30s"], folder.path()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(gateway.admin.status("time").await["status"], "connected");
    let tools = eventually("tools", || async {
        let listed = gateway.admin.get("/admin/tools").await.json();
        Some(listed["count"].clone()).filter(|count| *count == 2)
    });
    tools.await;
}
