//! Shows the line of a diagnostic, with its span underlined.

use register_service::files::Diagnostic;

/// Longest line that is shown; a longer one would only hide the rest.
const MAX_COLUMNS: usize = 200;

/// Returns two lines; `None` for a diagnostic about a whole file, and for a line that is too long.
pub(super) fn excerpt(diagnostic: &Diagnostic) -> Option<String> {
    let line = diagnostic.excerpt.as_deref()?;
    let length = line.chars().count();
    if length > MAX_COLUMNS {
        return None;
    }
    let number = diagnostic.line.to_string();
    let start = usize::try_from(diagnostic.column).ok()?.saturating_sub(1);
    let end = match diagnostic.end_line == diagnostic.line {
        true => usize::try_from(diagnostic.end_column).ok()?.saturating_sub(1),
        false => length,
    };
    // Keep tabs in the second line, because their width depends on the terminal.
    let indent: String = line.chars().take(start).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let marks = "^".repeat(end.saturating_sub(start).max(1));
    let gap = " ".repeat(number.len());
    Some(format!("  {number} | {line}\n  {gap} | {indent}{marks}\n"))
}

#[cfg(test)]
mod tests {
    use register_service::files::{Code, Location};

    use super::*;

    fn told(line: &str, at: (u32, u32, u32, u32)) -> Option<String> {
        let (line_number, column, end_line, end_column) = at;
        let at = Location { line: line_number, column, end_line, end_column, ..Location::whole("a") };
        let mut diagnostic = Diagnostic::new(Code::Syntax, &at, "x");
        diagnostic.excerpt = Some(line.to_owned());
        excerpt(&diagnostic)
    }

    #[test]
    fn what_is_wrong_is_underlined() {
        assert_eq!(told("a: bcd", (7, 4, 7, 7)).as_deref(), Some("  7 | a: bcd\n    |    ^^^\n"));
        assert_eq!(told("\ta: b", (12, 2, 12, 3)).as_deref(), Some("  12 | \ta: b\n     | \t^\n"));
        assert_eq!(told("a: |", (1, 4, 3, 2)).as_deref(), Some("  1 | a: |\n    |    ^\n"));
        assert_eq!(told("a:", (1, 3, 1, 3)).as_deref(), Some("  1 | a:\n    |   ^\n"));
        assert_eq!(told(&"x".repeat(300), (1, 1, 1, 2)), None);
    }
}
