//! MCPHub: `mcp_settings.json` with `mcpServers` beside `users`, `groups` and others.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, File, Imported, MCP_SERVERS, Reading};
use crate::config::pattern::Notation;
use crate::config::remark::Remark;
use crate::document::{Map, Node, Value};

pub(super) const DIALECT: Dialect = Dialect {
    id: "mcphub",
    programs: "MCPHub",
    evidence: |file| {
        let is_switch = |(.., node): &(_, _, Node)| node.get("enabled").is_some();
        let has_switches = |map: &Map| {
            map.get("tools").and_then(Node::as_map).is_some_and(|tools| tools.entries.iter().any(is_switch))
        };
        let root = file.root_key(&["users", "groups", "systemConfig", "bearerKeys"]);
        let entry = || file.entry_key(&["openapi"]);
        root.or_else(entry).or_else(|| file.has_entry(has_switches).then(|| "`tools`".to_owned()))
    },
    servers: |file, entries| {
        entries.named(file.family);
        entries.within("options");
    },
    rules: Rules::new(UrlAlone::Auto, Unit::Millis, Notation::DOLLAR_UPPER),
    finish,
    whole,
    ..MCP_SERVERS
};

fn finish(reading: &mut Reading<'_, '_>) {
    let Some(tools) = reading.map("tools") else { return };
    let is_off = |node: &Node| matches!(node.get("enabled").map(|it| &it.value), Some(Value::Bool(false, _)));
    // The names of tools have that of their server in front, in files that the program has written.
    let prefix = format!("{}-", reading.server.name);
    let own = |name: &str| name.strip_prefix(prefix.as_str()).unwrap_or(name).to_owned();
    let denied = tools.entries.iter().filter(|(.., node)| is_off(node)).map(|(name, ..)| own(name));
    reading.server.deny.extend(denied);
    if tools.entries.iter().any(|(.., node)| node.get("description").is_some()) {
        reading.lose("tools", "the gateway offers what a server has as the server describes it");
    }
}

fn whole(file: &File<'_>, imported: &mut Imported) {
    let path = ["systemConfig", "routing", "enableBearerAuth"];
    if let Some(node) = file.at(&path).filter(|node| matches!(node.value, Value::Bool(true, _))) {
        let reason = "set the tokens of clients with `global-auth-tokens`";
        imported.remarks.push(Remark::lost(node.span, &path.join("."), reason));
    }
    for (key, reason) in [
        ("groups", "the gateway has no groups of servers"),
        ("users", "the gateway knows its users by their tokens"),
        ("bearerKeys", "set the tokens of clients with `global-auth-tokens`, or with `authTokens` of a server"),
    ] {
        let is_empty = file.list(&[key]).is_some_and(<[Node]>::is_empty);
        let span = file.root.key_span(key).filter(|_| !is_empty && !file.is_bare());
        imported.remarks.extend(span.map(|span| Remark::lost(span, key, reason)));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn mcp_settings_json() {
        let text = r#"{"mcpServers": {"a": {"command": "npx", "args": ["demo"], "tools": {"a-del": {"enabled": false}},
                "options": {"timeout": 90000}},
            "b": {"type": "streamable-http", "url": "${B_URL}", "enabled": false},
            "c": {"type": "openapi", "openapi": {"url": "https://c.example.org/o.json"}}},
            "groups": [{"id": "1", "name": "g", "servers": ["a"]}], "users": [],
            "systemConfig": {"routing": {"enableGlobalRoute": true}}}"#;
        check(
            "mcphub",
            text,
            "a stdio npx demo call 90s deny del; b http ${B_URL} disabled; \
             c unsupported (transport `openapi` exists only in that program)",
        );
        check_remarks(text, &["5: `groups` has no effect: the gateway has no groups of servers"]);
    }

    #[test]
    fn tools_alone_show_the_format() {
        let text = r#"{"mcpServers": {"a": {"command": "a", "args": ["$KEY", "$key"],
            "tools": {"x": {"enabled": true, "description": "d"}, "y": {"enabled": false}},
            "prompts": {"p": {"enabled": false}}, "options": {"maxTotalTimeout": 1}}}}"#;
        check("mcphub", text, "a stdio a ${KEY} $key deny y");
        check_remarks(
            text,
            &[
                "2: `a.tools` has no effect: the gateway offers what a server has as the server describes it",
                "3: `a.prompts` has no effect: the gateway offers what a server has as the server describes it",
                "3: `a.options.maxTotalTimeout` has no effect: the gateway supervises its servers by its own rules",
            ],
        );
    }

    #[test]
    fn tokens_that_the_program_asks_for_are_told() {
        let text =
            r#"{"mcpServers": {}, "systemConfig": {"routing": {"enableBearerAuth": true, "bearerAuthKey": "k"}}}"#;
        let reason = "set the tokens of clients with `global-auth-tokens`";
        check_remarks(text, &[&format!("1: `systemConfig.routing.enableBearerAuth` has no effect: {reason}")]);
    }
}
