//! Arguments of each command.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use register_service::files::{Code, Engine};
use register_service::plan::Limit;
use schemas::{Owner, ServerName, parse_duration};

/// Heading of the flags of [`Reading`] in `--help`.
const READING: &str = "Reading files";

/// Arguments of commands that read workflow and agent files.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// YAML files, or folders with such files in them; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// Arguments of `import`: the configuration files of other programs.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Configuration files of other programs
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Format of the files, if their content does not show it, such as vscode, codex or gemini
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
}

/// Flags that change how files are read.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Take every entry as registered, also those with `use_proxy: false`
    #[arg(long, help_heading = READING)]
    pub(crate) all: bool,
    /// A `.env` file with variables for templates, which hide those of the environment; the last one given counts most
    #[arg(long, help_heading = READING, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// A variable for templates, which hides all others of its name
    #[arg(long, help_heading = READING, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<Assignment>,
    /// Which program reads the files besides this one, and so what their templates mean
    #[arg(long, help_heading = READING, value_enum, default_value_t, value_name = "ENGINE")]
    pub(crate) engine: ReadingEngine,
    /// A variable that is not set is an error, also where only the engine needs it
    #[arg(long, help_heading = READING)]
    pub(crate) strict_env: bool,
    /// A warning about the files is as bad as an error: exit with 3, and change nothing
    #[arg(long, help_heading = READING)]
    pub(crate) strict: bool,
}

/// The program that reads the files besides this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ReadingEngine {
    /// Compozy's: what it would do differently is remarked, and a variable that is not set is an error even in `default`
    #[default]
    Compozy,
    /// None: `default`, `or`, `if` and the like take a variable that is not set for an empty one
    None,
}

impl From<ReadingEngine> for Engine {
    fn from(engine: ReadingEngine) -> Self {
        match engine {
            ReadingEngine::Compozy => Self::Compozy,
            ReadingEngine::None => Self::None,
        }
    }
}

/// Variable given on the command line. `Debug` does not show its value.
#[derive(Clone)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Assignment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("it is not NAME=VALUE")?;
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=[redacted]", self.name)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    pub(crate) files: Files,
    /// With --strict: a variable that is not set, or set to nothing, stays a warning; for pull requests from forks
    #[arg(long, requires = "strict", conflicts_with = "strict_env")]
    pub(crate) allow_unset: bool,
    /// Also ask the gateway whether the tools that actions name are there, and take the arguments they give
    #[arg(long)]
    pub(crate) live: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The code, such as `unknown-key`; without one, all of them are listed
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<Code>,
}

/// Flags that limit the changes at the gateway, and name their owner.
#[derive(Debug, Args)]
pub(crate) struct Changes {
    #[command(flatten)]
    pub(crate) files: Files,
    /// In whose name [default: the project's name in compozy.yaml, else `register-service`]
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<Owner>,
    /// Take over registrations of others that differ from what the files declare
    #[arg(long)]
    pub(crate) adopt: bool,
    /// Remove what this owner registered and no file declares any more [default: none; in CI it has to be said]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) prune: Option<Pruned>,
    /// With --prune owned: remove everything if nothing is declared
    #[arg(long)]
    pub(crate) allow_empty: bool,
    /// With --prune owned: refuse to remove more than this, a number or a share; one is always removed
    #[arg(long, value_name = "LIMIT", default_value = "30%")]
    pub(crate) max_delete: Limit,
}

/// Registrations that are removed when no file declares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pruned {
    /// Nothing
    None,
    /// What this owner registered
    Owned,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) changes: Changes,
    /// Exit with 2 if there are changes
    #[arg(long, alias = "exit-code")]
    pub(crate) detailed_exitcode: bool,
    /// Plan without the entries that need variables which are not set here or set to nothing, and name them; for pull
    /// requests from forks
    #[arg(long, conflicts_with = "strict_env")]
    pub(crate) allow_unset: bool,
    /// Write the plan to a file, for `sync --plan`
    #[arg(long, short, value_name = "FILE", conflicts_with = "allow_unset")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Sync {
    #[command(flatten)]
    pub(crate) changes: Changes,
    /// Print what would change, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: exit with 2 if there are changes
    #[arg(long, alias = "exit-code", requires = "dry_run")]
    pub(crate) detailed_exitcode: bool,
    /// Do only what this plan says, and nothing if files or gateway moved since it was made
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "owner", "adopt", "prune", "allow_empty", "max_delete"])]
    pub(crate) plan: Option<PathBuf>,
    /// Make the changes one by one: those that can be made are, although others fail or are refused
    #[arg(long)]
    pub(crate) no_atomic: bool,
    /// Put back what `dump --secrets` wrote: each registration keeps the owner and the tags that it had
    #[arg(long, conflicts_with_all = ["plan", "owner", "prune", "allow_empty"])]
    pub(crate) restore: bool,
    /// Wait until every upstream that the files use is connected
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) wait: bool,
    /// How long to wait, such as `90s`
    #[arg(long, requires = "wait", default_value = "60s", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) timeout: Duration,
    /// How long to wait for another `sync` of the same owner
    #[arg(long, default_value = "60s", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) lock_timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) changes: Changes,
    /// How often to look whether files changed; what changed has to stay the same for as long
    #[arg(long, default_value = "500ms", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) interval: Duration,
    /// How often to look whether the gateway still has everything
    #[arg(long, default_value = "10s", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) resync: Duration,
    /// Answer `GET /healthz` here: 200 while gateway and files are in step, else 503
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) health: Option<std::net::SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// YAML files, or folders with such files in them
    #[arg(value_name = "PATH", required_unless_present = "names")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// An upstream by its name at the gateway; can be repeated
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<ServerName>,
    /// One that is waited for, but not missed if it does not come; can be repeated
    #[arg(long = "optional", value_name = "NAME")]
    pub(crate) optional: Vec<ServerName>,
    /// How long to wait, such as `90s`
    #[arg(long, default_value = "60s", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Which; all if none are named
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<ServerName>,
    /// Only those of this owner
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<Owner>,
}

#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// Which; all if none are named
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<ServerName>,
    /// Only those of this owner
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<Owner>,
    /// A backup, for `sync --restore`: with secrets and the owner of each; the gateway wants an admin token for it
    #[arg(long)]
    pub(crate) secrets: bool,
    /// Write to this file, which only its owner can read, and not to standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Adopt {
    #[command(flatten)]
    pub(crate) files: Files,
    /// The new owner [default: the project's name in compozy.yaml, else `register-service`]
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<Owner>,
    /// Only what has no owner
    #[arg(long)]
    pub(crate) unowned: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Release {
    /// Which
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<ServerName>,
    /// Whose they are
    #[arg(long, value_name = "NAME", default_value_t)]
    pub(crate) owner: Owner,
}

#[derive(Debug, Args)]
pub(crate) struct Deregister {
    /// Which
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<ServerName>,
    /// Whose they are
    #[arg(long, value_name = "NAME", default_value_t)]
    pub(crate) owner: Owner,
    /// Whoever's they are, and even if they say `prevent_destroy`
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Of which document
    #[arg(value_enum, default_value_t = Document::Workflow, value_name = "DOCUMENT")]
    pub(crate) document: Document,
}

/// A document that editors know the form of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Document {
    /// One entry of `mcps:`
    Mcp,
    /// A workflow file
    Workflow,
    /// An agent file
    Agent,
    /// compozy.yaml
    Project,
    /// An `mcpServers` file of desktop programs, which `mcp-proxy --config` reads too
    ProxyConfig,
    /// The gateway's own configuration file, mcp-proxy.yaml
    McpProxy,
    /// What `plan --out` writes
    Plan,
    /// A definition of the gateway's admin API
    Definition,
}
