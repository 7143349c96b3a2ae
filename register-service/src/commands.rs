//! The commands. Each returns one report, which is printed once, at the end.

mod changes;
mod documents;
mod dump;
mod explain;
mod listing;
mod lock;
mod ownership;
mod plan;
mod prepare;
mod progress;
mod render;
mod status;
mod sync;
mod validate;
mod wait;
mod watch;

use register_service::{Diagnostic, InvalidFiles};
use serde::Serialize;
use serde_json::Value;

use self::prepare::Context;
use crate::cli::{Cli, Command, Process, Reading};
use crate::exit::Exit;
use crate::printer::Printer;

/// Report of a command.
///
/// As `--output json` it is one object: `version` (1), `command`, `class` and `exitCode`, `diagnostics` (each with
/// `severity`, `code`, `file`, `line`, `column`, `endLine`, `endColumn`, `message`, `hint`, `help`), `failures`
/// (`message`, `hint`) and `result`, whose form depends on the command and which is `null` if the command did not get
/// that far. Members may be added within a version.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) command: &'static str,
    pub(crate) exit: Exit,
    /// Paths of the files that were read.
    pub(crate) files: Vec<String>,
    /// Diagnostics about these files.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Failures that are not about the files.
    pub(crate) failures: Vec<Failure>,
    /// Result as text for people.
    pub(crate) text: String,
    /// Result for programs.
    pub(crate) json: Value,
}

/// Failure that is not about the files.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failure {
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl Report {
    fn new(command: &'static str, diagnostics: Vec<Diagnostic>) -> Self {
        Self {
            command,
            exit: Exit::Done,
            files: Vec::new(),
            diagnostics,
            failures: Vec::new(),
            text: String::new(),
            json: Value::Null,
        }
    }

    fn invalid(command: &'static str, invalid: InvalidFiles) -> Self {
        let warnings_only = !invalid.diagnostics.iter().any(Diagnostic::is_error);
        let message = format!("{invalid}, which --strict refuses");
        let InvalidFiles { diagnostics, files, .. } = invalid;
        let report = Self { exit: Exit::InvalidFiles, files, ..Self::new(command, diagnostics) };
        match warnings_only {
            true => report.failed(Exit::InvalidFiles, message, Some("mend what is remarked, or leave out --strict")),
            false => report,
        }
    }

    /// Builds the report for unusable settings, with which no command was started.
    pub(crate) fn unusable(error: &anyhow::Error, exit: Exit) -> Self {
        Self::new("settings", Vec::new()).failed(exit, format!("{error:#}"), None)
    }

    fn failed(mut self, exit: Exit, message: String, hint: Option<&str>) -> Self {
        self.exit = exit;
        self.failures.push(Failure { message, hint: hint.map(str::to_owned) });
        self
    }
}

/// Runs the command that was selected.
pub(crate) async fn run(cli: &Cli, process: &Process, printer: Printer) -> anyhow::Result<Report> {
    match carry_out(cli, process, printer).await {
        // A settings file, such as one of variables, can have diagnostics too.
        Err(error) => error.downcast().map(|invalid: InvalidFiles| Report::invalid("settings", invalid)),
        report => report,
    }
}

async fn carry_out(cli: &Cli, process: &Process, printer: Printer) -> anyhow::Result<Report> {
    let global = &cli.global;
    let context = |reading: &Reading| Context::new(global, process, reading, printer);
    match &cli.command {
        Command::Explain(args) => Ok(explain::run(args)),
        Command::Render(files) => Ok(render::run(files, &global.settings(process, &files.reading)?)),
        Command::Schema(args) => documents::schema(args),
        Command::Completions { shell } => Ok(documents::completions(*shell)),
        Command::Man { folder } => documents::man(folder),
        Command::Status(args) => Ok(status::run(args, &global.own_client(process)?, printer).await),
        Command::Dump(args) => Ok(dump::run(args, &global.own_client(process)?, printer).await),
        Command::Release(args) => Ok(ownership::release(args, &global.own_client(process)?).await),
        Command::Deregister(args) => Ok(ownership::deregister(args, &global.own_client(process)?).await),
        Command::Validate(args) => validate::run(args, global, &process.allowing_unset(args.allow_unset)).await,
        Command::Plan(args) => {
            let process = process.allowing_unset(args.allow_unset);
            plan::run(args, &Context::new(global, &process, &args.changes.files.reading, printer)?).await
        }
        Command::Sync(args) => sync::run(args, &context(&args.changes.files.reading)?).await,
        Command::Watch(args) => watch::run(args, &context(&args.changes.files.reading)?).await,
        Command::Wait(args) => Ok(wait::run(args, &context(&args.reading)?).await),
        Command::Adopt(args) => Ok(ownership::adopt(args, &context(&args.files.reading)?).await),
    }
}

/// Formats an error with its causes, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let texts: Vec<String> = anyhow::Chain::new(error).map(ToString::to_string).collect();
    texts.join(": ")
}

/// Formats a number of things: `1 file`, `2 files`, `2 entries`.
pub(crate) fn count(number: usize, one: &str) -> String {
    match (number, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {one}s"),
    }
}
