//! Worker of an engine at a real gateway: any order of starts and ends, and dead servers.

mod agent;
mod engine;
mod leases;
mod order;
mod relay;
mod tools;

use std::time::Duration;

use harness::fake::{Fake, Via, fake};
use harness::process::Signal;
use harness::{Admin, DEADLINE, Served, binary, eventually};
use proxy_client::Client;
use register_service::{Options, RegisterService, Wanted};
use schemas::Definition;
use serde_json::{Value, json};

/// Starts a fake upstream that answers.
async fn live(name: &str) -> Fake {
    fake(name).echo("say").start(Via::Json).await
}

/// Returns the definition of a server that never starts.
fn dead(name: &str) -> Definition {
    definition(json!({ "name": name, "transport": "streamable-http", "url": "http://127.0.0.1:1/mcp" }))
}

fn definition(document: Value) -> Definition {
    serde_json::from_value(document).expect("a definition")
}

fn options(ttl: Duration, patience: Duration) -> Options {
    Options { lease_ttl: ttl, readiness_timeout: patience, ..Options::default() }
}

fn service(url: &str, options: Options) -> RegisterService {
    RegisterService::new(Client::builder(url).build().expect("a client"), options)
}

fn wanted(definitions: &[Definition]) -> Wanted {
    Wanted::new(definitions.to_vec())
}

/// Returns the names of all registrations, sorted.
async fn names(admin: &Admin) -> Vec<String> {
    let listed = admin.get("/admin/mcps").await.json();
    let name = |entry: &Value| entry["definition"]["name"].as_str().expect("a name").to_owned();
    let mut names: Vec<_> = listed["mcps"].as_array().expect("a list").iter().map(name).collect();
    names.sort();
    names
}

async fn has(admin: &Admin, expected: &[&str]) {
    eventually(&format!("exactly {expected:?}"), || async { (names(admin).await == expected).then_some(()) }).await;
}

/// Starts a gateway on this port, as after a restart: without registrations.
async fn gateway_on(port: u16) -> Served {
    binary("mcp-proxy").args(["--port", &port.to_string()]).serve().await
}

/// Stops a gateway with SIGTERM, and waits until it has ended.
async fn stop(mut gateway: Served) {
    gateway.process.signal(Signal::TERM);
    assert_eq!(gateway.process.ended(DEADLINE).await.code, Some(0));
}
