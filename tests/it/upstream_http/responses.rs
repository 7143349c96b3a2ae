//! Responses in every form that the revisions allow: resumed by polling, batched, with other line endings.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::fake::{Call, Via, fake};
use harness::gateway;
use harness::raw::{session, tool_call};
use harness::web::{Answer, Asked, events, status, text, usual, web, with};
use serde_json::json;

use super::connected;

/// Starts a server that ends the response to each call with these events, and answers polls with `poll` until that
/// returns `None`, then with the result.
async fn polled(
    first: &'static str,
    poll: impl Fn(usize) -> Option<Answer> + Send + Sync + 'static,
) -> harness::web::Web {
    let state = Arc::new((poll, AtomicUsize::new(0), AtomicUsize::new(0)));
    web(move |asked: Asked| {
        let state = Arc::clone(&state);
        async move {
            if asked.rpc() == "tools/call" {
                let id = usize::try_from(asked.message()["id"].as_u64().unwrap_or_default()).unwrap_or_default();
                state.2.store(id, Ordering::SeqCst);
                return events(first);
            }
            if asked.method != "GET" || asked.header("last-event-id").is_empty() {
                return usual(&asked);
            }
            state.0(state.1.fetch_add(1, Ordering::SeqCst)).unwrap_or_else(|| {
                let answer =
                    json!({ "jsonrpc": "2.0", "id": state.2.load(Ordering::SeqCst), "result": { "polled": true } });
                events(format!("id: z\ndata: {answer}\n\n"))
            })
        }
    })
    .await
}

#[tokio::test]
async fn a_response_is_polled_for_as_long_as_polls_are_accepted() {
    let server = polled("id: 0\nretry: 0\ndata:\n\n", |number| (number < 9).then(|| events(": nothing yet\n\n"))).await;
    let (_gateway, mut client) = connected(&server).await;
    assert!(client.call("1", "echo", "{}").await.contains("polled"));
    assert_eq!(server.count("tools/call"), 1);
}

#[tokio::test]
async fn a_poll_that_is_refused_for_a_while_is_tried_again() {
    for code in [409, 429, 503] {
        let first = "\u{feff}retry: 0\r\nid: 0\r\n\r\n";
        let server = polled(first, move |number| (number < 2).then(|| status(code))).await;
        let (_gateway, mut client) = connected(&server).await;
        assert!(client.call("1", "echo", "{}").await.contains("polled"), "{code}");
        assert_eq!(server.count("tools/call"), 1, "{code}");
    }
}

#[tokio::test]
async fn a_poll_that_is_refused_for_good_ends_the_call_and_sends_nothing_again() {
    let server = polled("id: 0\nretry: 0\ndata:\n\n", |_| Some(status(404))).await;
    let (_gateway, mut client) = connected(&server).await;
    assert!(client.call("1", "echo", "{}").await.contains("upstream_lost"));
    assert_eq!((server.count("tools/call"), server.count("initialize")), (1, 2));
}

#[tokio::test]
async fn batches_are_read_wherever_a_message_may_stand() {
    for via in Via::ALL {
        let script = fake("batches").tool("echo", move |call: Call| async move {
            let token = call.envelope.progress_token();
            let told = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
            );
            let answer = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[]}}}}"#, call.id);
            let batch = format!("[{told}, 5,{answer}]");
            if via == Via::Json { call.print(batch) } else { call.send(batch) }
        });
        let upstream = script.start(via).await;
        let gateway = gateway().start().await;
        gateway.admin.connect(&upstream.definition()).await;
        let mut client = session(&gateway.url, "batches").open().await;
        let call = tool_call("1", "echo", "{}").replace(r#""params":{"#, r#""params":{"_meta":{"progressToken":"p"},"#);
        client.begin(call);
        assert!(client.next("notifications/progress").await.contains(r#""progressToken":"p""#), "{via:?}");
        assert!(client.answer("1").await.contains(r#""result":{"content":[]}"#), "{via:?}");
    }
}

/// Returns `body` in the gzip format.
fn stored(body: &[u8]) -> Vec<u8> {
    // One stored block (RFC 1951, 3.2.4), so that no encoder is needed.
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    let length = u16::try_from(body.len()).expect("a short body");
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(body);
    out.extend(crc32(body).to_le_bytes());
    out.extend(u32::from(length).to_le_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[tokio::test]
async fn a_body_that_was_compressed_unasked_is_decoded_also_in_an_event_stream() {
    for as_events in [false, true] {
        let server = web(move |asked: Asked| async move {
            if asked.rpc() != "tools/call" {
                return usual(&asked);
            }
            let message = asked.result(&json!({ "unpacked": true })).to_string();
            let answer = match as_events {
                true => events(stored(format!("data: {message}\n\n").as_bytes())),
                false => text(200, "application/json", stored(message.as_bytes())),
            };
            with(answer, "content-encoding", "gzip")
        })
        .await;
        let (_gateway, mut client) = connected(&server).await;
        assert!(client.call("1", "echo", "{}").await.contains("unpacked"), "as events: {as_events}");
        assert!(server.asked().iter().all(|asked| asked.header("accept-encoding") == "identity"));
    }
}

#[tokio::test]
async fn a_coding_that_is_not_supported_fails_the_call_and_is_named() {
    let server = web(|asked: Asked| async move {
        match asked.rpc().as_str() {
            "initialize" => with(usual(&asked), "content-encoding", "compress"),
            _ => usual(&asked),
        }
    })
    .await;
    let gateway = gateway().start().await;
    gateway.admin.register(&server.definition("web")).await;
    let status = gateway.admin.reaches("web", "error").await;
    assert!(status["lastError"].to_string().contains("coded as `compress`"), "{status}");
}

#[tokio::test]
async fn a_definitions_own_limit_of_a_message_holds_for_what_is_decoded() {
    for as_events in [false, true] {
        let server = web(move |asked: Asked| async move {
            if asked.rpc() != "tools/call" {
                return usual(&asked);
            }
            let message = asked.result(&json!({ "unpacked": "x".repeat(20_000) })).to_string();
            let answer = match as_events {
                true => events(stored(format!("data: {message}\n\n").as_bytes())),
                false => text(200, "application/json", stored(message.as_bytes())),
            };
            with(answer, "content-encoding", "gzip")
        })
        .await;
        let gateway = gateway().start().await;
        let mut definition = server.definition("web");
        definition["maxMessageBytes"] = json!(10_000);
        gateway.admin.connect(&definition).await;
        let mut client = session(&gateway.url, "web").open().await;
        let failed = client.call("1", "echo", "{}").await;
        let words = "the limit is 10000 bytes (--max-message-bytes, or `maxMessageBytes` in the server's definition)";
        assert!(failed.contains(words), "as events: {as_events}: {failed}");
    }
}

#[tokio::test]
async fn what_a_server_repeats_of_a_declared_secret_is_not_told_to_clients() {
    let server = web(|asked: Asked| async move {
        match asked.rpc().as_str() {
            "tools/call" => text(403, "text/plain", format!("no access with {}", asked.header("x-key"))),
            _ => usual(&asked),
        }
    })
    .await;
    let gateway = gateway().start().await;
    let mut definition = server.definition("web");
    definition["headers"] = json!({ "X-Key": "hush-hush-hush" });
    gateway.admin.connect(&definition).await;
    let mut client = session(&gateway.url, "web").open().await;
    let failed = client.call("1", "echo", "{}").await;
    assert!(failed.contains("no access with [redacted]") && !failed.contains("hush"), "{failed}");
}

#[tokio::test]
async fn a_call_whose_answer_is_none_is_told_what_came_instead() {
    type Case = (&'static str, fn() -> Answer, &'static str);
    let answers: [Case; 5] = [
        ("coded", || with(text(200, "application/json", "x"), "content-encoding", "compress"), "coded as `compress`"),
        ("page", || text(200, "text/html", "<html>\n<h1>Log in</h1>"), "text/html beginning `<html> <h1>Log in</h1>`"),
        (
            "proxy",
            || text(502, "text/html", "<h1>Bad gateway</h1>"),
            "502 Bad Gateway, with text/html beginning `<h1>Bad",
        ),
        ("refusal", || text(403, "text/plain", "no access"), "status 403, with text/plain beginning `no access`"),
        (
            "moved",
            || with(status(302), "location", "https://sso.example/login?t=s"),
            "leads to `https://sso.example/login`",
        ),
    ];
    for (name, answer, expected) in answers {
        let server =
            web(move |asked: Asked| async move { if asked.rpc() == "tools/call" { answer() } else { usual(&asked) } })
                .await;
        let (_gateway, mut client) = connected(&server).await;
        let failed = client.call("1", "echo", "{}").await;
        assert!(failed.contains(expected), "{name}: {failed}");
        assert!(!failed.contains("t=s"), "{name}: {failed}");
    }
}
