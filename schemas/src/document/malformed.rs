//! Mistakes in the syntax of a file.

use crate::document::node::Span;

/// Mistake in the syntax of a file.
///
/// ```
/// use schemas::document::{MalformedKind, yaml};
///
/// let read = yaml::parse("a: 1\na: 2\n");
/// let malformed = &read.malformed[0];
/// assert_eq!((malformed.kind, malformed.span.start.line), (MalformedKind::DuplicateKey, 2));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Malformed {
    /// Kind of the mistake.
    pub kind: MalformedKind,
    /// Position of the mistake.
    pub span: Span,
    /// Message for the author.
    pub message: String,
    /// Suggested fix.
    pub hint: Option<String>,
}

/// Kind of a mistake in the syntax of a file.
///
/// ```
/// use schemas::document::{MalformedKind, yaml};
///
/// let read = yaml::parse("a: *b\nc: {{ .env.D }}\n");
/// let kinds: Vec<_> = read.malformed.iter().map(|it| it.kind).collect();
/// assert_eq!(kinds, [MalformedKind::UnknownAlias, MalformedKind::UnquotedTemplate]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MalformedKind {
    /// The text does not follow the syntax, or exceeds the limits on nodes and aliases.
    Syntax,
    /// YAML 1.2 has a meaning for it, but the engine's parser, go-yaml 3, refuses the file.
    Engine,
    /// A value begins with `{{` and has no quotes, so YAML reads a mapping.
    UnquotedTemplate,
    /// A mapping has a key twice.
    DuplicateKey,
    /// A document has an anchor twice.
    DuplicateAnchor,
    /// An alias has no anchor above it.
    UnknownAlias,
    /// An alias is inside of what it stands for.
    Cycle,
    /// A value is of a kind that its key does not take.
    WrongType,
}

/// Returns the mistake for a value that begins with `{{`.
pub(super) fn unquoted_template(span: Span) -> Malformed {
    Malformed {
        kind: MalformedKind::UnquotedTemplate,
        span,
        message: "a value that begins with `{{` needs quotes: to YAML an open brace begins a mapping".to_owned(),
        hint: Some("write `\"{{ ... }}\"`".to_owned()),
    }
}
