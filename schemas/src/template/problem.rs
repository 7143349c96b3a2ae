//! Reasons why a call in a template has no result.

use std::ops::Range;

use crate::template::fault::Fault;

/// Reason why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// The call fails in Go too.
    Error(String),
    /// Go may have a result, but it is not computed here.
    Refused(String),
    /// A variable is unset; its name and span.
    Unset(String, Range<usize>),
    /// The call itself asked for a variable that is unset.
    Missing(String),
}

impl Problem {
    pub(super) fn unordered() -> Self {
        Self::Refused(
            "the engine gives keys and values in another order each time; sort them with `sortAlpha`".to_owned(),
        )
    }

    pub(super) fn root() -> Self {
        Self::Refused("`.` as a whole holds what only the engine knows; here only `.env.NAME` is".to_owned())
    }

    /// Converts the problem to a fault at this span, unless it has a span of its own.
    pub(super) fn fault(self, part: &Range<usize>) -> Box<Fault> {
        Box::new(match self {
            Self::Error(message) => Fault::bad(part.clone(), message),
            Self::Refused(message) => Fault::refused(part.clone(), message),
            Self::Unset(name, part) => Fault::unset(part, &name),
            Self::Missing(name) => Fault::unset(part.clone(), &name),
        })
    }
}
