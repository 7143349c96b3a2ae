//! Qwen Code: `settings.json`, as that of Gemini CLI before a URL alone meant Streamable HTTP.

use crate::config::dialect::gemini;
use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS};
use crate::config::pattern::Notation;

pub(super) const DIALECT: Dialect = Dialect {
    id: "qwen",
    programs: "Qwen Code",
    evidence: |file| file.entry_key(&["discoveryTimeoutMs", "versionNegotiation"]),
    // `type` is not read: `findings/qwen-code-takes-for-sse-what-gemini-cli-takes-for-http.sh`.
    rules: Rules { transport: &[], ..Rules::new(UrlAlone::Sse, Unit::Millis, Notation::DOLLAR) },
    finish: gemini::finish,
    whole: gemini::whole,
    ..MCP_SERVERS
};

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn settings_json() {
        let text = r#"{"mcpServers": {"a": {"httpUrl": "https://a.example.org/mcp", "discoveryTimeoutMs": 10000},
            "b": {"url": "https://b.example.org/sse"}, "c": {"url": "https://c.example.org/x", "type": "http"}}}"#;
        check(
            "qwen",
            text,
            "a http https://a.example.org/mcp connect 10s; b sse https://b.example.org/sse; c sse https://c.example.org/x",
        );
        check_remarks(text, &["2: `c.type` has no effect: it has no meaning for a gateway"]);
    }

    #[test]
    fn lists_of_servers_with_wildcards() {
        let text = r#"{"mcp": {"allowed": ["a*"], "excluded": ["?b"]}, "mcpServers": {
            "a": {"command": "a", "versionNegotiation": {}}, "ab": {"command": "ab"}, "c": {"command": "c"}}}"#;
        check("qwen", text, "a stdio a; ab stdio ab disabled; c stdio c disabled");
        check_remarks(text, &["2: `a.versionNegotiation` has no effect: it has no meaning for a gateway"]);
    }
}
