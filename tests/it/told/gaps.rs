//! Server that comes back with other lists: every client is notified, in every era and at every endpoint.

use std::fs;
use std::path::PathBuf;

use harness::raw::{Face, Reply, Session, session, session_with_all};
use harness::reference::{Reference, reference, reference_program};
use harness::{InProcess, eventually, gateway};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::modern::listening::{listen, next};
use crate::modern::{client, client_of_all};

const LIST: &str = r#"{"jsonrpc":"2.0","id":9,"method":"tools/list"}"#;
const CHANGED: &str = "notifications/tools/list_changed";
const NEW_TOOL: &str = "extra_0000";
const CHANGE: &str = "test_trigger_tool_change";
const RESOURCE: &str = "test://watched-resource";
const SUBSCRIBE: &str =
    r#"{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"test://watched-resource"}}"#;

/// Reference server that can be restarted with one more tool.
struct Server {
    era: &'static str,
    place: Place,
}

enum Place {
    Http { living: Box<Reference>, address: String },
    Stdio { _folder: TempDir, extra: PathBuf },
}

impl Server {
    async fn over_http(era: &'static str) -> Self {
        let living = reference(&["--era", era, "--http", "127.0.0.1:0"]).await;
        let address = living.url.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
        Self { era, place: Place::Http { living: Box::new(living), address } }
    }

    fn over_stdio(era: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let extra = folder.path().join("extra");
        fs::write(&extra, "0").expect("a file");
        Self { era, place: Place::Stdio { _folder: folder, extra } }
    }

    /// Returns the server's origin over HTTP; empty for stdio.
    fn origin(&self) -> String {
        match &self.place {
            Place::Http { address, .. } => format!("http://{address}"),
            Place::Stdio { .. } => String::new(),
        }
    }

    fn definition(&self) -> Value {
        match &self.place {
            Place::Http { living, .. } => {
                json!({ "name": "u", "transport": "streamable-http", "url": living.url, "reconnectDelay": "100ms" })
            }
            Place::Stdio { extra, .. } => {
                let program = reference_program();
                let line = format!(
                    "echo $$ >> {extra}.pids; exec {} --stdio --era {} --extra-tools $(cat {extra})",
                    program.display(),
                    self.era,
                    extra = extra.display()
                );
                json!({ "name": "u", "transport": "stdio", "command": "sh", "args": ["-c", line],
                    "reconnectDelay": "100ms" })
            }
        }
    }

    /// Restarts the server with this many additional tools.
    async fn comes_back(&mut self, extra_tools: &str) {
        match &mut self.place {
            Place::Http { living, address } => {
                living.process.signal(Signal::KILL);
                living.process.ended(harness::DEADLINE).await;
                **living = reference(&["--era", self.era, "--http", address, "--extra-tools", extra_tools]).await;
            }
            Place::Stdio { extra, .. } => {
                fs::write(&*extra, extra_tools).expect("a file");
                let pids = fs::read_to_string(extra.with_extension("pids")).expect("pids of processes");
                for pid in pids.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
                    // The process that only answered the era probe has already ended.
                    kill_process(pid, Signal::KILL).ok();
                }
            }
        }
    }
}

/// Sessions and streams of every kind that receive change notifications.
struct Audience {
    sessions: Vec<(&'static str, Session)>,
    streams: Vec<(&'static str, Reply)>,
}

impl Audience {
    async fn gather(gateway: &InProcess) -> Self {
        let url = &gateway.url;
        let open = |face| session(url, "u").over(face).open();
        let askable = r#"{"elicitation":{},"sampling":{}}"#;
        let mut sessions = vec![
            ("legacy, stream", open(Face::Stream).await),
            ("legacy, sse", open(Face::Sse).await),
            ("legacy, askable", session(url, "u").capabilities(askable).open().await),
            ("legacy, all", session_with_all(url).open().await),
            ("legacy, all, sse", session_with_all(url).over(Face::Sse).open().await),
        ];
        for (_, session) in &mut sessions {
            session.listen().await;
            session.request(LIST).await;
        }
        let filter = || json!({ "toolsListChanged": true });
        let mut streams = vec![
            ("modern", listen(&client(url, "u"), filter()).await),
            ("modern, askable", listen(&client(url, "u").askable(), filter()).await),
            ("modern, all", listen(&client_of_all(url), filter()).await),
        ];
        for (_, stream) in &mut streams {
            next(stream).await;
        }
        Self { sessions, streams }
    }

    /// Waits until each client is notified and sees the new tool.
    async fn hears(&mut self, place: &str) {
        for (who, session) in &mut self.sessions {
            eprintln!("{place}: {who}");
            session.next(CHANGED).await;
            // The first notification can mean that the tools were missing for a while.
            while !session.request(LIST).await.contains(NEW_TOOL) {
                session.next(CHANGED).await;
            }
        }
        for (who, stream) in &mut self.streams {
            eprintln!("{place}: {who}");
            assert_eq!(next(stream).await["method"], CHANGED, "{place}: {who}");
        }
    }
}

async fn check(mut server: Server, place: &str) {
    let gateway = gateway().start().await;
    gateway.admin.connect(&server.definition()).await;
    listed(&gateway).await;
    let mut audience = Audience::gather(&gateway).await;
    server.comes_back("1").await;
    audience.hears(place).await;
}

/// Waits until the catalog has the server's tools.
async fn listed(gateway: &InProcess) {
    eventually("the tools are known", || async {
        let tools = gateway.admin.get("/admin/tools").await.text;
        tools.contains("test_counters").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_legacy_server_that_comes_back_with_another_list_is_announced_everywhere() {
    check(Server::over_http("legacy").await, "legacy, http").await;
    check(Server::over_stdio("legacy"), "legacy, stdio").await;
}

#[tokio::test]
async fn a_modern_server_that_comes_back_with_another_list_is_announced_everywhere() {
    check(Server::over_http("modern").await, "modern, http").await;
    check(Server::over_stdio("modern"), "modern, stdio").await;
}

/// Checks that no client at the server's own endpoint is notified if the server comes back unchanged.
async fn check_unchanged(mut server: Server, place: &str) {
    let gateway = gateway().start().await;
    gateway.admin.connect(&server.definition()).await;
    listed(&gateway).await;
    let mut audience = Audience::gather(&gateway).await;
    server.comes_back("0").await;
    for (who, session) in &mut audience.sessions[..3] {
        // Without a session nothing is sent to the upstream, so the request can be repeated.
        while !session.request(LIST).await.contains("test_counters") {}
        assert!(!session.rest().iter().any(|told| told.contains(CHANGED)), "{place}: {who}: {:?}", session.rest());
    }
    server.comes_back("1").await;
    audience.hears(place).await;
}

#[tokio::test]
async fn a_server_that_comes_back_as_it_was_is_not_announced_at_its_own_endpoint() {
    check_unchanged(Server::over_http("legacy").await, "legacy, http").await;
    check_unchanged(Server::over_stdio("modern"), "modern, stdio").await;
}

#[tokio::test]
async fn what_changes_before_a_server_is_heard_again_is_not_lost() {
    for era in ["legacy", "modern"] {
        let mut server = Server::over_http(era).await;
        let gateway = gateway().start().await;
        gateway.admin.connect(&server.definition()).await;
        listed(&gateway).await;
        let mut audience = Audience::gather(&gateway).await;
        server.comes_back("0").await;
        // Sooner than the gateway, which listens again only after a pause.
        let direct = server.origin();
        match era {
            "modern" => drop(client_of_all(&direct).call(CHANGE, json!({})).await),
            _ => drop(session_with_all(&direct).open().await.call("1", CHANGE, "{}").await),
        }
        for (who, session) in &mut audience.sessions {
            eprintln!("{era}: {who}");
            while !session.request(LIST).await.contains("test_dynamic_tool") {
                session.next(CHANGED).await;
            }
        }
        for (who, stream) in &mut audience.streams {
            assert_eq!(next(stream).await["method"], CHANGED, "{era}: {who}");
        }
    }
}

#[tokio::test]
async fn a_resource_may_have_changed_while_its_server_was_away() {
    for (era, via) in [("legacy", "http"), ("legacy", "stdio"), ("modern", "http"), ("modern", "stdio")] {
        let mut server = if via == "http" { Server::over_http(era).await } else { Server::over_stdio(era) };
        let gateway = gateway().start().await;
        gateway.admin.connect(&server.definition()).await;
        let mut legacy = session(&gateway.url, "u").open().await;
        legacy.listen().await;
        assert!(legacy.request(SUBSCRIBE).await.contains("result"));
        let filter = json!({ "resourceSubscriptions": [RESOURCE] });
        let mut modern = listen(&client(&gateway.url, "u"), filter).await;
        next(&mut modern).await;
        server.comes_back("0").await;
        let told = legacy.next("notifications/resources/updated").await;
        assert!(told.contains(RESOURCE), "{era} {via}: {told}");
        let told = next(&mut modern).await;
        assert_eq!(told["params"]["uri"], RESOURCE, "{era} {via}: {told}");
    }
}
