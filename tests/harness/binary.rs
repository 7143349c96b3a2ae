//! Runs the workspace's binaries with only the environment that a test sets.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command as Blocking, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;
use tokio::process::Command;

use crate::admin::Admin;
use crate::fixture::{fixture_path, root};
use crate::gateway::{FAST_PATH, fast_path};
use crate::process::{Ended, Process, run};

/// Folder of the binaries. Built with the same options as in `tests/run`: others would build everything twice.
static BUILT: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let mut cargo = Blocking::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace", "--bins", "--examples"]).current_dir(root());
    // The cargo that runs the tests has set these for the tests. Build scripts that read them, such as ring's, would run again.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_a_package(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    let output = cargo.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    // Derive the folder from the path of the test, `target/debug/deps/NAME`.
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    own.ancestors().nth(2).map(PathBuf::from).ok_or_else(|| "the test has no folder".to_owned())
});

/// True for the variables by which cargo describes a package to its tests.
fn is_of_a_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// Prepares a binary of the workspace, with the programs that `tests/run` installs in `PATH` and a new home folder.
///
/// # Panics
///
/// If the workspace does not build.
#[must_use]
pub fn binary(name: &str) -> Binary {
    let folder = BUILT.as_ref().unwrap_or_else(|error| panic!("`cargo build` failed: {error}"));
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(folder.join(name));
    command.env_clear().env("PATH", fixture_path()).env("HOME", home.path()).current_dir(home.path());
    command.envs(fast_path().map(|value| (FAST_PATH, value)));
    Binary { command, home }
}

/// A binary, ready to be started.
pub struct Binary {
    command: Command,
    home: TempDir,
}

/// A running gateway.
pub struct Served {
    /// URL of the gateway, from its own output.
    pub url: String,
    /// Client of the gateway's admin API.
    pub admin: Admin,
    /// The process.
    pub process: Process,
    _home: TempDir,
}

/// A running program.
pub struct Started {
    /// The process.
    pub process: Process,
    _home: TempDir,
}

impl Binary {
    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Returns the command for a caller that starts it differently, with its home folder, which is deleted on drop.
    #[must_use]
    pub fn into_command(self) -> (Command, TempDir) {
        (self.command, self.home)
    }

    /// Runs the binary to its end.
    pub async fn run(self) -> Ended {
        run(self.command).await
    }

    /// Starts the binary.
    pub fn start(self) -> Started {
        Started { process: Process::start(self.command), _home: self.home }
    }

    /// Makes the binary find its stdin as descriptor 3, as service managers pass sockets (`sd_listen_fds(3)`), and tells
    /// it this number of sockets.
    #[must_use]
    pub fn with_sockets(self, count: usize) -> Self {
        const PASS: &str = r#"exec 3<&0 0</dev/null; export LISTEN_PID=$$; exec "$@""#;
        let binary = self.command.as_std();
        let mut command = Command::new("sh");
        command.args(["-c", PASS, "sh"]).arg(binary.get_program()).args(binary.get_args()).env_clear();
        command.envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("LISTEN_FDS", count.to_string()).current_dir(self.home.path());
        Self { command, home: self.home }
    }

    /// Starts a gateway and waits until it prints its URL.
    ///
    /// # Panics
    ///
    /// If the gateway does not print a URL.
    pub async fn serve(self) -> Served {
        self.serve_with(Stdio::null()).await
    }

    /// Starts a gateway with this stdin and waits until it prints its URL.
    ///
    /// # Panics
    ///
    /// If the gateway does not print a URL.
    pub async fn serve_with(self, stdin: Stdio) -> Served {
        let process = Process::start_with(self.command, stdin);
        let line = process.first_line().await;
        let url = announced(&line).unwrap_or_else(|| panic!("no URL in `{line}`"));
        Served { admin: Admin::new(&url), url, process, _home: self.home }
    }
}

/// Finds the URL in `mcp-proxy VERSION listening on URL`, or in the JSON line that `--log-json` prints instead.
fn announced(line: &str) -> Option<String> {
    let in_json = || serde_json::from_str::<serde_json::Value>(line).ok()?["base_url"].as_str().map(str::to_owned);
    line.split_once(" listening on ").map(|(_, url)| url.to_owned()).or_else(in_json)
}
