//! The command line, and the only place of this program that reads the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use proxy_client::{Client, ClientBuilder};
use register_service::{Code, Environment, GatewayUrl, Owner, Settings, Unset, read_env_file};
use schemas::Secret;

use crate::exit;
use crate::printer::{Printer, Verbosity};

const DEFAULT_PROXY_URL: &str = "http://127.0.0.1:6001";

/// Keep an MCP gateway in step with workflow files.
///
/// Reads the `mcps:` blocks of workflow, agent and project files, and registers at the gateway the servers that say
/// `use_proxy: true`. Templates such as `{{ .env.TOKEN }}` are filled in from the environment.
#[derive(Debug, Parser)]
#[command(name = "register-service", version, after_help = EXAMPLES, after_long_help = long_help(), arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  register-service validate workflows/          find every mistake, offline
  register-service explain bad-template         what a mistake means, and what to do
  register-service sync workflows/ --dry-run    show what would change
  register-service sync workflows/ --wait       make it so, and wait until it works
  register-service render workflows/            show the files as the engine sees them";

fn long_help() -> String {
    format!("{EXAMPLES}\n\n{}", exit::TABLE)
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where the gateway is [env: MCP_PROXY_URL] [default: http://127.0.0.1:6001]
    #[arg(long, global = true, value_name = "URL")]
    proxy_url: Option<GatewayUrl>,
    /// The gateway's admin token [env: MCP_PROXY_ADMIN_TOKEN, which others do not see in the list of processes]
    #[arg(long, global = true, value_name = "TOKEN")]
    admin_token: Option<HiddenToken>,
    /// For people, or for programs
    #[arg(long, global = true, value_enum, default_value_t = Output::Human, value_name = "FORMAT")]
    output: Output,
    /// On stderr only errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// On stderr also every request; in the result also what stays as it is
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    verbose: bool,
    /// No colour, not even on a terminal [env: NO_COLOR]
    #[arg(long, global = true)]
    no_color: bool,
}

/// A token that prints nowhere.
#[derive(Debug, Clone)]
struct HiddenToken(Secret);

impl From<&str> for HiddenToken {
    fn from(token: &str) -> Self {
        Self(Secret::from(token))
    }
}

/// The form of the result on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Lines for people
    Human,
    /// One object, whose form has a version
    Json,
    /// SARIF 2.1.0, for code hosts
    Sarif,
    /// JUnit's XML, for CI servers
    Junit,
    /// Annotations of GitHub Actions
    Github,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find every mistake in the files, without a request to anyone
    ///
    /// Each mistake is reported on stderr as `file:line:column: error[code]: message`. If there is none, the meaning
    /// of each entry is printed. Variables that are not set are warnings, because who checks files seldom has their
    /// secrets; --strict-env makes them errors.
    Validate(Validate),
    /// Say what a code in brackets means, and what to do about it
    Explain(Explain),
    /// Print the files as the engine sees them
    ///
    /// Entries that are registered have the address of their upstream at the gateway, templates are rendered, secrets
    /// are `[redacted]`. No request is made.
    Render(Files),
    /// Register what the files declare
    ///
    /// What is not there is created, what differs is replaced, the rest is left alone, so running it again changes
    /// nothing. Registrations of others are never touched, and nothing is removed.
    Sync(Sync),
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    pub(crate) files: Files,
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

/// A variable on the command line. Its value prints nowhere.
#[derive(Clone)]
pub(crate) struct Assignment {
    name: String,
    value: String,
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

/// Which files, and how they are read.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// YAML files, or folders with such files in them
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Take every entry as registered, also those with `use_proxy: false`
    #[arg(long)]
    pub(crate) all: bool,
    /// A `.env` file with variables for templates, which hide those of the environment; the last one given counts most
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// A variable for templates, which hides all others of its name
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<Assignment>,
    /// A variable that is not set is an error, also where only the engine needs it
    #[arg(long)]
    pub(crate) strict_env: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Sync {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Print what would change, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: exit with 2 if there are changes
    #[arg(long, alias = "exit-code", requires = "dry_run")]
    pub(crate) detailed_exitcode: bool,
    /// Wait until every upstream that the files use is connected
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) wait: bool,
    /// How long to wait, such as `90s`
    #[arg(long, requires = "wait", default_value = "60s", value_parser = schemas::parse_duration, value_name = "TIME")]
    pub(crate) timeout: Duration,
    /// In whose name [default: the project's name in compozy.yaml, else `register-service`]
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<Owner>,
    /// Take over registrations of others that differ from what the files declare
    #[arg(long)]
    pub(crate) adopt: bool,
}

/// The environment of this process, read once.
pub(crate) struct Process {
    variables: BTreeMap<String, String>,
}

impl Process {
    /// Variables that are no text are left out: no template could use them.
    pub(crate) fn read() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(text).collect() }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}

impl Global {
    /// How to print.
    pub(crate) fn printer(&self, process: &Process) -> Printer {
        let colour = std::io::stderr().is_terminal() && !self.no_color && process.get("NO_COLOR").is_none();
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        Printer { output: self.output, verbosity, colour, terminal: std::io::stderr().is_terminal() }
    }

    /// What the meaning of the files depends on.
    pub(crate) fn settings(&self, process: &Process, files: &Files) -> anyhow::Result<Settings> {
        let gateway = self.gateway(process)?;
        let mut environment = Environment::from_iter(process.variables.clone());
        for file in &files.env_file {
            environment = environment.overlaid(read_env_file(file)?);
        }
        environment = environment.overlaid(files.set.iter().map(|it| (&*it.name, &*it.value)));
        let unset = if files.strict_env { Unset::Refuse } else { Unset::default() };
        Ok(Settings { gateway, environment, all: files.all, unset })
    }

    /// A client of the gateway that the settings name.
    pub(crate) fn client(&self, process: &Process, gateway: &GatewayUrl) -> Result<Client, proxy_client::Error> {
        let builder = ClientBuilder::from_lookup(|name| match name {
            "MCP_PROXY_URL" => Some(gateway.to_string()),
            name => process.get(name).map(str::to_owned),
        })?;
        let token = self.admin_token.clone().map(|token| token.0);
        token.into_iter().fold(builder, ClientBuilder::token).build()
    }

    fn gateway(&self, process: &Process) -> anyhow::Result<GatewayUrl> {
        match (&self.proxy_url, process.get("MCP_PROXY_URL")) {
            (Some(url), _) => Ok(url.clone()),
            (None, Some(url)) => url.parse().map_err(|error| anyhow::anyhow!("invalid `MCP_PROXY_URL`: {error}")),
            (None, None) => Ok(DEFAULT_PROXY_URL.parse()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_teaches() {
        let mut command = Cli::command().term_width(100);
        insta::assert_snapshot!(command.render_long_help().to_string(), @r"
        Keep an MCP gateway in step with workflow files.

        Reads the `mcps:` blocks of workflow, agent and project files, and registers at the gateway the
        servers that say `use_proxy: true`. Templates such as `{{ .env.TOKEN }}` are filled in from the
        environment.

        Usage: register-service [OPTIONS] <COMMAND>

        Commands:
          validate  Find every mistake in the files, without a request to anyone
          explain   Say what a code in brackets means, and what to do about it
          render    Print the files as the engine sees them
          sync      Register what the files declare
          help      Print this message or the help of the given subcommand(s)

        Options:
              --proxy-url <URL>
                  Where the gateway is [env: MCP_PROXY_URL] [default: http://127.0.0.1:6001]

              --admin-token <TOKEN>
                  The gateway's admin token [env: MCP_PROXY_ADMIN_TOKEN, which others do not see in the list
                  of processes]

              --output <FORMAT>
                  For people, or for programs

                  Possible values:
                  - human:  Lines for people
                  - json:   One object, whose form has a version
                  - sarif:  SARIF 2.1.0, for code hosts
                  - junit:  JUnit's XML, for CI servers
                  - github: Annotations of GitHub Actions
                  
                  [default: human]

          -q, --quiet
                  On stderr only errors

          -v, --verbose
                  On stderr also every request; in the result also what stays as it is

              --no-color
                  No colour, not even on a terminal [env: NO_COLOR]

          -h, --help
                  Print help (see a summary with '-h')

          -V, --version
                  Print version

        Examples:
          register-service validate workflows/          find every mistake, offline
          register-service explain bad-template         what a mistake means, and what to do
          register-service sync workflows/ --dry-run    show what would change
          register-service sync workflows/ --wait       make it so, and wait until it works
          register-service render workflows/            show the files as the engine sees them

        Exit codes:
          0    done, whether or not anything changed
          1    something failed that no other code names
          2    the command line makes no sense; with --detailed-exitcode: there are changes
          3    there are errors in the files; no request was sent
          4    refused: a registration belongs to another owner; nothing was changed
          5    the gateway changed in the meantime; run again
          6    the gateway cannot be reached, or an upstream is missing or not ready in time
          7    the gateway wants another admin token
          8    some changes were made and others failed; run again to resume
          130  interrupted (143: terminated)
        ");
    }

    #[test]
    fn the_help_of_sync_teaches() {
        let mut command = Cli::command().term_width(100);
        let sync = command.find_subcommand_mut("sync").expect("a command");
        insta::assert_snapshot!(sync.render_long_help().to_string(), @r"
        Register what the files declare

        What is not there is created, what differs is replaced, the rest is left alone, so running it again
        changes nothing. Registrations of others are never touched, and nothing is removed.

        Usage: sync [OPTIONS] <PATH>...

        Arguments:
          <PATH>...
                  YAML files, or folders with such files in them

        Options:
              --all
                  Take every entry as registered, also those with `use_proxy: false`

              --env-file <FILE>
                  A `.env` file with variables for templates, which hide those of the environment; the last
                  one given counts most

              --set <NAME=VALUE>
                  A variable for templates, which hides all others of its name

              --strict-env
                  A variable that is not set is an error, also where only the engine needs it

              --dry-run
                  Print what would change, and change nothing

              --detailed-exitcode
                  With --dry-run: exit with 2 if there are changes

              --wait
                  Wait until every upstream that the files use is connected

              --timeout <TIME>
                  How long to wait, such as `90s`
                  
                  [default: 60s]

              --owner <NAME>
                  In whose name [default: the project's name in compozy.yaml, else `register-service`]

              --adopt
                  Take over registrations of others that differ from what the files declare

          -h, --help
                  Print help (see a summary with '-h')
        ");
    }

    #[test]
    fn a_token_never_prints() {
        let arguments = ["x", "--admin-token", "hunter2", "validate", ".", "--set", "TOKEN=hunter2"];
        let cli = Cli::try_parse_from(arguments).expect("valid");
        assert!(!format!("{cli:?}").contains("hunter2"));
    }
}
