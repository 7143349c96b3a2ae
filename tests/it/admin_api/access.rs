//! Access control of the admin API and of the endpoints of upstreams.

use harness::{Admin, Answer, gateway, send};
use reqwest::Method;
use serde_json::json;

use super::{is, nowhere, with};

async fn authorized(admin: &Admin, path: &str, authorization: Option<&str>) -> Answer {
    let request = admin.request(Method::GET, path);
    send(authorization.into_iter().fold(request, |request, value| request.header("authorization", value))).await
}

async fn from(admin: &Admin, caller: &str, path: &str) -> Answer {
    send(admin.request(Method::GET, path).header("x-forwarded-for", caller)).await
}

#[tokio::test]
async fn the_admin_api_is_open_while_no_token_is_set_and_an_unneeded_one_is_ignored() {
    let gateway = gateway().start().await;
    for authorization in [None, Some("Bearer anything"), Some("Basic eDp5")] {
        assert_eq!(authorized(&gateway.admin, "/admin/mcps", authorization).await.status, 200);
    }
}

#[tokio::test]
async fn a_token_opens_every_path_of_the_admin_api() {
    let gateway = gateway().flags(["--admin-tokens", "t0ken,other"]).start().await;
    let paths = [
        (Method::GET, "/admin/mcps"),
        (Method::POST, "/admin/mcps"),
        (Method::GET, "/admin/mcps/a"),
        (Method::PUT, "/admin/mcps/a"),
        (Method::DELETE, "/admin/mcps/a"),
        (Method::DELETE, "/admin/mcps/"),
        (Method::GET, "/admin/tools"),
        (Method::POST, "/admin/tools/call"),
        (Method::GET, "/admin/metrics"),
    ];
    for (method, path) in paths {
        let answer = send(gateway.admin.request(method.clone(), path)).await;
        is(&answer, 401, json!({ "error": "Unauthorized: admin token required" }));
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        let answer = send(gateway.admin.with_token("wrong").request(method.clone(), path)).await;
        is(&answer, 401, json!({ "error": "Unauthorized: invalid admin token" }));
        let answer = send(gateway.admin.with_token("t0ken").request(method.clone(), path)).await;
        assert!(![401, 403].contains(&answer.status), "{method} {path}: {}", answer.status);
    }
}

#[tokio::test]
async fn a_token_is_taken_with_and_without_scheme_but_from_no_url() {
    let gateway = gateway().flags(["--admin-tokens", "t0ken,other"]).start().await;
    for authorization in ["Bearer t0ken", "bearer t0ken", "BEARER  t0ken", "t0ken", "Bearer other"] {
        assert_eq!(authorized(&gateway.admin, "/admin/mcps", Some(authorization)).await.status, 200, "{authorization}");
    }
    for authorization in ["Bearer t0ke", "Bearer t0ken2", "Bearer t0ken,other", "Bearer", "Basic t0ken", ""] {
        let answer = authorized(&gateway.admin, "/admin/mcps", Some(authorization)).await;
        is(&answer, 401, json!({ "error": "Unauthorized: invalid admin token" }));
    }
    let answer = authorized(&gateway.admin, "/admin/mcps?token=t0ken", None).await;
    is(&answer, 401, json!({ "error": "Unauthorized: admin token required" }));
}

#[tokio::test]
async fn health_and_upstreams_ask_for_no_admin_token() {
    let gateway = gateway().flags(["--admin-tokens", "t0ken"]).start().await;
    gateway.admin.with_token("t0ken").register(&nowhere("a")).await;
    for (path, expected) in [("/healthz", 200), ("/readyz", 200), ("/api/v1/ping", 200), ("/a/stream", 406)] {
        let request = gateway.admin.request(Method::GET, path).header("accept", "application/json");
        assert_eq!(send(request).await.status, expected, "{path}");
    }
}

#[tokio::test]
async fn an_address_off_the_list_is_refused_before_its_token_is_looked_at() {
    let flags =
        ["--admin-allow-ips", "10.0.0.0/8,192.0.2.7", "--admin-tokens", "t0ken", "--trusted-proxies", "127.0.0.1"];
    let gateway = gateway().flags(flags).start().await;
    let admin = gateway.admin.with_token("t0ken");
    let refusal = json!({ "error": "Access denied: IP not allowed" });
    for (caller, status) in [("10.9.8.7", 200), ("192.0.2.7", 200), ("192.0.2.8", 403), ("10.9.8.7, 192.0.2.8", 403)] {
        assert_eq!(from(&admin, caller, "/admin/mcps").await.status, status, "{caller}");
    }
    is(&from(&admin, "192.0.2.8", "/admin/mcps").await, 403, refusal.clone());
    is(&from(&gateway.admin, "192.0.2.8", "/admin/mcps").await, 403, refusal);
    let unauthorized = json!({ "error": "Unauthorized: admin token required" });
    is(&from(&gateway.admin, "10.9.8.7", "/admin/mcps").await, 401, unauthorized);
}

#[tokio::test]
async fn a_forwarded_address_counts_only_behind_a_trusted_proxy() {
    let gateway = gateway().flags(["--admin-allow-ips", "10.0.0.0/8"]).start().await;
    assert_eq!(from(&gateway.admin, "10.9.8.7", "/admin/mcps").await.status, 403);
}

#[tokio::test]
async fn strangers_start_no_process_unless_they_are_let() {
    let program = json!({ "name": "a", "transport": "stdio", "command": "sh", "args": ["-c", "exit"] });
    let trust = ["--trusted-proxies", "127.0.0.1"];
    let post = async |admin: &Admin, definition: &serde_json::Value| {
        let request = admin.request(Method::POST, "/admin/mcps").header("x-forwarded-for", "192.0.2.1");
        send(request.body(definition.to_string())).await
    };
    let closed = gateway().flags(trust).start().await;
    let answer = post(&closed.admin, &program).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (403, Some("Access denied")));
    assert_eq!(post(&closed.admin, &nowhere("a")).await.status, 201);
    let change = closed.admin.request(Method::PUT, "/admin/mcps/a").header("x-forwarded-for", "192.0.2.1");
    assert_eq!(send(change.body(program.to_string())).await.status, 403);
    assert_eq!(closed.admin.get("/admin/mcps/a").await.json()["definition"]["transport"], "streamable-http");
    let open = gateway().flags(trust).flags(["--allow-insecure-admin"]).start().await;
    assert_eq!(post(&open.admin, &program).await.status, 201);
    let guarded = gateway().flags(trust).flags(["--admin-tokens", "t0ken"]).start().await;
    assert_eq!(post(&guarded.admin.with_token("t0ken"), &program).await.status, 201);
}

#[tokio::test]
async fn a_request_that_a_proxy_of_this_machine_forwards_starts_no_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = |name: &str| json!({ "name": name, "transport": "stdio", "command": "touch", "args": [folder.path().join(name)] });
    let post = async |admin: &Admin, (header, value): (&str, &str), body: serde_json::Value, path: &str| {
        send(admin.request(Method::POST, path).header(header, value).body(body.to_string())).await
    };
    let names = ["--allowed-hosts", "gateway.example"];
    let gateway = gateway().flags(names).start().await;
    for sign in [
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=203.0.113.5"),
        ("x-real-ip", "127.0.0.1"),
        ("via", "1.1 proxy"),
        ("x-forwarded-host", "gateway.example"),
        ("cf-connecting-ip", "203.0.113.5"),
        ("true-client-ip", "203.0.113.5"),
        ("host", "gateway.example"),
    ] {
        let answer = post(&gateway.admin, sign, program("a"), "/admin/mcps").await;
        assert_eq!(answer.status, 403, "{sign:?}: {}", answer.text);
        let change = json!({ "changes": [{ "change": "create", "definition": program("a") }] });
        assert_eq!(post(&gateway.admin, sign, change, "/admin/generations").await.status, 403, "{sign:?}");
    }
    let (old, _) = old_http(&gateway.url, &program("a").to_string()).await;
    assert_eq!(old, 403, "HTTP/1.0");
    let trusting = harness::gateway().flags(["--trusted-proxies", "127.0.0.0/8"]).start().await;
    assert_eq!(post(&trusting.admin, ("x-forwarded-for", "127.0.0.1"), program("a"), "/admin/mcps").await.status, 403);
    let answer = trusting.admin.post("/admin/mcps", program("a")).await;
    assert_eq!(answer.status, 403, "a proxy may have forgotten to say for whom");
    assert!(answer.text.contains("--trusted-proxies"), "{}", answer.text);
    assert_eq!(gateway.admin.get("/admin/mcps").await.json()["count"], 0);
    assert!(!folder.path().join("a").exists());
    assert_eq!(gateway.admin.post("/admin/mcps", program("a")).await.status, 201);
}

/// Registers over HTTP/1.0, which some proxies use towards their upstreams. Returns the status and the whole response.
async fn old_http(url: &str, definition: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let authority = url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(authority).await.expect("a gateway");
    let length = definition.len();
    let head =
        format!("POST /admin/mcps HTTP/1.0\r\nHost: {authority}\r\nContent-Length: {length}\r\n\r\n{definition}");
    stream.write_all(head.as_bytes()).await.expect("a gateway that listens");
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    harness::wait::within(harness::wait::DEADLINE, "an answer", reading).await.expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status in {answer:?}")), answer)
}

#[tokio::test]
async fn a_trusted_proxy_that_names_nobody_is_refused_where_addresses_matter() {
    let flags = ["--admin-allow-ips", "127.0.0.0/8,::1,10.0.0.0/8", "--trusted-proxies", "127.0.0.1"];
    let gateway = gateway().flags(flags).start().await;
    let own = json!({ "allowedIPs": ["127.0.0.1", "10.0.0.0/8"] });
    let register = gateway.admin.request(Method::POST, "/admin/mcps").header("x-forwarded-for", "10.0.0.1");
    assert_eq!(send(register.body(with(nowhere("picky"), own).to_string())).await.status, 201);
    for (header, value) in
        [("x-unknown", "1"), ("forwarded", "for=10.0.0.1"), ("x-forwarded-for", ""), ("via", "1.1 x")]
    {
        for path in ["/admin/mcps", "/picky/message", "/mcp-proxy/picky/message"] {
            let answer = send(gateway.admin.request(Method::GET, path).header(header, value)).await;
            assert_eq!(answer.status, 403, "{header}: {value} at {path}");
        }
    }
    assert_eq!(from(&gateway.admin, "10.9.8.7", "/admin/mcps").await.status, 200);
    assert_eq!(from(&gateway.admin, "10.9.8.7", "/picky/message").await.status, 400);
}

#[tokio::test]
async fn an_upstream_s_endpoints_take_global_and_own_tokens() {
    let gateway = gateway().flags(["--global-auth-tokens", "global"]).start().await;
    gateway.admin.register(&with(nowhere("a"), json!({ "authTokens": ["own"] }))).await;
    gateway.admin.register(&nowhere("b")).await;
    for path in ["/a/stream", "/a/mcp", "/a/sse", "/a/message", "/mcp-proxy/a/stream", "/mcp-proxy/a/sse", "/a/sse/x"] {
        let refusals = [
            (None, "Authorization required"),
            (Some("own"), "Invalid authorization format"),
            (Some("Basic own"), "Invalid authorization format"),
            (Some("Bearer wrong"), "Invalid token"),
        ];
        for (authorization, words) in refusals {
            is(&authorized(&gateway.admin, path, authorization).await, 401, json!({ "error": words }));
        }
    }
    // Authorized requests get 400, because a message needs a session.
    let status = async |path, authorization| authorized(&gateway.admin, path, Some(authorization)).await.status;
    for authorization in ["Bearer own", "bearer global", "Bearer global"] {
        assert_eq!(status("/a/message", authorization).await, 400, "{authorization}");
    }
    assert_eq!([status("/b/message", "Bearer global").await, status("/b/message", "Bearer own").await], [400, 401]);
}

#[tokio::test]
async fn a_definition_may_require_a_token_and_name_its_callers() {
    let gateway = gateway().flags(["--trusted-proxies", "127.0.0.1"]).start().await;
    gateway.admin.register(&with(nowhere("closed"), json!({ "requireAuth": true }))).await;
    gateway.admin.register(&with(nowhere("picky"), json!({ "allowedIPs": ["10.0.0.0/8"] }))).await;
    let answer = gateway.admin.get("/closed/message").await;
    is(&answer, 401, json!({ "error": "Authorization required" }));
    is(&gateway.admin.get("/picky/message").await, 403, json!({ "error": "Access denied: IP not allowed" }));
    assert_eq!(from(&gateway.admin, "10.1.1.1", "/picky/message").await.status, 400);
}

#[tokio::test]
async fn foreign_pages_and_foreign_names_are_refused_everywhere() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    for path in ["/admin/mcps", "/healthz", "/a/stream", "/a/sse", "/nothing"] {
        for (header, value) in [("origin", "http://evil.example"), ("origin", "null"), ("host", "evil.example")] {
            let answer = send(gateway.admin.request(Method::GET, path).header(header, value)).await;
            assert_eq!(answer.status, 403, "{path} with {header}: {value}");
        }
    }
}
