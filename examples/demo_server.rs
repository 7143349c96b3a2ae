//! The demo server as a binary: `cargo run --example demo_server -- --http 127.0.0.1:8090`.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::Parser;
use tokio_util::sync::CancellationToken;

/// A small MCP server: add, now, word_count, slugify, roll_dice, wait.
#[derive(Debug, Parser)]
#[command(name = "demo_server")]
struct Cli {
    /// Serve stdin and stdout; this is the default
    #[arg(long, conflicts_with = "http")]
    stdio: bool,

    /// Serve Streamable HTTP at this address instead, and print the URL; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
}

#[tokio::main]
async fn main() -> Result<()> {
    match Cli::parse().http {
        None => demo::serve_stdio().await,
        Some(address) => serve_http(address).await,
    }
}

async fn serve_http(address: SocketAddr) -> Result<()> {
    let (listener, url) = demo::bind(address).await?;
    println!("{url}");
    let stop = CancellationToken::new();
    let serving = demo::serve_http(listener, stop.clone());
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        asked = tokio::signal::ctrl_c() => asked.context("cannot listen for Ctrl-C")?,
    }
    stop.cancel();
    serving.await
}
