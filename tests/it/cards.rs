//! Server cards and the catalog that lists them (SEP-2127).

use harness::fake::{Fake, Via, fake};
use harness::raw::{Reply, raw, session};
use harness::{InProcess, gateway};
use serde_json::{Value, json};

const CARD: &str = "application/mcp-server-card+json";
const CATALOG: &str = "/.well-known/ai-catalog.json";
const FOREIGN: &str = "https://elsewhere.example";

/// Starts a gateway with a public server `open`, and `locked`, which requires its own token.
async fn two(flags: &[&str]) -> (InProcess, Fake) {
    let gateway = gateway().flags(flags).start().await;
    let open = fake("open").echo("secret-tool").start(Via::Json).await;
    let mut locked = fake("locked").echo("t").start(Via::Json).await.definition();
    locked["authTokens"] = json!(["own"]);
    gateway.admin.connect(&open.definition()).await;
    gateway.admin.register(&locked).await;
    (gateway, open)
}

async fn get(gateway: &InProcess, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = raw("GET", &format!("{}{path}", gateway.url));
    headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send().await
}

async fn document(gateway: &InProcess, path: &str, headers: &[(&str, &str)]) -> Value {
    let mut reply = get(gateway, path, headers).await;
    let text = reply.text().await;
    assert_eq!(reply.status, 200, "{path}: {text}");
    assert_eq!(reply.header("access-control-allow-origin"), "*", "{path}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
}

/// Returns the names in the catalog.
async fn listed(gateway: &InProcess, headers: &[(&str, &str)]) -> Vec<String> {
    let catalog = document(gateway, CATALOG, headers).await;
    let entries = catalog["entries"].as_array().unwrap_or_else(|| panic!("{catalog}"));
    entries.iter().map(|entry| entry["displayName"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_card_tells_how_to_connect_and_nothing_of_what_is_offered() {
    let (gateway, _open) = two(&[]).await;
    let port = gateway.url.rsplit(':').next().expect("a port");
    for (endpoint, sse) in
        [("/open/mcp", "/open/sse"), ("/open/stream", "/open/sse"), ("/mcp-proxy/open/mcp", "/mcp-proxy/open/sse")]
    {
        let card = document(&gateway, &format!("{endpoint}/server-card"), &[]).await;
        let versions = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];
        let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
        let expected = json!({
            "$schema": "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json",
            "name": "127.0.0.1/open", "version": card["version"], "description": "MCP server open", "title": "open",
            "remotes": [
                { "type": "streamable-http", "url": url(endpoint), "supportedProtocolVersions": versions },
                { "type": "sse", "url": url(sse), "supportedProtocolVersions": versions[..4] },
            ],
        });
        assert_eq!(card, expected);
    }
    let all = document(&gateway, "/mcp/server-card", &[]).await;
    assert_eq!((&all["name"], &all["title"]), (&json!("127.0.0.1/mcp-proxy"), &json!("mcp-proxy")));
    assert!(all["remotes"][0]["url"].as_str().is_some_and(|url| url.ends_with("/mcp")), "{all}");
    let text = all.to_string();
    assert!(!text.contains("open") && !text.contains("secret-tool") && !text.contains("capabilities"), "{text}");
    // A client can connect to the address in a card.
    let mut client = session(&gateway.url, "open").open().await;
    assert!(client.call("1", "secret-tool", "{}").await.contains("structuredContent"));
}

#[tokio::test]
async fn a_configured_address_is_the_one_in_cards() {
    let (gateway, _open) = two(&["--base-url", "https://mcp.example.com/gw"]).await;
    let card = document(&gateway, "/mcp-proxy/open/mcp/server-card", &[]).await;
    assert_eq!(card["name"], "com.example.mcp/open");
    let catalog = document(&gateway, CATALOG, &[]).await;
    assert_eq!(catalog["entries"][1]["identifier"], "urn:air:mcp.example.com:open");
    assert_eq!(card["remotes"][0]["url"], "https://mcp.example.com/gw/open/mcp");
}

#[tokio::test]
async fn the_catalog_names_what_the_caller_may_use() {
    let (gateway, _open) = two(&[]).await;
    let own = ("authorization", "Bearer own");
    assert_eq!(listed(&gateway, &[]).await, ["mcp-proxy", "open"]);
    assert_eq!(listed(&gateway, &[own]).await, ["mcp-proxy", "open", "locked"]);
    assert_eq!(listed(&gateway, &[("authorization", "Bearer wrong")]).await, ["mcp-proxy", "open"]);
    let catalog = document(&gateway, CATALOG, &[own]).await;
    assert_eq!(catalog["specVersion"], "1.0");
    let entry = &catalog["entries"][2];
    assert_eq!((&entry["identifier"], &entry["type"]), (&json!("urn:air:127.0.0.1:locked"), &json!(CARD)));
    let url = entry["url"].as_str().expect("a URL");
    let card = document(&gateway, url.strip_prefix(&gateway.url).expect("the gateway's own"), &[own]).await;
    let header = &card["remotes"][0]["headers"][0];
    assert_eq!(
        (&header["name"], &header["isRequired"], &header["isSecret"]),
        (&json!("authorization"), &json!(true), &json!(true))
    );
}

#[tokio::test]
async fn a_name_that_is_not_for_the_caller_and_one_that_nobody_has_answer_alike() {
    let (gateway, _open) = two(&["--global-auth-tokens", "global"]).await;
    assert_eq!(listed(&gateway, &[]).await, ["mcp-proxy"]);
    assert_eq!(listed(&gateway, &[("authorization", "Bearer global")]).await, ["mcp-proxy", "open", "locked"]);
    for method in ["GET", "HEAD", "OPTIONS", "POST"] {
        let mut answers = Vec::new();
        for name in ["open", "locked", "nobody"] {
            let mut reply = raw(method, &format!("{}/{name}/mcp/server-card", gateway.url)).send().await;
            answers.push((reply.status, reply.text().await));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{method}: {answers:?}");
        assert_eq!(
            answers[0].0,
            match method {
                "OPTIONS" => 204,
                "POST" => 405,
                _ => 404,
            },
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_foreign_page_reads_the_gateways_own_card_and_with_a_token_others() {
    let (gateway, _open) = two(&[]).await;
    let (origin, own) = (("origin", FOREIGN), ("authorization", "Bearer own"));
    document(&gateway, "/mcp/server-card", &[origin]).await;
    assert_eq!(listed(&gateway, &[origin]).await, ["mcp-proxy"]);
    assert_eq!(get(&gateway, "/open/mcp/server-card", &[origin]).await.status, 404);
    assert_eq!(listed(&gateway, &[origin, own]).await, ["mcp-proxy", "locked"]);
    document(&gateway, "/locked/mcp/server-card", &[origin, own]).await;
    let asked = [origin, ("access-control-request-method", "GET"), ("access-control-request-headers", "authorization")];
    let request = raw("OPTIONS", &format!("{}/locked/mcp/server-card", gateway.url));
    let preflight = asked.iter().fold(request, |request, (name, value)| request.header(name, value)).send().await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, "*"));
    assert!(preflight.header("access-control-allow-headers").contains("authorization"));
    for path in ["/mcp", "/open/mcp", "/admin/mcps"] {
        assert_eq!(get(&gateway, path, &[origin]).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn what_the_client_has_already_is_not_sent_again() {
    let (gateway, _open) = two(&[]).await;
    for (path, kind) in [("/open/mcp/server-card", CARD), (CATALOG, "application/ai-catalog+json")] {
        let first = get(&gateway, path, &[]).await;
        assert_eq!((first.status, first.header("content-type")), (200, kind));
        assert_eq!(first.header("cache-control"), "private, no-cache");
        let tag = first.header("etag").to_owned();
        let mut again = get(&gateway, path, &[("if-none-match", &tag)]).await;
        assert_eq!((again.status, again.header("etag")), (304, tag.as_str()));
        assert_eq!(again.text().await, "");
        let mut head = raw("HEAD", &format!("{}{path}", gateway.url)).send().await;
        assert_eq!((head.status, head.header("etag")), (200, tag.as_str()));
        assert_eq!(head.text().await, "");
    }
    let before = get(&gateway, CATALOG, &[]).await.header("etag").to_owned();
    assert_eq!(gateway.admin.delete("/admin/mcps/open").await.status, 204);
    assert_eq!(get(&gateway, CATALOG, &[("if-none-match", &before)]).await.status, 200);
}

#[tokio::test]
async fn cards_can_be_switched_off() {
    let (gateway, _open) = two(&["--server-cards", "off"]).await;
    for path in [CATALOG, "/mcp/server-card"] {
        assert_eq!(get(&gateway, path, &[]).await.status, 404, "{path}");
        assert_eq!(get(&gateway, path, &[("origin", FOREIGN)]).await.status, 403, "{path}");
    }
}
