//! The configuration file of `mcp-proxy`: what it sets, what a change of it does, and what a mistake in it does not do.

mod foreign;
mod mistakes;
mod process;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use harness::binary;
use harness::fake::{Fake, Via, fake};
use harness::process::Signal;
use harness::raw::session;
use harness::wait::{DEADLINE, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A gateway with a configuration file that tests write.
struct Configured {
    folder: TempDir,
    gateway: harness::Served,
}

impl Configured {
    async fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("mcp-proxy.yaml"), text).expect("a file");
        let gateway = serve(&folder.path().join("mcp-proxy.yaml"), &[]).await;
        Self { folder, gateway }
    }

    fn write(&self, text: &str) {
        fs::write(self.folder.path().join("mcp-proxy.yaml"), text).expect("a file");
    }

    /// Waits until the file's state satisfies a condition, and returns it.
    async fn reaches(&self, what: &str, is_reached: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || async {
            let status = self.gateway.admin.get("/admin/status").await.json()["configuration"].clone();
            is_reached(&status).then_some(status)
        })
        .await
    }

    /// Waits until a generation of the file is registered.
    async fn applied(&self, generation: u64) -> Value {
        self.reaches("the file is applied", |it| it["generation"] == generation && it.get("pending").is_none()).await
    }

    async fn names(&self) -> Vec<String> {
        let listed = self.gateway.admin.get("/admin/mcps").await.json();
        let name = |it: &Value| it["definition"]["name"].as_str().expect("a name").to_owned();
        listed["mcps"].as_array().expect("a list").iter().map(name).collect()
    }
}

async fn serve(path: &Path, more: &[&str]) -> harness::Served {
    binary("mcp-proxy").args(["--port=0", "--config"]).args([path]).args(more).serve().await
}

/// Returns the entry of a server that runs a fake.
fn entry(name: &str, fake: &Fake, more: &[&str]) -> String {
    let definition = fake.definition();
    let mut args = definition["args"].as_array().cloned().unwrap_or_default();
    args.extend(more.iter().map(|word| json!(word)));
    format!("  {name}: {}\n", json!({ "command": definition["command"], "args": args, "era": "legacy" }))
}

#[tokio::test]
async fn flags_precede_variables_which_precede_the_file_and_each_value_shows_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.yaml");
    fs::write(&path, "call-timeout: 11s\nlist-timeout: 12s\nerror-timeout: 1s\n").expect("a file");
    let show = async |more: &[&str]| {
        let command = binary("mcp-proxy").args(["config", "show", "--config"]).args([&path]).args(more);
        command.env("MCP_PROXY_LIST_TIMEOUT", "13s").run().await
    };
    let wrong = show(&[]).await;
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.contains("gateway.yaml:3:1: error: unknown key `error-timeout`"), "{}", wrong.err);
    fs::write(&path, "call-timeout: 11s\nlist-timeout: 12s\nmax-sessions: 7\nadmin-tokens-file: token\n")
        .expect("a file");
    fs::write(folder.path().join("token"), "s3cret\nother\n").expect("a file");
    let shown = show(&["--max-sessions", "8", "--output", "json"]).await;
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    let of = |name: &str| {
        let settings = shown["settings"].as_array().expect("settings");
        settings.iter().find(|it| it["name"] == name).cloned().expect("the setting")
    };
    assert_eq!(of("call-timeout")["value"], "11s");
    let origin = of("call-timeout")["origin"].clone();
    assert_eq!((&origin["kind"], &origin["line"], &origin["column"]), (&json!("file"), &json!(1), &json!(15)));
    assert_eq!(
        (&of("list-timeout")["value"], &of("list-timeout")["origin"]["kind"]),
        (&json!("13s"), &json!("environment"))
    );
    assert_eq!((&of("max-sessions")["value"], &of("max-sessions")["origin"]["kind"]), (&json!("8"), &json!("flag")));
    assert_eq!(of("admin-tokens")["value"], "[redacted],[redacted]");
    assert_eq!(shown["file"]["format"], "own");
}

#[tokio::test]
async fn secrets_are_read_from_files_that_variables_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("token");
    fs::write(&secret, "s3cret\n").expect("a file");
    let gateway = binary("mcp-proxy").args(["--port=0"]).env("MCP_PROXY_ADMIN_TOKENS_FILE", &secret).serve().await;
    let status = async |token: &str| gateway.admin.with_token(token).get("/admin/mcps").await.status;
    assert_eq!([status("s3cret").await, status("other").await], [200, 401]);
    let both = binary("mcp-proxy").args(["--port=0"]).env("REDIS_PASSWORD_FILE", &secret).env("REDIS_PASSWORD", "x");
    let refused = both.run().await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("`REDIS_PASSWORD` is set too"), "{}", refused.err);
}

#[tokio::test]
async fn a_changed_argument_replaces_only_its_own_process() {
    let (one, other) = (fake("one").start(Via::Stdio).await, fake("other").start(Via::Stdio).await);
    let text = |more: &[&str]| format!("servers:\n{}{}", entry("one", &one, more), entry("other", &other, &[]));
    let configured = Configured::start(&text(&[])).await;
    let admin = &configured.gateway.admin;
    admin.connected("one").await;
    admin.connected("other").await;
    assert_eq!((one.count("initialize"), other.count("initialize")), (1, 1));
    configured.write(&text(&["--changed"]));
    configured.applied(2).await;
    one.nth("initialize", 1).await;
    admin.connected("one").await;
    assert_eq!((other.count("initialize"), other.live()), (1, 1), "only the changed server is replaced");
    // Nothing but a comment: a new generation that replaces nothing.
    configured.write(&format!("# why\n{}", text(&["--changed"])));
    configured.applied(3).await;
    assert_eq!((one.count("initialize"), other.count("initialize")), (2, 1));
}

#[tokio::test]
async fn a_broken_edit_changes_nothing_and_is_told_everywhere() {
    let one = fake("one").echo("say").start(Via::Stdio).await;
    let text = format!("call-timeout: 1m\nservers:\n{}", entry("one", &one, &[]));
    let configured = Configured::start(&text).await;
    let admin = &configured.gateway.admin;
    admin.connected("one").await;
    let metrics = async || {
        let metrics = admin.get("/admin/metrics").await.json()["metrics"].clone();
        (metrics["configuration_generation"].as_u64(), metrics["configuration_rejected"].as_u64().or(Some(0)))
    };
    assert_eq!(metrics().await, (Some(1), Some(0)));
    let broken = [
        (format!("{text}  two: {{comand: x}}\n"), "mcp-proxy.yaml:4:9: error: unknown key `comand` of `two`"),
        (text.replace("1m", "soon"), "mcp-proxy.yaml:1:15: error: `call-timeout`: `soon` is not"),
        (text.replace("servers:", "servers: ["), "mcp-proxy.yaml:2:"),
        ("servers: {}\nport: [1, 2]\n".to_owned(), "it takes one value, not a list"),
    ];
    for (broken, expected) in broken {
        configured.write(&broken);
        let told = configured.reaches(expected, |it| it["rejected"].as_str().is_some_and(|it| it.contains(expected)));
        assert_eq!(told.await["generation"], 1, "{broken}");
        configured.gateway.process.says(expected).await;
        assert_eq!(metrics().await, (Some(1), Some(1)));
        let said = session(&configured.gateway.url, "one").open().await.call("1", "say", r#"{"word":"still"}"#).await;
        assert!(said.contains("still"), "{said}");
    }
    fs::remove_file(configured.folder.path().join("mcp-proxy.yaml")).expect("the file");
    configured
        .reaches("a file that is gone", |it| it["rejected"].as_str().is_some_and(|it| it.contains("No such file")))
        .await;
    configured.write(&format!("{text}  # mended\n"));
    let mended = configured.applied(2).await;
    assert!(mended.get("rejected").is_none(), "{mended}");
    assert_eq!(metrics().await, (Some(2), Some(0)));
    assert_eq!(configured.names().await, ["one"]);
}

#[tokio::test]
async fn servers_of_the_file_live_beside_those_of_the_api_by_owner() {
    let sleep = |name: &str| json!({ "name": name, "transport": "stdio", "command": "sleep", "args": ["100"] });
    let text = "servers:\n  ours: {command: sleep, args: ['100']}\n  other: {command: sleep, args: ['100']}\n";
    let configured = Configured::start(text).await;
    configured.applied(1).await;
    let admin = &configured.gateway.admin;
    admin.register(&sleep("theirs")).await;
    assert_eq!(configured.names().await, ["ours", "other", "theirs"]);
    let tags = admin.get("/admin/mcps/ours").await.json()["definition"]["tags"].clone();
    let path = configured.folder.path().join("mcp-proxy.yaml");
    assert_eq!(tags["owner"], format!("file:{}", path.display()));
    assert!(tags["source"].as_str().is_some_and(|it| it.ends_with("mcp-proxy.yaml:2")), "{tags}");
    // Servers that leave the file are deregistered; a name with another owner is told, and the rest is applied.
    configured.write(
        "servers:\n  ours: {command: sleep, args: ['100']}\n  theirs: {command: sleep}\n  more: {command: sleep}\n",
    );
    let told = configured.applied(2).await;
    assert_eq!(configured.names().await, ["ours", "theirs", "more"]);
    let refused = told["refused"][0].as_str().unwrap_or_default();
    assert!(refused.contains("`theirs` is registered already, without an owner"), "{told}");
    assert_eq!(admin.get("/admin/mcps/theirs").await.json()["definition"]["args"], json!(["100"]));
    // The file is the truth of its servers: one that is deregistered comes back, and a name that is free is taken.
    assert_eq!(admin.delete("/admin/mcps/ours").await.status, 204);
    assert_eq!(admin.delete("/admin/mcps/theirs").await.status, 204);
    eventually("the file's servers", || async {
        let mut names = configured.names().await;
        names.sort();
        (names == ["more", "ours", "theirs"]).then_some(())
    })
    .await;
    configured.reaches("no refusal", |it| it.get("refused").is_none()).await;
}

#[tokio::test]
async fn a_file_that_goes_or_is_emptied_never_opens_the_admin_api() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mcp-proxy.yaml");
    let text = "admin-tokens: [t]\nservers: {a: {command: sleep, args: ['100']}}\n";
    fs::write(&path, text).expect("a file");
    // Found, and not named.
    let (mut command, _home) = binary("mcp-proxy").args(["--port=0"]).into_command();
    command.current_dir(folder.path());
    let process = harness::Process::start(command);
    let line = process.first_line().await;
    let admin = harness::Admin::new(line.split_once(" listening on ").expect("a URL").1);
    let rejected = async |wanted: &str| {
        eventually(wanted, || async {
            let status = admin.with_token("t").get("/admin/status").await.json();
            status["configuration"]["rejected"].as_str().is_some_and(|it| it.contains(wanted)).then_some(())
        })
        .await;
        assert_eq!(admin.get("/admin/mcps").await.status, 401, "{wanted}");
        assert_eq!(admin.with_token("t").get("/admin/mcps").await.json()["count"], 1, "{wanted}");
    };
    fs::rename(&path, folder.path().join("elsewhere")).expect("a file");
    rejected("No such file").await;
    fs::write(&path, "").expect("a file");
    rejected("the file is empty").await;
    fs::write(&path, "admin-tokens:\nservers: {}\n").expect("a file");
    rejected("`admin-tokens` has no value").await;
    fs::write(&path, "admin-tokens: []\nservers: {}\n").expect("a file");
    rejected("the list is empty").await;
    fs::write(&path, "admin-tokens: [t]\nmcpServers: {a: {command: sleep}}\n").expect("a file");
    rejected("unknown key `mcpServers`").await;
    // And it is watched all the time.
    fs::write(&path, text.replace("[t]", "[t, u]")).expect("a file");
    eventually("the new token", || async {
        (admin.with_token("u").get("/admin/mcps").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_the_file_lost_while_the_gateway_was_down_is_deregistered_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mcp-proxy.toml");
    let state = folder.path().join("state").display().to_string();
    let names = async |text: &str| {
        fs::write(&path, text).expect("a file");
        let mut gateway = serve(&path, &["--data-dir", &state]).await;
        let names = eventually("the file is applied", || async {
            let status = gateway.admin.get("/admin/status").await.json();
            let is_pending = status["configuration"].get("pending").is_some();
            let names: Vec<String> = status["server_health"].as_object()?.keys().cloned().collect();
            (!is_pending).then_some(names)
        })
        .await;
        gateway.process.signal(Signal::INT);
        gateway.process.ended(DEADLINE).await;
        names
    };
    let server = |name: &str| format!("[servers.{name}]\ncommand = \"sleep\"\nargs = [\"100\"]\n");
    assert_eq!(names(&(server("a") + &server("b"))).await, ["a", "b"]);
    assert_eq!(names(&(server("b") + &server("c"))).await, ["b", "c"]);
}

#[tokio::test]
async fn servers_of_a_file_that_is_not_loaded_any_more_do_not_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state").display().to_string();
    let server = |name: &str| format!("servers: {{{name}: {{command: sleep, args: ['100']}}}}\n");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("one.yaml"), server("one")).expect("a file");
    fs::write(path("two.yaml"), server("two")).expect("a file");
    let names = async |config: &Path, expected: &[&str]| {
        let mut gateway = serve(config, &["--data-dir", &state]).await;
        eventually(&format!("{expected:?}"), || async {
            let status = gateway.admin.get("/admin/status").await.json();
            let names: Vec<&str> = status["server_health"].as_object()?.keys().map(String::as_str).collect();
            (names == expected).then_some(())
        })
        .await;
        if expected == ["one"] {
            let kept = json!({ "name": "kept", "transport": "stdio", "command": "sleep", "args": ["100"] });
            gateway.admin.register(&kept).await;
        }
        gateway.process.signal(Signal::INT);
        gateway.process.ended(DEADLINE).await;
    };
    names(&path("one.yaml"), &["one"]).await;
    names(&path("two.yaml"), &["kept", "two"]).await;
    names(Path::new("none"), &["kept"]).await;
}

#[tokio::test]
async fn every_way_to_change_a_file_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let server = |name: &str| format!("servers:\n  {name}: {{command: sleep, args: ['100']}}\n");
    // As Kubernetes mounts a ConfigMap: the file is a link into a folder that is swapped.
    for (version, name) in [("..1", "one"), ("..2", "two")] {
        fs::create_dir(path(version)).expect("a folder");
        fs::write(path(version).join("mcp-proxy.yaml"), format!("{}include: more\n", server(name))).expect("a file");
    }
    symlink("..1", path("..data")).expect("a link");
    symlink("..data/mcp-proxy.yaml", path("mcp-proxy.yaml")).expect("a link");
    fs::create_dir(path("more")).expect("a folder");
    let gateway = serve(&path("mcp-proxy.yaml"), &[]).await;
    let names = async |expected: &[&str]| {
        eventually(&format!("{expected:?}"), || async {
            let listed = gateway.admin.get("/admin/status").await.json()["server_health"].clone();
            let names: Vec<&str> = listed.as_object()?.keys().map(String::as_str).collect();
            (names == expected).then_some(())
        })
        .await;
    };
    names(&["one"]).await;
    symlink("..2", path("..new")).expect("a link");
    fs::rename(path("..new"), path("..data")).expect("a swap");
    names(&["two"]).await;
    // A file that is added to a folder, replaced by an editor, and removed.
    fs::write(path("more/three.json"), r#"{"mcpServers": {"three": {"command": "sleep", "args": ["100"]}}}"#)
        .expect("a file");
    names(&["two", "three"]).await;
    fs::write(path("more/.three.swp"), server("four")).expect("a file");
    fs::rename(path("more/.three.swp"), path("more/three.json")).expect("a file");
    names(&["two", "four"]).await;
    fs::rename(path("more/three.json"), path("more/three.json~")).expect("a file");
    names(&["two"]).await;
}

#[tokio::test]
async fn sighup_reads_the_file_again_and_live_settings_apply() {
    let mut configured = Configured::start("admin-tokens: [one]\n").await;
    let status = async |token: &str| configured.gateway.admin.with_token(token).get("/admin/mcps").await.status;
    assert_eq!([status("one").await, status("two").await], [200, 401]);
    configured.write("admin-tokens: [two]\nmax-sessions: 9\n");
    eventually("the new token", || async { (status("two").await == 200).then_some(()) }).await;
    assert_eq!(status("one").await, 401);
    configured.gateway.process.says("changed settings apply at the next start settings=\"max-sessions\"").await;
    configured.gateway.admin = configured.gateway.admin.with_token("two");
    let before = configured.applied(2).await;
    configured.gateway.process.signal(Signal::HUP);
    configured.gateway.process.says("cause=\"SIGHUP\"").await;
    let after = configured.applied(3).await;
    assert_ne!(before["loadedAt"], after["loadedAt"]);
}

#[tokio::test]
async fn a_file_is_found_above_the_working_folder_and_none_refuses_it() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("a/b")).expect("a folder");
    fs::write(folder.path().join("mcp-proxy.yaml"), "max-sessions: 9\n").expect("a file");
    let show = async |more: &[&str]| {
        let (mut command, _home) = binary("mcp-proxy").args(["config", "show"]).args(more).into_command();
        command.current_dir(folder.path().join("a/b"));
        let output = command.output().await.expect("an output");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert!(show(&[]).await.contains("mcp-proxy.yaml:1:15"));
    assert!(!show(&["--config", "none"]).await.contains("mcp-proxy.yaml"));
}
