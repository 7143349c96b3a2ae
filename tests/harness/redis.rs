//! Real Redis servers and sentinels, from the packages that `tests/run` installs.

use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;
use tokio::process::Command;

use crate::fixture::{installed, root};
use crate::port::free_port;
use crate::process::{Process, Signal};
use crate::proxy::libraries;
use crate::wait::{DEADLINE, eventually};

/// A server with a folder of its own, in which every write is on disk before it is acknowledged.
pub struct Redis {
    /// Port of the server.
    pub port: u16,
    folder: TempDir,
    options: Vec<String>,
    process: Process,
}

/// Prepares an unpacked program, with the libraries unpacked beside it.
fn program(name: &str) -> Command {
    let usr = installed("debian/storage").join("usr");
    let mut command = Command::new(usr.join("bin").join(name));
    command.env_clear().env("LD_LIBRARY_PATH", libraries(&usr)).env("LANG", "C");
    command
}

fn tls_file(name: &str) -> PathBuf {
    root().join("tests/fixtures/tls").join(name)
}

fn start(port: u16, folder: &Path, options: &[String]) -> Process {
    let mut command = program("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"]).arg(folder);
    command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no"]).args(options);
    Process::start(command)
}

impl Redis {
    /// Starts a server with these further options.
    pub async fn start(options: &[&str]) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder"));
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let process = start(port, folder.path(), &options);
        process.prints("Ready to accept connections").await;
        Self { port, folder, options, process }
    }

    /// Starts a server that only speaks TLS and only to a user with a password.
    ///
    /// # Panics
    ///
    /// If the server does not start.
    pub async fn start_closed(user: &str, password: &str) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder"));
        let options = format!(
            "--tls-port {port} --tls-cert-file {} --tls-key-file {} --tls-ca-cert-file {} --tls-auth-clients no \
             --user {user} on >{password} ~mcp_proxy:* +@all --user default off",
            tls_file("server.pem").display(),
            tls_file("server.key.pem").display(),
            tls_file("authority.pem").display(),
        );
        let options: Vec<String> = options.split(' ').map(str::to_owned).collect();
        let process = start(0, folder.path(), &options);
        process.prints("Ready to accept connections").await;
        Self { port, folder, options, process }
    }

    /// Path of the certificate authority of servers that speak TLS.
    #[must_use]
    pub fn authority() -> PathBuf {
        tls_file("authority.pem")
    }

    /// Flags of a gateway that stores its registrations in a plain server.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        vec!["--storage=redis".to_owned(), format!("--redis-url=redis://127.0.0.1:{}", self.port)]
    }

    /// Kills the server.
    pub async fn kill(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.ended(DEADLINE).await;
    }

    /// Stops all work of the server without ending it, or lets it go on.
    pub fn pause(&self, is_paused: bool) {
        self.process.signal(if is_paused { Signal::STOP } else { Signal::CONT });
    }

    /// Starts the server again after [`Self::kill`], with the data that it had.
    pub async fn start_again(&mut self) {
        self.process = start(self.port, self.folder.path(), &self.options);
        self.process.prints("Ready to accept connections").await;
    }

    /// Runs a command of `redis-cli` and returns what it prints, without the last line break.
    ///
    /// # Panics
    ///
    /// If the command fails.
    pub async fn command(&self, args: &[&str]) -> String {
        let output = command(self.port, args).await;
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}

async fn command(port: u16, args: &[&str]) -> Output {
    let mut command = program("redis-cli");
    command.args(["-p", &port.to_string()]).args(args).output().await.expect("redis-cli runs")
}

/// A server with a replica, and three sentinels that watch both.
pub struct Watched {
    /// The server that was the first master.
    pub first: Redis,
    /// The replica.
    pub second: Redis,
    ports: Vec<u16>,
    _sentinels: Vec<(Process, TempDir)>,
}

impl Watched {
    /// Starts all of them, and waits until the sentinels know each other.
    ///
    /// # Panics
    ///
    /// If one of them does not start.
    pub async fn start() -> Self {
        let first = Redis::start(&[]).await;
        let second = Redis::start(&["--replicaof", &format!("127.0.0.1 {}", first.port)]).await;
        let (mut ports, mut sentinels) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder"));
            let file = folder.path().join("sentinel.conf");
            let lines = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor registry 127.0.0.1 {} 2\n\
                 sentinel down-after-milliseconds registry 1000\nsentinel failover-timeout registry 5000\n",
                folder.path().display(),
                first.port
            );
            std::fs::write(&file, lines).expect("a file");
            let mut command = program("redis-server");
            command.arg(&file).arg("--sentinel");
            sentinels.push((Process::start(command), folder));
            ports.push(port);
        }
        let watched = Self { first, second, ports, _sentinels: sentinels };
        eventually("all sentinels know each other and the replica", || watched.are_ready()).await;
        watched
    }

    async fn are_ready(&self) -> Option<()> {
        for port in &self.ports {
            let output = command(*port, &["sentinel", "master", "registry"]).await;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let value = |name: &str| lines.iter().position(|line| *line == name).and_then(|at| lines.get(at + 1));
            if value("num-slaves") != Some(&"1") || value("num-other-sentinels") != Some(&"2") {
                return None;
            }
        }
        Some(())
    }

    /// Flags of a gateway that stores its registrations in the master.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let addresses: Vec<String> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let sentinels = format!("--redis-sentinels={}", addresses.join(","));
        vec!["--storage=redis".to_owned(), sentinels, "--redis-sentinel-master=registry".to_owned()]
    }
}
