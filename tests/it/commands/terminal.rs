//! Output on a pseudo-terminal: tables that fit its width, and one updated line during a wait.

use harness::process::{Ended, run};
use harness::{InProcess, binary, gateway};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::Command;

/// Runs `register-service` on a terminal of this width; stdout and stderr come out as one.
async fn on_terminal(url: &str, columns: usize, args: &[&str]) -> Ended {
    let (tool, _home) = binary("register-service").into_command();
    let tool = tool.as_std().get_program().to_string_lossy().into_owned();
    let line = format!("stty cols {columns} rows 24; exec '{tool}' {}", args.join(" "));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .env("MCP_PROXY_URL", url);
    run(command).await
}

const NAME: &str = "a-server-with-a-name-that-goes-on-and-on-and-never-seems-to-end";

async fn with_long_words() -> InProcess {
    let gateway = gateway().start().await;
    let definition = json!({ "name": NAME, "transport": "stdio", "command": "no-such-program-in-any-folder",
        "tags": { "owner": "a-team-with-a-long-name", "source": "workflows/of/the/team/in/a/deep/folder.yaml:12" } });
    let other = json!({ "name": "short", "transport": "streamable-http", "url": "http://127.0.0.1:9/mcp" });
    for definition in [&definition, &other] {
        gateway.admin.post("/admin/mcps", definition).await;
    }
    gateway.admin.reaches("short", "error").await;
    gateway
}

#[tokio::test]
async fn status_fits_a_terminal_and_is_whole_in_a_pipe() {
    let gateway = with_long_words().await;
    let shown = on_terminal(&gateway.url, 80, &["status"]).await;
    let lines: Vec<&str> = shown.out.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    assert!(lines.len() >= 2 && lines.iter().all(|line| line.chars().count() <= 80), "{}", shown.out);
    assert!(lines.iter().any(|line| line.contains('…')), "{}", shown.out);
    let piped = binary("register-service").env("MCP_PROXY_URL", &gateway.url).args(["status"]).run().await;
    assert!(!piped.out.contains('…'), "{}", piped.out);
    let error = gateway.admin.status("short").await["lastError"].as_str().expect("an error").to_owned();
    assert!(piped.out.contains(&error), "{error}: {}", piped.out);
}

#[tokio::test]
async fn a_gateway_that_takes_its_time_is_spoken_of() {
    // Accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let waiting = format!("waiting for the gateway at {url}");
    let tool = binary("register-service").env("MCP_PROXY_URL", &url).env("MCP_CLIENT_TIMEOUT", "4s");
    let ended = tool.args(["status"]).run().await;
    assert_eq!(ended.code, Some(6), "{}", ended.err);
    assert_eq!(ended.err.matches(&waiting).count(), 1, "{}", ended.err);
    let quiet = binary("register-service").env("MCP_PROXY_URL", &url).env("MCP_CLIENT_TIMEOUT", "3s");
    let ended = quiet.args(["status", "--quiet"]).run().await;
    assert!(!ended.err.contains("waiting"), "{}", ended.err);
}
