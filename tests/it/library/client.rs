//! `proxy-client` in a program: variables name its gateway and token, and it waits for the servers that it needs.

use std::env;
use std::time::Duration;

use harness::fake::{Via, fake};
use harness::{DEADLINE, gateway};
use proxy_client::{Client, Registered};
use schemas::admin::State;
use schemas::{Definition, ServerName};
use serde_json::{Value, json};
use tokio::process::Command;

const POLL: Duration = Duration::from_millis(20);
/// Variable that turns the test into the program, and holds its expected outcome.
const EXPECTED: &str = "EXPECTED_OUTCOME";

fn dead(name: &str) -> Value {
    json!({ "name": name, "transport": "streamable-http", "url": "http://127.0.0.1:1/mcp" })
}

/// Program that names the registrations of the gateway in its environment.
async fn listed() -> String {
    let client = match Client::from_env() {
        Ok(client) => client,
        Err(error) => return error.to_string(),
    };
    match client.list().await {
        Ok(list) => list.iter().map(|it| it.definition.name()).collect::<Vec<_>>().join(" "),
        Err(error) if error.is_unauthorized() => "unauthorized".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn variables_name_the_gateway_and_its_token() {
    if let Ok(expected) = env::var(EXPECTED) {
        assert_eq!(listed().await, expected);
        return;
    }
    let gateway = gateway().flags(["--admin-tokens", "t0ken"]).start().await;
    gateway.admin.with_token("t0ken").register(&dead("gone")).await;
    let url = ("MCP_PROXY_URL", gateway.url.as_str());
    for (variables, expected) in [
        (vec![], "`MCP_PROXY_URL` is not set"),
        (vec![url], "unauthorized"),
        (vec![url, ("MCP_PROXY_ADMIN_TOKEN", "other")], "unauthorized"),
        (vec![url, ("MCP_PROXY_ADMIN_TOKENS", "t0ken,other")], "gone"),
    ] {
        // Variables of a running process cannot be set, so the test runs itself.
        let mut program = Command::new(env::current_exe().expect("a path"));
        program.args(["--exact", "library::client::variables_name_the_gateway_and_its_token"]);
        let ended = program.env_clear().envs(variables).env(EXPECTED, expected).output().await.expect("it runs");
        let told = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && told.contains("test result: ok. 1 passed"), "{expected}: {told}");
    }
}

#[tokio::test]
async fn a_program_waits_for_exactly_the_servers_that_it_names() {
    let (gateway, live) = (gateway().start().await, fake("live").echo("say").start(Via::Json).await);
    let client = Client::builder(&gateway.url).build().expect("a client");
    for document in [live.definition(), dead("gone")] {
        let definition: Definition = serde_json::from_value(document).expect("a definition");
        assert_eq!(client.register(&definition).await.expect("an answer"), Registered::Created);
    }
    let names: [ServerName; 3] = ["live", "gone", "nobody"].map(|name| name.parse().expect("a name"));
    client.wait_for_connections(&names[..1], POLL, DEADLINE).await.expect("connected");
    let late = client.wait_for_connections(&names, POLL, Duration::from_millis(300)).await.expect_err("two are not");
    let [gone, nobody] = &late.missing[..] else { panic!("{late}") };
    assert_eq!((&gone.name, &nobody.name, nobody.state), (&names[1], &names[2], None));
    assert!(matches!(gone.state, Some(State::Error | State::Connecting)), "{late}");
    assert!(late.source.is_none(), "the gateway answered");
}
