//! `init`, `start`, `stop` and `status`, as Radium has them.

use std::fs;
use std::path::Path;

use harness::process::{Ended, Process, Signal};
use harness::wait::{DEADLINE, eventually};
use harness::{binary, free_port};

use serde_json::Value;

/// Runs a command in a folder, with a home of its own.
async fn run(folder: &Path, args: &[&str]) -> Ended {
    let mut process = start(folder, args);
    process.ended(DEADLINE).await
}

fn start(folder: &Path, args: &[&str]) -> Process {
    let (mut command, _home) = binary("mcp-proxy").args(args).into_command();
    command.current_dir(folder).env("HOME", folder);
    Process::start(command)
}

#[tokio::test]
async fn a_gateway_is_made_started_found_and_stopped_without_a_word_about_its_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let port = free_port();
    let (code, out) = (|it: &Ended| it.code, |it: Ended| it.out);
    // Outcomes that are no errors have exit code 0, as scripts of Radium expect.
    let nothing = run(folder, &["start"]).await;
    assert!(code(&nothing) == Some(0) && nothing.out.contains("mcp-proxy init"), "{}", nothing.out);
    assert_eq!(code(&run(folder, &["init"]).await), Some(0));
    let again = run(folder, &["init"]).await;
    assert!(code(&again) == Some(1) && again.err.contains("--force"), "{}", again.err);
    assert_eq!(code(&run(folder, &["init", "--force"]).await), Some(0));
    assert_eq!(code(&run(folder, &["config", "check", "mcp-proxy.yaml"]).await), Some(0));
    fs::write(folder.join("mcp-proxy.yaml"), format!("port: {port}\nadmin-tokens: [t]\n")).expect("a file");
    assert!(out(run(folder, &["status"]).await).contains("no gateway is running"));
    assert_eq!(code(&run(folder, &["status", "--exit-code"]).await), Some(3));
    assert!(out(run(folder, &["stop"]).await).contains("no gateway is running"));
    let mut gateway = start(folder, &["start"]);
    gateway.prints(&format!("PID {}", gateway.pid())).await;
    let second = run(folder, &["start"]).await;
    assert!(code(&second) == Some(0) && second.out.contains("is running already"), "{}", second.out);
    let status: Value = serde_json::from_str(&out(run(folder, &["status", "--output", "json"]).await)).expect("JSON");
    assert_eq!((status["pid"].as_i64(), status["port"].as_u64()), (Some(gateway.pid().into()), Some(port.into())));
    assert_eq!(status["gateway"]["admin_api"], "healthy", "asked with the token of the file: {status}");
    let stopped = run(folder, &["stop"]).await;
    assert!(code(&stopped) == Some(0) && stopped.out.contains("stopped"), "{}", stopped.out);
    assert_eq!(gateway.ended(DEADLINE).await.code, Some(0));
}

#[tokio::test]
async fn a_workspace_of_radium_is_found_from_below_and_a_stale_pid_is_no_gateway() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("work");
    let below = root.join("src/deep");
    fs::create_dir_all(&below).expect("a folder");
    let port = free_port();
    assert_eq!(run(folder.path(), &["init", "--format", "radium", "-w", "work"]).await.code, Some(0));
    let file = root.join(".radium/mcp-proxy.toml");
    let text = fs::read_to_string(&file).expect("a file").replace("3000", &port.to_string());
    fs::write(&file, text.replace("enable = true", "enable = false")).expect("a file");
    let off = run(&below, &["start"]).await;
    assert!(off.code == Some(0) && off.out.contains("switched off"), "{}", off.out);
    fs::write(&file, text).expect("a file");
    let mut gateway = start(&below, &["start"]);
    gateway.prints("PID ").await;
    let pid_file = root.join(".radium/mcp-proxy.pid");
    assert_eq!(fs::read_to_string(&pid_file).expect("a file").trim(), gateway.pid().to_string());
    let status = run(folder.path(), &["status", "-w", "work"]).await.out;
    assert!(status.contains(&format!("127.0.0.1:{port}")), "{status}");
    gateway.signal(Signal::KILL);
    gateway.ended(DEADLINE).await;
    assert!(pid_file.exists());
    // The PID of another process is no gateway either.
    fs::write(&pid_file, format!("{}\n", std::process::id())).expect("a file");
    assert!(run(&below, &["status"]).await.out.contains("stale PID file is removed"));
    let mut gateway = start(&below, &["start"]);
    gateway.prints("PID ").await;
    let stopped = run(&below, &["stop"]).await;
    assert_eq!(stopped.code, Some(0), "{}", stopped.err);
    gateway.ended(DEADLINE).await;
    eventually("no PID file", || async { (!pid_file.exists()).then_some(()) }).await;
}

#[tokio::test]
async fn completions_and_manual_pages_are_made_for_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let bash = run(folder.path(), &["completions", "bash"]).await.out;
    assert!(bash.contains("complete -F") && bash.contains("migrate"));
    let pages = run(folder.path(), &["man", "pages"]).await.out;
    for page in ["mcp-proxy.1", "mcp-proxy-config-migrate.1", "mcp-proxy-start.1"] {
        assert!(pages.contains(page) && folder.path().join("pages").join(page).exists(), "{pages}");
    }
}
