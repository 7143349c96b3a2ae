//! The commands. Each gives one report, which is printed once, at the end.

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

/// What a command came to.
///
/// With `--output json` it is one object: `version` (1), `command`, `class` and `exitCode`, `diagnostics` (each with
/// `severity`, `code`, `file`, `line`, `column`, `endLine`, `endColumn`, `message`, `hint`, `help`), `failures` (`message`, `hint`) and `result`, whose
/// form is the command's own and which is `null` if the command did not get that far. Members may be added within a
/// version.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) command: &'static str,
    pub(crate) exit: Exit,
    /// The files that were read.
    pub(crate) files: Vec<String>,
    /// Remarks about them.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// What went wrong besides.
    pub(crate) failures: Vec<Failure>,
    /// The result for people.
    pub(crate) text: String,
    /// The result for programs.
    pub(crate) json: Value,
}

/// Something that went wrong besides the files.
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

    /// Of settings with which nothing was begun.
    pub(crate) fn unusable(error: &anyhow::Error, exit: Exit) -> Self {
        Self::new("settings", Vec::new()).failed(exit, format!("{error:#}"), None)
    }

    fn failed(mut self, exit: Exit, message: String, hint: Option<&str>) -> Self {
        self.exit = exit;
        self.failures.push(Failure { message, hint: hint.map(str::to_owned) });
        self
    }
}

/// Runs the command that was asked for.
pub(crate) async fn run(cli: &Cli, process: &Process, printer: Printer) -> anyhow::Result<Report> {
    match carry_out(cli, process, printer).await {
        // A file of settings, such as one of variables, is a file in which something can be wrong.
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

/// An error with its causes, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let texts: Vec<String> = anyhow::Chain::new(error).map(ToString::to_string).collect();
    texts.join(": ")
}

/// A number of things: `1 file`, `2 files`, `2 entries`.
pub(crate) fn count(number: usize, one: &str) -> String {
    match (number, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {one}s"),
    }
}
