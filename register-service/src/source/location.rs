//! Paths and positions in the form that diagnostics show.

use std::path::Path;

use schemas::document::Span;

use crate::diagnostic::{Code, Diagnostic, Location};

/// Converts a span to a location in the file with this displayed path.
pub(crate) fn location(file: &str, Span { start, end }: Span) -> Location {
    let file = file.to_owned();
    Location { file, line: start.line, column: start.column, end_line: end.line, end_column: end.column }
}

/// Formats a path for display: `/` between the parts, no `./` in front.
pub(super) fn shown(path: &Path) -> String {
    let shown = path.to_string_lossy().replace('\\', "/");
    shown.strip_prefix("./").map_or_else(|| shown.clone(), str::to_owned)
}

pub(super) fn whole(code: Code, path: &Path, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(code, &Location::whole(shown(path)), message)
}
