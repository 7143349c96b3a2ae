//! Clients of the MCP endpoints that nobody here wrote, each one conversation as a child process.

use serde_json::Value;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::fixture::{fixture, fixture_path, installed, root};
use crate::process::{Ended, run};

/// Clients that run at once; each keeps a core busy while it starts.
static PLACES: Semaphore = Semaphore::const_new(4);

/// An official client of the legacy era.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// `mcp` of PyPI, 1.x.
    Python,
    /// `@modelcontextprotocol/sdk` of npm, 1.x.
    TypeScript,
}

impl Client {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Python, Self::TypeScript];
}

/// One conversation of a client as its plan says (`tests/fixtures/clients/python_client.py` tells the plan's form), and
/// its report.
///
/// # Panics
///
/// With the client's own words when it fails.
pub async fn client(client: Client, plan: &Value) -> Value {
    let drivers = root().join("tests/fixtures/clients");
    let mut command = match client {
        Client::Python => {
            let mut python = Command::new(installed("python/clients/bin/python"));
            python.arg(drivers.join("python_client.py"));
            python
        }
        Client::TypeScript => {
            let mut node = Command::new(fixture("node"));
            node.arg(drivers.join("typescript_client.mjs"));
            node
        }
    };
    command.arg(plan.to_string());
    let Ended { code, out, err } = one_of_few(command).await;
    assert_eq!(code, Some(0), "{client:?} with {plan}: {err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{client:?} reported {out}: {error}"))
}

/// One request of the MCP Inspector's command line in the legacy era, and the result it prints.
///
/// # Panics
///
/// With the Inspector's own words when it fails.
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
