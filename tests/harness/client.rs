//! Official MCP clients, each conversation in a child process.

use std::path::PathBuf;

use serde_json::Value;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::fixture::{fixture, fixture_path, installed, root};
use crate::process::{Ended, run};

/// Limits concurrent clients: each keeps a core busy while it starts.
static PLACES: Semaphore = Semaphore::const_new(4);

/// An official client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// `mcp` of PyPI, 1.x, legacy era.
    Python,
    /// `@modelcontextprotocol/sdk` of npm, 1.x, legacy era.
    TypeScript,
    /// `mcp` of PyPI, 2.x, both eras.
    PythonModern,
    /// `@modelcontextprotocol/client` of npm, 2.x, both eras.
    TypeScriptModern,
}

impl Client {
    /// Clients that speak only the legacy era.
    pub const LEGACY: [Self; 2] = [Self::Python, Self::TypeScript];

    /// Returns the interpreter and its script.
    fn program(self) -> (PathBuf, &'static str) {
        match self {
            Self::Python => (installed("python/clients/bin/python"), "python_client.py"),
            Self::TypeScript => (fixture("node"), "typescript_client.mjs"),
            Self::PythonModern => (installed("python/modern/bin/python"), "python_modern.py"),
            Self::TypeScriptModern => (fixture("node"), "typescript_modern.mjs"),
        }
    }
}

/// Runs one conversation of a client according to `plan`. Returns the client's report. `python_client.py` and
/// `python_modern.py` in `tests/fixtures/clients` document the plan's format.
///
/// # Panics
///
/// If the client fails, with its output. With the client's own words when it fails.
pub async fn client(client: Client, plan: &Value) -> Value {
    let (program, script) = client.program();
    let mut command = Command::new(program);
    command.arg(root().join("tests/fixtures/clients").join(script)).arg(plan.to_string());
    let Ended { code, out, err } = one_of_few(command).await;
    assert_eq!(code, Some(0), "{client:?} with {plan}: {err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{client:?} reported {out}: {error}"))
}

/// Sends one request with the MCP Inspector's command line, in the legacy era. Returns the result that it prints.
///
/// # Panics
///
/// If the Inspector fails, with its output.
pub async fn inspector(url: &str, transport: &str, request: &[&str]) -> Value {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(fixture("mcp-inspector"));
    command.args(["--cli", url, "--transport", transport, "--protocol-era", "legacy", "--format", "json"]);
    command.args(request).env("PATH", fixture_path()).env("HOME", home.path());
    let Ended { code, out, err } = one_of_few(command).await;
    assert_eq!(code, Some(0), "the Inspector with {request:?} at {url}: {err}{out}");
    let mut report: Value =
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("the Inspector printed {out}: {error}"));
    report["result"].take()
}

async fn one_of_few(command: Command) -> Ended {
    let _place = PLACES.acquire().await.expect("the semaphore is never closed");
    run(command).await
}
