//! Upstreams that never complete the handshake.

use harness::fake::{Call, Via, fake};
use harness::gateway;
use harness::raw::{session, session_with_all};
use harness::wait::{Gate, eventually};
use serde_json::json;
use tokio::time::Instant;

use super::{PROMPT, error_holds, kind, served_again};

#[tokio::test]
async fn one_that_refuses_connections_is_registered_and_found_later() {
    for via in [Via::Sse, Via::Events] {
        let absent = fake("absent").echo("echo").start(via).await;
        absent.down().await;
        let gateway = gateway().start().await;
        let mut definition = absent.definition();
        definition["reconnectDelay"] = json!("100ms");
        gateway.admin.register(&definition).await;
        error_holds(&gateway, "absent", "cannot connect").await;
        let refused = session(&gateway.url, "absent").refused().await;
        assert_eq!((refused.status, kind(&refused.text)), (503, json!("upstream_unreachable")), "{via:?}");
        absent.up().await;
        gateway.admin.connected("absent").await;
        served_again(&mut session(&gateway.url, "absent").open().await).await;
    }
}

#[tokio::test]
async fn one_that_never_answers_is_given_up_at_its_own_deadline() {
    for via in Via::ALL {
        println!("{via:?}");
        let hung = fake("hung").on("initialize", Call::never).start(via).await;
        let gateway = gateway().start().await;
        let mut definition = hung.definition();
        definition["timeout"] = json!("300ms");
        gateway.admin.register(&definition).await;
        error_holds(&gateway, "hung", "within the deadline").await;
        let began = Instant::now();
        let refused = session(&gateway.url, "hung").refused().await;
        let expected = if via == Via::Stdio { (503, "upstream_not_ready") } else { (504, "upstream_timed_out") };
        assert_eq!((refused.status, kind(&refused.text)), (expected.0, json!(expected.1)), "{via:?}");
        assert!(began.elapsed() < PROMPT, "{via:?}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn one_that_never_takes_the_end_of_the_handshake_is_given_up_too() {
    for via in [Via::Sse, Via::Events] {
        let hung = fake("hung").start(via).await;
        hung.stall("notifications/initialized");
        let gateway = gateway().start().await;
        let mut definition = hung.definition();
        definition["timeout"] = json!("300ms");
        gateway.admin.register(&definition).await;
        error_holds(&gateway, "hung", "within the deadline").await;
    }
}

#[tokio::test]
async fn one_that_refuses_the_end_of_the_handshake_of_a_client_of_all_keeps_no_session() {
    let closed = fake("closed").echo("echo").start(Via::Events).await;
    let gateway = gateway().start().await;
    let mut definition = closed.definition();
    definition["sessionMode"] = json!("dedicated");
    gateway.admin.connect(&definition).await;
    let mut client = session_with_all(&gateway.url).open().await;
    closed.refuse("notifications/initialized", 500);
    for id in ["\"1\"", "\"2\"", "\"3\""] {
        let answer = client.call(id, "closed__echo", "{}").await;
        assert_eq!(kind(&answer), "upstream_bad_answer", "{answer}");
    }
    eventually("only the gateway's own session lives", || async { (closed.live() == 1).then_some(()) }).await;
    closed.accept_again("notifications/initialized");
    assert!(client.call("\"4\"", "closed__echo", "{}").await.contains("structuredContent"));
}

#[tokio::test]
async fn one_that_starts_slowly_is_waited_for_and_nobody_else_waits() {
    let warm = Gate::default();
    let wait = warm.clone();
    let script = fake("cold").echo("echo").on("initialize", move |call| {
        let wait = wait.clone();
        async move {
            wait.opened().await;
            call.proceed();
        }
    });
    let (cold, other) = (script.start(Via::Stdio).await, fake("other").echo("echo").start(Via::Stdio).await);
    let gateway = gateway().start().await;
    gateway.admin.register(&cold.definition()).await;
    gateway.admin.connect(&other.definition()).await;
    cold.nth("initialize", 0).await;
    assert_eq!(gateway.admin.status("cold").await["status"], "connecting");
    let began = Instant::now();
    let tools = gateway.admin.get("/admin/tools").await.json();
    assert!(began.elapsed() < PROMPT);
    assert_eq!((&tools["count"], &tools["tools"][0]["mcpName"]), (&json!(1), &json!("other")));
    let (mut client, ()) = tokio::join!(session(&gateway.url, "cold").open(), async { warm.open() });
    served_again(&mut client).await;
}

#[tokio::test]
async fn one_that_refuses_with_a_status_says_so_in_its_own() {
    for via in [Via::Sse, Via::Events] {
        for status in [401, 404, 405, 429, 502] {
            let closed = fake("closed").start(via).await;
            closed.refuse("initialize", status);
            let gateway = gateway().start().await;
            gateway.admin.register(&closed.definition()).await;
            error_holds(&gateway, "closed", &status.to_string()).await;
            let refused = session(&gateway.url, "closed").refused().await;
            assert!(refused.status >= 500, "{via:?} {status}: {}", refused.status);
            assert_ne!(kind(&refused.text), json!(null), "{via:?} {status}: {}", refused.text);
        }
    }
}

#[tokio::test]
async fn one_without_a_stream_of_its_own_is_served_all_the_same() {
    for via in [Via::Events, Via::Json] {
        let plain = fake("plain").echo("echo").without_stream().start(via).await;
        let gateway = gateway().start().await;
        gateway.admin.connect(&plain.definition()).await;
        let mut client = session(&gateway.url, "plain").open().await;
        assert!(client.call("1", "echo", "{}").await.contains("structuredContent"));
        assert_eq!(plain.count("GET"), 2, "{via:?}: asked once for each session");
    }
}

#[tokio::test]
async fn one_that_answers_with_an_error_tells_it_to_the_client() {
    const NO: &str = r#"{"code":-32042,"message":"not today","data":{"n":1.0}}"#;
    for via in [Via::Sse, Via::Events, Via::Json] {
        let choosy = fake("choosy").on("initialize", |call| async move { call.fail(NO) }).start(via).await;
        let gateway = gateway().start().await;
        gateway.admin.register(&choosy.definition()).await;
        error_holds(&gateway, "choosy", "not today").await;
        let refused = session(&gateway.url, "choosy").refused().await;
        assert_eq!(refused.text, format!(r#"{{"jsonrpc":"2.0","id":"hello","error":{NO}}}"#), "{via:?}");
        eventually("nothing stays open", || async { (choosy.live() == 0).then_some(()) }).await;
    }
}
