//! VS Code before mid 2025: `settings.json` with `mcp.servers`.

use crate::config::dialect::vscode;
use crate::config::format::{Dialect, MCP_SERVERS};

pub(super) const DIALECT: Dialect = Dialect {
    id: "vscode-settings",
    programs: "VS Code before mid 2025",
    roots: &["mcp"],
    evidence: |file| file.map(&["mcp", "servers"]).map(|_| "`mcp.servers`".to_owned()),
    servers: |file, entries| entries.named(file.map(&["mcp", "servers"])),
    rules: vscode::RULES,
    ..MCP_SERVERS
};

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn settings_json() {
        let text = r#"{"editor.tabSize": 2, "mcp": {"servers": {"time": {"command": "uvx", "args": ["demo-time"]}}}}"#;
        check("vscode-settings", text, "time stdio uvx demo-time");
        check_remarks(text, &[]);
    }
}
