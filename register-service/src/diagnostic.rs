//! Errors, warnings and notes about the files that authors write: values with a position, never a panic, and never only
//! the first error.
//!
//! Diagnostics are collected, sorted by position and reported together. They contain nothing of a rendered template, so
//! printing them cannot show a secret.

use std::fmt;
use std::str::FromStr;

use schemas::document::MalformedKind;
pub(crate) use schemas::nearest;
use serde::{Serialize, Serializer};

/// Position in a file. Lines and columns are counted from 1, columns in characters; line 0 means the file as a whole.
///
/// ```
/// use register_service::files::Location;
///
/// let at = Location { file: "chat.yaml".to_owned(), line: 3, column: 10, end_line: 3, end_column: 16 };
/// assert_eq!(at.to_string(), "chat.yaml:3:10");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Path as the caller named it, or below the folder that the caller named.
    pub file: String,
    /// Line, or 0 for the file as a whole.
    pub line: u32,
    /// Column, or 0 for the file as a whole.
    pub column: u32,
    /// Line of the end.
    pub end_line: u32,
    /// Column behind the end.
    pub end_column: u32,
}

impl Location {
    /// Returns the location of a file as a whole.
    ///
    /// ```
    /// assert_eq!(register_service::files::Location::whole("chat.yaml").to_string(), "chat.yaml");
    /// ```
    pub fn whole(file: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, column: 0, end_line: 0, end_column: 0 }
    }
}

/// Severity of a diagnostic. Only errors prevent the use of files.
///
/// ```
/// use register_service::files::Severity;
///
/// assert!(Severity::Error < Severity::Warning, "the worst comes first where it decides the order");
/// assert_eq!(Severity::Note.to_string(), "note");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The files cannot be used as they are.
    Error,
    /// Something in the file has no effect, or another one than its author may expect.
    Warning,
    /// Something was done that the file does not say.
    Note,
}

/// Error, warning or note about one position.
///
/// ```
/// use register_service::files::{Code, Diagnostic, Location};
///
/// let at = Location { line: 3, column: 10, end_line: 3, end_column: 16, ..Location::whole("chat.yaml") };
/// let diagnostic = Diagnostic::new(Code::UnknownKey, &at, "unknown key `comand`").hint("did you mean `command`?");
/// assert_eq!(
///     diagnostic.to_string(),
///     "chat.yaml:3:10: warning[unknown-key]: unknown key `comand`\n  hint: did you mean `command`?"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Diagnostic {
    /// Severity, by default that of the code.
    pub severity: Severity,
    /// Kind of diagnostic; stable.
    pub code: Code,
    /// Path of the file.
    pub file: String,
    /// Line, from 1; 0 for the file as a whole.
    pub line: u32,
    /// Column in characters, from 1; 0 for the file as a whole.
    pub column: u32,
    /// Line of the end.
    pub end_line: u32,
    /// Column behind the end.
    pub end_column: u32,
    /// Description of the problem.
    pub message: String,
    /// Suggested fix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Line of the file for display; probable secrets are masked.
    #[serde(skip)]
    pub excerpt: Option<String>,
}

impl Diagnostic {
    /// Builds a diagnostic without a hint. Its severity is that of its code.
    ///
    /// ```
    /// use register_service::files::{Code, Diagnostic, Location, Severity};
    ///
    /// let remark = Diagnostic::new(Code::NoFiles, &Location::whole("workflows"), "there is no YAML file");
    /// assert_eq!(remark.severity, Severity::Warning);
    /// assert_eq!(remark.to_string(), "workflows: warning[no-files]: there is no YAML file");
    /// ```
    pub fn new(code: Code, at: &Location, message: impl Into<String>) -> Self {
        Self {
            severity: code.severity(),
            code,
            file: at.file.clone(),
            line: at.line,
            column: at.column,
            end_line: at.end_line,
            end_column: at.end_column,
            message: message.into(),
            hint: None,
            excerpt: None,
        }
    }

    /// Adds a hint.
    ///
    /// ```
    /// # use register_service::files::{Code, Diagnostic, Location};
    /// let remark = Diagnostic::new(Code::MissingId, &Location::whole("chat.yaml"), "an entry has no `id`");
    /// assert_eq!(remark.hint("add `id: search`").hint.as_deref(), Some("add `id: search`"));
    /// ```
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint, if there is one.
    #[must_use]
    pub(crate) fn hint_if(self, hint: Option<impl Into<String>>) -> Self {
        hint.into_iter().fold(self, Self::hint)
    }

    /// Adds a hint with the name that was probably meant, if there is one.
    #[must_use]
    pub(crate) fn did_you_mean(self, near: Option<&str>) -> Self {
        self.hint_if(near.map(|near| format!("did you mean `{near}`?")))
    }

    /// Returns the diagnostic as a warning, which does not prevent the use of files.
    ///
    /// ```
    /// # use register_service::files::{Code, Diagnostic, Location};
    /// let remark = Diagnostic::new(Code::MissingTool, &Location::whole("chat.yaml"), "`search` has no tool `web`");
    /// assert!(remark.is_error() && !remark.as_warning().is_error());
    /// ```
    #[must_use]
    pub fn as_warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Returns the position.
    ///
    /// ```
    /// # use register_service::files::{Code, Diagnostic, Location};
    /// let at = Location { line: 3, column: 10, end_line: 3, end_column: 16, ..Location::whole("chat.yaml") };
    /// let remark = Diagnostic::new(Code::UnknownKey, &at, "unknown key `comand`");
    /// assert_eq!(remark.location(), at);
    /// ```
    pub fn location(&self) -> Location {
        Location {
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            end_line: self.end_line,
            end_column: self.end_column,
        }
    }

    /// True if the diagnostic prevents the use of the files.
    ///
    /// ```
    /// use register_service::files::Diagnostic;
    ///
    /// let (_, diagnostics) = register_service::files::read(&["no/such/folder".into()]);
    /// assert!(diagnostics.iter().any(Diagnostic::is_error), "a CI run stops here");
    /// ```
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Sorts diagnostics by file and position, and removes duplicates.
pub(crate) fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|one, other| {
        let key = |it: &Diagnostic| (it.line, it.column, it.severity, it.code);
        one.file.cmp(&other.file).then_with(|| key(one).cmp(&key(other)))
    });
    diagnostics.dedup();
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, severity, code, message, hint, .. } = self;
        match line {
            0 => write!(f, "{file}: ")?,
            _ => write!(f, "{file}:{line}:{column}: ")?,
        }
        write!(f, "{severity}[{code}]: {message}")?;
        match hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            _ => write!(f, "{}:{}:{}", self.file, self.line, self.column),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// Declares the codes once: variant, severity, text form, meaning.
macro_rules! codes {
    ($($variant:ident $severity:ident $text:literal $meaning:literal,)*) => {
        /// Kind of a diagnostic. The text form is stable, and can be compared and cited.
        ///
        /// ```
        /// use register_service::files::Code;
        ///
        /// let ignored: Vec<Code> = "unknown-key,documented-only".split(',').map(str::parse).collect::<Result<_, _>>()?;
        /// assert_eq!(ignored, [Code::UnknownKey, Code::DocumentedOnly]);
        /// # Ok::<(), register_service::files::UnknownCode>(())
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// All codes.
            ///
            /// ```
            /// # use register_service::files::Code;
            /// let errors = Code::ALL.iter().filter(|code| code.severity() == register_service::files::Severity::Error);
            /// assert!(errors.count() > 30);
            /// ```
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the stable text form.
            ///
            /// ```
            /// assert_eq!(register_service::files::Code::UnknownKey.as_str(), "unknown-key");
            /// ```
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Returns the meaning, in a sentence.
            ///
            /// ```
            /// assert_eq!(register_service::files::Code::MissingId.meaning(), "An entry of `mcps` has no `id`.");
            /// ```
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// Returns the meaning and the remedies, in Markdown.
            ///
            /// ```
            /// let page = register_service::files::Code::NoFiles.page();
            /// assert!(page.starts_with("The folder holds no `*.yaml`"));
            /// ```
            pub fn page(self) -> &'static str {
                page(self.as_str()).unwrap_or_else(|| self.meaning())
            }

            /// Returns the default severity.
            ///
            /// ```
            /// use register_service::files::{Code, Severity};
            ///
            /// assert_eq!(Code::TinyDuration.severity(), Severity::Error);
            /// ```
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }
        }
    };
}

codes! {
    NotFound Error "not-found" "A file or folder does not exist.",
    Unreadable Error "unreadable" "A file or folder cannot be read, or is no UTF-8 text of at most 1 MiB.",
    NoFiles Warning "no-files" "A folder holds no YAML file.",
    Syntax Error "syntax" "A file is not YAML, or exceeds the limits on nodes and aliases.",
    Encoding Error "encoding" "A file is not UTF-8 text.",
    UnquotedTemplate Error "unquoted-template" "A value begins with `{{` and has no quotes, so YAML reads a mapping.",
    DuplicateKey Error "duplicate-key" "A mapping has the same key twice.",
    DuplicateAnchor Warning "duplicate-anchor" "A document has the same anchor twice.",
    UnknownAlias Error "unknown-alias" "An alias has no anchor above it.",
    Cycle Error "cycle" "Something is defined by itself.",
    WrongType Error "wrong-type" "A value is not of the kind that its key takes.",
    NoEntries Warning "no-entries" "A file or folder that was asked for declares no MCP server.",
    UnknownKey Warning "unknown-key" "A workflow, an agent or an entry of `mcps` has a key that means nothing there.",
    DocumentedOnly Warning "documented-only" "A key stands in the engine's documents, and nothing reads it.",
    MissingId Error "missing-id" "An entry of `mcps` has no `id`.",
    BadId Error "bad-id" "An id cannot be the name of an upstream at the gateway.",
    DuplicateId Error "duplicate-id" "Two entries have the same id.",
    NameConflict Error "name-conflict" "Two entries with different ids would create the same upstream.",
    UnknownReference Error "unknown-reference" "An id in `mcps` is declared in no file.",
    BadReference Error "bad-reference" "A reference to a tool is not of the form `$mcp(server#tool)`.",
    UnknownServer Error "unknown-server" "A reference names a server that cannot be used where it stands.",
    UnknownAgent Warning "unknown-agent" "An id names an agent that none of the files declares.",
    BadSelector Error "bad-selector" "A `$use` or `$ref` is not of a form that selects something.",
    UnknownTransport Error "unknown-transport" "A transport is not `sse`, `streamable-http` or `stdio`.",
    MissingUrl Error "missing-url" "An HTTP entry has no `url`.",
    BadUrl Error "bad-url" "A `url` is not an HTTP address with a host.",
    GatewayUrl Error "gateway-url" "A `url` lies under the gateway's own, and is not the address of an upstream there.",
    MissingCommand Error "missing-command" "A stdio entry has no `command`.",
    BadCommand Error "bad-command" "A `command` cannot be split into words, or starts no program.",
    MisplacedKey Error "misplaced-key" "A key does not go with the entry's transport.",
    BadEnv Error "bad-env" "A variable of `env` whose name or value no process can be given.",
    BadHeader Error "bad-header" "A header that HTTP does not allow, or that the gateway sets itself.",
    BadProto Error "bad-proto" "A `proto` is not a date.",
    BadDuration Error "bad-duration" "A duration is none.",
    BadLimit Error "bad-limit" "A limit is negative.",
    TinyDuration Error "tiny-duration" "A number without a unit counts nanoseconds, and this one is under a millisecond.",
    MissingVariable Error "missing-variable" "A template uses a variable that is not set.",
    BadTemplate Error "bad-template" "A template is malformed, or uses what is not supported.",
    BadEnvFile Error "bad-env-file" "A line of a `.env` file is not of the form `NAME=value`.",
    ShellVariable Warning "shell-variable" "A variable of a shell stands where nothing fills it in.",
    LiteralSecret Warning "literal-secret" "A secret is written out in a file.",
    EngineRewrite Warning "engine-rewrite" "The engine rewrites a template before it reads it, and cannot read it then.",
    EngineJson Warning "engine-json" "A header comes to JSON, which is no text to the engine.",
    EngineLiteral Warning "engine-literal" "The engine does not render a template, because it renders those of headers alone.",
    EngineYaml Error "engine-yaml" "The engine's YAML reader refuses the file, or reads it differently.",
    IgnoredDocument Warning "ignored-document" "A file has several documents, of which the engine reads the first.",
    SubstitutedText Warning "substituted-text" "A `$` in a `.env` file stands for a variable, as in the engine.",
    EnvOnHttp Warning "env-on-http" "An HTTP upstream has no environment.",
    RedactedSecret Note "redacted-secret" "A placeholder stands where a secret was; the gateway's own is kept.",
    EnvPromoted Note "env-promoted" "An entry of `env` is used as a header.",
    MissingTool Error "missing-tool" "A server has no tool of the name that a reference gives.",
    RenamedTool Error "renamed-tool" "A server has the tool under another name.",
    HiddenTool Error "hidden-tool" "A tool is hidden by the filter of its server's definition.",
    UnauthorizedServer Error "unauthorized-server" "A server refuses the gateway's credentials, so its tools are unknown.",
    UnreadyServer Warning "unready-server" "A server is not connected, so its tools are unknown.",
    MissingArgument Error "missing-argument" "An argument that a tool requires is not given.",
    UnknownArgument Error "unknown-argument" "An argument is given that a tool does not take.",
    WrongArgument Error "wrong-argument" "An argument is not of the type that a tool takes.",
    MissingUpstream Error "missing-upstream" "An entry refers to an upstream that the gateway does not have.",
}

/// Returns the section of a code in `CODES.md`.
fn page(code: &str) -> Option<&'static str> {
    let mut sections = include_str!("../CODES.md").split("\n## ").skip(1);
    sections.find_map(|section| section.strip_prefix(code)?.strip_prefix('\n')).map(str::trim)
}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let found = Self::ALL.iter().find(|code| code.as_str() == text).copied();
        found.ok_or_else(|| UnknownCode { near: nearest(text, Self::ALL.iter().map(|code| code.as_str())) })
    }
}

/// Error for a text that is not a code.
///
/// ```
/// let error = "unknown-kye".parse::<register_service::files::Code>().map_err(|error| error.to_string());
/// assert_eq!(error, Err("there is no such code; did you mean `unknown-key`?".to_owned()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such code{}", .near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
pub struct UnknownCode {
    near: Option<&'static str>,
}

impl From<MalformedKind> for Code {
    fn from(kind: MalformedKind) -> Self {
        match kind {
            MalformedKind::Engine => Self::EngineYaml,
            MalformedKind::UnquotedTemplate => Self::UnquotedTemplate,
            MalformedKind::DuplicateKey => Self::DuplicateKey,
            MalformedKind::DuplicateAnchor => Self::DuplicateAnchor,
            MalformedKind::UnknownAlias => Self::UnknownAlias,
            MalformedKind::Cycle => Self::Cycle,
            MalformedKind::WrongType => Self::WrongType,
            _ => Self::Syntax,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// True if a value of this name is likely a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    const WORDS: [&str; 10] =
        ["token", "secret", "key", "pass", "pwd", "credential", "auth", "private", "dsn", "cookie"];
    let name = name.to_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_text_form_of_its_own() {
        let mut texts: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), Code::ALL.len());
    }

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        for code in Code::ALL {
            assert!(page(code.as_str()).is_some_and(|page| page.len() > 40), "{code}");
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
        let pages = include_str!("../CODES.md").matches("\n## ").count();
        assert_eq!(pages, Code::ALL.len());
    }

    #[test]
    fn sorts_by_position_and_drops_repetitions() {
        let at = |file: &str, line, column| Location { line, column, ..Location::whole(file) };
        let remark = |at: &Location| Diagnostic::new(Code::Syntax, at, "x");
        let mut found = vec![remark(&at("b", 1, 1)), remark(&at("a", 2, 1)), remark(&at("a", 1, 9))];
        found.push(remark(&at("b", 1, 1)));
        sort(&mut found);
        let places: Vec<_> = found.iter().map(|it| (it.file.as_str(), it.line)).collect();
        assert_eq!(places, [("a", 1), ("a", 2), ("b", 1)]);
    }
}
