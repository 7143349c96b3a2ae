//! A real authorization server, `oidc-provider` of npm, and official clients that log in there.

use serde_json::Value;
use tokio::process::Command;

use crate::fixture::{fixture, installed, root};
use crate::process::{Ended, Process};
use crate::wait::DEADLINE;

/// A running authorization server, which logs in and consents by itself.
pub struct AuthorizationServer {
    /// Issuer of its tokens.
    pub issuer: String,
    /// The process.
    pub process: Process,
}

/// Client that can log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OAuthClient {
    /// `mcp` of PyPI, 1.x.
    Python,
    /// `mcp` of PyPI, 2.x.
    PythonModern,
    /// FastMCP, over the same.
    FastMcp,
    /// `@modelcontextprotocol/sdk` of npm, 1.x.
    TypeScript,
    /// `@modelcontextprotocol/client` of npm, 2.x.
    TypeScriptModern,
    /// `mcp-remote` of npm, between a client over stdio and the endpoint.
    McpRemote,
}

impl AuthorizationServer {
    /// Starts a server. `authorization_server.mjs` in `tests/fixtures/oauth` documents the options.
    pub async fn start(options: &Value) -> Self {
        let mut command = Command::new(fixture("node"));
        command.arg(root().join("tests/fixtures/oauth/authorization_server.mjs")).arg(options.to_string());
        let process = Process::start(command);
        Self { issuer: process.first_line().await, process }
    }
}

impl OAuthClient {
    /// All clients.
    pub const ALL: [Self; 6] =
        [Self::Python, Self::PythonModern, Self::FastMcp, Self::TypeScript, Self::TypeScriptModern, Self::McpRemote];

    /// Logs in at the endpoint, calls these tools, lists all, and ends. `oauth_client.py` in `tests/fixtures/clients` tells
    /// the form of the report.
    ///
    /// # Panics
    ///
    /// If the client fails, with its output.
    pub async fn converse(self, url: &str, tools: &[&str]) -> Value {
        let script = |name: &str| root().join("tests/fixtures/clients").join(name);
        let python = |venv: &str| Command::new(installed(&format!("python/{venv}/bin/python")));
        let home = tempfile::tempdir().expect("a temporary folder");
        let mut command = match self {
            Self::Python | Self::McpRemote => python("clients"),
            Self::PythonModern | Self::FastMcp => python("modern"),
            Self::TypeScript | Self::TypeScriptModern => Command::new(fixture("node")),
        };
        match self {
            Self::Python | Self::PythonModern => command.arg(script("oauth_client.py")).arg("sdk"),
            Self::FastMcp => command.arg(script("oauth_client.py")).arg("fastmcp"),
            Self::McpRemote => command.arg(script("oauth_client.py")).arg("mcp-remote"),
            Self::TypeScript => command.arg(script("oauth_client.mjs")).arg("1"),
            Self::TypeScriptModern => command.arg(script("oauth_client.mjs")).arg("2"),
        };
        command.arg(url).args(tools).env("HOME", home.path());
        command.env("NODE", fixture("node")).env("MCP_REMOTE", fixture("mcp-remote"));
        let Ended { code, out, err } = Process::start(command).ended(DEADLINE).await;
        assert_eq!(code, Some(0), "{self:?} at {url}: {err}");
        let line = out.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{self:?} reported {out}: {error}"))
    }
}
