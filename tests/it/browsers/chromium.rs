//! A page of another local port in a real browser, which tries every kind of request that a page can send.

use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use harness::fake::{Via, fake};
use harness::wait::within;
use harness::{chromium, gateway};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{ADMIN, program};

/// Page under test. At the end its text lists the responses that it could read and those that it could not.
const PAGE: &str = r#"<!DOCTYPE html><title>page</title><body><pre id="out">unfinished</pre><script>
const gateway = GATEWAY, routes = ROUTES, bodies = BODIES, read = [], sent = [];
const ways = [
  { mode: "cors", headers: { "content-type": "application/json" } },
  { mode: "cors", headers: { "content-type": "text/plain" } },
  { mode: "no-cors", headers: { "content-type": "text/plain" } },
  { mode: "no-cors", headers: {} },
  { mode: "cors", credentials: "include", headers: { "x-forwarded-for": "127.0.0.1" } },
];
async function attempt(method, path, way, body) {
  const has_body = !["GET", "HEAD", "OPTIONS"].includes(method);
  try {
    const answer = await fetch(gateway + path, { ...way, method, body: has_body ? body : undefined });
    if (answer.type !== "opaque") read.push(`${method} ${path}: ${answer.status}`);
  } catch (error) {
    sent.push(`${method} ${path}`);
  }
}
function element(name, attributes) {
  return new Promise(done => {
    const one = Object.assign(document.createElement(name), attributes);
    one.onload = () => { if (name !== "iframe") read.push(`<${name}> ${attributes.src || attributes.href}`); done(one); };
    one.onerror = () => done(one);
    document.body.append(one);
  });
}
function form(path, kind, body) {
  return new Promise(done => {
    const frame = document.createElement("iframe");
    frame.name = "f" + Math.random();
    document.body.append(frame);
    const one = Object.assign(document.createElement("form"),
      { action: gateway + path, method: "POST", enctype: kind, target: frame.name });
    const field = document.createElement("input");
    field.name = body.slice(0, -1); field.value = '"}';
    one.append(field); document.body.append(one);
    frame.onload = done; setTimeout(done, 500);
    one.submit();
  });
}
(async () => {
  for (const [method, path] of routes)
    for (const body of bodies) await Promise.all(ways.map(way => attempt(method, path, way, body)));
  for (const [method, path] of routes.filter(route => route[0] === "POST"))
    for (const body of bodies) {
      navigator.sendBeacon(gateway + path, body);
      navigator.sendBeacon(gateway + path, new Blob([body]));
      for (const kind of ["text/plain", "application/x-www-form-urlencoded"]) await form(path, kind, body);
    }
  for (const [, path] of routes.filter(route => route[0] === "GET")) {
    await element("script", { src: gateway + path });
    await element("img", { src: gateway + path });
    const frame = await element("iframe", { src: gateway + path });
    try { if (frame.contentDocument.body) read.push(`<iframe> ${path}`); } catch (error) { sent.push(path); }
  }
  const hello = { jsonrpc: "2.0", id: 1, method: "initialize",
    params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "page", version: "1" } } };
  let session = "none";
  try {
    const answer = await fetch(gateway + "/up/mcp", { method: "POST", body: JSON.stringify(hello),
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream" } });
    session = answer.headers.get("mcp-session-id");
    await answer.text();
    const deleted = await fetch(gateway + "/up/mcp", { method: "DELETE", headers: { "mcp-session-id": session } });
    session += " " + deleted.status;
  } catch (error) { session = String(error); }
  document.getElementById("out").textContent = "RESULT" + JSON.stringify({ read, tried: sent.length, session }) + "END";
})();
</script>"#;

#[tokio::test]
async fn a_page_of_another_port_in_chromium_reads_and_causes_nothing_at_the_admin_api() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ran");
    let upstream = fake("up").echo("echo").start(Via::Json).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let before = gateway.admin.get("/admin/mcps/up").await.json()["revision"].clone();
    let create = json!({ "changes": [{ "change": "create", "definition": program("page", &file) }] });
    let call = json!({ "mcpName": "up", "toolName": "echo", "arguments": {} });
    let bodies = [program("page", &file), create, call, json!({ "ttl": "30s", "mcps": ["up"], "holder": "page" })];
    let bodies = bodies.map(|body| body.to_string());
    let routes: Vec<_> = ADMIN.iter().map(|(method, path)| (method, path.replace("there", "up"))).collect();
    let page = PAGE.replace("GATEWAY", &json!(gateway.url).to_string()).replace("ROUTES", &json!(routes).to_string());
    let page = page.replace("BODIES", &json!(bodies).to_string());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://localhost:{}/", listener.local_addr().expect("an address").port());
    let server = axum::serve(listener, Router::new().route("/", get(move || async move { Html(page) })));
    let shown = tokio::select! {
        shown = within(Duration::from_secs(60), "the page", chromium(&address)) => shown,
        _ = server => panic!("the server of the page ended"),
    };
    let result = shown.split_once("RESULT").and_then(|(_, rest)| rest.split_once("END"));
    let result: Value =
        serde_json::from_str(&result.unwrap_or_else(|| panic!("{shown}")).0.replace("&lt;", "<").replace("&gt;", ">"))
            .expect("a result");
    assert_eq!(result["read"], json!([]), "what the page could read");
    assert!(result["tried"].as_u64().is_some_and(|tried| tried > 100), "{result}");
    let session = result["session"].as_str().unwrap_or_default();
    assert!(session.ends_with(" 200"), "the page reaches MCP endpoints, as it may: {result}");
    let all = gateway.admin.get("/admin/mcps").await.json();
    assert_eq!(
        (all["count"].as_u64(), &gateway.admin.get("/admin/mcps/up").await.json()["revision"]),
        (Some(1), &before)
    );
    assert_eq!(gateway.admin.get("/admin/leases").await.json()["count"], 0);
    assert_eq!(upstream.count("tools/call"), 0);
    assert!(!file.exists());
}
