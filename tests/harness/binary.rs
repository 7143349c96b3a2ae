//! The built binaries, started with nothing in their environment but what a test gives them.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command as Blocking;
use std::sync::LazyLock;

use tempfile::TempDir;
use tokio::process::Command;

use crate::admin::Admin;
use crate::fixture::{fixture_path, root};
use crate::process::{Ended, Process, run};

/// The folder of the binaries, built as `tests/run` builds them: other options would build everything twice.
static BUILT: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let mut cargo = Blocking::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace", "--bins", "--examples"]).current_dir(root());
    let output = cargo.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    // The test itself is `target/debug/deps/NAME`.
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    own.ancestors().nth(2).map(PathBuf::from).ok_or_else(|| "the test has no folder".to_owned())
});

/// A binary of the workspace by name, with the programs of `tests/run` on its `PATH` and a new home folder.
///
/// # Panics
///
/// When the workspace does not build.
#[must_use]
pub fn binary(name: &str) -> Binary {
    let folder = BUILT.as_ref().unwrap_or_else(|error| panic!("`cargo build` failed: {error}"));
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(folder.join(name));
    command.env_clear().env("PATH", fixture_path()).env("HOME", home.path()).current_dir(home.path());
    Binary { command, home }
}

/// A binary that is about to be started.
pub struct Binary {
    command: Command,
    home: TempDir,
}

/// A running gateway.
pub struct Served {
    /// Where it is, as it says itself.
    pub url: String,
    /// Its admin API.
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

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives the command to whoever starts it in a way of their own, and its home, which goes when dropped.
    #[must_use]
    pub fn into_command(self) -> (Command, TempDir) {
        (self.command, self.home)
    }

    /// Runs it to its end.
    pub async fn run(self) -> Ended {
        run(self.command).await
    }

    /// Starts it.
    pub fn start(self) -> Started {
        Started { process: Process::start(self.command), _home: self.home }
    }

    /// Starts a gateway and waits until it says where it is.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub async fn serve(self) -> Served {
        let process = Process::start(self.command);
        let line = process.first_line().await;
        let url = announced(&line).unwrap_or_else(|| panic!("no URL in `{line}`"));
        Served { admin: Admin::new(&url), url, process, _home: self.home }
    }
}

/// The URL in `mcp-proxy VERSION listening on URL`, or in the JSON line that `--log-json` has instead.
fn announced(line: &str) -> Option<String> {
    let in_json = || serde_json::from_str::<serde_json::Value>(line).ok()?["base_url"].as_str().map(str::to_owned);
    line.split_once(" listening on ").map(|(_, url)| url.to_owned()).or_else(in_json)
}
