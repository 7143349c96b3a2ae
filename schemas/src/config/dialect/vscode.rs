//! VS Code and Visual Studio: `mcp.json` with `servers` and `inputs`.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS};
use crate::config::pattern::Notation;

const ROOT: &str = "servers";

pub(super) const DIALECT: Dialect = Dialect {
    id: "vscode",
    programs: "VS Code, Visual Studio",
    roots: &[ROOT],
    evidence: |file| file.map(&[ROOT]).map(|_| format!("`{ROOT}`")),
    servers: |file, entries| entries.named(file.map(&[ROOT])),
    rules: RULES,
    ..MCP_SERVERS
};

/// Rules of both files of VS Code.
pub(super) const RULES: Rules =
    Rules::new(UrlAlone::Http, Unit::Millis, Notation::ENV.with(Notation::INPUT).with(Notation::EDITOR));

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn mcp_json_with_comments_inputs_and_numbers() {
        let text = r#"{
          // comments and trailing commas are legal here
          "inputs": [{"type": "promptString", "id": "web-key", "description": "Key", "password": true}],
          "servers": {
            "local": {"type": "stdio", "command": "python", "args": ["-m", "demo"], "cwd": "${workspaceFolder}",
                      "env": {"PORT": 8080, "GONE": null}},
            "web": {"type": "http", "url": "https://mcp.example.org/mcp",
                    "headers": {"Authorization": "Bearer ${input:web-key}"}},
            "old": {"type": "sse", "url": "http://127.0.0.1:9001/sse"},
          },
        }"#;
        check(
            "vscode",
            text,
            "local stdio python -m demo [PORT=8080] cwd <workspace>; \
             web http https://mcp.example.org/mcp [Authorization: Bearer ${WEB_KEY}]; \
             old sse http://127.0.0.1:9001/sse",
        );
        check_remarks(
            text,
            &["7: the program asks its user for values: `web-key` (set in the environment: `WEB_KEY`)"],
        );
    }

    #[test]
    fn sockets_sandboxes_and_variables() {
        let text = r#"{"servers": {"a": {"url": "unix:///run/a.sock#/mcp"},
            "b": {"command": "b", "args": ["${env:B}", "${workspaceFolderBasename}", "${B}"], "envFile": "${workspaceFolder}/.env",
                  "sandboxEnabled": true, "dev": {"watch": "*.js"}, "gallery": true}}, "mcpServers": {"c": 1}}"#;
        check("plain", text, "");
        let text = text.replace("mcpServers", "other");
        check(
            "vscode",
            &text,
            "a unsupported (a `unix:` URL is no HTTP address); \
             b stdio b ${B} <workspace name> $${B} env-file <workspace>/.env",
        );
        check_remarks(
            &text,
            &[
                "3: `b.sandboxEnabled` has no effect: the gateway starts programs without a sandbox or a container",
                "3: `b.dev` has no effect: the gateway supervises its servers by its own rules",
                "3: `b.gallery` has no effect: it has no meaning for a gateway",
            ],
        );
    }

    #[test]
    fn a_second_root_is_told() {
        let text = "{\"servers\": {\"a\": {\"command\": \"a\"}},\n \"mcpServers\": {\"b\": {\"command\": \"b\"}}}";
        check("plain", text, "b stdio b");
        check_remarks(text, &["1: `servers` is ignored: what counts in this file is below `mcpServers`"]);
    }
}
