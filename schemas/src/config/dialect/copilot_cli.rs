//! GitHub Copilot CLI: `mcp-config.json`, whose servers list their tools.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS, Reading};
use crate::config::pattern::Notation;
use crate::document::{Map, Node, Value};

pub(super) const DIALECT: Dialect = Dialect {
    id: "copilot-cli",
    programs: "GitHub Copilot CLI",
    evidence: |file| {
        let is_list = |map: &Map| {
            let tools = map.get("tools").map(|node| &node.value);
            matches!(tools, Some(Value::List(items)) if items.iter().all(|item| item.as_text().is_some()))
        };
        let is_local = |map: &Map| map.get("type").and_then(Node::literal) == Some("local");
        let listed = file.has_entry(is_list).then(|| "`tools`".to_owned());
        let local = || file.has_entry(is_local).then(|| "type `local`".to_owned());
        listed.or_else(local).or_else(|| file.entry_key(&["oauthClientId", "deferTools"]))
    },
    rules: Rules {
        process: Notation::NONE,
        address: Notation::NONE,
        ..Rules::new(UrlAlone::Http, Unit::Millis, Notation::BRACES)
    },
    finish,
    ..MCP_SERVERS
};

/// Reads the tools to offer: `*` means all, an empty list none.
fn finish(reading: &mut Reading<'_, '_>) {
    reading.server.allow = reading.texts("tools").filter(|names| names.iter().all(|name| name != "*"));
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn mcp_config_json() {
        let text = r#"{"mcpServers": {
            "play": {"type": "local", "command": "npx", "args": ["demo-play"], "tools": ["*"]},
            "ctx": {"type": "http", "url": "https://ctx.example.org/mcp", "headers": {"X-Key": "${CTX}"}, "tools": ["lookup"],
                    "timeout": 45000, "oauthClientId": "cid", "oauthScopes": ["read"], "deferTools": "never"}}}"#;
        check(
            "copilot-cli",
            text,
            "play stdio npx demo-play; ctx http https://ctx.example.org/mcp [X-Key: ${CTX}] call 45s allow lookup",
        );
        check_remarks(
            text,
            &[
                "4: `ctx.oauthClientId`, `ctx.oauthScopes` have no effect: a login in a browser and its tokens belong to \
                 the program; give the gateway a token in `headers`",
                "4: `ctx.deferTools` has no effect: it has no meaning for a gateway",
            ],
        );
    }

    #[test]
    fn an_empty_list_is_no_tool_and_arguments_have_no_variables() {
        let text = r#"{"mcpServers": {"a": {"type": "local", "command": "a", "args": ["${A}"], "tools": []},
            "b": {"url": "https://b.test"}}}"#;
        check("copilot-cli", text, "a stdio a $${A} allow ; b http https://b.test");
    }
}
