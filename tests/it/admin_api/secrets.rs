//! Secrets are accepted in definitions and never returned.

use harness::fake::{Fake, Via, fake};
use harness::gateway;
use serde_json::{Value, json};

use super::{is, nowhere, refuses, with};

const SECRETS: [&str; 4] = ["s3cret-header", "s3cret-key", "s3cret-variable", "s3cret-token"];

fn secretive(definition: Value) -> Value {
    with(
        definition,
        json!({
            "headers": { "Authorization": "Bearer s3cret-header", "X-Key": "s3cret-key" },
            "env": { "TOKEN": "s3cret-variable" },
            "authTokens": ["s3cret-token"],
        }),
    )
}

#[tokio::test]
async fn nothing_that_is_read_holds_a_secret() {
    let gateway = gateway().start().await;
    let upstream = fake("a").start(Via::Json).await;
    gateway.admin.connect(&secretive(upstream.definition())).await;
    gateway.admin.register(&secretive(nowhere("b"))).await;
    gateway.admin.reaches("b", "error").await;
    for path in ["/admin/mcps", "/admin/mcps/a", "/admin/mcps/b", "/admin/tools", "/admin/metrics", "/healthz"] {
        let text = gateway.admin.get(path).await.text;
        assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "{path}: {text}");
    }
    let shown = gateway.admin.get("/admin/mcps/a").await.json();
    let definition = &shown["definition"];
    assert_eq!(definition["headers"], json!({ "Authorization": "[redacted]", "X-Key": "[redacted]" }));
    assert_eq!(
        (&definition["env"], &definition["authTokens"]),
        (&json!({ "TOKEN": "[redacted]" }), &json!(["[redacted]"]))
    );
}

#[tokio::test]
async fn a_secret_s_fingerprint_changes_with_the_secret_and_only_then() {
    let gateway = gateway().start().await;
    gateway.admin.register(&secretive(nowhere("a"))).await;
    gateway.admin.register(&secretive(nowhere("b"))).await;
    let prints =
        async |name: &str| gateway.admin.get(&format!("/admin/mcps/{name}")).await.json()["fingerprints"].take();
    let first = prints("a").await;
    let values: Vec<_> = first["values"].as_object().expect("an object").keys().collect();
    assert_eq!(values, ["authTokens.0", "env.TOKEN", "headers.Authorization", "headers.X-Key"]);
    assert_eq!(prints("b").await["salt"], first["salt"]);
    let mut changed = secretive(nowhere("a"));
    changed["headers"]["X-Key"] = json!("another");
    assert_eq!(gateway.admin.put("/admin/mcps/a", changed).await.status, 200);
    let second = prints("a").await;
    for (place, print) in first["values"].as_object().expect("an object") {
        assert_eq!(second["values"][place] != *print, place == "headers.X-Key", "{place}");
    }
}

/// Returns the credentials that came with the given `initialize` request, counted from 0.
async fn credentials(upstream: &Fake, handshake: usize) -> [String; 2] {
    let received = upstream.nth("initialize", handshake).await;
    ["authorization", "x-key"].map(|name| {
        let value = received.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    })
}

#[tokio::test]
async fn a_placeholder_sent_back_keeps_the_stored_secret() {
    let gateway = gateway().start().await;
    let upstream = fake("a").start(Via::Json).await;
    gateway.admin.connect(&secretive(upstream.definition())).await;
    assert_eq!(credentials(&upstream, 0).await, ["Bearer s3cret-header", "s3cret-key"]);
    let mut shown = gateway.admin.get("/admin/mcps/a").await.json()["definition"].take();
    shown["headers"]["X-Key"] = json!("new");
    shown["description"] = json!("changed");
    assert_eq!(gateway.admin.put("/admin/mcps/a", shown).await.status, 200);
    assert_eq!(credentials(&upstream, 1).await, ["Bearer s3cret-header", "new"]);
    let stored = gateway.admin.get("/admin/mcps/a").await.json();
    assert_eq!(stored["definition"]["description"], "changed");
    // The token is kept as well: it still opens the endpoints, and the text `[redacted]` does not.
    for (token, status) in [("s3cret-token", 400), ("[redacted]", 401)] {
        assert_eq!(gateway.admin.with_token(token).get("/a/message").await.status, status, "{token}");
    }
}

#[tokio::test]
async fn a_placeholder_for_nothing_is_refused() {
    let gateway = gateway().start().await;
    let redacted = with(nowhere("a"), json!({ "headers": { "X-Key": "[redacted]" } }));
    let details = "invalid MCP definition: `headers.X-Key` is redacted and there is no stored value to keep";
    let answer = gateway.admin.post("/admin/mcps", &redacted).await;
    is(&answer, 400, json!({ "error": "Invalid request", "details": details }));
    gateway.admin.register(&nowhere("a")).await;
    let answer = gateway.admin.put("/admin/mcps/a", &redacted).await;
    refuses(&answer, 400, "Invalid MCP definition", details);
}

#[tokio::test]
async fn a_caller_s_token_is_not_passed_upstream() {
    let gateway = gateway().start().await;
    let upstream = fake("a").echo("say").start(Via::Json).await;
    gateway.admin.connect(&with(upstream.definition(), json!({ "authTokens": ["for the gateway"] }))).await;
    let session = harness::raw::session(&gateway.url, "a").token("for the gateway");
    session.open().await.call("1", "say", "{}").await;
    for received in upstream.received() {
        assert_eq!(received.headers.get("authorization"), None, "{}", received.method);
    }
}
