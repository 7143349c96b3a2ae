//! The upstream: a minimal legacy MCP server. Runs in separate processes started from this binary.

mod answer;
pub(crate) mod http;
pub(crate) mod stdio;

use std::net::SocketAddr;

use anyhow::{Context, Result};
use harness::Process;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::rows::Route;

/// Number of upstreams that share the tools of [`Route::All`].
const PARTS: usize = 4;

/// The running HTTP upstream.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    _process: Process,
}

impl Upstream {
    pub(crate) async fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("upstream");
        let process = Process::start(command);
        let address = process.first_line().await.parse().context("the upstream says where it is")?;
        Ok(Self { address, _process: process })
    }

    /// Returns the path of a route on the upstream.
    pub(crate) fn path(route: Route) -> String {
        let form = match route {
            Route::Events => "events",
            Route::Modern => "modern",
            Route::Json | Route::Tools | Route::Stdio | Route::All => "json",
        };
        format!("/{form}/{}", route.tools())
    }

    /// Returns the definitions of a route's upstreams for the gateway.
    pub(crate) fn definitions(&self, route: Route) -> Result<Vec<Value>> {
        let (name, own) = (route.name(), std::env::current_exe()?);
        let remote = |name: &str, path: &str| {
            let (url, era) =
                (format!("http://{}{path}", self.address), if route.is_modern() { "modern" } else { "legacy" });
            json!({ "name": name, "transport": "streamable-http", "url": url, "era": era })
        };
        Ok(match route {
            Route::Stdio => vec![json!({
                "name": name, "transport": "stdio", "command": own.to_string_lossy(), "args": ["stdio-upstream"],
            })],
            Route::Json | Route::Events | Route::Tools | Route::Modern => vec![remote(name, &Self::path(route))],
            Route::All => {
                let path = format!("/json/{}", route.tools() / PARTS);
                (0..PARTS).map(|part| remote(&format!("{name}{part}"), &path)).collect()
            }
        })
    }
}
