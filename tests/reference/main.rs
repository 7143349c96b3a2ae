//! An MCP server written from the specification, for tests and benchmarks: both eras, over Streamable HTTP, stdio and,
//! in the legacy era, SSE. Offers all items that the scenarios of the official conformance suite use.
//!
//! `server` determines the responses, independently of the transport; `http`, `stdio` and `sse` transport them. The
//! items are in `catalog.json`. Shares no code with the gateway: it is an independent reading of the specification.

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
    /// Serves Streamable HTTP at this address, path `/mcp`.
    #[arg(long, value_name = "ADDR", group = "transport")]
    http: Option<SocketAddr>,
    /// Serves HTTP with a separate event stream (2024-11-05) at this address, path `/sse`; legacy era only.
    #[arg(long, value_name = "ADDR", group = "transport")]
    sse: Option<SocketAddr>,
    /// Serves standard input and output.
    #[arg(long, group = "transport")]
    stdio: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Settings that apply to all transports.
#[derive(clap::Args)]
struct Settings {
    /// Protocol eras to speak.
    #[arg(long, value_enum, default_value_t = Era::Dual)]
    era: Era,
    /// Misbehaviour when a client probes for the era. `ignore` and `exit` imply the legacy era.
    #[arg(long, value_enum, default_value_t = Probe::Answer)]
    probe: Probe,
    /// Shorthand for `--probe latch`.
    #[arg(long, conflicts_with = "probe")]
    latch: bool,
    /// Answers all HTTP requests with event streams, as the official servers do.
    #[arg(long)]
    events: bool,
    /// Serves a part of the modern era: no questions, no log messages, no resource updates.
    #[arg(long)]
    thin_modern: bool,
    /// Number of items per page of a list.
    #[arg(long, value_name = "COUNT")]
    page: Option<usize>,
    /// File to log the begin and the cancellation of tool calls to, one per line; processes may share it.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Number of additional tools.
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
    /// Answers normally.
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

/// Returns a random name for a session or a task, unique among processes.
fn unique() -> String {
    let mut bytes = [0; 16];
    // Ignore the error: a fixed name is good enough for a test on a machine without randomness.
    getrandom::fill(&mut bytes).ok();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
