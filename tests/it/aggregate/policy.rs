//! Access control of the endpoint of all upstreams, and the tools that each caller sees there.

use super::*;

fn with(mut definition: Value, more: &Value) -> Value {
    for (member, value) in more.as_object().expect("members") {
        definition[member] = value.clone();
    }
    definition
}

#[tokio::test]
async fn a_definitions_own_token_shows_that_upstream_and_a_global_one_all() {
    let (one, other) =
        (library("one").echo("t").start(Via::Json).await, library("other").echo("t").start(Via::Json).await);
    let gateway = gateway().flags(["--global-auth-tokens", "global"]).start().await;
    gateway.admin.connect(&with(one.definition(), &json!({ "authTokens": ["own"] }))).await;
    gateway.admin.connect(&other.definition()).await;
    let mut everything = session_with_all(&gateway.url).token("global").open().await;
    lists(&mut everything, "tools/list", &["one__t", "other__t"]).await;
    let mut part = session_with_all(&gateway.url).token("own").open().await;
    lists(&mut part, "tools/list", &["one__t"]).await;
    lists(&mut part, "resources/list", &["mcp-proxy://one/x:one"]).await;
    assert!(!part.handshake.contains("About other"), "{}", part.handshake);
    for name in ["other__t", "other:t", "nobody:t"] {
        let answer = part.call("1", name, "{}").await;
        assert!(answer.contains("Unknown") && !answer.contains("not connected"), "{answer}");
    }
    assert_eq!(part.call("1", "other:t", "{}").await, part.call("1", "nobody:t", "{}").await);
    let unseen = part.request(&request("2", "resources/read", r#"{"uri":"mcp-proxy://other/x:other"}"#)).await;
    assert!(unseen.contains("Resource not found") && other.count("resources/read") == 0, "{unseen}");
    for token in ["wrong", "global2"] {
        assert_eq!(session_with_all(&gateway.url).token(token).refused().await.status, 401);
    }
    assert_eq!(session_with_all(&gateway.url).refused().await.status, 401);
}

#[tokio::test]
async fn a_session_is_its_own_callers_only() {
    let one = library("one").echo("t").start(Via::Json).await;
    let gateway = gateway().flags(["--global-auth-tokens", "g1,g2"]).start().await;
    gateway.admin.connect(&with(one.definition(), &json!({ "authTokens": ["own"] }))).await;
    let session = session_with_all(&gateway.url).token("g1").open().await;
    let list = request("1", "tools/list", "{}");
    for token in ["g2", "own"] {
        let other = session_with_all(&gateway.url).token(token).open().await;
        let stolen = other.post(list.clone()).without("mcp-session-id").header("mcp-session-id", &session.id);
        assert_eq!(stolen.send().await.status, 404, "{token}");
    }
    let elsewhere = harness::raw::session(&gateway.url, "one").token("g1").open().await;
    let moved = elsewhere.post(list.clone()).without("mcp-session-id").header("mcp-session-id", &session.id);
    assert_eq!(moved.send().await.status, 404, "a session with all is none with one");
    assert_eq!(session.post(list).send().await.status, 200);
}

#[tokio::test]
async fn without_tokens_everyone_sees_what_asks_for_none() {
    let (open, locked) =
        (library("open").echo("t").start(Via::Json).await, library("locked").echo("t").start(Via::Json).await);
    let gateway = gateway().start().await;
    gateway.admin.connect(&open.definition()).await;
    gateway.admin.connect(&with(locked.definition(), &json!({ "requireAuth": true }))).await;
    let far =
        with(library("far").echo("t").start(Via::Json).await.definition(), &json!({ "allowedIPs": ["192.0.2.1"] }));
    gateway.admin.register(&far).await;
    let mut client = session_with_all(&gateway.url).open().await;
    lists(&mut client, "tools/list", &["open__t"]).await;
    assert!(client.call("1", "locked:t", "{}").await.contains("Unknown upstream"));
    for unseen in ["lockd:t", "lockd__t", "far_t", "locked__u"] {
        let told = client.call("1", unseen, "{}").await;
        assert!(told.contains("Unknown") && !told.contains("locked__t") && !told.contains("`locked`"), "{told}");
    }
}
