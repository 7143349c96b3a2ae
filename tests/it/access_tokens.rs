//! Access tokens that the gateway issues: rights, servers, expiry, rotation and revocation, seen by clients.

use harness::admin::send;
use harness::fake::{Call, Fake, Via, fake};
use harness::process::Signal;
use harness::raw::{Reply, raw, session, session_with_all};
use harness::{DEADLINE, Served, binary, eventually, free_port};
use reqwest::Method;
use serde_json::{Value, json};

use crate::modern::client;

/// Status of a request outside of a session that was let in.
const OUTSIDE: u16 = 400;
const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

/// A gateway with an admin token that asks every client for one, and two servers.
struct House {
    gateway: Served,
    _upstreams: [Fake; 2],
}

impl House {
    async fn start(more: &[&str]) -> Self {
        let flags = ["--port=0", "--storage=memory", "--admin-tokens=root", "--require-auth=on"];
        let mut gateway = binary("mcp-proxy").args(flags).args(more).serve().await;
        gateway.admin = gateway.admin.with_token("root");
        let upstreams =
            [fake("one").echo("echo").start(Via::Json).await, fake("two").echo("echo").start(Via::Json).await];
        for upstream in &upstreams {
            gateway.admin.connect(&upstream.definition()).await;
        }
        Self { gateway, _upstreams: upstreams }
    }

    /// Issues an access token. Returns its secret.
    async fn issue(&self, wanted: Value) -> String {
        let answer = self.gateway.admin.post("/admin/tokens", wanted).await;
        assert_eq!((answer.status, answer.header("cache-control")), (201, "no-store"), "{}", answer.text);
        let secret = answer.json()["secret"].as_str().expect("a secret").to_owned();
        assert!(secret.starts_with("mcpt_") && secret.len() == 48, "{secret}");
        secret
    }

    /// Returns the status for a client with this token at an endpoint.
    async fn status(&self, path: &str, token: &str) -> u16 {
        list(&format!("{}{path}", self.gateway.url), token).await.status
    }

    async fn shown(&self, name: &str) -> Value {
        self.gateway.admin.get(&format!("/admin/tokens/{name}")).await.json()
    }
}

async fn list(url: &str, token: &str) -> Reply {
    let request = raw("POST", url).header("content-type", "application/json");
    let request = request.header("accept", "application/json, text/event-stream");
    request.header("authorization", &format!("Bearer {token}")).body(LIST).send().await
}

#[tokio::test]
async fn a_token_opens_its_servers_and_no_others() {
    let house = House::start(&[]).await;
    let one = house.issue(json!({ "name": "one", "servers": ["one"] })).await;
    let (all, later) = (json!({ "name": "all" }), json!({ "name": "later", "servers": ["three"] }));
    let (all, later) = (house.issue(all).await, house.issue(later).await);
    for (token, path, status) in [
        (one.as_str(), "/one/stream", OUTSIDE),
        (&one, "/two/stream", 403),
        (&all, "/one/stream", OUTSIDE),
        (&all, "/two/stream", OUTSIDE),
        (&later, "/one/stream", 403),
        ("mcpt_guessed", "/one/stream", 401),
        ("root", "/one/stream", 401),
    ] {
        assert_eq!(house.status(path, token).await, status, "{path} {token}");
    }
    let seen = async |token: &str| {
        let list = session_with_all(&house.gateway.url).token(token).open().await.request(LIST).await;
        let list: Value = serde_json::from_str(&list).expect("JSON");
        let tools = list["result"]["tools"].as_array().expect("tools");
        tools.iter().map(|tool| tool["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(seen(&one).await, ["one__echo"]);
    assert_eq!(seen(&all).await, ["one__echo", "two__echo"]);
    assert_eq!(seen(&later).await, Vec::<Value>::new(), "its server may come");
    assert!(house.shown("one").await["lastUsedAt"].is_string());
    let listed = house.gateway.admin.get("/admin/tokens").await;
    assert_eq!(listed.json()["count"], 3);
    assert!(!listed.text.contains("mcpt_"), "{}", listed.text);
}

#[tokio::test]
async fn rights_at_the_admin_api_are_apart() {
    let house = House::start(&[]).await;
    let program = json!({ "name": "p", "transport": "stdio", "command": "true" });
    let remote = json!({ "name": "r", "transport": "sse", "url": "http://127.0.0.1:1/sse" });
    for (at, (rights, read, write, start)) in [
        (json!(["call"]), 403, 403, 403),
        (json!(["read"]), 200, 403, 403),
        (json!(["write"]), 403, 201, 403),
        (json!(["read", "write", "start"]), 200, 201, 201),
    ]
    .into_iter()
    .enumerate()
    {
        let token = house.issue(json!({ "name": format!("t{at}"), "rights": rights })).await;
        let admin = house.gateway.admin.with_token(&token);
        assert_eq!(admin.get("/admin/mcps").await.status, read, "{rights}");
        assert_eq!(admin.post("/admin/mcps", &remote).await.status, write, "{rights}");
        assert_eq!(admin.post("/admin/mcps", &program).await.status, start, "{rights}");
        let preview = json!({ "files": [{ "name": "a.json", "text": "{}" }] });
        assert_eq!(admin.post("/admin/import", preview).await.status == 403, write == 403, "{rights}");
        // Issuing tokens and reading secrets is for tokens of the settings.
        for path in ["/admin/tokens", "/admin/tokens/t0/rotate"] {
            assert_eq!(admin.post(path, json!({ "name": "mine" })).await.status, 403, "{rights} {path}");
        }
        assert_eq!(admin.delete("/admin/tokens/t0").await.status, 403, "{rights}");
        assert_eq!(
            admin.put("/admin/tokens/t0", json!({ "rights": ["start", "write"] })).await.status,
            403,
            "{rights}"
        );
        assert_eq!(admin.get("/admin/mcps?secrets=true").await.status, 403, "{rights}");
        if rights != json!(["read", "write", "start"]) {
            let refusal = admin.post("/admin/mcps", &program).await.json();
            let word = if write == 201 { "start" } else { "write" };
            assert_eq!(refusal["details"], format!("the access token has not the right \"{word}\""));
        }
        house.gateway.admin.delete("/admin/mcps/r").await;
    }
}

#[tokio::test]
async fn a_request_for_a_token_that_makes_no_sense_is_refused_with_the_cure() {
    let house = House::start(&[]).await;
    let admin = &house.gateway.admin;
    for (wanted, words) in [
        (json!({ "name": "a b" }), "`name`: the name of a token is 1 to 32"),
        (json!({ "name": "a", "rights": [] }), "`rights` is empty"),
        (json!({ "name": "a", "rights": ["start"] }), "no effect without `write`"),
        (json!({ "name": "a", "rights": ["read"], "servers": ["one"] }), "`servers` limits the right `call`"),
        (json!({ "name": "a", "ttl": "1ms" }), "must be from 1s"),
        (json!({ "name": "a", "expires": "1h" }), "unknown field `expires`"),
    ] {
        let refusal = admin.post("/admin/tokens", &wanted).await;
        assert_eq!(refusal.status, 400, "{wanted}");
        assert!(refusal.text.contains(words), "{wanted}: {}", refusal.text);
    }
    house.issue(json!({ "name": "a" })).await;
    assert_eq!(admin.post("/admin/tokens", json!({ "name": "a" })).await.status, 409);
    for path in ["/admin/tokens/b", "/admin/tokens/b/rotate"] {
        assert_eq!(admin.post(path, "{}").await.status, if path.ends_with("rotate") { 404 } else { 405 });
    }
    assert_eq!(admin.put("/admin/tokens/b", json!({ "rights": ["call"] })).await.status, 404);
    assert_eq!(admin.post("/admin/tokens/a/rotate", json!({ "overlap": "-1s" })).await.status, 400);
}

#[tokio::test]
async fn after_a_rotation_a_session_goes_on_with_either_secret() {
    let house = House::start(&[]).await;
    let former = house.issue(json!({ "name": "a" })).await;
    let mut session = session(&house.gateway.url, "one").token(&former).open().await;
    let rotated = house.gateway.admin.post("/admin/tokens/a/rotate", json!({ "overlap": "1h" })).await.json();
    assert!(rotated["token"]["formerUntil"].is_string());
    let next = rotated["secret"].as_str().expect("a secret");
    assert!(session.call("1", "echo", "{}").await.contains("result"));
    let with_next = session.post(LIST).header("authorization", &format!("Bearer {next}")).send().await;
    assert_eq!(with_next.status, 200, "one client, whichever secret it has");
    house.gateway.admin.post("/admin/tokens/a/rotate", json!({ "overlap": "0s" })).await;
    assert_eq!(house.status("/one/stream", &former).await, 401);
    assert_eq!(house.status("/one/stream", next).await, 401);
}

#[tokio::test]
async fn revoked_and_expired_tokens_end_what_their_clients_have_open() {
    let house = House::start(&[]).await;
    let admin = &house.gateway.admin;
    for name in ["revoked", "replaced", "narrowed", "rotated", "expired"] {
        let token = house.issue(json!({ "name": name })).await;
        let bearer = format!("Bearer {token}");
        let opened = session(&house.gateway.url, "one").token(&token).open().await;
        let stream = opened.http("GET").header("accept", "text/event-stream").send().await;
        let listener = client(&house.gateway.url, "two");
        let filter = json!({ "notifications": { "toolsListChanged": true } });
        let listening = listener.request("subscriptions/listen", &filter).header("authorization", &bearer).send().await;
        assert_eq!((stream.status, listening.status), (200, 200), "{name}");
        let path = format!("/admin/tokens/{name}");
        let status = match name {
            "revoked" => admin.delete(&path).await.status,
            // A script may replace a leaked token by another of its name; the streams belong to the former one.
            "replaced" => {
                admin.delete(&path).await;
                house.issue(json!({ "name": name })).await;
                204
            }
            "narrowed" => admin.put(&path, json!({ "rights": ["call"], "servers": ["three"] })).await.status,
            "rotated" => admin.post(&format!("{path}/rotate"), json!({ "overlap": "0s" })).await.status,
            _ => {
                let status = admin.put(&path, json!({ "rights": ["call"], "ttl": "1s" })).await.status;
                let gone = || async { (house.status("/one/stream", &token).await == 401).then_some(()) };
                eventually("the token is refused", gone).await;
                // Any change of a token shows the end of this one at once, instead of within 30 s.
                house.issue(json!({ "name": "other" })).await;
                status
            }
        };
        assert!([200, 204].contains(&status), "{name}: {status}");
        for mut open in [stream, listening] {
            open.text().await;
        }
        let refused = if name == "narrowed" { 403 } else { 401 };
        assert_eq!(house.status("/one/stream", &token).await, refused, "{name}");
        assert_eq!(opened.post(LIST).send().await.status, refused, "{name}");
    }
    assert_eq!(house.shown("expired").await["isExpired"], true);
}

#[tokio::test]
async fn a_session_at_an_open_gateway_goes_on_whatever_is_registered() {
    let mut gateway = binary("mcp-proxy").args(["--port=0", "--storage=memory", "--admin-tokens=root"]).serve().await;
    gateway.admin = gateway.admin.with_token("root");
    let [one, two] = [fake("one").echo("echo").start(Via::Json).await, fake("two").echo("echo").start(Via::Json).await];
    gateway.admin.connect(&two.definition()).await;
    let issued = gateway.admin.post("/admin/tokens", json!({ "name": "a", "servers": ["one"] })).await.json();
    let token = issued["secret"].as_str().expect("a secret");
    let mut session = session_with_all(&gateway.url).token(token).open().await;
    assert!(session.request(LIST).await.contains("two__echo"), "it asks nobody for a token");
    gateway.admin.connect(&one.definition()).await;
    assert!(session.request(LIST).await.contains("one__echo"));
    for name in ["one", "two"] {
        assert_eq!(gateway.admin.delete(&format!("/admin/mcps/{name}")).await.status, 204);
    }
    assert!(session.request(LIST).await.contains(r#""tools":[]"#), "one client all the time");
}

#[tokio::test]
async fn a_call_under_way_ends_with_its_token() {
    let house = House::start(&[]).await;
    let upstream = fake("slow").tool("wait", Call::never).start(Via::Json).await;
    house.gateway.admin.connect(&upstream.definition()).await;
    let token = house.issue(json!({ "name": "a" })).await;
    let call = client(&house.gateway.url, "slow").request("tools/call", &json!({ "name": "wait", "arguments": {} }));
    let call = call.header("authorization", &format!("Bearer {token}"));
    let revoking = async {
        eventually("the call is there", || async { (upstream.count("tools/call") == 1).then_some(()) }).await;
        assert_eq!(house.gateway.admin.delete("/admin/tokens/a").await.status, 204);
    };
    let (answer, ()) = tokio::join!(async { call.send().await.text().await }, revoking);
    assert!(answer.contains("cancelled"), "{answer}");
}

#[tokio::test]
async fn tokens_and_their_sessions_outlive_the_gateway() {
    let data = tempfile::tempdir().expect("a folder");
    let flags = [format!("--port={}", free_port()), format!("--data-dir={}", data.path().display())];
    let start = async || {
        let mut gateway =
            binary("mcp-proxy").args(&flags).args(["--admin-tokens=root", "--require-auth=on"]).serve().await;
        gateway.admin = gateway.admin.with_token("root");
        gateway
    };
    let mut gateway = start().await;
    let upstream = fake("one").echo("echo").start(Via::Json).await;
    gateway.admin.connect(&upstream.definition()).await;
    let issued = gateway.admin.post("/admin/tokens", json!({ "name": "a", "ttl": "24h" })).await.json();
    let secret = issued["secret"].as_str().expect("a secret");
    let mut session = session(&gateway.url, "one").token(secret).open().await;
    gateway.process.signal(Signal::TERM);
    gateway.process.ended(DEADLINE).await;
    let stored = std::fs::read(data.path().join("registry.redb")).expect("a file");
    let holds = |text: &str| stored.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("createdAt") && !holds(secret), "a digest is stored instead of the secret");
    let gateway = start().await;
    gateway.admin.connected("one").await;
    let shown = gateway.admin.get("/admin/tokens/a").await.json();
    assert!(session.call("1", "echo", "{}").await.contains("result"), "the session goes on");
    assert!(shown["lastUsedAt"].as_str() > issued["token"]["createdAt"].as_str(), "{shown}");
    assert_eq!((&shown["expiresAt"], &shown["ttl"]), (&issued["token"]["expiresAt"], &json!("24h")));
}

#[tokio::test]
async fn without_admin_tokens_only_who_runs_the_gateway_issues_any() {
    // Tokens would outlive the switch.
    let flags = ["--port=0", "--storage=memory", "--allow-insecure-admin"];
    let gateway = binary("mcp-proxy").args(flags).serve().await;
    let issue =
        |name: &str| gateway.admin.request(Method::POST, "/admin/tokens").body(json!({ "name": name }).to_string());
    assert_eq!(send(issue("a")).await.status, 201, "the test runs as the user who runs the gateway");
    let forwarded = send(issue("b").header("x-forwarded-for", "192.0.2.1")).await;
    assert_eq!(forwarded.status, 403);
    assert!(forwarded.text.contains("--admin-tokens"), "{}", forwarded.text);
}
