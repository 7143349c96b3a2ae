//! The upstream: an MCP server of the legacy era that does as little as one can. It runs in processes of its own, started
//! from this very binary.

mod answer;
pub(crate) mod http;
pub(crate) mod stdio;

use std::net::SocketAddr;

use anyhow::{Context, Result};
use harness::Process;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::rows::Route;

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

    /// Where a route leads by itself.
    pub(crate) fn path(route: Route) -> String {
        let form = if route == Route::Events { "events" } else { "json" };
        format!("/{form}/{}", route.tools())
    }

    /// How the gateway is told of a route.
    pub(crate) fn definition(&self, route: Route) -> Result<Value> {
        let (name, own) = (route.name(), std::env::current_exe()?);
        Ok(match route {
            Route::Stdio => json!({
                "name": name, "transport": "stdio", "command": own.to_string_lossy(), "args": ["stdio-upstream"],
            }),
            Route::Json | Route::Events | Route::Tools => json!({
                "name": name, "transport": "streamable-http",
                "url": format!("http://{}{}", self.address, Self::path(route)),
            }),
        })
    }
}
