//! Tools that a server adds for one session only: listed and announced to its client at the endpoint of all upstreams.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use harness::fake::{Call, Fake, Via, fake};
use harness::raw::{Session, session_with_all};
use harness::{InProcess, gateway};
use serde_json::{Value, json};

use crate::modern::listening::{listen, next};
use crate::modern::{Client, client_of_all};

const LIST: &str = r#"{"jsonrpc":"2.0","id":9,"method":"tools/list"}"#;
const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
const OWN: &str = "u__own";

/// Starts a fake upstream whose tool `add` adds the tool `own` for the calling session, and whose tool `drop` removes
/// it.
async fn server(via: Via) -> Fake {
    let having = Arc::new(Mutex::new(BTreeSet::new()));
    let toggled = |having: &Arc<Mutex<BTreeSet<usize>>>, adds: bool| {
        let having = Arc::clone(having);
        move |call: Call| {
            let mut all = having.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = if adds { all.insert(call.peer.number) } else { all.remove(&call.peer.number) };
            drop(all);
            async move {
                if changed {
                    call.peer.send(CHANGED);
                }
                call.reply(r#"{"content":[]}"#);
            }
        }
    };
    let (add, drop_it) = (toggled(&having, true), toggled(&having, false));
    let list = move |call: Call| {
        let has = having.lock().unwrap_or_else(PoisonError::into_inner).contains(&call.peer.number);
        let mut tools = vec!["add", "drop"];
        tools.extend(has.then_some("own"));
        let tools: Vec<Value> =
            tools.iter().map(|name| json!({ "name": name, "inputSchema": { "type": "object" } })).collect();
        async move { call.reply(&json!({ "tools": tools }).to_string()) }
    };
    fake("u").tool("add", add).tool("drop", drop_it).on("tools/list", list).start(via).await
}

async fn started(via: Via) -> (Fake, InProcess) {
    let (upstream, gateway) = (server(via).await, gateway().start().await);
    gateway.admin.connect(&upstream.definition()).await;
    (upstream, gateway)
}

async fn legacy(gateway: &InProcess) -> Session {
    // A client that can be asked something has its own process.
    let mut session = session_with_all(&gateway.url).capabilities(r#"{"elicitation":{}}"#).open().await;
    session.listen().await;
    // The catalog may not have the server's tools yet.
    while !session.request(LIST).await.contains("u__add") {
        session.next("list_changed").await;
    }
    session.rest();
    session
}

/// Waits until the list contains, or no longer contains, the tool of one session; returns the list.
async fn lists(session: &mut Session, has: bool) -> String {
    loop {
        let listed = session.request(LIST).await;
        if listed.contains(OWN) == has {
            return listed;
        }
        session.next("tools/list_changed").await;
    }
}

#[tokio::test]
async fn a_legacy_client_of_all_sees_the_tools_of_its_session_and_nobody_elses() {
    for via in [Via::Events, Via::Json, Via::Sse, Via::Stdio] {
        let (_upstream, gateway) = started(via).await;
        let (mut one, mut other) = (legacy(&gateway).await, legacy(&gateway).await);
        assert!(!one.request(LIST).await.contains(OWN), "{via:?}");
        one.call("1", "u__add", "{}").await;
        one.next("tools/list_changed").await;
        lists(&mut one, true).await;
        other.call("2", "u__drop", "{}").await;
        assert!(!other.request(LIST).await.contains(OWN), "{via:?}");
        assert!(one.call("3", OWN, r#"{"a":1}"#).await.contains(r#"{"a":1}"#), "{via:?}");
        one.call("4", "u__drop", "{}").await;
        lists(&mut one, false).await;
    }
}

async fn names(client: &Client) -> String {
    json!(client.ask("tools/list", &json!({})).await).to_string()
}

#[tokio::test]
async fn a_modern_client_of_all_sees_the_tools_of_its_sessions() {
    for via in [Via::Events, Via::Stdio] {
        let (_upstream, gateway) = started(via).await;
        drop(legacy(&gateway).await);
        let (client, other) = (client_of_all(&gateway.url).askable(), client_of_all(&gateway.url));
        let mut stream = listen(&client, json!({ "toolsListChanged": true })).await;
        next(&mut stream).await;
        client.call("u__add", json!({})).await;
        assert_eq!(next(&mut stream).await["method"], "notifications/tools/list_changed", "{via:?}");
        assert!(names(&client).await.contains(OWN), "{via:?}");
        assert!(!names(&other).await.contains(OWN), "{via:?}: it declares other capabilities");
        client.call("u__drop", json!({})).await;
        assert_eq!(next(&mut stream).await["method"], "notifications/tools/list_changed", "{via:?}");
        assert!(!names(&client).await.contains(OWN), "{via:?}");
    }
}
