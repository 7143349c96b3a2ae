//! Storage of registrations: one suite for every kind, over the admin API of the built gateway, and the failures of each.

mod embedded;
mod redis;
mod suite;

use std::path::Path;

use harness::binary;
use harness::binary::Served;
use serde_json::{Value, json};

/// Starts the built gateway on a free port with these flags.
async fn serve(flags: &[&str]) -> Served {
    binary("mcp-proxy").args(["--port=0"]).args(flags).serve().await
}

/// Returns the flags of an embedded storage in a folder.
fn embedded(folder: &Path) -> Vec<String> {
    vec!["--data-dir".to_owned(), folder.display().to_string()]
}

/// Returns the definition of an upstream that cannot be reached.
fn definition(name: &str) -> Value {
    json!({ "name": name, "transport": "streamable-http", "url": format!("http://127.0.0.1:1/{name}") })
}

/// Returns every registration as the admin API shows it, without what changes while it stays the same.
async fn registrations(gateway: &Served) -> Vec<Value> {
    let mut listed = gateway.admin.get("/admin/mcps").await.json();
    let mcps = listed["mcps"].as_array_mut().expect("a list");
    for mcp in mcps.iter_mut() {
        mcp["status"] = Value::Null;
    }
    std::mem::take(mcps)
}
