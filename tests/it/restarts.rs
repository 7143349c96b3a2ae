//! Restarts of the gateway that its clients do not notice: a session of the process before is opened again.

use std::cell::Cell;
use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use harness::fake::{Fake, Via, fake};
use harness::process::{Process, Signal};
use harness::raw::{Session, session, session_with_all};
use harness::wait::{DEADLINE, eventually};
use harness::{Served, binary, free_port};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::clients::Official;

const ASKS: &str = r#"{"sampling":{}}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":"list","method":"tools/list"}"#;

/// A gateway that can be restarted at its address, with the same data.
struct Gateway {
    served: Served,
    flags: Vec<String>,
    /// Listening socket that the test holds, as a service manager does.
    socket: Option<TcpListener>,
}

impl Gateway {
    async fn start(data: &Path, more: &[&str]) -> Self {
        let fixed = [format!("--port={}", free_port()), format!("--data-dir={}", data.display())];
        let flags: Vec<String> = fixed.into_iter().chain(more.iter().map(|flag| (*flag).to_owned())).collect();
        Self { served: binary("mcp-proxy").args(&flags).serve().await, flags, socket: None }
    }

    async fn start_on(socket: TcpListener, data: &Path) -> Self {
        let flags = vec![format!("--data-dir={}", data.display())];
        Self { served: serve(&flags, Some(&socket)).await, flags, socket: Some(socket) }
    }

    async fn restart(&mut self, signal: Signal) {
        self.served.process.signal(signal);
        self.served.process.ended(DEADLINE).await;
        self.served = serve(&self.flags, self.socket.as_ref()).await;
    }
}

async fn serve(flags: &[String], socket: Option<&TcpListener>) -> Served {
    let gateway = binary("mcp-proxy").args(flags);
    match socket.map(|socket| OwnedFd::from(socket.try_clone().expect("a descriptor"))) {
        Some(socket) => gateway.with_sockets(1).serve_with(socket.into()).await,
        None => gateway.serve().await,
    }
}

fn listening_socket() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket")
}

/// Opens connections, each for one request, and returns their number. None may be refused.
async fn knock(url: &str, is_over: &Cell<bool>) -> usize {
    let mut knocks = 0;
    while !is_over.get() {
        let answer = harness::http().get(format!("{url}/healthz")).send().await;
        assert!(answer.is_ok_and(|answer| answer.status().is_success()), "after {knocks} connections");
        knocks += 1;
    }
    knocks
}

async fn upstream(gateway: &Gateway, name: &str, more: Value) -> Fake {
    let upstream = fake(name).echo("echo").start(Via::Events).await;
    let mut definition = upstream.definition();
    for (member, value) in more.as_object().into_iter().flatten() {
        definition[member] = value.clone();
    }
    gateway.served.admin.connect(&definition).await;
    upstream
}

async fn works(client: &mut Session, tool: &str, id: &str) {
    let answer = client.call(id, tool, r#"{"word":"hello"}"#).await;
    assert!(answer.contains("hello") && answer.contains(&format!("\"id\":{id}")), "{answer}");
}

async fn status(client: &Session, message: &'static str) -> u16 {
    client.post(message).send().await.status
}

#[tokio::test]
async fn sessions_of_every_kind_go_on_after_a_stop_and_after_a_kill() {
    let data = tempfile::tempdir().expect("a folder");
    let mut gateway = Gateway::start(data.path(), &[]).await;
    let _shared = upstream(&gateway, "shared", json!({ "sessionMode": "shared" })).await;
    let own = upstream(&gateway, "own", json!({ "sessionMode": "dedicated" })).await;
    let url = gateway.served.url.clone();
    let mut one = session(&url, "shared").open().await;
    let mut dedicated = session(&url, "own").capabilities(ASKS).open().await;
    let mut all = session_with_all(&url).open().await;
    for (round, signal) in [Signal::TERM, Signal::KILL, Signal::INT].into_iter().enumerate() {
        gateway.restart(signal).await;
        let id = format!("\"{round}\"");
        works(&mut one, "echo", &id).await;
        works(&mut dedicated, "echo", &id).await;
        gateway.served.admin.connected("shared").await;
        gateway.served.admin.connected("own").await;
        let answer = eventually("the tool is listed again", || async {
            let listed = session_with_all(&url).open().await.request(LIST).await;
            (listed.contains("shared__echo") && listed.contains("own__echo")).then_some(listed)
        });
        answer.await;
        works(&mut all, "shared__echo", &id).await;
        works(&mut all, "own__echo", &id).await;
    }
    let hellos = own.received().into_iter().filter(|one| one.text().contains("\"initialize\""));
    assert_eq!(hellos.filter(|one| one.text().contains("sampling")).count(), 4, "with the client's own capabilities");
}

#[tokio::test]
async fn requests_that_come_together_open_the_session_once() {
    let data = tempfile::tempdir().expect("a folder");
    let mut gateway = Gateway::start(data.path(), &[]).await;
    let own = upstream(&gateway, "own", json!({ "sessionMode": "dedicated" })).await;
    let mut client = session(&gateway.served.url, "own").open().await;
    works(&mut client, "echo", "\"1\"").await;
    gateway.restart(Signal::TERM).await;
    gateway.served.admin.connected("own").await;
    let before = own.count("initialize");
    for number in 0..8 {
        client.begin(harness::raw::tool_call(&format!("\"p{number}\""), "echo", r#"{"word":"hello"}"#));
    }
    for number in 0..8 {
        let answer = client.answer(&format!("\"p{number}\"")).await;
        assert!(answer.contains("hello"), "{answer}");
    }
    assert_eq!(own.count("initialize"), before + 1);
}

#[tokio::test]
async fn events_reach_a_client_that_listens_again() {
    let data = tempfile::tempdir().expect("a folder");
    let mut gateway = Gateway::start(data.path(), &[]).await;
    let own = upstream(&gateway, "own", json!({ "sessionMode": "dedicated" })).await;
    let mut client = session(&gateway.served.url, "own").open().await;
    client.listen().await;
    gateway.restart(Signal::TERM).await;
    // As the libraries do: with the id of the last event of the former process.
    let listening = client.http("GET").header("accept", "text/event-stream").header("last-event-id", "0-7");
    let mut stream = listening.send().await;
    assert_eq!(stream.status, 200);
    let peer = own.peers().pop().expect("a session");
    peer.send(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
    let event = harness::within(DEADLINE, "the notice", stream.event()).await.expect("an event");
    assert!(event.data.contains("list_changed"), "{}", event.data);
    let other = client.http("GET").header("accept", "text/event-stream").header("last-event-id", "3-1");
    assert_eq!(other.send().await.status, 400, "the stream of a call that the former process had");
}

#[tokio::test]
async fn a_session_that_has_ended_stays_so() {
    let data = tempfile::tempdir().expect("a folder");
    let mut gateway = Gateway::start(data.path(), &[]).await;
    let _own = upstream(&gateway, "own", json!({})).await;
    let url = gateway.served.url.clone();
    let ended = session(&url, "own").open().await;
    assert_eq!(ended.http("DELETE").send().await.status, 200);
    assert_eq!(status(&ended, LIST).await, 404, "in the process that opened it");
    let (mut used, unused) = (session(&url, "own").open().await, session(&url, "own").open().await);
    gateway.restart(Signal::TERM).await;
    works(&mut used, "echo", "\"1\"").await;
    for client in [&used, &unused] {
        assert_eq!(client.http("DELETE").send().await.status, 200);
        assert_eq!(status(client, LIST).await, 404, "in a later one");
    }
}

#[tokio::test]
async fn a_session_is_opened_again_for_its_owner_at_its_endpoint_only() {
    let data = tempfile::tempdir().expect("a folder");
    let mut gateway = Gateway::start(data.path(), &["--global-auth-tokens", "one,two"]).await;
    let _a = upstream(&gateway, "a", json!({})).await;
    let _b = upstream(&gateway, "b", json!({})).await;
    let url = gateway.served.url.clone();
    let mut client = session(&url, "a").token("one").open().await;
    // Tokens may come in another order, and others may be new.
    gateway.flags.retain(|flag| !flag.contains("one,two"));
    gateway.flags.push("three,two,one".to_owned());
    gateway.restart(Signal::TERM).await;
    let ask = async |path: &str, token: &str| {
        let request = harness::raw::raw("POST", &format!("{url}{path}")).header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream");
        let request = request.header("authorization", &format!("Bearer {token}")).header("mcp-session-id", &client.id);
        request.body(LIST).send().await.status
    };
    assert_eq!(ask("/a/stream", "two").await, 404);
    assert_eq!(ask("/b/stream", "one").await, 404);
    assert_eq!(ask("/mcp", "one").await, 404);
    works(&mut client, "echo", "\"1\"").await;
}

#[tokio::test]
async fn without_the_keys_of_the_former_process_a_session_is_unknown() {
    let data = tempfile::tempdir().expect("a folder");
    let mut gateway = Gateway::start(data.path(), &["--storage=memory"]).await;
    let one = upstream(&gateway, "one", json!({})).await;
    let client = session(&gateway.served.url, "one").open().await;
    gateway.restart(Signal::TERM).await;
    gateway.served.admin.connect(&one.definition()).await;
    assert_eq!(status(&client, LIST).await, 404);
}

#[tokio::test]
async fn an_upgrade_refuses_no_connection_and_no_session() {
    let data = tempfile::tempdir().expect("a folder");
    let mut gateway = Gateway::start(data.path(), &["--reuse-port", "--drain-delay=2s"]).await;
    let _one = upstream(&gateway, "one", json!({})).await;
    let url = gateway.served.url.clone();
    let mut client = session(&url, "one").open().await;
    let next = binary("mcp-proxy").args(&gateway.flags).start();
    next.process.says("waiting for another process to close the storage").await;
    let is_over = Cell::new(false);
    let upgrading = async {
        works(&mut client, "echo", "\"1\"").await;
        gateway.served.process.signal(Signal::TERM);
        next.process.says("listening").await;
        gateway.served.process.ended(DEADLINE).await;
        works(&mut client, "echo", "\"2\"").await;
        is_over.set(true);
    };
    let (knocks, ()) = tokio::join!(knock(&url, &is_over), upgrading);
    assert!(knocks > 20, "{knocks}");
    let registered = harness::Admin::new(&url).get("/admin/mcps").await.json();
    assert_eq!(registered["count"], 1);
}

#[tokio::test]
async fn a_restart_on_a_socket_of_the_service_manager_refuses_no_connection_and_no_session() {
    let data = tempfile::tempdir().expect("a folder");
    let socket = listening_socket();
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    let mut gateway = Gateway::start_on(socket, data.path()).await;
    assert_eq!(gateway.served.url, url);
    let _one = upstream(&gateway, "one", json!({})).await;
    let mut client = session(&url, "one").open().await;
    let is_over = Cell::new(false);
    let restarting = async {
        for id in ["\"1\"", "\"2\"", "\"3\""] {
            works(&mut client, "echo", id).await;
            gateway.restart(Signal::TERM).await;
        }
        works(&mut client, "echo", "\"4\"").await;
        is_over.set(true);
    };
    let (knocks, ()) = tokio::join!(knock(&url, &is_over), restarting);
    assert!(knocks > 20, "{knocks}");
}

#[tokio::test]
async fn what_is_no_single_listening_socket_is_refused() {
    let check = async |count: usize, stdin: Stdio, expected: &str| {
        let (command, _home) = binary("mcp-proxy").args(["--port=0"]).with_sockets(count).into_command();
        let ended = Process::start_with(command, stdin).ended(DEADLINE).await;
        assert_eq!(ended.code, Some(1), "{}", ended.err);
        assert!(ended.err.contains("LISTEN_FDS") && ended.err.contains(expected), "{}", ended.err);
    };
    check(2, Stdio::null(), "2 sockets are passed").await;
    check(1, Stdio::null(), "not a socket").await;
    let (one, _other) = UnixStream::pair().expect("sockets");
    check(1, OwnedFd::from(one).into(), "does not listen: set `Accept=no`").await;
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    check(1, OwnedFd::from(datagrams).into(), "not a valid tcp socket").await;
    let listener = listening_socket();
    let connection = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    check(1, OwnedFd::from(connection).into(), "does not listen: set `Accept=no`").await;
    let open = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
    let (command, _home) = binary("mcp-proxy").with_sockets(1).into_command();
    let ended = Process::start_with(command, OwnedFd::from(open).into()).ended(DEADLINE).await;
    assert!(ended.err.contains("--admin-tokens"), "{}", ended.err);
}

#[tokio::test]
async fn calls_of_the_official_rust_client_go_on_through_an_upgrade() {
    let data = tempfile::tempdir().expect("a folder");
    let mut gateway = Gateway::start(data.path(), &["--reuse-port", "--drain-delay=1s"]).await;
    let next = binary("mcp-proxy").args(&gateway.flags).start();
    next.process.says("waiting for another process to close the storage").await;
    let upgrade = async |gateway: &mut Gateway| {
        gateway.served.process.signal(Signal::TERM);
        next.process.says("listening").await;
        gateway.served.process.ended(DEADLINE).await;
    };
    calls_of_the_official_rust_client_go_on(&mut gateway, upgrade).await;
}

#[tokio::test]
async fn calls_of_the_official_rust_client_go_on_through_a_restart_on_a_socket_of_the_service_manager() {
    let data = tempfile::tempdir().expect("a folder");
    let mut gateway = Gateway::start_on(listening_socket(), data.path()).await;
    let restart = async |gateway: &mut Gateway| gateway.restart(Signal::TERM).await;
    calls_of_the_official_rust_client_go_on(&mut gateway, restart).await;
}

async fn calls_of_the_official_rust_client_go_on(gateway: &mut Gateway, replace: impl AsyncFnOnce(&mut Gateway)) {
    /// Calls of each client; each takes 25 ms at least, and all together longer than the former gateway drains.
    const CALLS: usize = 150;
    let modes = ["legacy", "modern"].repeat(5);
    let all_here = Arc::new(Barrier::new(modes.len() + 1));
    let is_first_call = Arc::clone(&all_here);
    let upstream = fake("one").tool("echo", move |call| {
        let all_here = Arc::clone(&is_first_call);
        async move {
            if call.envelope.param("arguments").contains("/0\"") {
                all_here.wait().await;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
            call.echo();
        }
    });
    // The script of the client reads all lists.
    let upstream = upstream
        .on("initialize", |call| async move {
            let capabilities = json!({ "tools": {}, "resources": {}, "prompts": {} });
            let server = json!({ "name": "one", "version": "1" });
            let version = call.argument("protocolVersion");
            let result = json!({ "protocolVersion": version, "capabilities": capabilities, "serverInfo": server });
            call.reply(&result.to_string());
        })
        .on("resources/list", |call| async move { call.reply(r#"{"resources":[]}"#) })
        .on("prompts/list", |call| async move { call.reply(r#"{"prompts":[]}"#) });
    let upstream = upstream.start(Via::Events).await;
    gateway.served.admin.connect(&upstream.definition()).await;
    let url = format!("{}/one/stream", gateway.served.url);
    let conversations = modes.iter().enumerate().map(|(number, mode)| {
        let call = |k| json!({ "tool": "echo", "arguments": { "word": format!("{number}/{k}") } });
        let plan = json!({ "url": url, "mode": mode, "calls": (0..CALLS).map(call).collect::<Vec<_>>() });
        async move { Official::Rust.converse(&plan).await }
    });
    let replacing = async {
        all_here.wait().await;
        replace(gateway).await;
        upstream.count("tools/call")
    };
    let (reports, before) = tokio::join!(join_all(conversations), replacing);
    for (mode, report) in modes.iter().zip(reports) {
        for (k, call) in report["calls"].as_array().expect("calls").iter().enumerate() {
            let word = call["result"]["structuredContent"]["word"].as_str().unwrap_or_default();
            assert!(word.ends_with(&format!("/{k}")), "{mode}: {call}");
        }
    }
    let executed = upstream.received().into_iter().filter(|message| message.method == "tools/call");
    let words: Vec<_> = executed.map(|message| message.value()["params"]["arguments"]["word"].to_string()).collect();
    assert_eq!(words.len(), modes.len() * CALLS, "every call is executed once");
    assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len(), "none twice");
    assert!(before < words.len(), "the next gateway serves calls, too");
}
