//! What a worker of a workflow engine does with its gateway, from start to SIGTERM.
//!
//! `cargo run --example worker -- workflows/demo.yaml` beside a running `mcp-proxy`. At start the gateway must be
//! healthy, and every server that the files want from it registered and connected, or the worker says which are missing
//! and ends. At its end it removes what it created and nothing of its siblings.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use proxy_client::Client;
use register_service::{Desired, Environment, InvalidFiles, Options, RegisterService, Settings, load};
use tokio::signal::unix::{SignalKind, signal};

/// Registers what workflow files declare, and holds it until SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "worker")]
struct Cli {
    /// Workflow files, or folders of them
    #[arg(required = true)]
    workflows: Vec<PathBuf>,
    /// Where the gateway is; MCP_PROXY_ADMIN_TOKEN holds its token
    #[arg(long, env = "MCP_PROXY_URL", default_value = "http://127.0.0.1:6001")]
    proxy_url: String,
    /// How long to wait until everything is connected, in seconds
    #[arg(long, default_value_t = 60)]
    patience: u64,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    // Listening before anything is registered: a signal that comes early must not leave anything behind.
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
    let service = RegisterService::new(client(&cli)?, Options::default());
    let outcome = tokio::select! {
        started = start(&service, &desired, Duration::from_secs(cli.patience)) => match started {
            Ok(()) => {
                writeln!(io::stdout(), "ready")?;
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                Ok(())
            }
            Err(error) => Err(error),
        },
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    for name in service.shutdown(Duration::from_secs(10)).await? {
        writeln!(io::stdout(), "removed {name}")?;
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

fn client(cli: &Cli) -> Result<Client> {
    let builder = Client::builder(&cli.proxy_url);
    Ok(match std::env::var("MCP_PROXY_ADMIN_TOKEN") {
        Ok(token) => builder.token(token).build()?,
        Err(_) => builder.build()?,
    })
}

async fn start(service: &RegisterService, desired: &Desired, patience: Duration) -> Result<()> {
    service.health_check().await.context("the gateway is not healthy")?;
    for (name, done) in service.ensure_all(&desired.definitions()).await? {
        writeln!(io::stdout(), "{name}: {done:?}")?;
    }
    service.wait_until_ready(&desired.names(), patience).await?;
    Ok(())
}
