//! Reasons why a template does not render.

use std::ops::Range;

/// Reason why a template does not render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Span of the faulty part in the template, in bytes.
    pub(crate) part: Range<usize>,
    /// Kind of the fault, with its message.
    pub(crate) kind: FaultKind,
    /// Suggested fix.
    pub(crate) hint: Option<String>,
}

/// Kinds of faults in a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FaultKind {
    /// The variable is not set.
    Unset(String),
    /// Go refuses the template too.
    Bad(String),
    /// Go may render the template, but this renderer does not.
    Refused(String),
}

/// Treatment of unset variables in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnUnset {
    /// An unset variable is a fault wherever it is evaluated, as in the engine.
    Refused,
    /// An unset variable is a fault where its value is used; `default`, `coalesce`, `or`, `if` and the like treat it as
    /// empty.
    Tolerated,
}

impl Fault {
    pub(super) fn bad(part: Range<usize>, message: impl Into<String>) -> Self {
        Self { part, kind: FaultKind::Bad(message.into()), hint: None }
    }

    pub(super) fn refused(part: Range<usize>, message: impl Into<String>) -> Self {
        Self { part, kind: FaultKind::Refused(message.into()), hint: None }
    }

    pub(super) fn unset(part: Range<usize>, name: &str) -> Self {
        Self { part, kind: FaultKind::Unset(name.to_owned()), hint: None }
    }
}
