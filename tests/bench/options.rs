//! Command-line options.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

const AFTER_HELP: &str = "\
Each row is measured on each hop in turn, round by round, so that what slows the machine down
slows all of them down:
  direct    no hop: what client and upstream can do by themselves
  nginx     a plain HTTP pass-through, the practical floor of one hop; one worker for each core,
            as the gateway has one thread for each (Debian: apt-get install nginx-light)
  gateway   mcp-proxy, built with the profile `dist`, with default settings

Figures are medians over the rounds, with the lowest and the highest in parentheses. `x nginx` is
the ratio to nginx within the same round. CPU is what the hop's own processes used while requests
were counted, without the upstream's. Every reply is checked, its id and its content; a wrong one
ends the run. The last line tells how much of the machine others used meanwhile: with more than a
tenth of a core, run it again.

Examples:
  cargo bench -p tests                              every row, under four minutes
  cargo bench -p tests -- --quick                   a first impression, under 40 seconds
  cargo bench -p tests -- --rows small,stdio        some rows
  cargo bench -p tests -- --gateway old=PATH --gateway new=PATH
                                                    two builds of the gateway beside each other";

/// Measure the cost of one hop through the gateway
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench -p tests --", after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// Number of rounds [default: 5, or 2 with --quick]
    #[arg(long)]
    rounds: Option<usize>,
    /// Counted seconds per row, hop and round [default: 0.8, or 0.25 with --quick]
    #[arg(long)]
    seconds: Option<f64>,
    /// Requests per second in rows with a fixed rate
    #[arg(long, default_value_t = 3000)]
    pub(crate) rate: u32,
    /// Measure only these groups of rows (small, large, rate, stdio, list, sessions, idle, start), or rows whose names
    /// contain this text
    #[arg(long, value_delimiter = ',')]
    pub(crate) rows: Vec<String>,
    /// Fewer and shorter rounds
    #[arg(long)]
    quick: bool,
    /// A gateway to measure instead of the one that cargo builds; may be repeated
    #[arg(long, value_name = "NAME=PATH", value_parser = named_path)]
    pub(crate) gateway: Vec<(String, PathBuf)>,
    /// Measure each gateway a second time, with an access log and an audit log
    #[arg(long)]
    pub(crate) with_logs: bool,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// Roles in which the benchmark starts itself, so that CPU usage is measured per part.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Role {
    /// Be the upstream on HTTP
    #[command(hide = true)]
    Upstream,
    /// Be the upstream on standard streams
    #[command(hide = true)]
    StdioUpstream,
}

impl Options {
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 2 } else { 5 }).max(1)
    }

    /// Returns the duration of counting.
    pub(crate) fn counted(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(if self.quick { 0.25 } else { 0.8 }).clamp(0.05, 600.0))
    }

    /// Returns the duration of the warm-up before counting.
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_millis(if self.quick { 100 } else { 200 })
    }
}

/// Returns true if started to measure or as an upstream; `cargo test --benches` starts the program with other
/// arguments.
pub(crate) fn is_meant() -> bool {
    std::env::args().any(|argument| ["--bench", "upstream", "stdio-upstream"].contains(&argument.as_str()))
}

fn named_path(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("expected NAME=PATH")?;
    let path = PathBuf::from(path).canonicalize().map_err(|error| error.to_string())?;
    Ok((name.to_owned(), path))
}
