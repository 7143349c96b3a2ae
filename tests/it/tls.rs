//! TLS towards clients, in HTTP/1.1 and HTTP/2, with curl and official clients.

use std::fs;
use std::path::{Path, PathBuf};

use harness::fake::{Via, fake};
use harness::process::Signal;
use harness::reference::reference;
use harness::wait::Gate;
use harness::{DEADLINE, Process, Served, binary, eventually, fixture, root};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
/// Size of a large result in bytes, more than sockets hold.
const LARGE: usize = 8 << 20;
/// Opens a connection over TLS with HTTP/2 in ALPN, sends what argv[3] says, and waits for its end.
const SILENT: &str = r#"
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
context.set_alpn_protocols(["h2"])
host, port = sys.argv[1].rsplit(":", 1)
stream = context.wrap_socket(socket.create_connection((host, int(port)), 30), server_hostname="localhost")
assert stream.selected_alpn_protocol() == "h2"
if sys.argv[3] == "preface":
    # The preface and an empty SETTINGS, then nothing: no acknowledgement of anything.
    stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
while stream.recv(65536):
    pass
print("ended")
"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"NAME","arguments":{}}}"#;

fn file(name: &str) -> String {
    root().join("tests/fixtures/tls").join(name).display().to_string()
}

/// A gateway over TLS, with copies of its certificate and key that can be exchanged.
struct House {
    gateway: Served,
    folder: TempDir,
}

impl House {
    async fn start(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        exchange(folder.path(), "server");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let flags = ["--port=0", "--storage=memory", "--tls-cert", &path("cert.pem"), "--tls-key", &path("key.pem")];
        let gateway = binary("mcp-proxy").args(flags).args(more).serve().await;
        Self { gateway, folder }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.gateway.url)
    }

    /// Registers a server through curl, because the harness knows no TLS.
    async fn connect(&self, definition: &Value) {
        curl(&["-d", &definition.to_string(), "-H", "content-type: application/json", &self.url("/admin/mcps")]).await;
        eventually("the server is connected", || async {
            let shown = curl(&[&self.url("/admin/mcps")]).await;
            shown.contains(r#""status":"connected""#).then_some(())
        })
        .await;
    }
}

/// Puts a certificate and its key into the folder, as a renewal does: by renaming.
fn exchange(folder: &Path, name: &str) {
    for (from, to) in [(format!("{name}.pem"), "cert.pem"), (format!("{name}.key.pem"), "key.pem")] {
        fs::copy(file(&from), folder.join("new")).expect("a copy");
        fs::rename(folder.join("new"), folder.join(to)).expect("a rename");
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "30", "--cacert", &file("authority.pem")]).args(args);
    command
}

/// Runs curl, which must succeed. Returns its output.
async fn curl(args: &[&str]) -> String {
    let ended = Process::start(command(args)).ended(DEADLINE).await;
    assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.err);
    ended.out
}

/// Posts a message as a client does. Returns curl's output, which ends with the version of HTTP and the status.
async fn post(version: &str, url: &str, message: &str, more: &[&str]) -> String {
    let accept = "accept: application/json, text/event-stream";
    let usual = [version, "-i", "-H", accept, "-H", "content-type: application/json", "-d", message];
    curl(&[&usual, more, &["-w", "\n%{http_version} %{http_code}", url]].concat()).await
}

#[tokio::test]
async fn sessions_streams_and_calls_work_in_both_versions_of_http() {
    let house = House::start(&[]).await;
    let tool = |call: harness::fake::Call| async move {
        call.progress(r#""progress":1"#);
        call.reply(r#"{"content":[{"type":"text","text":"done"}]}"#);
    };
    let large = format!(r#"{{"content":[{{"type":"text","text":"{}"}}]}}"#, "y".repeat(LARGE));
    let large = move |call: harness::fake::Call| {
        let large = large.clone();
        async move { call.reply(&large) }
    };
    let upstream = fake("one").tool("slow", tool).tool("large", large).start(Via::Events).await;
    house.connect(&upstream.definition()).await;
    assert!(house.gateway.url.starts_with("https://"), "{}", house.gateway.url);
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let opened = post(flag, &house.url("/one/mcp"), HELLO, &[]).await;
        assert!(opened.ends_with(&format!("\n{version} 200")), "{opened}");
        let session = opened.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).expect("a session").trim();
        let session = format!("mcp-session-id: {session}");
        let call = CALL.replace("NAME", "slow").replace(r#""arguments""#, r#""_meta":{"progressToken":7},"arguments""#);
        let called = post(flag, &house.url("/one/mcp"), &call, &["-H", &session]).await;
        assert!(called.contains("notifications/progress") && called.contains("done"), "{called}");
        assert!(called.contains("text/event-stream"), "a stream: {called}");
        let large = CALL.replace("NAME", &"x".repeat(2 << 20));
        fs::write(house.folder.path().join("large"), large).expect("a file");
        let from = format!("@{}", house.folder.path().join("large").display());
        let called = post(flag, &house.url("/one/mcp"), &from, &["-H", &session]).await;
        assert!(called.contains(r#""id":2,"result""#), "with a body of 2 MiB: {called}");
        let foreign =
            curl(&[flag, "-o", "/dev/null", "-w", "%{http_code}", "-H", "host: evil.example", &house.url("/mcp")])
                .await;
        assert_eq!(foreign, "403", "the name by which the gateway is asked is checked");
        // The client takes it more slowly than the gateway writes it.
        let call = CALL.replace("NAME", "large");
        let slowly = post(flag, &house.url("/one/mcp"), &call, &["-H", &session, "--limit-rate", "4M"]).await;
        assert!(slowly.ends_with(&format!("}}\n{version} 200")) && slowly.len() > LARGE, "{version}: {}", slowly.len());
        let gone = curl(&[flag, "-X", "DELETE", "-w", "%{http_code}", "-H", &session, &house.url("/one/mcp")]).await;
        assert!(gone.ends_with("200"), "{gone}");
    }
    let status = curl(&["--http2", &house.url("/healthz")]).await;
    assert!(status.contains("healthy"), "{status}");
}

#[tokio::test]
async fn official_clients_connect() {
    let house = House::start(&[]).await;
    let upstream = reference(&["--http", "127.0.0.1:0"]).await;
    house.connect(&json!({ "name": "one", "transport": "streamable-http", "url": upstream.url })).await;
    let call = json!({ "tool": "echo", "arguments": { "message": "hello" } });
    let plan = json!({ "url": house.url("/one/mcp"), "mode": "auto", "calls": [call] });
    let python = |venv: &str| root().join(format!("target/fixtures/python/{venv}/bin/python"));
    let clients: [(PathBuf, &str); 4] = [
        (python("clients"), "python_client.py"),
        (python("modern"), "python_modern.py"),
        (fixture("node"), "typescript_client.mjs"),
        (fixture("node"), "typescript_modern.mjs"),
    ];
    for (program, script) in clients {
        let mut command = Command::new(program);
        command.arg(root().join("tests/fixtures/clients").join(script)).arg(plan.to_string());
        let authority = file("authority.pem");
        command.env("SSL_CERT_FILE", &authority).env("NODE_EXTRA_CA_CERTS", &authority);
        let ended = Process::start(command).ended(DEADLINE).await;
        assert_eq!(ended.code, Some(0), "{script}: {}", ended.err);
        let report: Value = serde_json::from_str(&ended.out).expect("JSON");
        assert!(report["calls"][0].to_string().contains("hello"), "{script}: {report}");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_used_and_open_connections_stay() {
    let house = House::start(&[]).await;
    let done = Gate::default();
    let wait = done.clone();
    let upstream = fake("one").tool("slow", move |call| {
        let wait = wait.clone();
        async move {
            wait.opened().await;
            call.reply(r#"{"content":[{"type":"text","text":"done"}]}"#);
        }
    });
    let upstream = upstream.start(Via::Events).await;
    house.connect(&upstream.definition()).await;
    let opened = post("--http2", &house.url("/one/mcp"), HELLO, &[]).await;
    let session = opened.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).expect("a session").trim();
    let session = ["-H", &format!("mcp-session-id: {session}")];
    let (call, url) = (CALL.replace("NAME", "slow"), house.url("/one/mcp"));
    let calling = post("--http2", &url, &call, &session);
    let renewing = async {
        upstream.nth("tools/call", 0).await;
        let subject = async || curl(&["-k", "-o", "/dev/null", "-w", "%{certs}", &house.url("/healthz")]).await;
        assert!(subject().await.contains("CN = server"));
        exchange(house.folder.path(), "client");
        eventually("the new certificate", || async { subject().await.contains("CN = client").then_some(()) }).await;
        // A broken renewal changes nothing, and is told.
        fs::write(house.folder.path().join("cert.pem"), "not yet").expect("a file");
        house.gateway.process.says("configuration not applied").await;
        house.gateway.process.says("holds no certificate").await;
        assert!(subject().await.contains("CN = client"));
        done.open();
    };
    let (called, ()) = tokio::join!(calling, renewing);
    assert!(called.contains("done") && called.ends_with("\n2 200"), "{called}");
}

#[tokio::test]
async fn a_client_certificate_identifies_its_holder() {
    let house = House::start(&["--tls-client-ca", &file("authority.pem")]).await;
    let upstream = fake("one").echo("echo").start(Via::Events).await;
    house.connect(&upstream.definition()).await;
    let (certificate, key) = (file("client.pem"), file("client.key.pem"));
    let own = ["--cert", &certificate, "--key", &key];
    for flag in ["--http1.1", "--http2"] {
        let anonymous = post(flag, &house.url("/one/mcp"), HELLO, &[]).await;
        assert!(
            anonymous.ends_with("401") && anonymous.to_lowercase().contains("www-authenticate: bearer"),
            "{anonymous}"
        );
        let known = post(flag, &house.url("/one/mcp"), HELLO, &own).await;
        assert!(known.ends_with("200"), "{known}");
        // The session is its own.
        let session = known.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).expect("a session").trim();
        let session = format!("mcp-session-id: {session}");
        let list = r#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#;
        let with_own = [&own[..], &["-H", &session]].concat();
        let listed = post(flag, &house.url("/one/mcp"), list, &with_own).await;
        assert!(listed.contains("echo"), "{listed}");
        assert!(post(flag, &house.url("/one/mcp"), list, &["-H", &session]).await.ends_with("401"));
    }
    // Only authorities that are named count: the server's own certificate is not one for clients.
    let (certificate, key) = (file("server.pem"), file("server.key.pem"));
    let refused = Process::start(command(&["--cert", &certificate, "--key", &key, &house.url("/healthz")]));
    let mut refused = refused;
    assert_ne!(refused.ended(DEADLINE).await.code, Some(0), "a certificate that is not for clients");
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_still_sends() {
    let house = House::start(&["--global-auth-tokens=t"]).await;
    let upstream = fake("one").start(Via::Json).await;
    house.connect(&upstream.definition()).await;
    let body = house.folder.path().join("body");
    fs::write(&body, CALL.replace("NAME", &"x".repeat(900 << 10))).expect("a file");
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let refused = post(flag, &house.url("/one/mcp"), &format!("@{}", body.display()), &[]).await;
        assert!(refused.ends_with(&format!("\n{version} 401")), "{refused}");
    }
}

#[tokio::test]
async fn silent_connections_over_http_2_end() {
    let house = House::start(&["--connection-idle-timeout=1s"]).await;
    let address = house.gateway.url.trim_start_matches("https://").to_owned();
    for what in ["nothing", "preface"] {
        let mut command = Command::new(harness::python());
        command.args(["-c", SILENT, &address, &file("authority.pem"), what]);
        let ended = Process::start(command).ended(DEADLINE).await;
        assert_eq!((ended.code, ended.out.trim()), (Some(0), "ended"), "{what}: {}", ended.err);
    }
}

#[tokio::test]
async fn plain_http_and_files_that_do_not_fit_are_told() {
    let house = House::start(&[]).await;
    let plain = house.url("/healthz").replace("https://", "http://");
    let told = curl(&["-w", " %{http_code}", &plain]).await;
    assert!(told.contains("use https://") && told.ends_with("400"), "{told}");
    let check = async |flags: &[&str], words: &str| {
        let ended = binary("mcp-proxy").args(["--port=0"]).args(flags).run().await;
        assert_eq!(ended.code, Some(1), "{flags:?}");
        assert!(ended.err.contains(words), "{flags:?}: {}", ended.err);
    };
    let (server, key, other) = (file("server.pem"), file("server.key.pem"), file("client.key.pem"));
    check(&["--tls-cert", &server], "tls-key").await;
    check(&["--tls-key", &key], "tls-cert").await;
    check(&["--tls-client-ca", &server], "tls-cert").await;
    check(&["--tls-cert", "/no/such/file", "--tls-key", &key], "cannot read `/no/such/file`").await;
    check(&["--tls-cert", &key, "--tls-key", &key], "holds no certificate").await;
    check(&["--tls-cert", &server, "--tls-key", &other], "cannot be used").await;
}

#[tokio::test]
async fn a_call_over_http_2_is_answered_while_the_gateway_stops() {
    let mut house = House::start(&["--drain-delay=0s"]).await;
    let done = Gate::default();
    let wait = done.clone();
    let upstream = fake("one").tool("slow", move |call| {
        let wait = wait.clone();
        async move {
            wait.opened().await;
            call.reply(r#"{"content":[{"type":"text","text":"done"}]}"#);
        }
    });
    let upstream = upstream.start(Via::Json).await;
    house.connect(&upstream.definition()).await;
    let opened = post("--http2", &house.url("/one/mcp"), HELLO, &[]).await;
    let session = opened.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).expect("a session").trim();
    let session = ["-H", &format!("mcp-session-id: {session}")];
    let (call, url) = (CALL.replace("NAME", "slow"), house.url("/one/mcp"));
    let calling = post("--http2", &url, &call, &session);
    let stopping = async {
        upstream.nth("tools/call", 0).await;
        house.gateway.process.signal(Signal::TERM);
        house.gateway.process.says("stopping").await;
        done.open();
        house.gateway.process.ended(DEADLINE).await
    };
    let (called, ended) = tokio::join!(calling, stopping);
    assert!(called.contains("done") && called.ends_with("\n2 200"), "{called}");
    assert_eq!(ended.code, Some(0));
}
