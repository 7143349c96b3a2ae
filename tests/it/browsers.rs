//! Web pages in a browser on this machine: the requests that they can send, and the responses that they can read.

mod chromium;

use std::path::Path;

use harness::fake::{Via, fake};
use harness::{Admin, Answer, InProcess, gateway, send};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// Every path of the admin API with every method that it supports.
const ADMIN: [(&str, &str); 17] = [
    ("GET", "/admin/mcps"),
    ("POST", "/admin/mcps"),
    ("POST", "/admin/mcps?lease=w&ttl=30s"),
    ("GET", "/admin/mcps/there"),
    ("PUT", "/admin/mcps/there"),
    ("DELETE", "/admin/mcps/there"),
    ("POST", "/admin/generations"),
    ("GET", "/admin/leases"),
    ("PUT", "/admin/leases/w"),
    ("DELETE", "/admin/leases/w"),
    ("PUT", "/admin/locks/o"),
    ("DELETE", "/admin/locks/o?token=t"),
    ("GET", "/admin/tools"),
    ("POST", "/admin/tools/call"),
    ("GET", "/admin/metrics"),
    ("OPTIONS", "/admin/mcps"),
    ("HEAD", "/admin/mcps"),
];

/// Returns a definition whose program creates this file.
fn program(name: &str, file: &Path) -> Value {
    json!({ "name": name, "transport": "stdio", "command": "touch", "args": [file] })
}

/// Returns the body that would start a program, if the path takes one.
fn harmful(path: &str, file: &Path) -> String {
    let definition = program("there", file);
    match path {
        "/admin/generations" => json!({ "changes": [{ "change": "create", "definition": definition }] }).to_string(),
        _ => definition.to_string(),
    }
}

fn request(admin: &Admin, (method, path): (&str, &str), headers: &[(&str, &str)]) -> RequestBuilder {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    headers.iter().fold(admin.request(method, path), |request, (name, value)| request.header(*name, *value))
}

/// Sends `initialize` with additional headers.
async fn initialize(gateway: &InProcess, headers: &[(&str, &str)]) -> Answer {
    let usual = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "page", "version": "1" } } });
    let headers: Vec<_> = usual.into_iter().chain(headers.iter().copied()).collect();
    send(request(&gateway.admin, ("POST", "/up/mcp"), &headers).body(hello.to_string())).await
}

async fn preflight(gateway: &InProcess, path: &str, origin: &str, asked: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", asked),
        ("access-control-request-private-network", "true"),
    ];
    send(request(&gateway.admin, ("OPTIONS", path), &headers)).await
}

#[tokio::test]
async fn a_page_of_another_origin_reads_and_causes_nothing_at_any_path_of_the_admin_api() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = gateway().flags(["--allowed-hosts", "gateway.example"]).start().await;
    let port = gateway.url.rsplit(':').next().expect("a port");
    let foreign = [
        "http://localhost:3000".to_owned(),
        "http://127.0.0.1:3000".to_owned(),
        "http://[::1]:5173".to_owned(),
        format!("http://localhost:{port}"),
        format!("https://127.0.0.1:{port}"),
        "http://127.0.0.1".to_owned(),
        "https://gateway.example:8443".to_owned(),
        "http://evil.example".to_owned(),
        "null".to_owned(),
    ];
    for route in ADMIN {
        let file = folder.path().join("ran");
        for origin in &foreign {
            for kind in ["application/json", "text/plain"] {
                let request = request(&gateway.admin, route, &[("origin", origin), ("content-type", kind)]);
                let answer = send(request.body(harmful(route.1, &file))).await;
                assert_eq!(answer.status, 403, "{route:?} from {origin}");
                assert_eq!(answer.header("access-control-allow-origin"), "", "{route:?} from {origin}");
            }
        }
        // Some browsers send no `Origin`, but do send `Sec-Fetch-Site`.
        for site in ["cross-site", "same-site"] {
            let request = request(&gateway.admin, route, &[("sec-fetch-site", site)]);
            assert_eq!(send(request.body(harmful(route.1, &file))).await.status, 403, "{route:?} from {site}");
        }
    }
    assert_eq!(gateway.admin.get("/admin/mcps").await.json()["count"], 0);
    assert!(!folder.path().join("ran").exists());
    for origin in &foreign {
        let answer = preflight(&gateway, "/admin/mcps", origin, "content-type").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, ""), "{origin}");
    }
}

#[tokio::test]
async fn a_body_that_a_browser_sends_without_asking_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ran");
    let gateway = gateway().start().await;
    let simple = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain;application/json",
        "",
    ];
    for route in ADMIN.iter().filter(|(method, _)| ["POST", "PUT", "DELETE"].contains(method)) {
        for kind in simple {
            let request = request(&gateway.admin, *route, &[("content-type", kind)]);
            assert_eq!(send(request.body(harmful(route.1, &file))).await.status, 415, "{route:?} as {kind}");
        }
        for (name, value) in [("referer", "http://evil.example/"), ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)")] {
            let request = request(&gateway.admin, *route, &[(name, value)]);
            assert_eq!(send(request.body(harmful(route.1, &file))).await.status, 403, "{route:?} with {name}");
        }
    }
    assert_eq!(gateway.admin.get("/admin/mcps").await.json()["count"], 0);
    assert!(!file.exists());
    for kind in ["application/json", "Application/JSON ; charset=utf-8"] {
        let name = if kind.contains(';') { "a" } else { "b" };
        let request = request(&gateway.admin, ("POST", "/admin/mcps"), &[("content-type", kind)]);
        assert_eq!(send(request.body(program(name, &file).to_string())).await.status, 201, "{kind}");
    }
}

#[tokio::test]
async fn pages_of_the_gateway_and_of_configured_origins_use_the_admin_api() {
    let console = "https://console.example:8443";
    let gateway = gateway().flags(["--allowed-origins", console]).start().await;
    for (origin, site, shown) in [(gateway.url.as_str(), "same-origin", ""), (console, "cross-site", console)] {
        let headers = [("origin", origin), ("sec-fetch-site", site), ("content-type", "application/json")];
        let answer = send(request(&gateway.admin, ("GET", "/admin/mcps"), &headers)).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, shown), "{origin}");
        let call = send(request(&gateway.admin, ("DELETE", "/admin/mcps/nothing"), &headers)).await;
        assert_eq!((call.status, call.header("access-control-allow-origin")), (404, shown), "{origin}");
    }
    let answer = preflight(&gateway, "/admin/mcps/a", console, "content-type, if-match").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, console));
    assert!(answer.header("access-control-allow-methods").contains("DELETE"));
}

#[tokio::test]
async fn a_page_of_this_machine_uses_mcp_endpoints_and_its_browser_asks_first() {
    let upstream = fake("up").echo("echo").start(Via::Json).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    for path in ["/mcp", "/", "/up/mcp", "/up/stream", "/up/sse", "/up/message", "/mcp-proxy/up/stream", "/sse"] {
        let answer =
            preflight(&gateway, path, "http://localhost:6274", "content-type,mcp-session-id,Mcp-Param-Region").await;
        assert_eq!(answer.status, 204, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "http://localhost:6274", "{path}");
        assert_eq!(answer.header("access-control-allow-private-network"), "true", "{path}");
        let allowed = answer.header("access-control-allow-headers").to_ascii_lowercase();
        for name in ["mcp-session-id", "mcp-protocol-version", "authorization", "last-event-id", "mcp-param-region"] {
            assert!(allowed.split(", ").any(|one| one == name), "{path}: {name} in {allowed}");
        }
        for origin in ["http://evil.example", "null"] {
            let answer = preflight(&gateway, path, origin, "content-type").await;
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, ""), "{path}");
        }
    }
    let hello = initialize(&gateway, &[("origin", "http://localhost:6274")]).await;
    assert_eq!(hello.status, 200);
    assert_eq!(hello.header("access-control-allow-origin"), "http://localhost:6274");
    assert!(hello.header("access-control-expose-headers").contains("mcp-session-id"));
    assert!(hello.header("vary").contains("origin"));
}

#[tokio::test]
async fn all_that_is_no_stream_is_kept_by_no_cache() {
    let upstream = fake("up").echo("echo").start(Via::Json).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    for (method, path) in [
        ("GET", "/healthz"),
        ("HEAD", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/api/v1/ping"),
        ("GET", "/admin/mcps"),
        ("GET", "/admin/tools"),
        ("POST", "/admin/mcps"),
        ("GET", "/nothing"),
        ("GET", "/up/stream"),
        ("POST", "/up/mcp"),
        ("POST", "/mcp"),
        ("DELETE", "/up/mcp"),
        ("PATCH", "/up/mcp"),
        ("POST", "/up/message"),
        ("GET", "/gone/sse"),
    ] {
        let headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        let answer = send(request(&gateway.admin, (method, path), &headers).body("{}")).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{method} {path}: {}", answer.status);
    }
    for headers in [[("host", "evil.example")], [("origin", "http://evil.example")]] {
        let answer = send(request(&gateway.admin, ("GET", "/healthz"), &headers)).await;
        assert_eq!((answer.status, answer.header("cache-control")), (403, "no-store"));
    }
    let hello = initialize(&gateway, &[]).await;
    assert_eq!((hello.status, hello.header("cache-control")), (200, "no-store"));
}
