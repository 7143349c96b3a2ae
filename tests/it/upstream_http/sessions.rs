//! End of an upstream session: the responses that cause it, and those that do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::raw::tool_call;
use harness::wait::Gate;
use harness::web::{Answer, Asked, status, text, usual, web};
use serde_json::{Value, json};

use super::connected;

fn refusal(code: u16, id: &Value) -> Answer {
    let error = json!({ "code": -32602, "message": "unknown browser session 'b7'" });
    text(code, "application/json", json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string())
}

fn fault(asked: &Asked) -> bool {
    asked.message()["params"]["name"] == "fault"
}

#[tokio::test]
async fn an_error_with_the_id_of_the_request_is_the_answer_at_any_status() {
    for code in [200, 400, 401, 404, 409, 422, 429, 500, 503] {
        let slow = Gate::default();
        let wait = slow.clone();
        let server = web(move |asked| {
            let wait = wait.clone();
            async move {
                match asked.message()["params"]["name"].as_str() {
                    Some("fault") => return refusal(code, &asked.message()["id"]),
                    Some("slow") => wait.opened().await,
                    _ => {}
                }
                usual(&asked)
            }
        })
        .await;
        let (_gateway, mut client) = connected(&server).await;
        client.begin(tool_call("1", "slow", "{}"));
        server.nth("tools/call", 0).await;
        let answer = client.call("2", "fault", "{}").await;
        let expected = r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"unknown browser session 'b7'"}}"#;
        assert_eq!(
            serde_json::from_str::<Value>(&answer).expect("JSON"),
            serde_json::from_str::<Value>(expected).expect("JSON"),
            "{code}"
        );
        slow.open();
        assert!(client.answer("1").await.contains("result"), "{code}: another call in the session");
        assert_eq!(server.asked().iter().filter(|asked| fault(asked)).count(), 1, "{code}: sent once");
        assert_eq!(server.count("initialize"), 2, "{code}: the session goes on");
    }
}

/// Makes one call to a server that answers the first `tools/call` with `first` and `ping` with `ping`; returns the
/// answer, the number of calls and the number of handshakes.
async fn after(first: fn(&Asked) -> Answer, ping: fn(&Asked) -> Answer) -> (String, usize, usize) {
    let calls = Arc::<AtomicUsize>::default();
    let server = web(move |asked| {
        let calls = Arc::clone(&calls);
        async move {
            match asked.rpc().as_str() {
                "tools/call" if calls.fetch_add(1, Ordering::SeqCst) == 0 => first(&asked),
                "ping" => ping(&asked),
                _ => usual(&asked),
            }
        }
    })
    .await;
    let (_gateway, mut client) = connected(&server).await;
    let answer = client.call("1", "echo", "{}").await;
    (answer, server.count("tools/call"), server.count("initialize"))
}

#[tokio::test]
async fn a_session_is_renewed_when_the_upstream_says_that_it_does_not_know_it() {
    let lost: [fn(&Asked) -> Answer; 6] = [
        |_| status(404),
        |_| text(404, "text/html", "<html>not found</html>"),
        |_| refusal(404, &Value::Null),
        |_| refusal(400, &Value::Null),
        |_| refusal(400, &json!("server-error")),
        |_| text(400, "application/json", r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"no"}}"#),
    ];
    for first in lost {
        let (answer, calls, greeted) = after(first, usual).await;
        assert!(answer.contains("result"), "{answer}");
        assert_eq!((calls, greeted), (2, 3));
    }
    // The error text has no agreed form: a ping in the session decides.
    let (answer, calls, greeted) = after(|_| text(400, "text/plain", "Invalid session ID"), |_| status(404)).await;
    assert!(answer.contains("result"), "{answer}");
    assert_eq!((calls, greeted), (2, 3));
}

#[tokio::test]
async fn a_refusal_in_any_other_words_leaves_the_session_alone() {
    let refusals: [fn(&Asked) -> Answer; 6] = [
        |_| text(400, "text/plain", "Bad Request: the session cookie is too large"),
        |_| text(400, "text/html", "<html>session expired</html>"),
        |_| status(401),
        |_| status(403),
        |_| status(410),
        |_| text(429, "text/plain", "session limit"),
    ];
    for first in refusals {
        let (answer, calls, greeted) = after(first, usual).await;
        assert!(answer.contains("upstream_refused"), "{answer}");
        assert_eq!((calls, greeted), (1, 2));
    }
}
