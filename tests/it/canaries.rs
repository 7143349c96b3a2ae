//! Secrets are put into every part of a definition or a setting that can hold one, and searched for in all output:
//! every response of the admin API, every line of the log, every output of the command line.

use std::fs;

use harness::fake::{Via, fake};
use harness::{DEADLINE, binary, raw, wait};
use serde_json::{Value, json};

/// Word that every seeded secret contains, in clear or in base64.
const CANARY: &str = "cAnArY";

fn canary(place: &str) -> String {
    format!("{CANARY}-{place}-7f3a9c")
}

#[track_caller]
fn holds_none(what: &str, text: &str) {
    // Base64 of the canary at each of the three alignments: one of them occurs in any `Authorization: Basic` with the
    // canary.
    let in_base64 = ["Y0FuQXJZ", "NBbkFyW", "jQW5Bcl"];
    let found = [CANARY].iter().chain(&in_base64).find_map(|needle| text.find(*needle));
    let around = found.map(|at| text.get(at.saturating_sub(80)..(at + 40).min(text.len())).unwrap_or(text));
    assert_eq!(around, None, "{what}");
}

/// Adds a secret in every member that does not depend on the transport.
fn secretive(mut definition: Value) -> Value {
    definition["headers"] =
        json!({ "X-Api-Key": canary("header"), "Authorization": format!("Bearer {}", canary("bearer")) });
    definition["env"] = json!({ "SOME_TOKEN": canary("env"), "PLAIN": canary("plain") });
    definition["authTokens"] = json!([canary("token")]);
    definition
}

fn with_credentials(url: &str) -> String {
    let (user, password, value) = (canary("user"), canary("password"), canary("query"));
    format!("{}?key={value}&mode={value}", url.replacen("://", &format!("://{user}:{password}@"), 1))
}

/// Returns the definition of a program that writes its arguments and variables to stdout and stderr, and exits.
fn talkative(name: &str) -> Value {
    let script = "echo \"$SOME_TOKEN $PLAIN $*\" >&2; echo \"$SOME_TOKEN $*\"; exit 3";
    let (token, url) = (canary("arg"), with_credentials("http://x.test/"));
    let args = json!([
        "-c",
        script,
        "sh",
        "--token",
        token,
        format!("--api-key={token}"),
        format!("KEY={token}"),
        url,
        format!("sk-{token}"),
        "-H",
        format!("X-Key: {token}")
    ]);
    secretive(json!({ "name": name, "transport": "stdio", "command": "sh", "args": args, "reconnectDelay": "60s" }))
}

/// Collects the responses of each route, with and without authorization, and to malformed requests.
async fn every_answer(gateway: &binary::Served) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    let admin = &gateway.admin.with_token(&canary("admin"));
    for path in [
        "/admin/mcps",
        "/admin/mcps/open",
        "/admin/mcps/shut",
        "/admin/mcps/talkative",
        "/admin/tools",
        "/admin/tools?all=true",
        "/admin/metrics",
        "/admin/leases",
        "/healthz",
        "/readyz",
        "/admin/nowhere",
    ] {
        answers.push((format!("GET {path}"), admin.get(path).await.text));
    }
    let names = ["open", "shut", "talkative"];
    for name in names {
        let path = format!("/admin/mcps/{name}");
        let shown = admin.get(&path).await.json()["definition"].take();
        let mut elsewhere = shown.clone();
        elsewhere["url"] = json!("http://elsewhere.test/?key=[redacted]");
        elsewhere["command"] = json!("another");
        for (what, body) in [("as shown", &shown), ("elsewhere", &elsewhere)] {
            answers.push((format!("PUT {name} {what}"), admin.put(&path, body).await.text));
        }
        for change in ["create", "update"] {
            let changes = json!({ "changes": [{ "change": change, "definition": talkative(name), "revision": 1 }] });
            answers.push((format!("{change} {name}"), admin.post("/admin/generations", changes).await.text));
        }
        answers.push((format!("POST {name}"), admin.post("/admin/mcps", talkative(name)).await.text));
        let call = admin.call(name, "no-such-tool", &json!({})).await;
        answers.push((format!("call {name}"), call.text));
    }
    for body in [
        json!({ "name": "x", "env": canary("misplaced") }),
        json!({ "name": "x", "transport": "stdio", "command": "sh", "timeout": { "a": canary("misplaced") } }),
        json!({ "name": "x", "transport": "sse", "url": format!("http://u:{}@:0/", canary("password")) }),
        json!({ "name": "x", "transport": "sse", "url": "http://x/", "headers": { "A": format!("{}\n", canary("header")) } }),
    ] {
        answers.push((format!("POST {body}").replace(CANARY, ""), admin.post("/admin/mcps", &body).await.text));
        answers.push(("PUT".to_owned(), admin.put("/admin/mcps/open", &body).await.text));
    }
    answers
}

async fn seeded(format: &str) {
    let flags = ["--port", "0", "--log-level", "debug", "--log-format", format, "--admin-tokens", &canary("admin")];
    let flags = [&flags[..], &["--query-tokens", "on"]].concat();
    let gateway = binary("mcp-proxy").args(flags).serve().await;
    let admin = gateway.admin.with_token(&canary("admin"));
    let open = fake("open").listed(&format!(r#"{{"name":"t","description":"Uses {}."}}"#, canary("header")));
    let open = open.start(Via::Json).await;
    let shut = fake("shut").start(Via::Json).await;
    shut.refuse("initialize", 401);
    for (name, fake) in [("open", &open), ("shut", &shut)] {
        let mut definition = secretive(fake.definition());
        definition["url"] = json!(with_credentials(definition["url"].as_str().expect("a URL")));
        definition["reconnectDelay"] = json!("60s");
        admin.register(&definition).await;
        admin.reaches(name, if name == "open" { "connected" } else { "error" }).await;
    }
    admin.register(&talkative("talkative")).await;
    let status = wait::eventually("what it said", || async {
        let status = admin.status("talkative").await;
        status["lastError"].as_str().is_some_and(|told| told.contains("redacted")).then_some(status)
    });
    let told = status.await["lastError"].to_string();
    assert!(told.contains("exit code 3"), "{told}");
    let session = raw::session(&gateway.url, "open").token(&canary("token")).open().await;
    drop(session);
    for (path, token) in
        [("/open/stream", "token"), ("/open/sse", "token"), ("/mcp", "wrong"), ("/admin/mcps", "admin")]
    {
        let target = format!("{}{path}?key={}", gateway.url, canary(token));
        let answer = raw::raw("GET", &target).header("accept", "text/event-stream, application/json").send().await;
        assert_eq!(answer.status == 401, token == "wrong", "{path}: {}", answer.status);
    }
    for (what, text) in every_answer(&gateway).await {
        holds_none(&what, &text);
    }
    let received = open.nth("initialize", 0).await;
    assert!(received.headers.iter().any(|(_, value)| value.as_bytes().starts_with(b"Bearer cAnArY")), "it is sent");
    command_line(&gateway).await;
    let mut gateway = gateway;
    gateway.process.signal(harness::process::Signal::TERM);
    let ended = gateway.process.ended(DEADLINE).await;
    assert!(ended.err.contains("standard error") && ended.err.contains("[redacted]"), "it logs what the child wrote");
    holds_none("log", &ended.err);
    holds_none("standard output", &ended.out);
}

#[tokio::test]
async fn no_answer_line_or_output_holds_a_secret() {
    seeded("text").await;
}

#[tokio::test]
async fn no_line_of_a_json_log_holds_a_secret() {
    seeded("json").await;
}

/// Checks the output of `register-service` about this gateway, and about files that hold secrets.
async fn command_line(gateway: &binary::Served) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (url, token) = (with_credentials("http://127.0.0.1:9/mcp"), canary("yaml"));
    let text = format!(
        "mcps:\n  - {{id: far, url: '{url}', transport: streamable-http, use_proxy: true, headers: {{X-Key: {token}}},\n     \
         gateway: {{auth_tokens: [{token}]}}}}\n  - {{id: near, command: 'sh --token {token}', args: ['--api-key={token}', 'API_KEY={token}'], \
         env: {{T: {token}}}, use_proxy: true}}\n  - {{id: direct, url: '{url}'}}\n  \
         - {{id: own, command: 'sh --token {token}', use_proxy: false}}\n"
    );
    fs::write(folder.path().join("w.yaml"), text).expect("a file");
    let dump = folder.path().join("dump");
    let path = folder.path().join("w.yaml").display().to_string();
    let plan = folder.path().join("plan.json").display().to_string();
    fs::create_dir(&dump).expect("a folder");
    for args in [
        &["validate", &path][..],
        &["render", &path],
        &["render", &path, "--output", "json"],
        &["plan", &path],
        &["plan", &path, "-o", &plan],
        &["plan", &path, "--output", "json"],
        &["sync", &path],
        &["sync", &path],
        &["status"],
        &["status", "--output", "json"],
        &["dump"],
    ] {
        let tool = binary("register-service").env("MCP_PROXY_URL", &gateway.url);
        let ended = tool.env("MCP_PROXY_ADMIN_TOKEN", canary("admin")).args(args).run().await;
        holds_none(&format!("{args:?}"), &format!("{}{}", ended.out, ended.err));
        assert!(!ended.out.is_empty(), "{args:?}: {}", ended.err);
    }
    holds_none("saved plan", &fs::read_to_string(plan).expect("a plan"));
}
