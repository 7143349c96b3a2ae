//! Formats SARIF 2.1.0, which code hosts show beside the lines of a change.

use std::collections::BTreeSet;
use std::path::Path;

use register_service::files::{Code, Diagnostic, Severity};
use serde_json::{Value, json};
use url::Url;

use crate::report::Report;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(super) fn write(report: &Report) -> String {
    let codes: Vec<Code> = report.diagnostics.iter().map(|it| it.code).collect::<BTreeSet<_>>().into_iter().collect();
    let notifications: Vec<Value> = report
        .failures
        .iter()
        .map(|failure| json!({ "level": "error", "message": { "text": failure.message } }))
        .collect();
    let whole = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "register-service",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": report.failures.is_empty(),
                "exitCode": report.exit.code(),
                "toolExecutionNotifications": notifications,
            }],
            "results": report.diagnostics.iter().map(|it| result(it, &codes)).collect::<Vec<_>>(),
        }],
    });
    format!("{whole:#}\n")
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.as_str(),
        "shortDescription": { "text": code.meaning() },
        "help": { "text": code.page(), "markdown": code.page() },
        "defaultConfiguration": { "level": level(code.severity()) },
    })
}

fn result(diagnostic: &Diagnostic, codes: &[Code]) -> Value {
    let Diagnostic { file, line, column, end_line, end_column, code, message, hint, .. } = diagnostic;
    let artifact = json!({ "uri": uri(file) });
    let region = json!({ "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column });
    let place = match line {
        0 => json!({ "artifactLocation": artifact }),
        _ => json!({ "artifactLocation": artifact, "region": region }),
    };
    let hint = hint.as_ref().map(|hint| format!(". Hint: {hint}")).unwrap_or_default();
    json!({
        "ruleId": code.as_str(),
        "ruleIndex": codes.iter().position(|it| it == code),
        "level": level(diagnostic.severity),
        "message": { "text": format!("{message}{hint}") },
        "locations": [{ "physicalLocation": place }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// Formats a path as a URI reference of RFC 3986: relative to the working folder, unless the path is absolute.
fn uri(path: &str) -> String {
    if let Ok(absolute) = Url::from_file_path(Path::new(path)) {
        return absolute.into();
    }
    let is_kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let escape = |byte| if is_kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_reference() {
        assert_eq!(uri("flows/a b.yaml"), "flows/a%20b.yaml");
        assert_eq!(uri("/tmp/ü#.yaml"), "file:///tmp/%C3%BC%23.yaml");
        assert_eq!(uri("../x.yaml"), "../x.yaml");
    }
}
