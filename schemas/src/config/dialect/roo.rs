//! Roo Code, Zoo Code, old Kilo: `mcp_settings.json` and `.roo/mcp.json`.

use crate::config::dialect::cline;
use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS};
use crate::config::pattern::Notation;

pub(super) const DIALECT: Dialect = Dialect {
    id: "roo",
    programs: "Roo Code, Zoo Code",
    evidence: |file| file.entry_key(&["alwaysAllow", "watchPaths"]),
    rules: Rules::new(UrlAlone::Refused, Unit::Seconds, Notation::ENV.with(Notation::EDITOR)),
    finish: cline::finish,
    ..MCP_SERVERS
};

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn mcp_json() {
        let text = r#"{"mcpServers": {"t": {"command": "t-mcp", "alwaysAllow": ["ls"], "disabledTools": ["rm"], "timeout": 15, "watchPaths": ["t.js"]},
            "h": {"type": "streamable-http", "url": "https://h.example.org/mcp", "headers": {"A": "${env:A}"}}}}"#;
        check("roo", text, "t stdio t-mcp call 15s deny rm; h http https://h.example.org/mcp [A: ${A}]");
        check_remarks(
            text,
            &[
                "1: `t.alwaysAllow` has no effect: it concerns questions to the program's user, \
                 which a gateway does not ask",
                "1: `t.watchPaths` has no effect: the gateway supervises its servers by its own rules",
            ],
        );
    }

    #[test]
    fn mistakes_that_the_program_refuses() {
        let text = r#"{"mcpServers": {"a": {"url": "https://a.test/${workspaceFolder}", "alwaysAllow": []},
            "b": {"command": "b", "url": "https://b.test"}}}"#;
        check("roo", text, "a auto https://a.test/<workspace>; b stdio b");
        check_remarks(
            text,
            &[
                "1: `a` has a URL and no type, which its program refuses",
                "2: `b` has a command and a URL; the command is used",
            ],
        );
    }
}
