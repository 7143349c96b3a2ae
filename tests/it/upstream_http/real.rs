//! Third-party servers: a mounted Starlette application, and Node's own HTTP server.

use std::time::Duration;

use harness::process::Process;
use harness::{fixture, free_port, gateway, python, root};
use serde_json::json;
use tokio::process::Command;
use tokio::time::sleep;

fn script(name: &str) -> std::path::PathBuf {
    root().join("tests/fixtures/servers").join(name)
}

#[tokio::test]
async fn a_mounted_application_is_reached_without_the_slash_that_it_wants() {
    let port = free_port();
    let mut command = Command::new(python());
    command.arg(script("mounted_server.py")).arg(port.to_string());
    let _server = Process::start(command);
    let gateway = gateway().start().await;
    for era in ["auto", "legacy", "modern"] {
        let url = format!("http://localhost:{port}/mcp");
        let definition = json!({
            "name": era, "transport": "streamable-http", "url": url, "era": era, "reconnectDelay": "100ms"
        });
        gateway.admin.connect(&definition).await;
        let answer = gateway.admin.call(era, "greet", &json!({ "name": era })).await;
        assert!(answer.text.contains(&format!("Hello, {era}!")), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_connection_with_node_is_given_up_before_node_does() {
    let mut command = Command::new(fixture("node"));
    command.arg(script("keep_alive.mjs"));
    let server = Process::start(command);
    let port = server.first_line().await;
    let gateway = gateway().start().await;
    let definition = json!({
        "name": "node", "transport": "streamable-http", "url": format!("http://127.0.0.1:{port}/mcp"), "era": "legacy"
    });
    gateway.admin.connect(&definition).await;
    let connection = async || {
        let answer = gateway.admin.call("node", "port", &json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json().to_string()
    };
    let before = connection().await;
    // Less than Node's keep-alive timeout, but within the gateway's margin of one second before it.
    sleep(Duration::from_millis(700)).await;
    assert_ne!(connection().await, before);
}
