//! The command line of `mcp-proxy`.

use std::path::PathBuf;

use clap::{ArgGroup, Parser, Subcommand};
use url::Url;

use crate::config::{ForeignFlags, FormatFlags, ServeFlags};
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
    pub(crate) serve: ServeFlags,
}

/// Sub-command; `serve` if none is given.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until SIGINT or SIGTERM.
    Serve(Box<ServeFlags>),
    /// Serve one client on standard input and output, as desktop programs start their servers.
    Stdio(Box<StdioFlags>),
    /// Show the settings in effect, check configuration files, or write them.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check the audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Write a first configuration file.
    Init(InitFlags),
    /// Serve in the foreground, with a PID file by which `stop` and `status` find this process.
    Start(Box<StartFlags>),
    /// End the gateway that `start` runs, and wait until it has ended.
    Stop(Box<ProcessFlags>),
    /// Tell if the gateway that `start` runs is up, and how its servers are.
    Status(Box<StatusFlags>),
    /// Ask the gateway that runs with the same settings if it is up: the health check of containers.
    Health(Box<HealthFlags>),
    /// Print completions for a shell.
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages to a folder, and print their paths.
    Man {
        /// Folder, made if it is missing
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// Print the version.
    Version,
}

/// Format of the file that `init` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum InitFormat {
    /// The gateway's own: mcp-proxy.yaml
    Own,
    /// Radium's: .radium/mcp-proxy.toml
    Radium,
}

/// Settings of `init`.
#[derive(Debug, clap::Args)]
pub(crate) struct InitFlags {
    /// Folder to write to [env: RADIUM_WORKSPACE] [default: the working folder]
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) workspace: Option<PathBuf>,
    /// Format of the file [default: radium in a workspace of Radium, which has a folder .radium, else own]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<InitFormat>,
    /// Replace a file that is there already
    #[arg(long)]
    pub(crate) force: bool,
}

const START_HELP: &str = "\
Examples:
  mcp-proxy start                             with mcp-proxy.yaml, or .radium/mcp-proxy.toml
  mcp-proxy start -w ~/project                with the file of this workspace

The exit code is 0 after a stop, and also if a gateway runs already, there is no configuration file, or it says
`enable = false`; 1 if the gateway cannot start.";

/// Settings of `start`.
#[derive(Debug, clap::Args)]
#[command(after_help = START_HELP)]
pub(crate) struct StartFlags {
    /// PID file [default: .radium/mcp-proxy.pid of a workspace of Radium, else in the state folder, named as the
    /// configuration file]
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) serve: ServeFlags,
}

/// Settings of `stop`: those with which the gateway was started, as far as they name its configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct ProcessFlags {
    /// PID file, if `start` was given one
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) serve: ServeFlags,
}

/// Settings of `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusFlags {
    /// Form of the result
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
    /// Exit with 3 if no gateway runs; otherwise the code is 0 in every case
    #[arg(long)]
    pub(crate) exit_code: bool,
    #[command(flatten)]
    pub(crate) process: ProcessFlags,
}

/// Sub-command of `audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no record was removed, edited or moved.
    Verify(VerifyFlags),
}

const VERIFY_HELP: &str = "\
Examples:
  mcp-proxy audit verify audit.jsonl
  mcp-proxy audit verify audit.jsonl.2 audit.jsonl.1 audit.jsonl
      files that were rotated, oldest first
  mcp-proxy audit verify --after 4000:9f86.. audit.jsonl
      what follows files that were archived, whose verification ended with this record

The end of the chain is in FILE.head of the last file. Whoever can write both files can write another chain; so note the last record
elsewhere now and then (it is printed here, and in the answer of /admin/audit), and give it with --head.
The exit code is 0 if all records are intact, 1 otherwise; the first line that is not is named.";

/// Settings of `audit verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = VERIFY_HELP)]
pub(crate) struct VerifyFlags {
    /// Files of the log, oldest first
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Last record before the first file, if earlier files are archived
    #[arg(long, value_name = "NUMBER:DIGEST")]
    pub(crate) after: Option<String>,
    /// Record that must be in the chain; can be repeated
    #[arg(long, value_name = "NUMBER:DIGEST")]
    pub(crate) head: Vec<String>,
    /// Accept that nothing tells the end of the chain, as of a file that was rotated
    #[arg(long)]
    pub(crate) open_end: bool,
    /// Form of the result
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
}

const HEALTH_HELP: &str = "\
Examples:
  mcp-proxy health                            at http://127.0.0.1:6001, or where variables and file say
  mcp-proxy health --ready --port 7000        if it takes requests, and is not about to stop
  HEALTHCHECK CMD [\"mcp-proxy\", \"health\"]     in a Dockerfile

The exit code is 0 if the gateway answers /healthz (or /readyz) with 200, 1 otherwise. TLS and Unix sockets are spoken as the
settings say.";

/// Settings of `health`.
#[derive(Debug, clap::Args)]
#[command(after_help = HEALTH_HELP)]
pub(crate) struct HealthFlags {
    /// Ask /readyz instead of /healthz
    #[arg(long)]
    pub(crate) ready: bool,
    /// Time for the answer
    #[arg(long, value_name = "DURATION", default_value = "4s", value_parser = duration)]
    pub(crate) timeout: std::time::Duration,
    #[command(flatten)]
    pub(crate) serve: ServeFlags,
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    schemas::parse_duration(text).map_err(|_| "it is no duration such as 4s".to_owned())
}

/// Sub-command of `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the value of every setting that `serve` with these flags, variables and files would have, and its origin.
    Show(Box<ShowFlags>),
    /// Check configuration files without starting anything. Every mistake is told with its position and its cure.
    Check(CheckFlags),
    /// Write the gateway's own file from those of other programs, or from its own in another syntax.
    Migrate(MigrateFlags),
    /// Print the JSON Schema of the gateway's own file, for editors.
    Schema,
}

const CHECK_HELP: &str = "\
Examples:
  mcp-proxy config check mcp-proxy.yaml
  mcp-proxy config check .vscode/mcp.json ~/.codex/config.toml

Variables in the files have the values of this process's environment. One that is not set is a mistake.
The exit code is 0 if all files can be used, 1 otherwise.";

/// Settings of `config check`.
#[derive(Debug, clap::Args)]
#[command(after_help = CHECK_HELP)]
pub(crate) struct CheckFlags {
    /// Files, the gateway's own or those of other programs
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) foreign: ForeignFlags,
}

const MIGRATE_HELP: &str = "\
Examples:
  mcp-proxy config migrate claude_desktop_config.json > mcp-proxy.yaml
  mcp-proxy config migrate .cursor/mcp.json ~/.codex/config.toml > mcp-proxy.yaml

Variables stay variables. What has no form in the gateway's own file is told on standard error.";

/// Settings of `config migrate`.
#[derive(Debug, clap::Args)]
#[command(after_help = MIGRATE_HELP)]
pub(crate) struct MigrateFlags {
    /// Files to read; their servers and settings are put together
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Form of the result: `human` is YAML
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) format: FormatFlags,
}

/// Settings of `config show`.
#[derive(Debug, clap::Args)]
#[command(after_help = SHOW_HELP)]
pub(crate) struct ShowFlags {
    /// Form of the result
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) serve: ServeFlags,
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

A flag wins over a variable, a variable over the configuration file, and that over the default. Tokens are shown as [redacted], a user in a URL is masked.";

const STDIO_HELP: &str = "\
Examples:
  mcp-proxy stdio --config servers.json
      all servers of a file, which this process starts and ends
  mcp-proxy stdio --url http://127.0.0.1:6001
      all servers of a gateway that runs already
  mcp-proxy stdio --url http://127.0.0.1:6001/time/stream
      one of them, as it is

The file can be that of some forty programs; most have the form that desktop programs agree on:
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
#[command(after_help = STDIO_HELP, group(ArgGroup::new("servers").args(["config", "url"])))]
pub(crate) struct StdioFlags {
    /// Configuration file, the gateway's own or that of another program, whose servers are all offered together; without
    /// it and --url, the one that `serve` would find [env: MCP_PROXY_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) foreign: ForeignFlags,
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
