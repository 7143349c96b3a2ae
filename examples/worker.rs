//! A complete worker of a workflow engine, from start to SIGTERM.
//!
//! Run `cargo run --example worker -- workflows/demo.yaml`, before or after starting `mcp-proxy`. At start, the worker
//! waits until the gateway is healthy and every server in the files is registered and connected; otherwise it reports
//! the missing ones and exits. Then it reports changes. At the end it releases its leases; servers that other workers
//! lease stay.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use register_service::files::InvalidFiles;
use register_service::worker::{Observed, Tenure, ToolAddress};
use register_service::{Environment, Options, RegisterService, Settings, Wanted, load};
use schemas::ServerName;
use tokio::signal::unix::{SignalKind, signal};

/// Registers the servers in workflow files, and leases them until SIGTERM.
///
/// All settings of `Options::from_lookup` and of the client can be set by environment variables.
#[derive(Debug, Parser)]
#[command(name = "worker")]
struct Cli {
    /// Workflow files, or folders of them
    #[arg(required = true)]
    workflows: Vec<PathBuf>,
    /// URL of the gateway; MCP_PROXY_ADMIN_TOKEN holds its token
    #[arg(long, env = "MCP_PROXY_URL", default_value = "http://127.0.0.1:6001")]
    proxy_url: String,
    /// Time to wait until all servers are connected, in seconds
    #[arg(long)]
    patience: Option<u64>,
    /// A server that is not required; may be given several times
    #[arg(long)]
    optional: Vec<ServerName>,
    /// A tool to call once everything is ready, as `$mcp(server#tool)`
    #[arg(long)]
    call: Option<ToolAddress>,
    /// Arguments of the tool, as JSON
    #[arg(long, default_value = "{}")]
    arguments: String,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    // Listen before registering: an early signal must not leave registrations behind.
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;

    let settings = Settings::new(cli.proxy_url.parse()?, std::env::vars().collect::<Environment>());
    let desired = match load(&cli.workflows, &settings) {
        Ok(loaded) => loaded.desired,
        Err(InvalidFiles { diagnostics, .. }) => {
            for diagnostic in diagnostics {
                eprintln!("{diagnostic}");
            }
            return Ok(ExitCode::from(3));
        }
    };
    let wanted = Wanted::from(&desired).with_optional(cli.optional.iter().cloned());
    let service = service(&cli)?;
    let outcome = tokio::select! {
        outcome = work(&service, &wanted, &cli) => outcome,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    for name in service.shutdown(Duration::from_secs(10)).await? {
        writeln!(io::stdout(), "removed {name}")?;
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

fn service(cli: &Cli) -> Result<RegisterService> {
    let lookup = |name: &str| match name {
        "MCP_PROXY_URL" => Some(cli.proxy_url.clone()),
        name => std::env::var(name).ok(),
    };
    let adjust = |options: Options| Options {
        readiness_timeout: cli.patience.map_or(options.readiness_timeout, Duration::from_secs),
        ..options
    };
    RegisterService::from_lookup_with(lookup, adjust)?.context("no gateway is named")
}

/// Runs the worker until it is stopped.
async fn work(service: &RegisterService, wanted: &Wanted, cli: &Cli) -> Result<()> {
    let mut out = io::stdout();
    let started = service.start(wanted).await?;
    for (name, done) in &started.done {
        writeln!(out, "{name}: {done:?}")?;
    }
    if started.tenure == Tenure::Unleased {
        writeln!(out, "this gateway has no leases")?;
    }
    // Print `ready`, and the optional servers that are missing.
    writeln!(out, "{}", started.readiness)?;
    if let Some(address) = &cli.call {
        let answer = service.call(address, &cli.arguments).await?;
        writeln!(out, "{address}: {}", answer.to_text())?;
    }
    let mut changes = service.changes();
    while let Some(Observed { servers, .. }) = changes.next().await {
        for server in servers {
            writeln!(out, "{}: {:?} -> {:?}", server.name, server.before, server.now)?;
        }
    }
    Ok(())
}
