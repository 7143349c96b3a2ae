//! Command line of `register-service`; the only file of this program that reads the environment.

mod args;
mod help;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use proxy_client::{Client, ClientBuilder};
use register_service::files::{GatewayUrl, Unset, read_env_file};
use register_service::{Environment, Settings};
use schemas::{Holder, Secret};
use terminal_size::terminal_size_of;

pub(crate) use self::args::{
    Adopt, Changes, Deregister, Document, Dump, Explain, Files, Import, Plan, Pruned, Reading, Release, Schema, Status,
    Sync, Validate, Wait, Watch,
};
use crate::printer::{Output, Printer, Verbosity};

const DEFAULT_PROXY_URL: &str = "http://127.0.0.1:6001";

/// Keep an MCP gateway in step with workflow files.
///
/// Reads the `mcps:` blocks of workflow, agent and project files, and registers at the gateway the servers that say
/// `use_proxy: true`. Templates such as `{{ .env.TOKEN }}` are filled in from the environment.
#[derive(Debug, Parser)]
#[command(name = "register-service", version, after_help = help::WHOLE.short(), after_long_help = help::WHOLE.long(), arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Gateway and output")]
pub(crate) struct Global {
    /// Where the gateway is [env: MCP_PROXY_URL] [default: http://127.0.0.1:6001]
    #[arg(long, global = true, value_name = "URL")]
    proxy_url: Option<GatewayUrl>,
    /// The gateway's admin token [env: MCP_PROXY_ADMIN_TOKEN, which others do not see in the list of processes]
    #[arg(long, global = true, value_name = "TOKEN")]
    admin_token: Option<HiddenToken>,
    /// For people, or for programs
    #[arg(long, global = true, value_enum, default_value_t = Output::Human, value_name = "FORMAT")]
    pub(crate) output: Output,
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

/// Admin token that `Debug` does not show.
#[derive(Debug, Clone)]
struct HiddenToken(Secret);

impl From<&str> for HiddenToken {
    fn from(token: &str) -> Self {
        Self(Secret::from(token))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find every mistake in the files, without a request to anyone
    ///
    /// Each mistake is reported on stderr as `file:line:column: error[code]: message`. If there is none, the meaning
    /// of each entry is printed. Variables that are not set are warnings, because who checks files seldom has their
    /// secrets; --strict-env makes them errors, and --strict makes every warning fail.
    #[command(after_help = help::VALIDATE.short(), after_long_help = help::VALIDATE.long())]
    Validate(Validate),
    /// Say what a code in brackets means, and what to do about it
    ///
    /// Every remark about a file has a code, such as `error[bad-template]`. Its page says what is meant, with an example.
    #[command(after_help = help::EXPLAIN.short(), after_long_help = help::EXPLAIN.long())]
    Explain(Explain),
    /// Write a workflow file from the configuration files of other programs
    ///
    /// Reads the files of desktop clients, editors, agents and gateways, about forty programs, and prints an entry of `mcps`
    /// for each server. Variables become templates. What has no meaning in a workflow is told on stderr; nothing is
    /// executed, and no request is made.
    #[command(after_help = help::IMPORT.short(), after_long_help = help::IMPORT.long())]
    Import(Import),
    /// Print the files as the engine sees them
    ///
    /// Entries that are registered have the address of their upstream at the gateway, templates are rendered, secrets
    /// are `[redacted]`. No request is made.
    #[command(after_help = help::RENDER.short(), after_long_help = help::RENDER.long())]
    Render(Files),
    /// Show what `sync` would change, and why
    ///
    /// Reads like a diff: `+` is registered, `~` replaced, `-` removed, `!` refused; below each what differs, beside it the
    /// file and line. Secrets are never shown, but that they differ is. The gateway is only read.
    #[command(alias = "diff", after_help = help::PLAN.short(), after_long_help = help::PLAN.long())]
    Plan(Plan),
    /// Register what the files declare
    ///
    /// What is not there is created, what differs is replaced, the rest is left alone, so running it again changes
    /// nothing. Registrations of others are never touched. What this owner registered and no file declares any more is
    /// removed with `--prune owned`, or handed over if another owner declares it too. An entry whose secrets are
    /// `[redacted]` and unknown to the gateway is passed over.
    #[command(after_help = help::SYNC.short(), after_long_help = help::SYNC.long())]
    Sync(Sync),
    /// Keep syncing: whenever a file changes, or the gateway lost something
    ///
    /// A file that is being written, or has a mistake in it, changes nothing: the mistake is reported and what was there
    /// stays. So does a folder that went away. A gateway that restarts gets everything again.
    #[command(after_help = help::WATCH.short(), after_long_help = help::WATCH.long())]
    Watch(Watch),
    /// Wait until upstreams are connected
    ///
    /// Of the files, every one that they use; of names, those. Nothing is registered: `sync` does that, before or
    /// meanwhile. While it waits, each upstream that comes up or fails has a line on stderr; at the end it says which are
    /// not connected, and why.
    #[command(after_help = help::WAIT.short(), after_long_help = help::WAIT.long())]
    Wait(Wait),
    /// Show what is registered, whose it is, and how it does
    ///
    /// A line for each registration: its state (`connected`, `connecting`, `disconnected`, `error`), its owner, the
    /// generation of MCP that it speaks, the file and line it comes from, and its last error.
    #[command(after_help = help::STATUS.short(), after_long_help = help::STATUS.long())]
    Status(Status),
    /// Print registrations as a file that `sync` takes
    ///
    /// Secrets are `[redacted]`, which `sync` takes for what the gateway has, so that `dump | sync -` changes nothing.
    /// With --secrets it is a backup for `sync --restore`: whole, with the owner of each, for who has an admin token.
    /// Registrations that workers hold by leases are left out, because workers register them themselves.
    #[command(after_help = help::DUMP.short(), after_long_help = help::DUMP.long())]
    Dump(Dump),
    /// Become the owner of what the files declare and others, or nobody, registered
    ///
    /// What differs from the files is replaced in the same step. What is not registered yet is left to `sync`.
    #[command(after_help = help::ADOPT.short(), after_long_help = help::ADOPT.long())]
    Adopt(Adopt),
    /// Give up registrations: they stay, and belong to nobody
    ///
    /// What belongs to nobody is never removed by anyone's `sync --prune owned`. Whoever declares it takes it over with
    /// `adopt`.
    #[command(after_help = help::RELEASE.short(), after_long_help = help::RELEASE.long())]
    Release(Release),
    /// Remove registrations by name
    ///
    /// Only those of this owner, unless `--force` says otherwise.
    #[command(after_help = help::DEREGISTER.short(), after_long_help = help::DEREGISTER.long())]
    Deregister(Deregister),
    /// Print a JSON Schema for editors
    ///
    /// Of a workflow file, unless another document is named. An editor with yaml-language-server takes it from the first
    /// line of a file: `# yaml-language-server: $schema=workflow.schema.json`
    #[command(after_help = help::SCHEMA.short(), after_long_help = help::SCHEMA.long())]
    Schema(Schema),
    /// Print completions for a shell
    ///
    /// The shell reads them from a file at its start, and then completes commands, flags and their values.
    #[command(after_help = help::COMPLETIONS.short(), after_long_help = help::COMPLETIONS.long())]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages, one for each command
    ///
    /// What `--help` says, for `man`. Files of the same names in the folder are replaced.
    #[command(after_help = help::MAN.short(), after_long_help = help::MAN.long())]
    Man {
        /// The folder to write them to
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
}

/// Flags that reserve exit code 2 for "there are changes".
pub(crate) const DETAILED: [&str; 2] = ["--detailed-exitcode", "--exit-code"];

impl Command {
    /// True if exit code 2 is reserved for "there are changes".
    pub(crate) fn is_detailed(&self) -> bool {
        matches!(
            self,
            Self::Plan(Plan { detailed_exitcode: true, .. }) | Self::Sync(Sync { detailed_exitcode: true, .. })
        )
    }
}

/// Environment variables of this process, read once.
#[derive(Clone)]
pub(crate) struct Process {
    variables: BTreeMap<String, String>,
}

/// Origin of an automatic job, stored with each change that it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) commit: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) run: Option<String>,
}

impl Process {
    /// Reads the environment. Variables that are not Unicode are left out: no template could use them.
    pub(crate) fn read() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(text).collect() }
    }

    /// Drops variables that are set to an empty text if `--allow-unset` is given: CI systems set secrets that a job may
    /// not see to an empty text.
    pub(crate) fn allowing_unset(&self, allow_unset: bool) -> Self {
        let mut process = self.clone();
        process.variables.retain(|_, value| !allow_unset || !value.is_empty());
        process
    }

    /// Names this run for other runs that wait for its lock: the CI job or the host, and the process id.
    pub(crate) fn holder(&self) -> anyhow::Result<Holder> {
        let named = ["GITHUB_RUN_ID", "CI_JOB_ID", "BUILD_TAG", "HOSTNAME"].into_iter().find_map(|name| self.get(name));
        let place: String = named.unwrap_or("local").chars().filter(|c| !c.is_control()).take(80).collect();
        Ok(format!("register-service@{}:{}", place.trim(), std::process::id()).parse()?)
    }

    /// Returns the commit, the actor and the URL of an automatic job, as far as the CI system sets them.
    pub(crate) fn job(&self) -> Job {
        let first = |names: &[&str]| names.iter().find_map(|name| self.get(name)).map(str::to_owned);
        let github = || {
            let (server, repository) = (self.get("GITHUB_SERVER_URL")?, self.get("GITHUB_REPOSITORY")?);
            Some(format!("{server}/{repository}/actions/runs/{}", self.get("GITHUB_RUN_ID")?))
        };
        Job {
            commit: first(&["GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT"]),
            actor: first(&["GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID"]),
            run: github().or_else(|| first(&["CI_JOB_URL", "BUILD_URL"])),
        }
    }

    /// True in an automatic job, where no user can answer a prompt.
    pub(crate) fn is_ci(&self) -> bool {
        self.get("CI").is_some_and(|value| !["false", "0"].contains(&value))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}

impl Global {
    /// Returns a printer for the output flags, the terminal and the environment.
    pub(crate) fn printer(&self, process: &Process) -> Printer {
        let is_capable = process.get("TERM") != Some("dumb");
        let is_colourful = is_capable && !self.no_color && process.get("NO_COLOR").is_none();
        let colour = std::io::stderr().is_terminal() && is_colourful;
        let result_colour = std::io::stdout().is_terminal() && is_colourful;
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        let terminal = std::io::stderr().is_terminal() && is_capable && !process.is_ci();
        let columns = terminal_size_of(std::io::stderr()).map(|(width, _)| usize::from(width.0));
        let result_columns = terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
        // Some terminals break a line that fills the last column.
        let columns = columns.map(|columns| columns.saturating_sub(1));
        Printer { output: self.output, verbosity, colour, result_colour, terminal, columns, result_columns }
    }

    /// Returns the settings with which files are read: gateway URL, variables, and the flags of `reading`.
    pub(crate) fn settings(&self, process: &Process, reading: &Reading) -> anyhow::Result<Settings> {
        let gateway = self.gateway(process)?;
        let mut environment = Environment::from_iter(process.variables.clone());
        let mut remarks = Vec::new();
        for file in &reading.env_file {
            let read = read_env_file(file)?;
            environment = environment.overlaid(read.variables);
            remarks.extend(read.remarks);
        }
        environment = environment.overlaid(reading.set.iter().map(|it| (&*it.name, &*it.value)));
        let unset = if reading.strict_env { Unset::Refuse } else { Unset::default() };
        Ok(Settings {
            gateway,
            environment,
            all: reading.all,
            unset,
            engine: reading.engine.into(),
            strict: reading.strict,
            remarks,
        })
    }

    /// Returns a client of the gateway, for commands that read no files.
    pub(crate) fn own_client(&self, process: &Process) -> anyhow::Result<Client> {
        Ok(self.client(process, &self.gateway(process)?)?)
    }

    /// Returns a client of the given gateway.
    pub(crate) fn client(&self, process: &Process, gateway: &GatewayUrl) -> Result<Client, proxy_client::Error> {
        let builder = ClientBuilder::from_lookup(|name| match name {
            "MCP_PROXY_URL" => Some(gateway.to_string()),
            // The flag replaces every variable that could hold a token.
            name if self.admin_token.is_some() && name.contains("TOKEN") => None,
            // Passed unchanged: the builder decides about a variable that is set to an empty text.
            name => process.variables.get(name).cloned(),
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
    fn the_help_of_every_command_teaches() {
        let mut command = Cli::command().term_width(100);
        insta::assert_snapshot!("help", command.render_long_help().to_string());
        for command in command.get_subcommands_mut() {
            let name = format!("help_{}", command.get_name());
            insta::assert_snapshot!(name, command.render_long_help().to_string());
        }
    }

    #[test]
    fn a_saved_plan_takes_no_word_about_what_it_may_do() {
        let read = |more: &[&str]| Cli::try_parse_from([&["x", "sync", ".", "--plan", "p.json"], more].concat());
        assert!(read(&[]).is_ok());
        for more in [&["--owner", "o"][..], &["--prune", "none"], &["--allow-empty"], &["--max-delete", "30%"]] {
            assert!(read(more).is_err(), "{more:?}");
        }
    }

    #[test]
    fn a_job_says_for_which_commit_and_whom_it_runs_and_where() {
        let of = |variables: &[(&str, &str)]| {
            let pairs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let Job { commit, actor, run } = Process { variables: pairs.collect() }.job();
            [commit, actor, run].map(Option::unwrap_or_default)
        };
        let github = [
            ("GITHUB_SHA", "4f2"),
            ("GITHUB_ACTOR", "jane"),
            ("GITHUB_SERVER_URL", "https://git.test"),
            ("GITHUB_REPOSITORY", "a/b"),
            ("GITHUB_RUN_ID", "7"),
        ];
        assert_eq!(of(&github), ["4f2", "jane", "https://git.test/a/b/actions/runs/7"]);
        let gitlab = [("CI_COMMIT_SHA", "4f2"), ("GITLAB_USER_LOGIN", "jane"), ("CI_JOB_URL", "https://lab.test/1")];
        assert_eq!(of(&gitlab), ["4f2", "jane", "https://lab.test/1"]);
        assert_eq!(of(&[]), ["", "", ""]);
    }

    #[test]
    fn a_token_never_prints() {
        let arguments = ["x", "--admin-token", "hunter2", "validate", ".", "--set", "TOKEN=hunter2"];
        let cli = Cli::try_parse_from(arguments).expect("valid");
        assert!(!format!("{cli:?}").contains("hunter2"));
    }
}
