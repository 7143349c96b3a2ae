//! Kiro: `mcp.json` with `autoApprove` or `disabledTools`. Some files of Cline have no more than that either.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS};
use crate::config::pattern::Notation;

pub(super) const DIALECT: Dialect = Dialect {
    id: "kiro",
    programs: "Kiro",
    evidence: |file| file.entry_key(&["autoApprove", "disabledTools"]),
    // Kiro reads `${NAME}` in `env` and `headers` only, Cline `${env:NAME}` everywhere. The programs cannot be told apart, and
    // a text that is meant to be `${NAME}` is less likely than one that some other program fills in.
    rules: Rules::new(UrlAlone::Auto, Unit::GuessedAboveHour, Notation::BRACES.with(Notation::ENV)),
    ..MCP_SERVERS
};

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn mcp_json() {
        let text = r#"{"mcpServers": {"loc": {"command": "k-mcp", "args": [], "env": {"K": "${K_KEY}"}, "disabled": false, "autoApprove": ["a"], "disabledTools": ["z"]},
            "rem": {"url": "https://rem.example.org/mcp", "headers": {"A": "${K_KEY}"}, "disabled": true}}}"#;
        check(
            "kiro",
            text,
            "loc stdio k-mcp [K=${K_KEY}] deny z; rem auto https://rem.example.org/mcp [A: ${K_KEY}] disabled",
        );
        check_remarks(
            text,
            &["1: `loc.autoApprove` has no effect: it concerns questions to the program's user, \
               which a gateway does not ask"],
        );
    }

    #[test]
    fn times_are_seconds_up_to_an_hour() {
        let text = r#"{"mcpServers": {"a": {"command": "a", "args": ["${A}"], "timeout": 3600, "autoApprove": []},
            "b": {"command": "b", "timeout": 5000}}}"#;
        check("kiro", text, "a stdio a ${A} call 3600s; b stdio b call 5s");
    }
}
