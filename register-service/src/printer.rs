//! Prints for people and programs: the result on stdout, everything else on stderr.
//!
//! Text from files and from the gateway is printed without control characters, which a terminal would obey.

mod excerpt;
mod github;
mod junit;
mod sarif;

use std::io::{self, Write};

use clap::ValueEnum;
use register_service::files::{Diagnostic, Severity};
use serde_json::json;

use crate::report::{Report, count};

const JSON_VERSION: u32 = 1;

/// Settings for printing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    /// Format of the result.
    pub(crate) output: Output,
    /// Amount of output on stderr.
    pub(crate) verbosity: Verbosity,
    /// True if stderr shows colours.
    pub(crate) colour: bool,
    /// True if stdout shows colours.
    pub(crate) result_colour: bool,
    /// True if stderr is a terminal.
    pub(crate) terminal: bool,
    /// Columns that a line on stderr may take without wrapping; `None` if stderr is not a terminal.
    pub(crate) columns: Option<usize>,
    /// Columns that the result may take; `None` if it does not go to a terminal, and is printed whole.
    pub(crate) result_columns: Option<usize>,
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

/// Colour of a part of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Plain,
    Green,
    Yellow,
    Red,
}

/// Amount of output on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    /// Also progress, warnings and notes.
    Normal,
    /// Also every request, and unchanged registrations.
    Verbose,
}

impl Printer {
    /// True if the result lists unchanged registrations too.
    pub(crate) fn is_verbose(self) -> bool {
        self.verbosity == Verbosity::Verbose
    }

    /// Prints a line of progress.
    pub(crate) fn progress(self, line: &str) {
        if self.verbosity != Verbosity::Quiet {
            write(&mut io::stderr().lock(), &(clean(line) + "\n"));
        }
    }

    /// True if a line on stderr can be replaced by the next.
    pub(crate) fn is_live(self) -> bool {
        self.terminal && self.verbosity == Verbosity::Normal
    }

    /// Prints a line of progress that the next one replaces and an empty one removes. Does nothing unless stderr is a
    /// terminal.
    pub(crate) fn live(self, line: &str) {
        if self.is_live() {
            let line = self.columns.map_or(line.to_owned(), |columns| cut(line, columns));
            write(&mut io::stderr().lock(), &format!("\r\u{1b}[2K{}", clean(&line)));
        }
    }

    /// Prints a failure that is not about the files, with a hint.
    pub(crate) fn failure(self, message: &str, hint: Option<&str>) {
        let hint = hint.map(|hint| format!("  hint: {hint}\n")).unwrap_or_default();
        let text = format!("{}: {}\n{hint}", self.paint(Severity::Error), clean(message));
        write(&mut io::stderr().lock(), &text);
    }

    /// Prints the whole report: diagnostics on stderr, the result on stdout.
    pub(crate) fn report(self, report: &Report) {
        // Annotations are the diagnostics, and the log of the job shows both streams.
        if self.output != Output::Github {
            report.diagnostics.iter().for_each(|diagnostic| self.remark(diagnostic));
        }
        let tally = |severity| report.diagnostics.iter().filter(|it| it.severity == severity).count();
        if tally(Severity::Error) > 0 {
            let (errors, warnings) = (count(tally(Severity::Error), "error"), tally(Severity::Warning));
            self.progress(&format!("{errors}, {}", count(warnings, "warning")));
        }
        for failure in &report.failures {
            self.failure(&failure.message, failure.hint.as_deref());
        }
        let text = match self.output {
            Output::Human => report.text.clone(),
            Output::Json => json(report),
            Output::Sarif => sarif::write(report),
            Output::Junit => junit::write(report),
            Output::Github => github::write(report),
        };
        write(&mut io::stdout().lock(), &text);
    }

    fn remark(self, diagnostic: &Diagnostic) {
        if self.verbosity == Verbosity::Quiet && !diagnostic.is_error() {
            return;
        }
        let line = clean(&diagnostic.to_string());
        let word = format!(" {}[", diagnostic.severity);
        let painted = format!(" {}[", self.paint(diagnostic.severity));
        let mut line = line.replacen(&word, &painted, 1) + "\n";
        if let Some(excerpt) = excerpt::excerpt(diagnostic).filter(|_| self.terminal) {
            let first = line.find('\n').map_or(line.len(), |at| at + 1);
            line.insert_str(first, &clean_but_tabs(&excerpt));
        }
        write(&mut io::stderr().lock(), &line);
    }

    /// Colours a part of the result, if stdout shows colours.
    pub(crate) fn paint_result(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Plain => return text.to_owned(),
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Red => 31,
        };
        if self.result_colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn paint(self, severity: Severity) -> String {
        let code = match severity {
            Severity::Error => 31,
            Severity::Warning => 33,
            Severity::Note => 36,
        };
        if self.colour { format!("\u{1b}[1;{code}m{severity}\u{1b}[0m") } else { severity.to_string() }
    }
}

/// Formats the report as JSON.
fn json(report: &Report) -> String {
    let with_help = |diagnostic: &Diagnostic| {
        let mut object = json!(diagnostic);
        if let Some(members) = object.as_object_mut() {
            members.insert("help".to_owned(), json!(format!("register-service explain {}", diagnostic.code)));
        }
        object
    };
    let whole = json!({
        "version": JSON_VERSION,
        "command": report.command,
        "class": report.exit.class(),
        "exitCode": report.exit.code(),
        "diagnostics": report.diagnostics.iter().map(with_help).collect::<Vec<_>>(),
        "failures": report.failures,
        "result": report.json,
    });
    format!("{whole:#}\n")
}

/// Cuts a text to a number of characters, with an ellipsis at the end.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

fn clean_but_tabs(text: &str) -> String {
    text.split('\t').map(clean).collect::<Vec<_>>().join("\t")
}

/// Spells out the control characters of a text, except line breaks.
pub(crate) fn clean(text: &str) -> String {
    let is_spelt = |c: char| c.is_control() && c != '\n';
    if !text.contains(is_spelt) {
        return text.to_owned();
    }
    text.chars().map(|c| if is_spelt(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Writes a text. Ignores errors, because a reader that went away is not a failure of this program.
fn write(out: &mut impl Write, text: &str) {
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
impl Printer {
    /// Returns a printer for people, as for a file.
    pub(crate) fn plain() -> Self {
        Self {
            output: Output::Human,
            verbosity: Verbosity::Normal,
            colour: false,
            result_colour: false,
            terminal: false,
            columns: None,
            result_columns: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_by_characters() {
        for (columns, expected) in [(6, "größer"), (5, "größ…"), (1, "…")] {
            assert_eq!(cut("größer", columns), expected);
        }
    }

    #[test]
    fn control_characters_are_spelt_out() {
        assert_eq!(clean("a\u{1b}[31mb\nc\u{7}"), "a\\u{1b}[31mb\nc\\u{7}");
    }
}
