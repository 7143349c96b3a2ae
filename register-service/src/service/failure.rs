//! Formats errors with their causes.

use crate::apply::ApplyError;

/// Formats a list of failures, each with its causes.
pub(crate) fn told(failures: &[ApplyError]) -> String {
    let told = |failure: &ApplyError| format!("MCP {}: {}", failure.name(), chain(failure));
    failures.iter().map(told).collect::<Vec<_>>().join("; ")
}

/// Formats an error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
