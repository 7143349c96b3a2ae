//! What each sub-command does.

use std::io::Write;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::cli::{Cli, Command};
use crate::config::{Config, Flags, process_environment};
use crate::gateway::Gateway;
use crate::telemetry::{self, Format};

/// Carries out a command line.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        None => serve(&cli.serve).await,
        Some(Command::Serve(args)) => serve(&args).await,
        Some(Command::Version) => Ok(writeln!(std::io::stdout(), "mcp-proxy {}", env!("CARGO_PKG_VERSION"))?),
    }
}

async fn serve(args: &Flags) -> anyhow::Result<()> {
    let config = Config::resolve(args, &process_environment())?;
    telemetry::init(config.telemetry);
    warn_of_open_doors(&config);
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let format = config.telemetry.format;
    let gateway = Gateway::start(config).await?;
    announce(&gateway, format)?;
    tokio::select! {
        _ = terminate.recv() => info!(signal = "SIGTERM", "stopping"),
        _ = interrupt.recv() => info!(signal = "SIGINT", "stopping"),
    }
    tokio::select! {
        () = gateway.stop() => info!("stopped"),
        _ = interrupt.recv() => warn!("stopped without waiting, on a second signal"),
        _ = terminate.recv() => warn!("stopped without waiting, on a second signal"),
    }
    Ok(())
}

/// Tells on standard output where the gateway is, for people and for programs that started it on a free port.
fn announce(gateway: &Gateway, format: Format) -> anyhow::Result<()> {
    let (address, url) = (gateway.address(), gateway.url());
    info!(%address, url, "listening");
    let line = match format {
        Format::Text => format!("mcp-proxy {} listening on {url}", env!("CARGO_PKG_VERSION")),
        Format::Json => serde_json::json!({
            "message": "Starting MCP proxy server",
            "host": address.ip().to_string(),
            "port": address.port().to_string(),
            "base_url": url,
        })
        .to_string(),
    };
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write to standard output")
}

fn warn_of_open_doors(config: &Config) {
    if config.policy.admin_tokens.is_empty() && !config.is_loopback() {
        warn!(host = config.host, "the admin API is open to everyone who reaches this address: set --admin-tokens");
    }
    if config.policy.allow_insecure_admin {
        warn!("--allow-insecure-admin: whoever reaches the admin API can run programs on this machine");
    }
}
