//! Rights and limits of the programs that the gateway starts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::reference::reference_program;
use harness::{Admin, binary, gateway};
use rustix::process::geteuid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Returns a folder with a copy of the reference server that any user can run, and that any user can write to.
fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("open to all");
    fs::copy(reference_program(), folder.path().join("server")).expect("a copy");
    folder
}

/// Returns the definition of a server that runs this script first.
fn scripted(folder: &Path, script: &str) -> Value {
    let script = format!("{script}; exec ./server --stdio");
    json!({ "name": "up", "transport": "stdio", "command": "sh", "args": ["-c", script], "cwd": folder, "era": "legacy" })
}

fn with(mut definition: Value, settings: &Value) -> Value {
    definition.as_object_mut().expect("an object").extend(settings.as_object().expect("an object").clone());
    definition
}

async fn limited(admin: &Admin) {
    let folder = open_folder();
    let script = "(ulimit -d; ulimit -t; ulimit -n; umask; nice) > seen";
    let settings = json!({ "maxMemoryBytes": 268_435_456, "maxCpuTime": "90s", "maxOpenFiles": 77, "umask": "0o027",
        "nice": 3 });
    let own: i32 = rustix::process::getpriority_process(None).expect("a priority");
    admin.connect(&with(scripted(folder.path(), script), &settings)).await;
    let seen = fs::read_to_string(folder.path().join("seen")).expect("what the program saw");
    assert_eq!(seen, format!("262144\n90\n77\n0027\n{}\n", own.max(3)));
    let shown = admin.get("/admin/mcps/up").await.json();
    assert_eq!(shown["definition"]["umask"], "027", "{shown}");
    assert_eq!(shown["definition"]["maxMemoryBytes"], 268_435_456);
}

#[tokio::test]
async fn a_program_has_the_limits_of_its_definition() {
    limited(&binary("mcp-proxy").args(["--port", "0"]).serve().await.admin).await;
    // A gateway that is embedded in a program has no warden.
    limited(&gateway().start().await.admin).await;
}

#[tokio::test]
async fn real_servers_run_with_limits_and_end_with_a_reason_beyond_them() {
    let gateway = binary("mcp-proxy").args(["--port", "0"]).serve().await;
    let everything = json!({ "name": "node", "transport": "stdio", "command": "mcp-server-everything", "args": ["stdio"],
        "maxMemoryBytes": 1 << 30, "maxCpuTime": "5m", "maxOpenFiles": 256 });
    gateway.admin.connect(&everything).await;
    let time =
        json!({ "name": "python", "transport": "stdio", "command": "mcp-server-time", "maxMemoryBytes": 268_435_456 });
    gateway.admin.connect(&time).await;

    let starved = with(with(time, &json!({ "name": "starved" })), &json!({ "maxMemoryBytes": 4_194_304 }));
    gateway.admin.register(&starved).await;
    let status = gateway.admin.reaches("starved", "error").await;
    assert!(status["lastError"].to_string().contains("process"), "{status}");

    let folder = open_folder();
    let spinning = with(scripted(folder.path(), "while :; do :; done"), &json!({ "maxCpuTime": "1s" }));
    gateway.admin.register(&spinning).await;
    let status = gateway.admin.reaches("up", "error").await;
    assert!(status["lastError"].to_string().contains("process was killed by SIGXCPU"), "{status}");
}

#[tokio::test]
async fn a_program_runs_as_another_user_without_the_rights_of_the_gateway() {
    let folder = open_folder();
    let script = "(echo $LD_PRELOAD; id -u; id -g; id -G; echo $HOME $USER; grep -E '^(NoNewPrivs|CapEff|CapPrm|CapAmb)' /proc/self/status) > seen";
    let variables = json!({ "LD_PRELOAD": "/nonexistent.so" });
    let definition = with(scripted(folder.path(), script), &json!({ "user": "daemon", "env": variables }));
    let closed = gateway().start().await;
    let refused = closed.admin.post("/admin/mcps", &definition).await;
    assert!(refused.status >= 400 && refused.text.contains("--program-users"), "{}", refused.text);
    let offered = "--program-users=daemon,no-such-user";
    let served = binary("mcp-proxy").args(["--port=0", offered]).serve().await;
    let embedded = gateway().flags([offered]).start().await;
    for gateway in [served.admin.clone(), embedded.admin.clone()] {
        let unknown = with(definition.clone(), &json!({ "user": "no-such-user" }));
        let refused = gateway.post("/admin/mcps", &unknown).await;
        assert!(refused.status >= 400 && refused.text.contains("there is no user `no-such-user`"), "{}", refused.text);
        if !geteuid().is_root() {
            let refused = gateway.post("/admin/mcps", &definition).await;
            assert!(refused.status >= 400 && refused.text.contains("the gateway is not root"), "{}", refused.text);
            continue;
        }
        gateway.connect(&definition).await;
        let seen = fs::read_to_string(folder.path().join("seen")).expect("what the program saw");
        let none = "0000000000000000";
        let expected = format!(
            "/nonexistent.so\n1\n1\n1\n/usr/sbin daemon\nCapPrm:\t{none}\nCapEff:\t{none}\nCapAmb:\t{none}\nNoNewPrivs:\t1\n"
        );
        assert_eq!(seen, expected);
        fs::remove_file(folder.path().join("seen")).expect("removed");
    }
}

#[tokio::test]
async fn a_program_gets_only_those_variables_that_it_asks_for_and_that_are_allowed() {
    let gateway = binary("mcp-proxy")
        .args(["--port", "0", "--inheritable-env", "CANARY_KEY,UNSET_KEY,OTHER_KEY"])
        .env("CANARY_KEY", "inherited-canary")
        .env("OTHER_KEY", "another-canary")
        .env("PRIVATE_KEY", "private-canary")
        .serve()
        .await;
    let folder = open_folder();
    let definition = scripted(folder.path(), "env > seen; env >&2");
    let private = with(definition.clone(), &json!({ "inheritEnv": ["PRIVATE_KEY"] }));
    let refused = gateway.admin.post("/admin/mcps", &private).await;
    assert!(refused.status >= 400 && refused.text.contains("`PRIVATE_KEY` is none that"), "{}", refused.text);
    let settings = json!({ "inheritEnv": ["CANARY_KEY", "UNSET_KEY"], "logEnabled": true });
    gateway.admin.connect(&with(definition, &settings)).await;
    let seen = fs::read_to_string(folder.path().join("seen")).expect("what the program saw");
    assert!(seen.lines().any(|line| line == "CANARY_KEY=inherited-canary"), "{seen}");
    assert!(!seen.contains("UNSET_KEY") && !seen.contains("another-canary"), "{seen}");
    gateway.process.says("CANARY_KEY=[redacted]").await;
    assert!(!gateway.process.err().contains("inherited-canary"));
}

#[tokio::test]
async fn programs_beyond_the_maximum_are_told_and_start_when_there_is_room() {
    let gateway = binary("mcp-proxy").args(["--port", "0", "--max-processes", "2"]).serve().await;
    let named = |name: &str| {
        json!({ "name": name, "transport": "stdio", "command": reference_program(), "args": ["--stdio"], "era": "legacy",
            "reconnectDelay": "50ms" })
    };
    gateway.admin.connect(&named("one")).await;
    gateway.admin.connect(&named("two")).await;
    gateway.admin.register(&named("three")).await;
    let status = gateway.admin.reaches("three", "error").await;
    assert!(status["lastError"].to_string().contains("the limit is 2 (--max-processes)"), "{status}");
    assert_eq!(gateway.process.children().len(), 2);
    assert_eq!(gateway.admin.delete("/admin/mcps/one").await.status, 204);
    gateway.admin.connected("three").await;
}

#[tokio::test]
async fn settings_of_processes_are_refused_for_servers_over_http() {
    let gateway = gateway().start().await;
    let remote = json!({ "name": "up", "transport": "sse", "url": "http://127.0.0.1:9/" });
    for settings in [json!({ "user": "daemon" }), json!({ "nice": 1 }), json!({ "inheritEnv": ["A"] })] {
        let refused = gateway.admin.post("/admin/mcps", &with(remote.clone(), &settings)).await;
        assert!(refused.status == 400 && refused.text.contains("need transport stdio"), "{}", refused.text);
    }
    let program = json!({ "name": "up", "transport": "stdio", "command": "sh" });
    for (settings, reason) in [
        (json!({ "umask": "8" }), "invalid umask: 8"),
        (json!({ "nice": 20 }), "invalid nice: 20"),
        (json!({ "user": "a b" }), "invalid user: a b"),
        (json!({ "maxMemoryBytes": 512 }), "maxMemoryBytes is 512, with which no program starts: it counts bytes"),
        (json!({ "inheritEnv": ["A=B"] }), "invalid inheritEnv entry `A=B`"),
    ] {
        let refused = gateway.admin.post("/admin/mcps", &with(program.clone(), &settings)).await;
        assert!(refused.status == 400 && refused.text.contains(reason), "{settings}: {}", refused.text);
    }
}
