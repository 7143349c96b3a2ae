//! Upstreams that recover: forgotten sessions, and restarts.

use futures_util::future::join_all;
use harness::fake::{Fake, Via, fake};
use harness::raw::{Face, Session, session};
use harness::{InProcess, gateway};
use serde_json::json;

use super::{kind, served_again};

const LEVEL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}"#;
const SUBSCRIBE: &str = r#"{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"test://a"}}"#;

async fn forgetful(via: Via, face: Face) -> (Fake, InProcess, Session) {
    let upstream = fake("forgetful").echo("echo").start(via).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let mut client = session(&gateway.url, "forgetful").over(face).open().await;
    // The gateway's own session and the client's session both listen.
    client.listen().await;
    upstream.nth("GET", 1).await;
    (upstream, gateway, client)
}

#[tokio::test]
async fn a_forgotten_session_is_renewed_with_all_that_was_asked_for_and_the_call_made_once_more() {
    for via in [Via::Events, Via::Json] {
        for face in Face::ALL {
            let (upstream, _gateway, mut client) = forgetful(via, face).await;
            client.request(LEVEL).await;
            client.request(SUBSCRIBE).await;
            upstream.forget();
            let before = upstream.received().len();
            let answer = client.call("3", "echo", r#"{"once":1}"#).await;
            assert!(answer.contains(r#"{"once":1}"#), "{via:?} {face:?}: {answer}");
            let since = upstream.received().split_off(before);
            let again = since.iter().find(|one| one.method == "initialize" && one.text().contains("\"raw\""));
            let renewed = again.expect("the client is introduced again").peer;
            let asked = since.iter().filter(|one| one.peer == renewed && one.method != "GET").skip(1);
            let asked: Vec<(&str, &str)> = asked.map(|one| (&*one.method, &*one.envelope.params)).collect();
            let expected = [
                ("notifications/initialized", ""),
                ("logging/setLevel", r#"{"level":"error"}"#),
                ("resources/subscribe", r#"{"uri":"test://a"}"#),
                ("tools/call", r#"{"name":"echo","arguments":{"once":1}}"#),
            ];
            assert_eq!(asked, expected, "{via:?} {face:?}");
            assert_eq!(since.iter().filter(|one| one.method == "tools/call").count(), 2, "{via:?} {face:?}");
        }
    }
}

#[tokio::test]
async fn what_an_upstream_refused_is_not_asked_for_again_and_what_it_took_before_is() {
    let answer = async |call: harness::fake::Call| match call.envelope.params.contains("refused") {
        true => call.fail(r#"{"code":-32602,"message":"no"}"#),
        false => call.reply("{}"),
    };
    let script = fake("forgetful").echo("echo").on("logging/setLevel", answer);
    let script = script.on("resources/subscribe", answer).on("resources/unsubscribe", answer);
    let upstream = script.start(Via::Json).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let mut client = session(&gateway.url, "forgetful").open().await;
    client.listen().await;
    upstream.nth("GET", 1).await;
    client.request(LEVEL).await;
    client.request(SUBSCRIBE).await;
    for refused in [
        r#"{"jsonrpc":"2.0","id":3,"method":"logging/setLevel","params":{"level":"debug","why":"refused"}}"#,
        r#"{"jsonrpc":"2.0","id":4,"method":"resources/subscribe","params":{"uri":"test://refused"}}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"resources/subscribe","params":{"uri":"test://a","why":"refused"}}"#,
        r#"{"jsonrpc":"2.0","id":6,"method":"resources/unsubscribe","params":{"uri":"test://a","why":"refused"}}"#,
    ] {
        let answer = client.request(refused).await;
        assert!(answer.contains("\"error\""), "{answer}");
    }
    upstream.forget();
    let before = upstream.received().len();
    client.call("7", "echo", "{}").await;
    let since = upstream.received().split_off(before);
    let again = since.iter().find(|one| one.method == "initialize" && one.text().contains("\"raw\""));
    let renewed = again.expect("the client is introduced again").peer;
    let asked = since.iter().filter(|one| one.peer == renewed && one.method != "GET").skip(2);
    let asked: Vec<(&str, &str)> = asked.map(|one| (&*one.method, &*one.envelope.params)).collect();
    let expected = [
        ("logging/setLevel", r#"{"level":"error"}"#),
        ("resources/subscribe", r#"{"uri":"test://a"}"#),
        ("tools/call", r#"{"name":"echo","arguments":{}}"#),
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_session_that_is_forgotten_again_at_once_is_not_tried_a_third_time() {
    let (upstream, _gateway, mut client) = forgetful(Via::Events, Face::Stream).await;
    upstream.refuse("tools/call", 404);
    assert_eq!(kind(&client.call("1", "echo", "{}").await), "upstream_session_lost");
    assert_eq!(upstream.count("tools/call"), 2);
    upstream.accept_again("tools/call");
    served_again(&mut client).await;
}

#[tokio::test]
async fn the_admin_api_renews_a_forgotten_session_too() {
    for via in [Via::Events, Via::Json] {
        let (upstream, gateway, _client) = forgetful(via, Face::Stream).await;
        upstream.forget();
        let answer = gateway.admin.call("forgetful", "echo", &json!({})).await;
        assert_eq!(answer.status, 200, "{via:?}: {}", answer.text);
        // Only once if the gateway noticed the lost session before the call.
        assert!(upstream.count("tools/call") <= 2, "{via:?}");
        gateway.admin.connected("forgetful").await;
    }
}

#[tokio::test]
async fn an_upstream_that_restarts_at_the_same_address_is_found_again() {
    // Run concurrently: one after the other they would take a second each.
    join_all([Via::Sse, Via::Events, Via::Json].map(async |via| {
        let (upstream, gateway, client) = forgetful(via, Face::Stream).await;
        let mut clients = [client, session(&gateway.url, "forgetful").over(Face::Sse).open().await];
        upstream.down().await;
        for client in &mut clients {
            let answer = client.call("1", "echo", "{}").await;
            let words = ["upstream_unreachable", "upstream_not_ready", "upstream_lost"];
            assert!(words.iter().any(|word| kind(&answer) == *word), "{via:?}: {answer}");
        }
        gateway.admin.reaches("forgetful", "error").await;
        upstream.up().await;
        for client in &mut clients {
            served_again(client).await;
        }
        gateway.admin.connected("forgetful").await;
    }))
    .await;
}

#[tokio::test]
async fn a_silent_client_of_a_restarted_upstream_hears_it_again() {
    const UPDATED: &str = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"test://a"}}"#;
    join_all([Via::Sse, Via::Events, Via::Json].map(async |via| {
        let (upstream, _gateway, mut client) = forgetful(via, Face::Stream).await;
        client.listen().await;
        client.request(SUBSCRIBE).await;
        upstream.forget();
        let successor = upstream.nth("resources/subscribe", 1).await.peer;
        upstream.peer(successor).await.send(UPDATED);
        assert_eq!(client.next("updated").await, UPDATED, "{via:?}");
    }))
    .await;
}
