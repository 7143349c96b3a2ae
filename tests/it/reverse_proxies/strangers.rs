//! Remote callers that a proxy on this machine, in its shortest configuration, forwards.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use harness::proxy::{Proxy, Setup, Software};
use harness::wait::within;
use harness::{Process, binary, eventually, free_port};
use serde_json::{Value, json};
use tokio::process::Command;

/// Addresses of the machine and of the remote caller, which exist only in the network of the test.
const MACHINE: &str = "192.0.2.1";
const STRANGER: &str = "192.0.2.10";
const LOOPBACK: &str = "127.0.0.1";
const SOON: Duration = Duration::from_secs(20);

/// Network namespace for the duration of its holder process; loopback, with a second address for remote callers, if the
/// system allows no namespace.
struct Network {
    holder: Option<Process>,
}

impl Network {
    async fn new() -> Self {
        let script = format!(
            "ip link set lo up && ip addr add {MACHINE}/32 dev lo && ip addr add {STRANGER}/32 dev lo && echo up && \
             exec sleep 600"
        );
        let mut command = Command::new("unshare");
        if !is_root() {
            // Keeps the user, with the capabilities to set up the network and nothing else.
            command.args(["--user", "--map-current-user", "--keep-caps"]);
        }
        command.args(["--net", "sh", "-c", &script]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let mut trial = Command::new("unshare");
        trial.args(if is_root() { &["--net", "true"][..] } else { &["--user", "--net", "true"] }).stderr(Stdio::null());
        let allowed = trial.status().await.is_ok_and(|status| status.success());
        if !allowed {
            return Self { holder: None };
        }
        let holder = Process::start(command);
        assert_eq!(holder.first_line().await, "up", "{}", holder.err());
        Self { holder: Some(holder) }
    }

    /// Returns the command to run inside this network, with only its own environment.
    fn inside(&self, command: Command) -> Command {
        let Some(holder) = &self.holder else { return command };
        let mut entering = Command::new("/usr/bin/nsenter");
        entering.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args([
            "--target",
            &holder.pid().to_string(),
            "--net",
        ]);
        if !is_root() {
            entering.args(["--user", "--preserve-credentials"]);
        }
        let inner = command.as_std();
        entering.arg(inner.get_program()).args(inner.get_args());
        entering.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = inner.get_current_dir() {
            entering.current_dir(folder);
        }
        entering
    }

    /// Returns the address of the machine, and the address of the remote caller.
    fn addresses(&self) -> (&'static str, &'static str) {
        if self.holder.is_some() { (MACHINE, STRANGER) } else { (LOOPBACK, "127.0.0.9") }
    }

    /// Returns the status of a POST from this address; 0 if there is no response.
    async fn post(&self, from: &str, url: &str, host: &str, body: &Value) -> u16 {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
            "--noproxy",
            "*",
            "--max-time",
            "10",
        ]);
        curl.args(["--interface", from, "--header", &format!("Host: {host}")]);
        curl.args(["--header", "Content-Type: application/json", "--data", &body.to_string(), url]);
        curl.env("PATH", "/usr/bin:/bin");
        let output = within(SOON, "curl", self.inside(curl).output()).await.expect("curl");
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_default()
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn program(file: &Path) -> Value {
    json!({ "name": "a", "transport": "stdio", "command": "touch", "args": [file] })
}

#[tokio::test]
async fn a_stranger_starts_no_program_through_any_proxy_in_its_shortest_configuration() {
    let network = Network::new().await;
    let (machine, stranger) = network.addresses();
    let port = free_port();
    let flags = ["--port", &port.to_string(), "--allowed-hosts", "gw.example"];
    let (command, home) = binary("mcp-proxy").args(flags).into_command();
    let gateway = Process::start(network.inside(command));
    gateway.first_line().await;
    let file = home.path().join("ran");
    for software in Software::ALL {
        let proxy = software.start_with(Setup::Shortest, machine, port, |command| network.inside(command)).await;
        answers(&network, &proxy, stranger).await;
        let mut hosts = vec!["gw.example".to_owned(), format!("{machine}:1")];
        if network.holder.is_some() {
            // A remote caller can name this machine in its `Host` header.
            hosts.extend([format!("localhost:{port}"), format!("127.0.0.1:{port}"), "localhost".to_owned()]);
        }
        for host in hosts {
            let change = json!({ "changes": [{ "change": "create", "definition": program(&file) }] });
            for (path, body) in [("/admin/mcps", program(&file)), ("/admin/generations", change)] {
                let status = network.post(stranger, &format!("{}{path}", proxy.url), &host, &body).await;
                assert_eq!(status, 403, "{software:?} {path} for {host}\n{}", proxy.err());
            }
        }
        assert!(!file.exists(), "{software:?}");
    }
    let own = format!("http://{LOOPBACK}:{port}/admin/mcps");
    assert_eq!(network.post(LOOPBACK, &own, &format!("localhost:{port}"), &program(&file)).await, 201);
    eventually("a program that ran", async || file.exists().then_some(())).await;
}

/// Waits until a proxy forwards requests.
async fn answers(network: &Network, proxy: &Proxy, stranger: &str) {
    let url = format!("{}/admin/tools/call", proxy.url);
    eventually(&format!("an answer through {}", proxy.url), async || {
        let status = network.post(stranger, &url, "gw.example", &json!({})).await;
        (status != 0 && status < 500).then_some(())
    })
    .await;
}
