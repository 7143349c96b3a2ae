//! GET stream of a session: optional, and no sign of the session's health.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use harness::raw::session;
use harness::wait::Gate;
use harness::web::{Answer, Asked, Stream, Web, events, hang_up, message_of, status, stream, text, usual, web, with};
use harness::{eventually, gateway};
use serde_json::json;
use tokio::sync::mpsc;

/// Responses to the first GET, by name.
const FIRST: [&str; 13] =
    ["400", "401", "403", "409", "429", "500", "503", "302", "page", "json", "reset", "empty", "cut"];

fn first(name: &str) -> Answer {
    match name {
        "302" => with(status(302), "location", "https://sso.example/login"),
        "429" => with(status(429), "retry-after", "1"),
        "page" => text(200, "text/html", "<html>hello</html>"),
        "json" => message_of(&json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32000, "message": "no" } })),
        "reset" => hang_up(),
        "empty" => events(""),
        "cut" => {
            let (stream, answer) = stream();
            stream.send(": hello\n");
            stream.reset();
            answer
        }
        refusal => status(refusal.parse().unwrap_or(500)),
    }
}

/// Starts a server whose GET streams are answered by `get`, with their number; it offers the tool `new` once the
/// returned counter is set.
async fn server(get: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> (Web, Arc<AtomicUsize>) {
    let (changed, get) = (Arc::<AtomicUsize>::default(), Arc::new((get, AtomicUsize::new(0))));
    let flag = Arc::clone(&changed);
    let server = web(move |asked| {
        let (get, flag) = (Arc::clone(&get), Arc::clone(&flag));
        async move {
            match asked.rpc().as_str() {
                "GET" => (get.0)(get.1.fetch_add(1, Ordering::SeqCst), &asked),
                "tools/list" if flag.load(Ordering::SeqCst) > 0 => message_of(
                    &asked.result(&json!({ "tools": [{ "name": "new", "inputSchema": { "type": "object" } }] })),
                ),
                _ => usual(&asked),
            }
        }
    });
    (server.await, changed)
}

#[tokio::test]
async fn whatever_a_first_get_is_answered_calls_go_on_and_the_stream_is_had_later() {
    let gateway = gateway().start().await;
    join_all(FIRST.map(async |name| {
        let (streams, mut opened) = mpsc::channel::<Stream>(16);
        let (server, changed) = server(move |number, _| {
            if number == 0 {
                return first(name);
            }
            let (stream, answer) = stream();
            streams.try_send(stream).ok();
            answer
        })
        .await;
        gateway.admin.connect(&server.definition(name)).await;
        server.nth("GET", 0).await;
        // A change before the stream is open is not announced.
        server.nth("tools/list", 0).await;
        changed.store(1, Ordering::SeqCst);
        let answer = gateway.admin.call(name, "echo", &json!({})).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        let _stream = opened.recv().await.expect("a stream");
        eventually("the lists are read once more", || async {
            let tools = gateway.admin.get("/admin/tools").await.json();
            let listed = tools["tools"]
                .as_array()
                .is_some_and(|tools| tools.iter().any(|tool| tool["mcpName"] == name && tool["name"] == "new"));
            listed.then_some(())
        })
        .await;
        assert_eq!(server.count("initialize"), 1, "{name}: the session goes on");
    }))
    .await;
}

#[tokio::test]
async fn a_first_get_that_is_refused_for_good_or_never_answered_stops_nothing() {
    for name in ["405", "404", "silence"] {
        let (server, _) = server(move |_, _| if name == "silence" { stream().1 } else { first(name) }).await;
        let server = if name == "silence" {
            web(|asked| async move {
                if asked.method == "GET" {
                    std::future::pending::<()>().await;
                }
                usual(&asked)
            })
            .await
        } else {
            server
        };
        let gateway = gateway().start().await;
        gateway.admin.connect(&server.definition("web")).await;
        server.nth("GET", 0).await;
        let mut client = session(&gateway.url, "web").open().await;
        for id in ["1", "2"] {
            assert!(client.call(id, "echo", r#"{"a":1}"#).await.contains(r#"\"a\":1"#), "{name}");
        }
        assert_eq!(server.count("initialize"), 2, "{name}: the gateway's session and the client's");
        assert_eq!(gateway.admin.status("web").await["status"], "connected", "{name}");
    }
}

#[tokio::test]
async fn a_stream_that_is_gone_later_ends_the_session_only_if_a_post_finds_it_unknown_too() {
    let answer = |number| if number == 0 { events("data:\n\n") } else { status(404) };
    let (known, _) = server(move |number, _| answer(number)).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&known.definition("known")).await;
    known.nth("ping", 0).await;
    assert_eq!(gateway.admin.call("known", "echo", &json!({})).await.status, 200);
    assert_eq!(known.count("initialize"), 1);

    let lost = Arc::<AtomicUsize>::default();
    let forget = Arc::clone(&lost);
    let unknown = web(move |asked| {
        let lost = Arc::clone(&forget);
        async move {
            match asked.rpc().as_str() {
                "GET" => answer(lost.fetch_add(1, Ordering::SeqCst)),
                "ping" => status(404),
                _ => usual(&asked),
            }
        }
    })
    .await;
    gateway.admin.connect(&unknown.definition("unknown")).await;
    unknown.nth("initialize", 1).await;
    let status = gateway.admin.reaches("unknown", "connected").await;
    assert!(status["disconnectReason"].to_string().contains("no longer knows the session"), "{status}");
}

#[tokio::test]
async fn a_stream_goes_on_behind_the_last_event_that_was_whole() {
    let gate = Gate::default();
    let open = gate.clone();
    let (server, _) = server(move |number, _| {
        if number > 0 {
            open.open();
            return stream().1;
        }
        events("\u{feff}id: one\r\ndata:\r\n\r\nid: two\r\ndata: {}\r\n")
    })
    .await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&server.definition("web")).await;
    gate.opened().await;
    assert_eq!(server.nth("GET", 1).await.header("last-event-id"), "one");
}
