//! The `mcp-proxy` binary.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use proxy_server::{Cli, run, warden};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Exit codes: 0 after a stop by signal and after a command that succeeded, 1 after an error, 2 for a command line that makes
/// no sense, 3 of `status --exit-code` if no gateway runs.
fn main() -> ExitCode {
    warden().unwrap_or_else(gateway)
}

#[tokio::main(flavor = "current_thread")]
async fn gateway() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output has seen enough, as `head` has.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mcp-proxy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
