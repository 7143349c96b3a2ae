//! Concurrent writers and workers at one gateway: revisions, locks of owners, leases. First the raw admin API, then our
//! own client.

mod client;
mod garbage;
mod generations;
mod leases;
mod locks;
mod revisions;

use harness::{Admin, Answer, send};
use reqwest::Method;
use serde_json::{Value, json};

use crate::admin_api::{is, nowhere, refuses, time, with};

/// Sends a request with `If-Match`.
async fn only_at(admin: &Admin, method: Method, name: &str, tag: &str, body: Value) -> Answer {
    let request = admin.request(method, &format!("/admin/mcps/{name}"));
    send(request.header("If-Match", tag).body(body.to_string())).await
}

/// Returns one registration, without its status.
async fn shown(admin: &Admin, name: &str) -> Value {
    let answer = admin.get(&format!("/admin/mcps/{name}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut shown = answer.json();
    assert_eq!(answer.header("etag"), format!("\"{}\"", shown["revision"]));
    shown["status"].take();
    // These durations belong to the status.
    if let Some(durations) = shown["durations"].as_object_mut() {
        durations.retain(|name, _| !["upTime", "avgResponseTime"].contains(&&**name));
    }
    shown
}

/// Returns the names of all registrations.
async fn names(admin: &Admin) -> Vec<String> {
    let listed = admin.get("/admin/mcps").await.json();
    let name = |entry: &Value| entry["definition"]["name"].as_str().expect("a name").to_owned();
    listed["mcps"].as_array().expect("a list").iter().map(name).collect()
}

/// Sets the leases of a holder to exactly these names.
async fn hold(admin: &Admin, holder: &str, ttl: &str, names: &[&str]) -> Value {
    let answer = admin.put(&format!("/admin/leases/{holder}"), json!({ "ttl": ttl, "mcps": names })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// Registers a definition that is removed with its last lease.
async fn register_leased(admin: &Admin, holder: &str, ttl: &str, definition: &Value) -> Answer {
    let answer = admin.post(&format!("/admin/mcps?lease={holder}&ttl={ttl}"), definition).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer
}
