//! The command line of `mcp-proxy`.

use std::path::PathBuf;

use clap::{ArgGroup, Parser, Subcommand};
use url::Url;

use crate::config::Flags;
use crate::telemetry::Level;

const AFTER_HELP: &str = "\
Examples:
  mcp-proxy                                   serve on http://127.0.0.1:6001
  mcp-proxy --port 0                          serve on a free port and print it
  mcp-proxy --host 0.0.0.0 --admin-tokens \"$TOKEN\"
                                              serve everyone, with a protected admin API

Register a server, then use it:
  curl http://127.0.0.1:6001/admin/mcps --json '{\"name\":\"fs\",\"transport\":\"stdio\",
       \"command\":\"npx\",\"args\":[\"-y\",\"@modelcontextprotocol/server-filesystem\",\"/tmp\"]}'
  http://127.0.0.1:6001/mcp                   every server, Streamable HTTP
  http://127.0.0.1:6001/fs/stream             this one, Streamable HTTP
  http://127.0.0.1:6001/fs/sse                this one, HTTP with SSE

A flag wins over the environment variable that its help names. `mcp-proxy config show` tells the values and their origins.";

/// An MCP gateway: any number of MCP servers behind one HTTP interface.
#[derive(Debug, Parser)]
#[command(name = "mcp-proxy", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Flags,
}

/// Sub-command; `serve` if none is given.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until SIGINT or SIGTERM.
    Serve(Box<Flags>),
    /// Serve one client on standard input and output, as desktop programs start their servers.
    Stdio(Box<StdioFlags>),
    /// Print the settings in effect, each with its origin.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version.
    Version,
}

/// Sub-command of `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the value of every setting that `serve` with these flags and variables would have, and its origin.
    Show(Box<ShowFlags>),
}

/// Settings of `config show`.
#[derive(Debug, clap::Args)]
#[command(after_help = SHOW_HELP)]
pub(crate) struct ShowFlags {
    /// Form of the result
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) serve: Flags,
}

/// Form of a result on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// A table for people
    Human,
    /// One object, whose form has a version
    Json,
}

const SHOW_HELP: &str = "\
Examples:
  mcp-proxy config show                       what applies without a flag
  mcp-proxy config show --call-timeout 1m     what applies with this one
  mcp-proxy config show --output json         for programs

A flag wins over a variable, and a variable over the default. Tokens are shown as [redacted], a user in a URL is masked.";

const STDIO_HELP: &str = "\
Examples:
  mcp-proxy stdio --config servers.json
      all servers of a file, which this process starts and ends
  mcp-proxy stdio --url http://127.0.0.1:6001
      all servers of a gateway that runs already
  mcp-proxy stdio --url http://127.0.0.1:6001/time/stream
      one of them, as it is

The file has the form that desktop programs agree on:
  {
    \"mcpServers\": {
      \"time\": {\"command\": \"mcp-server-time\", \"args\": [], \"env\": {}},
      \"docs\": {\"url\": \"https://docs.example/mcp\", \"headers\": {\"Authorization\": \"Bearer ...\"}},
      \"off\":  {\"command\": \"not-now\", \"disabled\": true}
    }
  }
Such a program is told of the gateway in the same form:
  {\"mcpServers\": {\"all\": {\"command\": \"mcp-proxy\", \"args\": [\"stdio\", \"--config\", \"/path/servers.json\"]}}}

A server's `cwd` is the folder it runs in. Of this process's environment it gets HOME, LANG, LOGNAME, PATH, SHELL, TERM,
TMPDIR and USER, and nothing else; whatever it needs besides (proxies, certificates, TZ) belongs into its `env`.

Standard output carries messages only, standard error the log. It ends with its input, or on SIGTERM.";

/// Settings of `stdio`.
#[derive(Debug, clap::Args)]
#[command(after_help = STDIO_HELP, group(ArgGroup::new("servers").required(true).args(["config", "url"])))]
pub(crate) struct StdioFlags {
    /// File with an `mcpServers` object, whose servers are all offered together
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A running gateway, or any endpoint of Streamable HTTP; a URL without a path is that of a gateway, at /mcp
    #[arg(long, value_name = "GATEWAY")]
    pub(crate) url: Option<Url>,
    /// Bearer token for that gateway [env: MCP_PROXY_TOKEN]
    #[arg(long, value_name = "TOKEN", conflicts_with = "config")]
    pub(crate) token: Option<String>,
    /// Least important level that is logged
    #[arg(long, value_name = "LEVEL", value_enum, ignore_case = true, default_value = "warn")]
    pub(crate) log_level: Level,
}
