//! A minimal worker of a workflow engine, quoted in the README; `worker` is a complete one with command-line options.
//!
//! `MCP_PROXY_URL=http://127.0.0.1:6001 cargo run --example engine -- workflows/demo.yaml`, with the path of a program
//! such as `target/debug/examples/demo_server` in `DEMO_SERVER`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use register_service::worker::FunctionForm;
use register_service::{Environment, RegisterService, Settings, Wanted, load};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<()> {
    // Leases, registrations made again and requests sent again are told through `tracing`; RUST_LOG=debug shows all of it.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // Before anything is registered: a signal that comes early must leave nothing behind.
    let mut terminate = signal(SignalKind::terminate())?;

    let process: Environment = std::env::vars().collect();
    let read = |name: &str| process.get(name).map(str::to_owned);
    let service = RegisterService::from_lookup(read)?.context("MCP_PROXY_URL is not set")?;

    // Load the files offline. Errors are reported together, each with file, line and column.
    let files: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let settings = Settings::new(service.client().base_url().as_str().parse()?, process.clone());
    let loaded = load(&files, &settings).inspect_err(|it| it.diagnostics.iter().for_each(|it| eprintln!("{it}")))?;
    let wanted = Wanted::from(&loaded.desired);

    let outcome = tokio::select! {
        outcome = work(&service, &wanted) => outcome,
        asked = tokio::signal::ctrl_c() => asked.context("cannot listen for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    };
    // Release the leases within a deadline, even after a failed start or if the gateway is gone.
    service.shutdown(Duration::from_secs(10)).await?;
    outcome
}

async fn work(service: &RegisterService, wanted: &Wanted) -> Result<()> {
    // Wait for the gateway, register, wait for the servers. An error names missing servers and the reasons.
    let started = service.start(wanted).await?;
    eprintln!("{}", started.readiness);

    // Offer the tools to a model; resolve a call by the function's name.
    let tools = service.tools().await?;
    println!("{}", tools.to_json(FunctionForm::OpenAi));
    let function = tools.find("add").context("there is no `add`")?;
    let answer = service.call(&function.address(), r#"{"a": 19, "b": 23}"#).await?;
    println!("{} (failed: {})", answer.to_text(), answer.is_error);

    // Call a tool as a workflow step names it.
    let answer = service.call(&"$mcp(demo#add)".parse()?, r#"{"a": 1, "b": 2}"#).await?;
    println!("{} (failed: {})", answer.to_text(), answer.is_error);

    let mut changes = service.changes();
    while let Some(observed) = changes.next().await {
        for server in observed.servers {
            println!("{}: {:?}", server.name, server.now);
        }
    }
    Ok(())
}
