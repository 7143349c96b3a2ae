//! The gateway as a resource server: official clients log in at a real authorization server.

use std::time::Duration;

use harness::authorization_server::{AuthorizationServer, OAuthClient};
use harness::fake::{Fake, Script, Via, fake};
use harness::process::Signal;
use harness::proxy::{Setup, Software};
use harness::raw::{Reply, raw};
use harness::{DEADLINE, Served, binary, free_port};
use serde_json::{Value, json};

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

async fn gateway(server: &AuthorizationServer, more: &[&str]) -> Served {
    let flags = ["--port=0", "--storage=memory", "--oauth-scopes=mcp", "--oauth-issuer", &server.issuer];
    binary("mcp-proxy").args(flags).args(more).serve().await
}

/// A server whose tool answers with its name.
fn whoami(name: &str) -> Script {
    let answer = json!({ "content": [{ "type": "text", "text": name }] }).to_string();
    fake(name).tool("whoami", move |call| {
        let answer = answer.clone();
        async move { call.reply(&answer) }
    })
}

async fn upstream(gateway: &Served, name: &str, more: &Value) -> Fake {
    let upstream = whoami(name).start(Via::Json).await;
    let mut definition = upstream.definition();
    for (member, value) in more.as_object().into_iter().flatten() {
        definition[member] = value.clone();
    }
    gateway.admin.connect(&definition).await;
    upstream
}

/// Sends a request as a client does, with this token.
async fn ask(url: &str, token: Option<&str>) -> Reply {
    let request = raw("POST", url).header("content-type", "application/json");
    let request = request.header("accept", "application/json, text/event-stream");
    let request = match token {
        Some(token) => request.header("authorization", &format!("Bearer {token}")),
        None => request,
    };
    request.body(LIST).send().await
}

async fn document(url: &str) -> String {
    raw("GET", url).send().await.text().await
}

/// Returns an access token that the server issues to a client for itself.
async fn token(server: &AuthorizationServer, resource: &str, scope: &str) -> String {
    // Nothing in these needs more than `+` for a space.
    let form = format!("grant_type=client_credentials&resource={resource}&scope={}", scope.replace(' ', "+"));
    let request = harness::http().post(format!("{}/token", server.issuer)).basic_auth("gateway", Some("s3cret"));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer = request.send().await.expect("an answer").text().await.expect("a text");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}

#[tokio::test]
async fn official_clients_log_in_and_work_at_one_server_and_at_all() {
    let server = AuthorizationServer::start(&json!({})).await;
    let gateway = gateway(&server, &[]).await;
    let one = upstream(&gateway, "one", &json!({})).await;
    for client in OAuthClient::ALL {
        for (path, tool) in [("/one/mcp", "whoami"), ("/mcp", "one__whoami")] {
            let report = client.converse(&format!("{}{path}", gateway.url), &[tool]).await;
            assert_eq!(report["results"][tool], "one", "{client:?} {path}: {report}");
            assert_eq!(report["logins"].as_array().map(Vec::len), Some(1), "{client:?} {path}: {report}");
        }
    }
    let received = one.received();
    let calls = received.iter().filter(|message| message.method == "tools/call");
    assert!(calls.count() == 2 * OAuthClient::ALL.len());
    assert!(received.iter().all(|message| !message.headers.contains_key("authorization")), "no token goes upstream");
}

#[tokio::test]
async fn official_clients_log_in_behind_a_proxy_that_takes_a_prefix_away() {
    let server = AuthorizationServer::start(&json!({ "path": "/t1" })).await;
    let port = free_port();
    let proxy = Software::Nginx.start(Setup::Example, "127.0.0.1", port).await;
    let base = format!("{}/gw", proxy.url);
    let flags = [&format!("--port={port}"), "--base-url", &base, "--trusted-proxies=127.0.0.1", "--admin-tokens=t"];
    let flags = [&flags[..], &["--storage=memory", "--oauth-scopes=mcp", "--oauth-issuer", &server.issuer]].concat();
    let gateway = binary("mcp-proxy").args(flags).serve().await;
    let direct = harness::Admin::new(&format!("http://127.0.0.1:{port}")).with_token("t");
    let one = whoami("one").start(Via::Json).await;
    direct.connect(&one.definition()).await;
    assert_eq!(gateway.url, base);
    for client in OAuthClient::ALL {
        let report = client.converse(&format!("{base}/one/mcp"), &["whoami"]).await;
        assert_eq!(report["results"]["whoami"], "one", "{client:?}: {report}");
    }
}

#[tokio::test]
async fn a_token_opens_the_endpoint_for_which_it_was_issued_with_the_scopes_that_it_has() {
    let server = AuthorizationServer::start(&json!({ "scopes": ["mcp", "search"] })).await;
    let mut gateway = gateway(&server, &["--global-auth-tokens=static", "--admin-tokens=admin"]).await;
    gateway.admin = gateway.admin.with_token("admin");
    let _one = upstream(&gateway, "one", &json!({ "authTokens": ["own"] })).await;
    let _two = upstream(&gateway, "two", &json!({ "requiredScopes": ["search"] })).await;
    let at = |path: &str| format!("{}{path}", gateway.url);
    let challenge = |reply: &Reply| reply.headers["www-authenticate"].to_str().expect("a text").to_owned();

    let bare = ask(&at("/one/stream"), None).await;
    let metadata = at("/.well-known/oauth-protected-resource/one/stream");
    assert_eq!(bare.status, 401);
    assert_eq!(challenge(&bare), format!("Bearer resource_metadata=\"{metadata}\", scope=\"mcp\""));
    let told: Value = serde_json::from_str(&document(&metadata).await).expect("JSON");
    assert_eq!(told["resource"], at("/one/stream"));
    let told = document(&at("/.well-known/oauth-protected-resource/two/mcp/")).await;
    assert!(
        told.contains(r#""scopes_supported":["mcp"]"#),
        "anybody may read it, so that it tells no definition: {told}"
    );

    let plain = token(&server, &at("/one/mcp"), "mcp").await;
    assert_eq!(ask(&at("/one/mcp"), Some(&plain)).await.status, 400, "no session, but let in");
    for elsewhere in ["/two/mcp", "/mcp"] {
        let refused = ask(&at(elsewhere), Some(&plain)).await;
        assert_eq!(refused.status, 401, "{elsewhere}");
        assert!(challenge(&refused).starts_with("Bearer error=\"invalid_token\", "), "{}", challenge(&refused));
    }
    assert_eq!(ask(&at("/admin/mcps"), Some(&plain)).await.status, 401, "it opens nothing else");

    let poor = token(&server, &at("/two/mcp"), "mcp").await;
    let refused = ask(&at("/two/mcp"), Some(&poor)).await;
    assert_eq!(refused.status, 403);
    assert!(challenge(&refused).contains("error=\"insufficient_scope\""), "{}", challenge(&refused));
    assert!(challenge(&refused).ends_with("scope=\"mcp search\""), "what it has, and what it lacks");
    let rich = token(&server, &at("/two/mcp"), "mcp search").await;
    assert_eq!(ask(&at("/two/mcp"), Some(&rich)).await.status, 400);

    // A name that begins like the admin API's path is no part of it.
    let _admin = upstream(&gateway, "admin-tools", &json!({})).await;
    let own = token(&server, &at("/admin-tools/mcp"), "mcp").await;
    assert_eq!(ask(&at("/admin-tools/mcp"), Some(&own)).await.status, 400, "let in");
    // A sender cannot claim the name for which it has a token.
    let claimed = raw("POST", &at("/two/mcp"))
        .header("host", "127.0.0.1:1/one/mcp")
        .header("authorization", &format!("Bearer {rich}"));
    assert_eq!(claimed.header("content-type", "application/json").body(LIST).send().await.status, 400, "no host name");

    // At the endpoint of all, a server is visible to whoever has its scopes.
    for (scope, seen) in [("mcp", vec!["one__whoami"]), ("mcp search", vec!["one__whoami", "two__whoami"])] {
        let all = token(&server, &at("/mcp"), scope).await;
        let mut session = harness::raw::session_with_all(&gateway.url).token(&all).open().await;
        let listed = session.request(LIST).await;
        let named = ["one__whoami", "two__whoami"].into_iter().filter(|name| listed.contains(name));
        assert_eq!(named.collect::<Vec<_>>(), seen, "{scope}");
    }
    for known in ["static", "own"] {
        assert_eq!(ask(&at("/one/mcp"), Some(known)).await.status, 400, "{known}");
    }
    assert_eq!(ask(&at("/two/mcp"), Some("own")).await.status, 401);
}

#[tokio::test]
async fn a_server_whose_keys_cannot_be_fetched_sends_nobody_to_the_browser() {
    let mut server = AuthorizationServer::start(&json!({})).await;
    let gateway = gateway(&server, &[]).await;
    let _one = upstream(&gateway, "one", &json!({})).await;
    let url = format!("{}/one/mcp", gateway.url);
    let token = token(&server, &url, "mcp").await;
    server.process.signal(Signal::KILL);
    server.process.ended(DEADLINE).await;
    let reply = ask(&url, Some(&token)).await;
    assert_eq!((reply.status, reply.headers.contains_key("www-authenticate")), (503, false));
    assert!(reply.headers.contains_key("retry-after"));
    assert_eq!(ask(&url, None).await.status, 401, "a caller without a token");
}

#[tokio::test]
async fn an_expired_token_is_refused_and_an_opaque_one_is_introspected() {
    let server = AuthorizationServer::start(&json!({ "opaque": true, "ttl": 2 })).await;
    let introspection = format!("{}/token/introspection", server.issuer);
    let more =
        ["--oauth-introspection-url", &introspection, "--oauth-client-id=gateway", "--oauth-client-secret=s3cret"];
    let gateway = gateway(&server, &more).await;
    let _one = upstream(&gateway, "one", &json!({})).await;
    let url = format!("{}/one/mcp", gateway.url);
    let token = token(&server, &url, "mcp").await;
    assert_eq!(ask(&url, Some(&token)).await.status, 400, "no session, but let in");
    harness::eventually("the token has expired", || async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        (ask(&url, Some(&token)).await.status == 401).then_some(())
    })
    .await;
    assert_eq!(ask(&url, Some("unknown")).await.status, 401);
}
