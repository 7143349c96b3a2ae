//! `explain`: prints the meaning of a code and its remedies.

use register_service::files::Code;
use serde_json::json;

use crate::cli::Explain;
use crate::report::Report;

const COMMAND: &str = "explain";

/// Returns the page of one code, or the list of all codes.
pub(super) fn run(explain: &Explain) -> Report {
    let mut report = Report::new(COMMAND, Vec::new());
    let codes = match explain.code {
        Some(code) => vec![code],
        None => Code::ALL.to_vec(),
    };
    let object = |code: &Code| {
        json!({
            "code": code.as_str(),
            "severity": code.severity(),
            "meaning": code.meaning(),
            "page": code.page(),
        })
    };
    report.json = codes.iter().map(object).collect();
    report.text = match explain.code {
        Some(code) => format!("{} ({})\n\n{}\n", code, code.severity(), code.page()),
        None => codes.iter().map(|code| format!("{:<20} {}\n", code.as_str(), code.meaning())).collect(),
    };
    report
}
