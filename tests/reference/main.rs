//! An MCP server written by hand from the specification, for tests and benchmarks: both eras, over Streamable HTTP, stdio
//! and, in the legacy era, SSE. It offers whatever the scenarios of the official conformance suite name.
//!
//! `server` decides what is answered and knows no transport; `http`, `stdio` and `sse` carry it and decide nothing. What
//! is offered stands in `catalog.json`. Nothing here is shared with the gateway: this is a second reading of the same text.

#![expect(clippy::indexing_slicing, reason = "only JSON values are indexed, and what is not there is null")]

mod caller;
mod catalog;
mod connection;
mod events;
mod headers;
mod http;
mod listen;
mod message;
mod outbox;
mod script;
mod seal;
mod server;
mod session;
mod sse;
mod stdio;
mod tasks;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::{ArgGroup, Parser, ValueEnum};
use tokio::task::JoinHandle;

use crate::server::Server;

/// A reference MCP server. Over HTTP and SSE it prints its URL first.
#[derive(Parser)]
#[command(group = ArgGroup::new("transport").required(true))]
struct Options {
    /// Serves Streamable HTTP here, at `/mcp`.
    #[arg(long, value_name = "ADDR", group = "transport")]
    http: Option<SocketAddr>,
    /// Serves HTTP with a separate event stream (2024-11-05) here, at `/sse`; legacy era only.
    #[arg(long, value_name = "ADDR", group = "transport")]
    sse: Option<SocketAddr>,
    /// Serves standard input and output.
    #[arg(long, group = "transport")]
    stdio: bool,
    #[command(flatten)]
    settings: Settings,
}

/// What the server is like, whatever the transport.
#[derive(clap::Args)]
struct Settings {
    /// The protocol revisions it speaks.
    #[arg(long, value_enum, default_value_t = Era::Dual)]
    era: Era,
    /// How it behaves badly when it is asked for its era. Whoever ignores the question or exits on it is legacy.
    #[arg(long, value_enum, default_value_t = Probe::Answer)]
    probe: Probe,
    /// Short for `--probe latch`.
    #[arg(long, conflicts_with = "probe")]
    latch: bool,
    /// Answers every request over HTTP with an event stream, as the official servers do.
    #[arg(long)]
    events: bool,
    /// Serves the modern era in part: it asks nothing, logs nothing, and tells of no resource.
    #[arg(long)]
    thin_modern: bool,
    /// Lists so many items to a page.
    #[arg(long, value_name = "COUNT")]
    page: Option<usize>,
    /// Notes here, a line each, which calls of tools began and which were cancelled; several processes may share it.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Offers so many tools more.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    extra_tools: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Era {
    /// `initialize`, up to 2025-11-25.
    Legacy,
    /// Metadata with each request, 2026-07-28.
    Modern,
    /// Both.
    Dual,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Probe {
    /// It does not.
    Answer,
    /// Never answers anything before the handshake.
    Ignore,
    /// Ends the process on anything before the handshake.
    Exit,
    /// The first request decides the era of the process.
    Latch,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let Options { http, sse, mut settings, .. } = Options::parse();
    if settings.latch {
        settings.probe = Probe::Latch;
    }
    if sse.is_some() || [Probe::Ignore, Probe::Exit].contains(&settings.probe) {
        settings.era = Era::Legacy;
    }
    let server: &'static Server = Box::leak(Box::new(Server::new(settings)?));
    match (http, sse) {
        (Some(address), _) => http::serve(server, address).await,
        (_, Some(address)) => sse::serve(server, address).await,
        _ => stdio::serve(server).await,
    }
}

/// Starts a task, which ends with the process at the latest.
#[expect(clippy::disallowed_methods, reason = "the gateway's list of tasks is none of this program's")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that no other process gives: of a session or a task.
fn unique() -> String {
    let mut bytes = [0; 16];
    // Without randomness there would be no TLS either; a fixed name is good enough for a test that runs there.
    getrandom::fill(&mut bytes).ok();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
