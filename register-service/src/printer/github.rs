//! Formats GitHub Actions annotations: one workflow command for each diagnostic.

use register_service::files::{Diagnostic, Severity};

use crate::report::Report;

pub(super) fn write(report: &Report) -> String {
    let annotations = report.diagnostics.iter().map(annotation);
    let failures = report.failures.iter().map(|failure| format!("::error ::{}\n", text(&failure.message)));
    annotations.chain(failures).collect()
}

fn annotation(diagnostic: &Diagnostic) -> String {
    let Diagnostic { file, line, column, end_line, end_column, code, message, hint, .. } = diagnostic;
    let command = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let place = match (line, end_line == line) {
        (0, _) => String::new(),
        // The end column of an annotation is inclusive; columns are valid within one line only.
        (_, true) => format!(",line={line},col={column},endColumn={}", end_column.saturating_sub(1).max(*column)),
        (_, false) => format!(",line={line},endLine={end_line}"),
    };
    let hint = hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!("::{command} file={}{place},title={code}::{}\n", property(file), text(&format!("{message}{hint}")))
}

fn text(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(value: &str) -> String {
    text(value).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use register_service::files::{Code, Location};

    use super::*;

    #[test]
    fn a_remark_is_a_command() {
        let at = Location { line: 3, column: 5, end_line: 3, end_column: 9, ..Location::whole("a,b:c.yaml") };
        let remark = Diagnostic::new(Code::UnknownKey, &at, "100% wrong").hint("right");
        assert_eq!(
            annotation(&remark),
            "::warning file=a%2Cb%3Ac.yaml,line=3,col=5,endColumn=8,title=unknown-key::100%25 wrong%0Ahint: right\n"
        );
        let whole = Diagnostic::new(Code::NotFound, &Location::whole("x"), "gone");
        assert_eq!(annotation(&whole), "::error file=x,title=not-found::gone\n");
    }
}
