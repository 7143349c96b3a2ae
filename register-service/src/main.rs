//! The `register-service` command: keeps an MCP gateway in step with workflow files.

mod cli;
mod commands;
mod exit;
mod printer;
mod report;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Cli, Process};
use crate::exit::Exit;
use crate::printer::Printer;

/// Reading a thousand files takes a million small allocations.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    let process = Process::read();
    let printer = cli.global.printer(&process);
    if printer.is_verbose() {
        let requests = tracing_subscriber::EnvFilter::new("register_service=debug,proxy_client=debug");
        tracing_subscriber::fmt().with_env_filter(requests).with_writer(std::io::stderr).with_ansi(false).init();
    }
    match run(&cli, &process, printer) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let report = report::Report::unusable(&error, Exit::of_usage(cli.command.is_detailed()));
            printer.report(&report);
            report.exit.into()
        }
    }
}

/// Says what is wrong with the command line; or the help that was asked for.
fn refused(error: &clap::Error) -> ExitCode {
    error.print().ok();
    match error.use_stderr() {
        true => Exit::of_usage(std::env::args().any(|it| cli::DETAILED.contains(&it.as_str()))).into(),
        false => Exit::Done.into(),
    }
}

/// An error here is one of the settings: nothing was done yet.
fn run(cli: &Cli, process: &Process, printer: Printer) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let exit = tokio::select! {
            report = commands::run(cli, process, printer) => {
                let report = report?;
                printer.report(&report);
                return Ok(report.exit);
            }
            _ = interrupt.recv() => Exit::Interrupted,
            _ = terminate.recv() => Exit::Terminated,
        };
        match cli.command {
            // It has no other end.
            cli::Command::Watch(_) => printer.progress("stopped; what was registered stays"),
            _ => printer.failure("stopped before the end", Some("running again resumes")),
        }
        Ok(exit)
    })
}
