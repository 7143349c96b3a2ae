//! The command line of `mcp-proxy`.

use clap::{Parser, Subcommand};

use crate::config::Flags;

const AFTER_HELP: &str = "\
Examples:
  mcp-proxy                                   serve on http://127.0.0.1:6001
  mcp-proxy --port 0                          serve on a free port and print it
  mcp-proxy --host 0.0.0.0 --admin-tokens \"$TOKEN\"
                                              serve everyone, with a protected admin API

Register a server, then use it:
  curl http://127.0.0.1:6001/admin/mcps -d '{\"name\":\"fs\",\"transport\":\"stdio\",
       \"command\":\"npx\",\"args\":[\"-y\",\"@modelcontextprotocol/server-filesystem\",\"/tmp\"]}'
  http://127.0.0.1:6001/mcp                   every server, Streamable HTTP
  http://127.0.0.1:6001/fs/stream             this one, Streamable HTTP
  http://127.0.0.1:6001/fs/sse                this one, HTTP with SSE

A flag wins over the environment variable that its help names.";

/// An MCP gateway: any number of MCP servers behind one HTTP interface.
#[derive(Debug, Parser)]
#[command(name = "mcp-proxy", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Flags,
}

/// What to do; without one, `serve`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until SIGINT or SIGTERM.
    Serve(Box<Flags>),
    /// Print the version.
    Version,
}
