//! `examples/ci`: the scripts of a CI system, run against a real gateway.

use std::path::Path;
use std::{env, fs};

use harness::fake::{Fake, Via, fake};
use harness::process::{Ended, run};
use harness::{InProcess, binary, gateway, root};
use tempfile::TempDir;
use tokio::process::Command;

/// Repository with workflow files, and a gateway for its jobs.
struct Checkout {
    folder: TempDir,
    gateway: InProcess,
}

impl Checkout {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("workflows")).expect("a folder");
        Self { folder, gateway: gateway().start().await }
    }

    fn declares(&self, upstreams: &[&Fake]) {
        let entry = |fake: &&Fake| {
            let definition = fake.definition();
            let (id, url) = (&definition["name"], &definition["url"]);
            format!("  - {{id: {id}, url: {url}, transport: streamable-http, use_proxy: true}}\n")
        };
        let entries: String = upstreams.iter().map(entry).collect();
        self.writes(&format!("id: w\nmcps:\n{entries}"));
    }

    fn writes(&self, text: &str) {
        fs::write(self.folder.path().join("workflows/w.yaml"), text).expect("a file");
    }

    /// Runs a script as GitHub's runners do.
    async fn runs(&self, script: &str) -> Ended {
        let (tool, _home) = binary("register-service").into_command();
        let tools = Path::new(tool.as_std().get_program()).parent().expect("a folder");
        let path = env::join_paths([tools, "/usr/bin".as_ref(), "/bin".as_ref()]).expect("a path");
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]).current_dir(self.folder.path());
        command.env_clear().env("PATH", path).env("CI", "true").env("OWNER", "team");
        command.env("MCP_PROXY_URL", &self.gateway.url).env("GITHUB_STEP_SUMMARY", "summary.md");
        run(command).await
    }

    async fn exits(&self, code: i32, script: &str) -> Ended {
        let ended = self.runs(script).await;
        assert_eq!(ended.code, Some(code), "{script}\n{}{}", ended.out, ended.err);
        ended
    }

    fn holds(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).expect("a file")
    }
}

/// Returns the script of a step in the GitHub pipeline.
fn step(name: &str) -> String {
    let text = fs::read_to_string(root().join("examples/ci/github.yml")).expect("a file");
    let (_, rest) = text.split_once(&format!("- name: {name}\n")).expect("a step");
    let (_, rest) = rest.split_once("        run: ").expect("a script");
    match rest.strip_prefix("|\n") {
        None => rest.lines().next().unwrap_or_default().to_owned(),
        Some(block) => block.lines().map_while(|line| line.strip_prefix("          ")).collect::<Vec<_>>().join("\n"),
    }
}

#[tokio::test]
async fn the_steps_for_github_check_plan_and_sync() {
    let (one, two) = (fake("one").start(Via::Events).await, fake("two").start(Via::Events).await);
    let checkout = Checkout::new().await;

    checkout.writes("id: w\nmcps:\n  - {id: one, comand: x, url: 'https://x.test', transport: http}\n");
    let ended = checkout.exits(3, &step("Check")).await;
    assert!(ended.out.contains("::error file=workflows/w.yaml,line=3"), "{}", ended.out);

    checkout.declares(&[&one, &two]);
    checkout.exits(0, &step("Check")).await;
    checkout.exits(0, &step("Plan")).await;
    let summary = checkout.holds("summary.md");
    assert!(summary.contains("+ one") && summary.contains("+ two"), "{summary}");
    assert_eq!(checkout.gateway.admin.get("/admin/mcps").await.json()["count"], 0, "a plan only reads");

    checkout.exits(0, &step("Sync")).await;
    for name in ["one", "two"] {
        let found = checkout.gateway.admin.get(&format!("/admin/mcps/{name}")).await.json();
        assert_eq!((&found["owner"], &found["status"]["status"]), (&"team".into(), &"connected".into()), "{found}");
    }
    checkout.declares(&[&two]);
    let ended = checkout.exits(0, &step("Plan")).await;
    assert!(ended.out.contains("- one") && !ended.out.contains("two"), "{}", ended.out);
    checkout.exits(0, &step("Sync")).await;
    let listed = checkout.gateway.admin.get("/admin/mcps").await.json();
    assert_eq!((&listed["count"], &listed["mcps"][0]["definition"]["name"]), (&1.into(), &"two".into()), "{listed}");

    checkout.writes("id: w\nmcps: [{id: a}]\n");
    checkout.exits(1, &step("Plan")).await;
}

#[tokio::test]
async fn the_script_syncs_what_was_planned_and_nothing_else() {
    let one = fake("one").start(Via::Events).await;
    let checkout = Checkout::new().await;
    checkout.declares(&[&one]);
    let script = root().join("examples/ci/pipeline.sh").display().to_string();
    let (plan, sync) = (format!("'{script}' plan"), format!("'{script}' sync"));
    checkout.exits(2, &format!("'{script}'")).await;
    checkout.exits(0, &plan).await;
    assert!(checkout.holds("junit.xml").starts_with("<?xml"));
    checkout.exits(0, &sync).await;
    let found = checkout.gateway.admin.get("/admin/mcps/one").await.json();
    assert_eq!(found["status"]["status"], "connected", "{found}");
    checkout.exits(5, &sync).await;
}
