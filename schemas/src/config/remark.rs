//! Errors, warnings and notes about a configuration file.

use std::fmt;

use crate::document::{Malformed, Span};
use crate::nearest;

/// Severity of a remark.
///
/// ```
/// use schemas::config::Level;
///
/// assert!(Level::Error < Level::Note);
/// assert_eq!(Level::Warning.to_string(), "warning");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The file cannot be used as it is.
    Error,
    /// Something in the file has no effect, or another one than its author may expect.
    Warning,
    /// Something was done that the file does not say.
    Note,
}

/// Error, warning or note about one position of a configuration file. Never contains a secret.
///
/// ```
/// use schemas::config::import;
///
/// let imported = import("mcpServers:\n  a: {command: x, sandbox: {}}\n", "servers");
/// let told = imported.remarks[0].in_file("servers.yaml");
/// assert!(told.starts_with("servers.yaml:2:19: warning: `a.sandbox`"), "{told}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remark {
    /// Severity.
    pub level: Level,
    /// Position.
    pub span: Span,
    /// Description of the problem.
    pub message: String,
    /// Suggested fix.
    pub hint: Option<String>,
    /// File, if it is not the one that is read.
    pub(crate) file: Option<String>,
}

impl Remark {
    /// Builds an error without a hint.
    ///
    /// ```
    /// use schemas::config::{Level, Remark};
    ///
    /// assert_eq!(Remark::error(Default::default(), "no server").level, Level::Error);
    /// ```
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self { level: Level::Error, span, message: message.into(), hint: None, file: None }
    }

    /// Builds a warning without a hint.
    ///
    /// ```
    /// use schemas::config::{Level, Remark};
    ///
    /// assert_eq!(Remark::warning(Default::default(), "no effect").level, Level::Warning);
    /// ```
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(span, message) }
    }

    /// Builds a note without a hint.
    pub(crate) fn note(span: Span, message: impl Into<String>) -> Self {
        Self { level: Level::Note, ..Self::error(span, message) }
    }

    /// Builds the warning that something in the file has no effect.
    pub(crate) fn lost(span: Span, path: &str, reason: &str) -> Self {
        Self::warning(span, format!("`{path}` has no effect: {reason}"))
    }

    /// Adds a hint.
    ///
    /// ```
    /// use schemas::config::Remark;
    ///
    /// let remark = Remark::error(Default::default(), "no server").hint("add `servers:`");
    /// assert_eq!(remark.hint.as_deref(), Some("add `servers:`"));
    /// ```
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint with the name that was probably meant, if one is near.
    ///
    /// ```
    /// use schemas::config::Remark;
    ///
    /// let remark = Remark::error(Default::default(), "unknown key `comand`").did_you_mean("comand", ["command"]);
    /// assert_eq!(remark.hint.as_deref(), Some("did you mean `command`?"));
    /// ```
    #[must_use]
    pub fn did_you_mean<'n>(self, name: &str, known: impl IntoIterator<Item = &'n str>) -> Self {
        match nearest(name, known) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// Returns the remark as one about another file than that which is read.
    ///
    /// ```
    /// use schemas::config::Remark;
    ///
    /// let remark = Remark::error(Default::default(), "no server").of("b.json");
    /// assert_eq!(remark.in_file("a.yaml"), "b.json: error: no server");
    /// ```
    #[must_use]
    pub fn of(mut self, file: &str) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    /// Formats the remark with the path of its file.
    ///
    /// ```
    /// use schemas::config::Remark;
    ///
    /// let remark = Remark::error(Default::default(), "no server").hint("add one");
    /// assert_eq!(remark.in_file("a.yaml"), "a.yaml: error: no server\n  hint: add one");
    /// ```
    pub fn in_file(&self, file: &str) -> String {
        let at = self.span.start;
        let file = self.file.as_deref().unwrap_or(file);
        let place = if at.line == 0 { file.to_owned() } else { format!("{file}:{}:{}", at.line, at.column) };
        let hint = self.hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
        format!("{place}: {}: {}{hint}", self.level, self.message)
    }
}

impl From<Malformed> for Remark {
    fn from(malformed: Malformed) -> Self {
        Self { hint: malformed.hint, ..Self::error(malformed.span, malformed.message) }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}
