//! Unix sockets in place of ports.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use harness::fake::{Via, fake};
use harness::process::{Process, Signal};
use harness::proxy::Software;
use harness::{DEADLINE, Served, binary, eventually, free_port};
use rustix::process::geteuid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// Connects the official Python client through the socket, and prints the tools.
const CLIENT: &str = r#"
import asyncio, sys
import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

async def main():
    through_socket = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=sys.argv[1]))
    async with streamable_http_client("http://localhost/one/mcp", http_client=through_socket) as streams:
        async with ClientSession(*streams) as session:
            await session.initialize()
            print(*[tool.name for tool in (await session.list_tools()).tools])
            print((await session.call_tool("echo", {"word": "hello"})).content[0].text)

asyncio.run(main())
"#;

/// A folder with the path of a socket in it.
struct Place {
    folder: TempDir,
    socket: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = folder.path().join("gateway.sock");
        Self { folder, socket }
    }

    fn address(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    async fn serve(&self, more: &[&str]) -> Served {
        let flags = ["--storage=memory", "--host", &self.address()];
        let gateway = binary("mcp-proxy").args(flags).args(more).serve().await;
        assert_eq!(gateway.url, self.address());
        gateway
    }

    /// Sends a request with curl. Returns the status and the body.
    async fn ask(&self, path: &str, more: &[&str]) -> (u16, String) {
        ask(&self.socket, path, more).await
    }
}

fn command(socket: &Path, path: &str, more: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "30", "-w", "\n%{http_code}", "--unix-socket"]).arg(socket);
    command.args(more).arg(format!("http://localhost{path}"));
    command
}

async fn ask(socket: &Path, path: &str, more: &[&str]) -> (u16, String) {
    let ended = Process::start(command(socket, path, more)).ended(DEADLINE).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let (body, status) = ended.out.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

/// Returns the arguments with which curl posts a definition.
fn posted(definition: &str) -> Vec<&str> {
    vec!["-H", "content-type: application/json", "-d", definition]
}

#[tokio::test]
async fn clients_and_a_reverse_proxy_connect_through_a_socket() {
    let place = Place::new();
    let mut gateway = place.serve(&["--trusted-proxies=127.0.0.1", "--admin-tokens=t"]).await;
    let one = fake("one").echo("echo").start(Via::Json).await;
    let definition = one.definition().to_string();
    let (status, told) =
        place.ask("/admin/mcps", &[&posted(&definition)[..], &["-H", "authorization: Bearer t"]].concat()).await;
    assert_eq!(status, 201, "{told}");
    eventually("the server is connected", || async {
        let (_, told) = place.ask("/admin/mcps/one", &["-H", "authorization: Bearer t"]).await;
        told.contains(r#""status":"connected""#).then_some(())
    })
    .await;
    let mut client = Command::new(harness::python());
    client.args(["-c", CLIENT]).arg(&place.socket);
    let ended = Process::start(client).ended(DEADLINE).await;
    assert_eq!((ended.code, ended.out.lines().next()), (Some(0), Some("echo")), "{}", ended.err);
    assert!(ended.out.contains("hello"), "{}", ended.out);

    let nginx = Software::nginx_before_socket(&place.socket).await;
    let through = reqwest::get(format!("{}/healthz", nginx.url)).await.expect("a response");
    assert_eq!(through.status().as_u16(), 200);

    gateway.process.signal(Signal::TERM);
    assert_eq!(gateway.process.ended(DEADLINE).await.code, Some(0));
    assert!(!place.socket.exists(), "the file goes with the gateway");
}

#[tokio::test]
async fn only_the_own_user_may_start_programs_through_a_socket() {
    let place = Place::new();
    fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o755)).expect("open to all");
    let _gateway = place.serve(&["--socket-mode=666"]).await;
    let program = json!({ "name": "up", "transport": "stdio", "command": "cat" }).to_string();
    let forwarded = [&posted(&program)[..], &["-H", "X-Forwarded-For: 192.0.2.1"]].concat();
    let (status, told) = place.ask("/admin/mcps", &forwarded).await;
    assert_eq!(status, 403, "{told}");
    let named = [&posted(&program)[..], &["-H", "Host: gateway.example"]].concat();
    assert_eq!(place.ask("/admin/mcps", &named).await.0, 403);
    if geteuid().is_root() {
        let curl = command(&place.socket, "/admin/mcps", &posted(&program));
        let mut other = Command::new("setpriv");
        other
            .args(["--reuid=1", "--regid=1", "--clear-groups"])
            .arg(curl.as_std().get_program())
            .args(curl.as_std().get_args());
        let ended = Process::start(other).ended(DEADLINE).await;
        assert!(ended.out.ends_with("\n403"), "{} {}", ended.out, ended.err);
    }
    let (status, told) = place.ask("/admin/mcps", &posted(&program)).await;
    assert_eq!(status, 201, "{told}");
}

#[tokio::test]
async fn a_socket_in_use_is_told_and_one_left_behind_is_replaced() {
    let place = Place::new();
    let mut gateway = place.serve(&[]).await;
    assert_eq!(fs::metadata(&place.socket).expect("a file").mode() & 0o777, 0o600);
    let second = binary("mcp-proxy").args(["--storage=memory", "--host", &place.address()]).run().await;
    assert_eq!(second.code, Some(1));
    assert!(second.err.contains(&format!("cannot listen on {}", place.address())), "{}", second.err);
    gateway.process.signal(Signal::KILL);
    gateway.process.ended(DEADLINE).await;
    assert!(place.socket.exists());
    let _gateway = place.serve(&[]).await;
    assert_eq!(place.ask("/healthz", &[]).await.0, 200);
}

#[tokio::test]
async fn a_newer_gateway_takes_a_socket_over_without_a_refused_request() {
    let place = Place::new();
    let mut older = place.serve(&["--reuse-port"]).await;
    let newer = place.serve(&["--reuse-port"]).await;
    older.process.signal(Signal::TERM);
    for _ in 0..20 {
        assert_eq!(place.ask("/healthz", &[]).await.0, 200);
    }
    assert_eq!(older.process.ended(DEADLINE).await.code, Some(0));
    assert_eq!(place.ask("/healthz", &[]).await.0, 200, "the older one removed no file but its own");
    drop(newer);
}

#[tokio::test]
async fn a_socket_of_the_service_manager_is_used() {
    let place = Place::new();
    let listener = UnixListener::bind(&place.socket).expect("a socket");
    let stdin = Stdio::from(std::os::fd::OwnedFd::from(listener.try_clone().expect("a descriptor")));
    let mut gateway = binary("mcp-proxy").args(["--storage=memory"]).with_sockets(1).serve_with(stdin).await;
    assert_eq!(gateway.url, place.address());
    assert_eq!(place.ask("/healthz", &[]).await.0, 200);
    gateway.process.signal(Signal::TERM);
    assert_eq!(gateway.process.ended(DEADLINE).await.code, Some(0));
    assert!(place.socket.exists(), "the file is the service manager's");
}

#[tokio::test]
async fn the_admin_api_can_be_at_a_socket_alone_and_status_asks_there() {
    let place = Place::new();
    let file = place.folder.path().join("mcp-proxy.yaml");
    let port = free_port();
    fs::write(&file, format!("port: {port}\nstorage: memory\nadmin-listen: {}\n", place.address())).expect("a file");
    let run = |args: &[&str]| {
        let (mut command, home) = binary("mcp-proxy").args(args).into_command();
        command.current_dir(place.folder.path()).env("HOME", place.folder.path());
        (Process::start(command), home)
    };
    let (mut gateway, _home) = run(&["start"]);
    gateway.prints("PID").await;
    eventually("the gateway listens", || async { place.socket.exists().then_some(()) }).await;
    assert_eq!(place.ask("/admin/status", &[]).await.0, 200);
    assert_eq!(place.ask("/one/mcp", &[]).await.0, 404);
    let at_port = reqwest::get(format!("http://127.0.0.1:{port}/admin/status")).await.expect("a response");
    assert_eq!(at_port.status().as_u16(), 404);
    let (mut status, _home) = run(&["status", "--output", "json"]);
    let told: Value = serde_json::from_str(&status.ended(DEADLINE).await.out).expect("JSON");
    assert_eq!(told["gateway"]["admin_api"], "healthy", "{told}");
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.ended(DEADLINE).await.code, Some(0));
}
