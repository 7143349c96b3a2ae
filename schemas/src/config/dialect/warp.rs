//! Warp: `.mcp.json` with `working_directory`.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS};
use crate::config::pattern::Notation;

pub(super) const DIALECT: Dialect = Dialect {
    id: "warp",
    programs: "Warp",
    evidence: |file| file.entry_key(&["working_directory"]),
    rules: Rules::new(UrlAlone::Auto, Unit::Guessed, Notation::BRACES.with(Notation::MUSTACHE)),
    ..MCP_SERVERS
};

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn mcp_json() {
        let text = r#"{"mcpServers": {"w": {"command": "w-mcp", "args": [], "env": {"K": "${W_KEY}"}, "working_directory": "/srv/w"},
            "u": {"serverUrl": "https://u.example.org/mcp"}}}"#;
        check("warp", text, "w stdio w-mcp [K=${W_KEY}] cwd /srv/w; u auto https://u.example.org/mcp");
        check_remarks(text, &[]);
    }

    #[test]
    fn text_without_outer_braces_and_templates() {
        let text = "\"a\": {\"command\": \"a\", \"args\": [\"{{name}}\"], \"working_directory\": \".\"},\n\"b\": {\"url\": \"https://b.test\"}";
        check(
            "warp",
            text,
            "a stdio a <refused: only the program itself can fill in `{{name}}`> cwd .; b auto https://b.test",
        );
    }
}
