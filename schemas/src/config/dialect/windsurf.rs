//! Windsurf, Devin, Antigravity: `mcp_config.json` with `serverUrl`.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS};
use crate::config::pattern::Notation;

pub(super) const DIALECT: Dialect = Dialect {
    id: "windsurf",
    programs: "Windsurf, Devin, Antigravity",
    evidence: |file| file.entry_key(&["serverUrl"]),
    rules: Rules::new(UrlAlone::Auto, Unit::Guessed, Notation::ENV.with(Notation::FILE)),
    ..MCP_SERVERS
};

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn mcp_config_json() {
        let text = r#"{"mcpServers": {"gh": {"command": "gh-mcp", "args": []},
            "rem": {"serverUrl": "https://rem.example.org/mcp", "headers": {"API_KEY": "${env:REM}"}, "disabledTools": ["drop"]}}}"#;
        check("windsurf", text, "gh stdio gh-mcp; rem auto https://rem.example.org/mcp [API_KEY: ${REM}] deny drop");
        check_remarks(text, &[]);
    }

    #[test]
    fn mcp_config_json_of_antigravity() {
        let text = r#"{"mcpServers": {"unify": {"serverUrl": "https://unify.example.org/v1/mcp", "oauth": {"clientId": "cid"}}}}"#;
        check("windsurf", text, "unify auto https://unify.example.org/v1/mcp");
        check_remarks(
            text,
            &["1: `unify.oauth` has no effect: a login in a browser and its tokens belong to the program; \
               give the gateway a token in `headers`"],
        );
    }

    #[test]
    fn content_of_files() {
        let text = r#"{"mcpServers": {"a": {"serverUrl": "https://a.test", "headers": {"K": "${file:/etc/key}"}}}}"#;
        check("windsurf", text, "a auto https://a.test [K: ${file:/etc/key}]");
    }
}
