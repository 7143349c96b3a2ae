//! Commands of `register-service` against a gateway: the registrations that they change, refuse and leave alone.

mod backup;
mod concurrency;
mod sharing;
mod terminal;
mod watch;

use std::fs;
use std::path::Path;

use harness::process::{Ended, run};
use harness::{Admin, binary, gateway};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

/// Workflow with a stdio server and a remote server; neither has to work.
const WORKFLOW: &str = r#"id: w
mcps:
  - id: here
    command: cat
    env: {TOKEN: "{{ .env.TOKEN }}"}
    use_proxy: true
    gateway: {era: legacy, tags: {team: a}, tool_filter: {mode: block, list: [x]}, auth_tokens: [t1], priority: 3}
  - id: there
    url: http://127.0.0.1:9/mcp
    transport: streamable-http
    headers: {Authorization: "Bearer {{ .env.TOKEN }}"}
    start_timeout: 5s
    max_sessions: 4
    use_proxy: true
"#;

/// Runs `register-service` with a gateway's URL.
struct Tool<'a> {
    url: &'a str,
}

impl Tool<'_> {
    async fn run(&self, args: &[&str]) -> Ended {
        let tool = binary("register-service").env("MCP_PROXY_URL", self.url).env("TOKEN", "t0ken");
        let ended = tool.args(args).run().await;
        assert!(!format!("{}{}", ended.out, ended.err).contains("t0ken"), "{}{}", ended.out, ended.err);
        ended
    }

    /// Runs the tool, checks its exit code, and returns its stdout.
    async fn exits(&self, code: i32, args: &[&str]) -> String {
        let ended = self.run(args).await;
        assert_eq!(ended.code, Some(code), "{args:?}: {}{}", ended.out, ended.err);
        ended.out
    }

    /// Runs the tool with this text on stdin.
    async fn reads(&self, input: &str, args: &[&str]) -> Ended {
        let tool = binary("register-service").env("MCP_PROXY_URL", self.url).env("TOKEN", "t0ken").args(args);
        let (command, _home) = tool.into_command();
        let (mut process, mut stdin, _output) = harness::Process::talk(command);
        stdin.write_all(input.as_bytes()).await.expect("it reads");
        drop(stdin);
        process.ended(harness::DEADLINE).await
    }
}

fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("w.yaml"), text).expect("a file");
    folder
}

fn path(folder: &TempDir) -> &str {
    folder.path().to_str().expect("a path")
}

/// Returns the names and owners of all registrations.
async fn owners(gateway: &Admin) -> Vec<(String, String)> {
    let listed = gateway.get("/admin/mcps").await.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = listed["mcps"].as_array().expect("a list").iter().map(|entry| &entry["definition"]);
    let mut owners: Vec<_> = entries.map(|it| (text(&it["name"]), text(&it["tags"]["owner"]))).collect();
    owners.sort();
    owners
}

fn pairs<const N: usize>(owners: [(&str, &str); N]) -> Vec<(String, String)> {
    owners.map(|(name, owner)| (name.to_owned(), owner.to_owned())).into()
}

fn server(id: &str) -> String {
    format!("  - {{id: {id}, command: cat, use_proxy: true}}\n")
}

fn servers(ids: impl IntoIterator<Item = usize>) -> String {
    let entries: String = ids.into_iter().map(|id| server(&format!("n{id}"))).collect();
    format!("mcps:\n{entries}")
}

#[tokio::test]
async fn sync_changes_all_or_nothing_unless_it_is_told_to_go_one_by_one() {
    let gateway = gateway().start().await;
    let tool = Tool { url: &gateway.url };
    let text = "mcps:\n  - {id: fine, command: cat, use_proxy: true}\n  - {id: also, command: cat, use_proxy: true}\n  \
                - {id: broken, command: no-such-program-anywhere, use_proxy: true}\n";
    let folder = folder(text);
    let ended = tool.run(&["sync", path(&folder)]).await;
    assert_eq!((ended.code, owners(&gateway.admin).await), (Some(1), Vec::new()), "{}{}", ended.out, ended.err);
    for words in
        ["nothing was changed: 2 changes can be made, but not all", "--no-atomic", "`no-such-program-anywhere`"]
    {
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
    assert!(ended.out.ends_with("created 0, updated 0, unchanged 0, failed 3\n"), "{}", ended.out);
    tool.exits(8, &["sync", path(&folder), "--no-atomic"]).await;
    let mine = |name| (name, "register-service");
    assert_eq!(owners(&gateway.admin).await, pairs([mine("also"), mine("fine")]));
}

#[tokio::test]
async fn a_plan_reads_like_a_diff_and_is_carried_out_only_as_long_as_it_holds() {
    let gateway = gateway().start().await;
    let tool = Tool { url: &gateway.url };
    let folder = folder(WORKFLOW);
    let saved = folder.path().join("plan.json");
    let (paths, saved) = (path(&folder), saved.to_str().expect("a path"));
    let shown = tool.exits(2, &["plan", paths, "-o", saved, "--detailed-exitcode"]).await;
    let expected = format!(
        "+ here  ({paths}/w.yaml:3)\n    command: cat\n    env: TOKEN\n+ there  ({paths}/w.yaml:8)\n    url: \
         http://127.0.0.1:9/mcp\n    headers: Authorization\n\nto create 2, to update 0, unchanged 0\n"
    );
    assert_eq!(shown, expected);
    assert!(owners(&gateway.admin).await.is_empty(), "a plan only reads");
    // Exit code 2 is reserved for changes, so a plan that cannot be written must not end with it.
    tool.exits(1, &["plan", paths, "-o", paths, "--detailed-exitcode"]).await;
    let text = fs::read_to_string(saved).expect("a plan");
    assert!(!text.contains("t0ken") && text.contains("\"version\": 1"), "{text}");
    let older = text.replacen(
        &format!("\"gatewayVersion\": \"{}\"", env!("CARGO_PKG_VERSION")),
        "\"gatewayVersion\": \"0.0.1\"",
        1,
    );
    assert_ne!(older, text, "a plan says with which gateway it was made");
    fs::write(saved, older).expect("a file");
    let ended = tool.run(&["sync", paths, "--plan", saved]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("made with version 0.0.1 of the gateway, which is"), "{}", ended.err);
    assert_eq!(owners(&gateway.admin).await, pairs([("here", "register-service"), ("there", "register-service")]));
    assert_eq!(tool.exits(0, &["diff", paths, "--exit-code"]).await, "to create 0, to update 0, unchanged 2\n");

    let edited = WORKFLOW.replace("Bearer {{", "Token {{").replace("command: cat", "command: cat -u");
    fs::write(folder.path().join("w.yaml"), &edited).expect("a file");
    let shown = tool.exits(0, &["plan", paths, "-o", saved]).await;
    let expected = format!(
        "~ here  ({paths}/w.yaml:3)\n    args: now cat -u\n~ there  ({paths}/w.yaml:8)\n    headers.Authorization: \
         changed\n\nto create 0, to update 2, unchanged 0\n"
    );
    assert_eq!(shown, expected);
    // A third party changes a registration that the plan was made from, in a member that the files do not mention.
    let mut moved = gateway.admin.get("/admin/mcps/here").await.json()["definition"].take();
    moved["description"] = json!("moved");
    assert!([200, 202].contains(&gateway.admin.put("/admin/mcps/here", moved).await.status));
    let ended = tool.run(&["sync", paths, "--plan", saved]).await;
    assert_eq!(ended.code, Some(5), "{}", ended.err);
    assert!(ended.err.contains("`here` was changed at the gateway since the plan was made"), "{}", ended.err);
    let listed = gateway.admin.get("/admin/mcps/there").await.json();
    assert_eq!(listed["definition"]["name"], "there");
    let shown = tool.exits(2, &["plan", paths, "--detailed-exitcode"]).await;
    assert!(shown.ends_with("to create 0, to update 2, unchanged 0\n"), "nothing was changed: {shown}");
}

#[tokio::test]
async fn what_is_removed_is_the_owners_own_and_never_much_of_it_at_once() {
    let gateway = gateway().start().await;
    let tool = Tool { url: &gateway.url };
    let team = folder(&servers(0..10));
    let other = folder(&format!("mcps:\n{}", server("other")));
    tool.exits(0, &["sync", path(&team), "--owner", "team"]).await;
    tool.exits(0, &["sync", path(&other), "--owner", "other"]).await;
    let registered = async || owners(&gateway.admin).await.len();

    let without = |ids| fs::write(team.path().join("w.yaml"), servers(ids)).expect("a file");
    let pruning = async |code: i32, flags: &[&str]| {
        let args = [&["sync", path(&team), "--owner", "team", "--prune", "owned"], flags].concat();
        let ended = tool.run(&args).await;
        assert_eq!(ended.code, Some(code), "{flags:?}: {}{}", ended.out, ended.err);
        ended.err
    };
    without(0..6);
    let ended = tool.run(&["sync", path(&team), "--owner", "team"]).await;
    assert!(ended.err.contains("declared nowhere any more: `n6`, `n7`, `n8`, `n9`"), "{}", ended.err);
    assert_eq!(registered().await, 11, "nothing is removed unasked");
    let told = pruning(4, &[]).await;
    assert!(told.contains("4 of 10 registrations of owner `team` would be removed"), "{told}");
    assert_eq!(registered().await, 11);
    pruning(0, &["--max-delete", "4"]).await;
    assert_eq!(registered().await, 7);
    fs::write(team.path().join("w.yaml"), "mcps: []\n").expect("a file");
    let told = pruning(4, &["--max-delete", "100%"]).await;
    assert!(told.contains("nothing is declared"), "{told}");
    pruning(0, &["--allow-empty"]).await;
    assert_eq!(owners(&gateway.admin).await, pairs([("other", "other")]));
    let ci = binary("register-service").env("MCP_PROXY_URL", &gateway.url).env("CI", "true");
    let ended = ci.args(["plan", path(&other)]).run().await;
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("--prune owned, or --prune none"), "{}", ended.err);
}

#[tokio::test]
async fn a_job_that_names_no_owner_removes_nothing() {
    let gateway = gateway().start().await;
    let job = |folder: &TempDir, flags: &[&str]| {
        let job = binary("register-service").env("MCP_PROXY_URL", &gateway.url).env("CI", "true");
        let args = [&["sync", path(folder), "--prune", "owned", "--max-delete", "100%"], flags].concat();
        job.args(args)
    };
    let (one, other) = (folder(&format!("mcps:\n{}", server("one"))), folder(&format!("mcps:\n{}", server("other"))));
    assert_eq!(job(&one, &[]).run().await.code, Some(0));
    // Job of another repository, which names no owner either.
    let ended = job(&other, &[]).run().await;
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert!(ended.err.contains("in the name of `register-service`"), "{}", ended.err);
    assert_eq!(job(&other, &["--owner", "other"]).run().await.code, Some(0));
    assert_eq!(owners(&gateway.admin).await, pairs([("one", "register-service"), ("other", "other")]));
}

#[tokio::test]
async fn what_says_so_is_not_removed() {
    let gateway = gateway().start().await;
    let tool = Tool { url: &gateway.url };
    let kept = "mcps:\n  - {id: kept, command: cat, use_proxy: true, prevent_destroy: true}\n";
    let folder = folder(&format!("{kept}{}", server("other")));
    tool.exits(0, &["sync", path(&folder)]).await;
    fs::write(folder.path().join("w.yaml"), format!("mcps:\n{}", server("other"))).expect("a file");
    let ended = tool.run(&["sync", path(&folder), "--prune", "owned"]).await;
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert!(ended.err.contains("`kept` is declared nowhere and must not be removed"), "{}", ended.err);
    tool.exits(4, &["deregister", "kept"]).await;
    tool.exits(0, &["deregister", "kept", "--force"]).await;
    assert_eq!(owners(&gateway.admin).await, pairs([("other", "register-service")]));
}

#[tokio::test]
async fn registrations_are_adopted_and_released() {
    let gateway = gateway().start().await;
    let tool = Tool { url: &gateway.url };
    let folder = folder(WORKFLOW);
    let here = json!({ "name": "here", "transport": "stdio", "command": "cat" });
    gateway.admin.register(&here).await;
    let ended = tool.run(&["sync", path(&folder), "--owner", "team"]).await;
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert_eq!(owners(&gateway.admin).await, pairs([("here", "")]), "nothing was changed");
    tool.exits(0, &["adopt", path(&folder), "--owner", "team", "--unowned"]).await;
    assert_eq!(owners(&gateway.admin).await, pairs([("here", "team")]), "what is not there is left to sync");
    tool.exits(0, &["sync", path(&folder), "--owner", "team"]).await;
    tool.exits(0, &["adopt", path(&folder), "--owner", "others", "--unowned"]).await;
    assert_eq!(owners(&gateway.admin).await, pairs([("here", "team"), ("there", "team")]));
    tool.exits(0, &["adopt", path(&folder), "--owner", "others"]).await;
    assert_eq!(owners(&gateway.admin).await, pairs([("here", "others"), ("there", "others")]));
    tool.exits(4, &["release", "here", "there", "--owner", "team"]).await;
    tool.exits(0, &["release", "here", "there", "--owner", "others"]).await;
    assert_eq!(owners(&gateway.admin).await, pairs([("here", ""), ("there", "")]));
    // The secrets are unchanged.
    assert_eq!(tool.exits(0, &["diff", path(&folder), "--owner", "team", "--exit-code"]).await.lines().count(), 1);
}

#[tokio::test]
async fn a_registration_says_where_it_comes_from() {
    let gateway = gateway().start().await;
    let folder = folder(WORKFLOW);
    let job = binary("register-service").env("MCP_PROXY_URL", &gateway.url).env("TOKEN", "t0ken");
    let job = job.env("CI", "true").env("GITHUB_SHA", "4f2c1aa").env("GITHUB_ACTOR", "jane");
    let job = job.env("CI_JOB_URL", "https://ci.test/7").args(["sync", path(&folder), "--prune", "owned"]);
    assert_eq!(job.run().await.code, Some(0));
    let shown = gateway.admin.get("/admin/mcps/here").await.json();
    assert_eq!(shown["owner"], "register-service");
    assert_eq!(shown["source"], json!({ "file": "w.yaml", "line": 3, "commit": "4f2c1aa" }));
    let tags = &shown["definition"]["tags"];
    assert_eq!((&tags["ci_actor"], &tags["ci_run"]), (&json!("jane"), &json!("https://ci.test/7")));
    let tool = Tool { url: &gateway.url };
    assert_eq!(
        tool.exits(0, &["plan", path(&folder)]).await,
        "to create 0, to update 0, unchanged 2\n",
        "no difference"
    );
}

#[tokio::test]
async fn a_dump_declares_what_is_there() {
    let gateway = gateway().start().await;
    let tool = Tool { url: &gateway.url };
    let folder = folder(WORKFLOW);
    tool.exits(0, &["sync", path(&folder), "--owner", "team"]).await;
    let before = gateway.admin.get("/admin/mcps").await.json();
    let dumped = tool.exits(0, &["dump"]).await;
    assert!(!dumped.contains("t0ken") && !dumped.contains("t1"), "{dumped}");
    assert_eq!(tool.exits(6, &["dump", "here", "nobody"]).await, "", "all that was asked for, or nothing");
    let ended = tool.reads(&dumped, &["sync", "-", "--owner", "team", "--prune", "owned"]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    let after = gateway.admin.get("/admin/mcps").await.json();
    let definitions = |listed: &Value| {
        listed["mcps"].as_array().map(|all| {
            let mut all: Vec<_> = all.iter().map(|it| (it["definition"].clone(), it["revision"].clone())).collect();
            all.sort_by_key(|(definition, _)| definition["name"].to_string());
            all
        })
    };
    assert_eq!(definitions(&before), definitions(&after), "nothing was sent");
    // Another gateway does not know the secrets.
    let elsewhere = harness::gateway().start().await;
    let ended = Tool { url: &elsewhere.url }.reads(&dumped, &["sync", "-"]).await;
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert!(ended.err.contains("`[redacted]` stands for secrets that only a gateway has"), "{}", ended.err);
}

#[tokio::test]
async fn waiting_tells_which_are_missing_and_does_not_miss_what_is_optional() {
    let gateway = gateway().start().await;
    let tool = Tool { url: &gateway.url };
    let program = harness::fixture("mcp-server-everything").display().to_string();
    let everything = format!("mcps:\n  - {{id: alive, command: {program} stdio, use_proxy: true}}\n");
    let folder = folder(&format!("{everything}{}", server("dead")));
    tool.exits(0, &["sync", path(&folder)]).await;
    let ended = tool.run(&["wait", path(&folder), "--timeout", "3s"]).await;
    assert_eq!(ended.code, Some(6), "{}{}", ended.out, ended.err);
    assert!(ended.err.contains("dead") && !ended.err.contains("alive="), "{}", ended.err);
    let out = tool.exits(0, &["wait", path(&folder), "--optional", "dead", "--timeout", "3s"]).await;
    assert!(out.starts_with("ready 1 of 1\noptional, not ready: `dead`"), "{out}");
    let shown = tool.exits(0, &["status"]).await;
    let words =
        |line: usize| shown.lines().nth(line).unwrap_or_default().split_whitespace().take(3).collect::<Vec<_>>();
    assert_eq!(words(0), ["NAME", "STATE", "OWNER"]);
    assert_eq!(words(1), ["alive", "connected", "register-service"]);
    assert_eq!(words(2)[0], "dead");
    tool.exits(6, &["status", "nobody"]).await;
}

#[tokio::test]
async fn whoever_lacks_the_token_is_told_so() {
    let gateway = gateway().flags(["--admin-tokens", "s3cret"]).start().await;
    let tool = Tool { url: &gateway.url };
    let folder = folder(WORKFLOW);
    let paths = path(&folder);
    for args in [&["plan", paths][..], &["validate", paths, "--live"], &["wait", "--name", "x", "--timeout", "1s"]] {
        let ended = tool.run(args).await;
        assert_eq!(ended.code, Some(7), "{args:?}: {}", ended.err);
        assert!(ended.err.contains("hint: give the admin token in MCP_PROXY_ADMIN_TOKEN"), "{args:?}: {}", ended.err);
    }
}

#[tokio::test]
async fn the_code_for_changes_means_nothing_else() {
    let folder = folder(WORKFLOW);
    let (paths, missing) = (path(&folder), folder.path().join("no-plan.json"));
    let missing = missing.to_str().expect("a path");
    let nowhere = Tool { url: "ftp://127.0.0.1:7" };
    for (detailed, plain) in [
        (&["plan", paths][..], 2),
        (&["plan", paths, "--prune", "owend"], 2),
        (&["sync", paths, "--dry-run", "--no-such-flag"], 2),
    ] {
        nowhere.exits(plain, detailed).await;
        nowhere.exits(1, &[detailed, &["--detailed-exitcode"]].concat()).await;
        nowhere.exits(1, &[detailed, &["--exit-code"]].concat()).await;
    }
    let told = |out: String| serde_json::from_str::<Value>(&out).expect("JSON");
    let told = told(nowhere.exits(2, &["sync", paths, "--plan", missing, "--output", "json"]).await);
    assert_eq!((&told["class"], &told["exitCode"]), (&json!("usage"), &json!(2)));
    assert!(told["failures"][0]["message"].as_str().is_some_and(|it| it.contains("MCP_PROXY_URL")), "{told}");
}

#[tokio::test]
async fn what_needs_no_gateway_comes_without_one() {
    let nowhere = Tool { url: "http://127.0.0.1:7" };
    for document in ["mcp", "workflow", "agent", "project", "definition"] {
        let schema: Value = serde_json::from_str(&nowhere.exits(0, &["schema", document]).await).expect("JSON");
        assert!(schema["$schema"].is_string(), "{document}");
    }
    let bash = nowhere.exits(0, &["completions", "bash"]).await;
    assert!(bash.contains("complete -F"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pages = nowhere.exits(0, &["man", path(&folder)]).await;
    assert!(pages.contains("register-service-plan.1"), "{pages}");
    let mut bash = tokio::process::Command::new("bash");
    bash.args(["-n", "-c"]).arg(nowhere.exits(0, &["completions", "bash"]).await);
    assert_eq!(run(bash).await.code, Some(0), "bash reads it");
    assert!(Path::new(path(&folder)).join("register-service.1").exists());
}
