//! Programs that the gateway starts: their environment, their output, and the processes that they leave behind.

use std::fs;
use std::path::Path;
use std::time::Duration;

use harness::fake::{Call, Via, fake};
use harness::raw::{session, tool_call};
use harness::reference::reference_program;
use harness::{Served, binary, eventually, gateway};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Returns the definition of a server that runs this script first; `"$0"` is the reference server.
fn scripted(script: &str) -> Value {
    json!({ "name": "up", "transport": "stdio", "command": "sh", "args": ["-c", script, reference_program()],
        "era": "legacy" })
}

#[tokio::test]
async fn a_program_gets_a_folder_and_what_the_sdks_hand_on_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path().canonicalize().expect("its path");
    let given = [
        ("HOME", "/home/ann"),
        ("LANG", "C.UTF-8"),
        ("LOGNAME", "ann"),
        ("SHELL", "/bin/sh"),
        ("TERM", "xterm"),
        ("TMPDIR", "/tmp"),
        ("USER", "ann"),
    ];
    let kept = ["SECRET_KEY", "LC_ALL", "TZ", "HTTPS_PROXY", "MCP_PROXY_PORT", "LD_LIBRARY_PATH"];
    let mut command = binary("mcp-proxy").args(["--port", "0"]);
    for (name, value) in given.into_iter().chain(kept.map(|name| (name, "0"))) {
        command = command.env(name, value);
    }
    let gateway = command.serve().await;
    let mut definition = scripted("env > seen; pwd >> seen; exec \"$0\" --stdio");
    definition["cwd"] = json!(place);
    definition["env"] = json!({ "OWN": "1" });
    gateway.admin.connect(&definition).await;
    let seen = fs::read_to_string(place.join("seen")).expect("what the program saw");
    let names: Vec<&str> = seen.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    for (name, value) in given.into_iter().chain([("OWN", "1")]) {
        assert!(seen.lines().any(|line| line == format!("{name}={value}")), "{name}: {seen}");
    }
    // The shell sets PWD and some others itself.
    let more = names.iter().filter(|name| !["PATH", "OWN", "PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    assert_eq!(more.count(), given.len(), "{names:?}");
    assert!(seen.lines().any(|line| Path::new(line) == place), "{seen}");
}

#[tokio::test]
async fn a_folder_that_is_missing_is_refused_and_one_that_goes_is_told() {
    let gateway = gateway().start().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    for place in [folder.path().join("none"), file] {
        let mut definition = scripted("exec \"$0\" --stdio");
        definition["cwd"] = json!(place);
        let answer = gateway.admin.post("/admin/mcps", &definition).await;
        assert!(answer.status >= 400 && answer.text.contains("working directory"), "{}", answer.text);
    }
    // A relative command is resolved in the working directory.
    let program = folder.path().join("server");
    std::os::unix::fs::symlink(reference_program(), &program).expect("a link");
    let definition = json!({ "name": "up", "transport": "stdio", "command": "./server", "args": ["--stdio"],
        "cwd": folder.path(), "reconnectDelay": "50ms" });
    gateway.admin.connect(&definition).await;
    fs::remove_dir_all(folder.path()).expect("the folder goes");
    assert_eq!(
        gateway
            .admin
            .put(
                "/admin/mcps/up",
                json!({ "transport": "stdio", "command": "./server",
        "cwd": folder.path() })
            )
            .await
            .status,
        202
    );
    let status = gateway.admin.reaches("up", "error").await;
    assert!(status["lastError"].to_string().contains("working directory"), "{status}");
}

/// Event after which no process of a server may be left.
#[derive(Debug, Clone, Copy)]
enum End {
    Signals(&'static [Signal]),
    Deregistration,
    /// The program exits by itself.
    Program,
}

/// Starts a server that leaves processes behind in every possible way, and returns their ids.
async fn scattered(folder: &Path, gateway: &Served) -> Vec<i32> {
    // A grandchild below a wrapper, a process in its own session, and an orphan.
    let script = "echo $$ > wrapper; setsid sh -c 'echo $$ > session; exec sleep 300' & \
        (setsid sh -c 'echo $$ > orphan; exec sleep 300' &) ; sh -c 'echo $$ > server; exec \"$0\" --stdio' \"$0\"; true";
    let mut definition = scripted(script);
    definition["cwd"] = json!(folder);
    definition["reconnectDelay"] = json!("60s");
    gateway.admin.connect(&definition).await;
    eventually("the ids of all processes", || async {
        let ids = ["wrapper", "session", "orphan", "server"].map(|name| fs::read_to_string(folder.join(name)).ok());
        ids.into_iter().map(|id| id?.trim().parse().ok()).collect::<Option<Vec<i32>>>()
    })
    .await
}

async fn leaves_nothing(end: End) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut gateway = binary("mcp-proxy").args(["--port", "0"]).serve().await;
    let ids = scattered(folder.path(), &gateway).await;
    assert!(ids.iter().all(|id| is_running(*id)), "{ids:?}");
    match end {
        End::Signals(signals) => {
            signals.iter().for_each(|signal| gateway.process.signal(*signal));
            gateway.process.ended(Duration::from_secs(20)).await;
        }
        End::Deregistration => assert_eq!(gateway.admin.delete("/admin/mcps/up").await.status, 204),
        End::Program => {
            let server = ids.last().copied().and_then(Pid::from_raw).expect("a process id");
            kill_process(server, Signal::KILL).expect("the server runs");
        }
    }
    eventually(&format!("the end of {ids:?} after {end:?}"), || async {
        (!ids.iter().any(|id| is_running(*id))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nothing_outlives_a_gateway_that_is_killed() {
    leaves_nothing(End::Signals(&[Signal::KILL])).await;
}

#[tokio::test]
async fn nothing_outlives_a_gateway_that_is_stopped_in_any_other_way() {
    leaves_nothing(End::Signals(&[Signal::TERM])).await;
    leaves_nothing(End::Signals(&[Signal::TERM, Signal::TERM])).await;
    leaves_nothing(End::Signals(&[Signal::INT, Signal::INT])).await;
    leaves_nothing(End::Signals(&[Signal::QUIT])).await;
}

#[tokio::test]
async fn nothing_outlives_its_registration_or_its_program() {
    leaves_nothing(End::Deregistration).await;
    leaves_nothing(End::Program).await;
}

#[tokio::test]
async fn the_end_of_a_program_behind_a_warden_is_told_as_it_was() {
    let gateway = binary("mcp-proxy").args(["--port", "0"]).serve().await;
    for (script, wanted) in [
        ("echo 'no licence' >&2; exit 3", "exit code 3: no licence"),
        ("kill -KILL $$", "killed by SIGKILL"),
        ("kill -TERM $$", "exit code 143"),
    ] {
        let mut definition = scripted(script);
        definition["reconnectDelay"] = json!("60s");
        gateway.admin.register(&definition).await;
        let status = gateway.admin.reaches("up", "error").await;
        assert!(status["lastError"].to_string().contains(wanted), "{script}: {status}");
        gateway.admin.delete("/admin/mcps/up").await;
    }
    // The file is executable, but its interpreter does not exist.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("server");
    fs::write(&path, "#!/no/such/interpreter\n").expect("a file");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
    gateway.admin.register(&json!({ "name": "up", "transport": "stdio", "command": path })).await;
    let status = gateway.admin.reaches("up", "error").await;
    assert!(status["lastError"].to_string().contains("cannot start"), "{status}");
}

#[tokio::test]
async fn a_line_over_the_limit_fails_the_call_it_answers_and_nothing_else() {
    let large = "x".repeat(17 << 20);
    let forms = [
        format!(r#"{{"jsonrpc":"2.0","id":ID,"result":{{"content":[{{"type":"text","text":"{large}"}}]}}}}"#),
        format!(r#"{{"result":{{"id":1,"content":[{{"type":"text","text":"{large}"}}]}},"jsonrpc":"2.0","id":ID}}"#),
        format!(r#"{{"jsonrpc":"2.0","error":{{"code":1,"message":"{large}"}},"id":ID,"more":[1]}}"#),
    ];
    let script = fake("up").tool("hold", Call::never).tool("echo", |call| async move { call.echo() });
    let upstream = script
        .tool("large", move |call| {
            let form = forms[call.argument("arguments").matches('1').count()].replace("ID", &call.id);
            async move { call.send(form) }
        })
        .start(Via::Stdio)
        .await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let (mut one, mut other) = (session(&gateway.url, "up").open().await, session(&gateway.url, "up").open().await);
    other.begin(tool_call("9", "hold", "{}"));
    upstream.nth("tools/call", 0).await;
    for arguments in ["{}", r#"{"a":1}"#, r#"{"a":1,"b":1}"#] {
        let answer = one.call("1", "large", arguments).await;
        assert!(answer.contains("16777216") && answer.contains("--max-message-bytes"), "{arguments}: {answer}");
    }
    assert!(one.call("2", "echo", "{}").await.contains("structuredContent"));
    let status = gateway.admin.status("up").await;
    assert_eq!((&status["status"], status.get("lastDisconnected")), (&json!("connected"), None), "{status}");
    assert_eq!((upstream.count("initialize"), status.get("unreadableLines")), (1, None));
}

#[tokio::test]
async fn lines_that_are_no_message_are_shown_with_their_beginning() {
    let gateway = gateway().start().await;
    for (line, shown) in [
        ("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{}}", "\\u{feff}{"),
        ("Listening on stdio, version 1.2", "Listening on stdio"),
        (r#"{"jsonrpc":"2.0","id":ID,"result":{"x":NaN}}"#, "NaN"),
        (r#"{"jsonrpc":"2.0","id":"ID","result":{}}"#, "its id is not the number that was sent"),
        (r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}"#, "without an id"),
        ("{}", "`{}`"),
    ] {
        let script = fake("up").on("initialize", move |call| async move {
            call.send(line.replace("ID", &call.id));
        });
        let upstream = script.start(Via::Stdio).await;
        let mut definition = upstream.definition();
        definition["timeout"] = json!("400ms");
        gateway.admin.register(&definition).await;
        let status = gateway.admin.reaches("up", "error").await;
        assert_eq!(status["unreadableLines"].as_u64(), Some(1), "{line}: {status}");
        for member in ["lastError", "lastUnreadableLine"] {
            assert!(status[member].as_str().is_some_and(|text| text.contains(shown)), "{line}: {member} of {status}");
        }
        assert_eq!(gateway.admin.delete("/admin/mcps/up").await.status, 204);
    }
}

/// True if a process is running; a zombie is not.
fn is_running(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().next()).is_some_and(|state| state != "Z")
}
