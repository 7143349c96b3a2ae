//! Formats JUnit XML: one suite, with a test case for each file, and one for all failures that are not about files.

use std::collections::BTreeMap;

use register_service::files::Diagnostic;

use crate::report::Report;

pub(super) fn write(report: &Report) -> String {
    let mut files: BTreeMap<&str, Vec<&Diagnostic>> =
        report.files.iter().map(|file| (file.as_str(), Vec::new())).collect();
    for diagnostic in &report.diagnostics {
        files.entry(&diagnostic.file).or_default().push(diagnostic);
    }
    let name = format!("register-service {}", report.command);
    let errors = usize::from(!report.failures.is_empty());
    let failures = files.values().filter(|found| found.iter().any(|it| it.is_error())).count();
    let tests = files.len() + errors;
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!("name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\"", escaped(&name));
    out += &format!("<testsuites {counts}>\n  <testsuite {counts}>\n");
    for (file, found) in &files {
        out += &case(&name, file, found);
    }
    if !report.failures.is_empty() {
        let told: Vec<&str> = report.failures.iter().map(|failure| failure.message.as_str()).collect();
        let message = escaped(&told.join("; "));
        out += &format!(
            "    <testcase name=\"{0}\" classname=\"{0}\">\n      <error message=\"{message}\" type=\"{1}\"/>\n    </testcase>\n",
            escaped(&name),
            report.exit.class(),
        );
    }
    out + "  </testsuite>\n</testsuites>\n"
}

/// Formats the test case of a file. One failure has all errors, because many readers show only the first; other
/// diagnostics become the output of the case.
fn case(name: &str, file: &str, found: &[&Diagnostic]) -> String {
    let head = format!("    <testcase name=\"{}\" classname=\"{}\"", escaped(file), escaped(name));
    let (errors, rest): (Vec<&Diagnostic>, Vec<_>) = found.iter().copied().partition(|it| it.is_error());
    let lines = |found: &[&Diagnostic]| {
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        escaped(&lines.join("\n"))
    };
    let mut inner = String::new();
    if let Some(first) = errors.first() {
        let message = escaped(&first.message);
        inner +=
            &format!("      <failure message=\"{message}\" type=\"{}\">{}</failure>\n", first.code, lines(&errors));
    }
    if !rest.is_empty() {
        inner += &format!("      <system-out>{}</system-out>\n", lines(&rest));
    }
    if inner.is_empty() { format!("{head}/>\n") } else { format!("{head}>\n{inner}    </testcase>\n") }
}

/// Escapes a text for XML 1.0; characters that XML cannot represent are spelled out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' => out += "&#10;",
            '\t' => out.push('\t'),
            '\u{fffe}' | '\u{ffff}' => out += &letter.escape_default().to_string(),
            letter if letter.is_control() => out += &letter.escape_default().to_string(),
            letter => out.push(letter),
        }
    }
    out
}
