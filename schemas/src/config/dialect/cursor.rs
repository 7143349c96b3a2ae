//! Cursor: `mcp.json` with `envFile` or `${env:NAME}`.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS};
use crate::config::pattern::Notation;
use crate::document::{Map, Node, Value};

pub(super) const DIALECT: Dialect = Dialect {
    id: "cursor",
    programs: "Cursor",
    evidence: |file| {
        let has_client = |map: &Map| map.get("auth").is_some_and(|auth| auth.get("CLIENT_ID").is_some());
        let env_file = file.entry_key(&["envFile"]);
        let client = || file.has_entry(has_client).then(|| "`auth.CLIENT_ID`".to_owned());
        env_file.or_else(client).or_else(|| file.has_entry(has_variable).then(|| "`${env:`".to_owned()))
    },
    rules: Rules::new(UrlAlone::Auto, Unit::Guessed, Notation::ENV.with(Notation::EDITOR)),
    ..MCP_SERVERS
};

/// True if a text of a server has a variable in this program's notation.
fn has_variable(map: &Map) -> bool {
    let mut open: Vec<&Node> = map.entries.iter().map(|(.., node)| node).collect();
    while let Some(node) = open.pop() {
        match &node.value {
            Value::Text(text) if text.text.contains("${env:") => return true,
            Value::List(items) => open.extend(items),
            Value::Map(map) => open.extend(map.entries.iter().map(|(.., node)| node)),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn mcp_json() {
        let text = r#"{"mcpServers": {"notes": {"command": "node", "args": ["${workspaceFolder}/srv.js"], "envFile": ".env"},
            "api": {"url": "https://api.example.org/mcp", "headers": {"X-Key": "${env:NOTES_KEY}"}}}}"#;
        check(
            "cursor",
            text,
            "notes stdio node <workspace>/srv.js env-file .env; \
             api auto https://api.example.org/mcp [X-Key: ${NOTES_KEY}]",
        );
        check_remarks(text, &[]);
    }

    #[test]
    fn variables_alone_show_the_format() {
        let text = r#"{"mcpServers": {"a": {"command": "a", "args": ["${env:A}", "${userHome}${/}x", "${B}"]}}}"#;
        check("cursor", text, "a stdio a ${A} ${HOME}/x $${B}");
        let text = r#"{"mcpServers": {"a": {"url": "https://a.test", "auth": {"CLIENT_ID": "x"}}}}"#;
        check("cursor", text, "a auto https://a.test");
        check_remarks(
            text,
            &["1: `a.auth` has no effect: a login in a browser and its tokens belong to the program; \
               give the gateway a token in `headers`"],
        );
    }
}
