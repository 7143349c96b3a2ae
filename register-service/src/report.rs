//! Report of a command, which is printed once, at the end.

use register_service::files::{Diagnostic, InvalidFiles};
use serde::Serialize;
use serde_json::Value;

use crate::exit::Exit;

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
    pub(crate) fn new(command: &'static str, diagnostics: Vec<Diagnostic>) -> Self {
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

    pub(crate) fn invalid(command: &'static str, invalid: InvalidFiles) -> Self {
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

    pub(crate) fn failed(mut self, exit: Exit, message: String, hint: Option<&str>) -> Self {
        self.exit = exit;
        self.failures.push(Failure { message, hint: hint.map(str::to_owned) });
        self
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
