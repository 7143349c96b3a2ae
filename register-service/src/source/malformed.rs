//! Mistakes in a text as YAML.

use crate::diagnostic::Code;
use crate::source::node::Span;

/// Mistake in a text as YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Code of the diagnostic.
    pub(crate) code: Code,
    /// Position of the mistake.
    pub(crate) span: Span,
    /// Message for the author.
    pub(crate) message: String,
    /// Suggested fix.
    pub(crate) hint: Option<String>,
}

/// Returns the mistake for a value that begins with `{{`.
pub(super) fn unquoted_template(span: Span) -> Malformed {
    Malformed {
        code: Code::UnquotedTemplate,
        span,
        message: "a value that begins with `{{` needs quotes: to YAML an open brace begins a mapping".to_owned(),
        hint: Some("write `\"{{ ... }}\"`".to_owned()),
    }
}
