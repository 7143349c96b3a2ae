//! Claude Code: `.mcp.json`, and the user's file with `projects`.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, File, Imported, MCP_SERVERS, Reading};
use crate::config::pattern::Notation;
use crate::config::remark::Remark;
use crate::document::{Map, Node};

pub(super) const DIALECT: Dialect = Dialect {
    id: "claude-code",
    programs: "Claude Code",
    evidence: |file| {
        let is_socket = |map: &Map| map.get("type").and_then(Node::literal) == Some("ws");
        let own = file.entry_key(&["headersHelper", "alwaysLoad", "request_timeout_ms"]);
        own.or_else(|| file.has_entry(is_socket).then(|| "type `ws`".to_owned()))
    },
    rules: Rules::new(UrlAlone::Refused, Unit::Millis, Notation::BRACES.with(Notation::USER_CONFIG)),
    finish,
    whole,
    ..MCP_SERVERS
};

/// The user's file, which holds the servers of all projects too.
pub(super) const USER: Dialect =
    Dialect { evidence: |file| file.root_key(&["projects"]).filter(|_| file.map(&["projects"]).is_some()), ..DIALECT };

fn finish(reading: &mut Reading<'_, '_>) {
    let is_short = |limit: &std::time::Duration| limit.as_millis() < 1_000;
    if reading.entry.get("timeout").is_some() && reading.server.call_timeout.as_ref().is_some_and(is_short) {
        reading.server.call_timeout = None;
        reading.lose("timeout", "its program ignores a time below 1000 ms");
    }
}

fn whole(file: &File<'_>, imported: &mut Imported) {
    if file.is_bare() {
        return;
    }
    for key in ["disabledMcpServers", "disabledMcpjsonServers"] {
        let names = file.texts(&[key], imported).unwrap_or_default();
        for server in imported.servers.iter_mut().filter(|server| names.contains(&server.name)) {
            server.is_disabled = true;
        }
    }
    let has_servers =
        |node: &Node| node.get("mcpServers").and_then(Node::as_map).is_some_and(|it| !it.entries.is_empty());
    let projects = file.map(&["projects"]).is_some_and(|map| map.entries.iter().any(|(.., node)| has_servers(node)));
    if let Some(span) = file.root.key_span("projects").filter(|_| projects) {
        let message = "the servers of `projects` are not imported; they belong to those folders only";
        imported.remarks.push(Remark::note(span, message));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn mcp_json() {
        let text = r#"{"mcpServers": {
            "db": {"command": "${HOME}/bin/db", "args": ["--mode", "${MODE:-ro}"], "timeout": 60000, "alwaysLoad": true},
            "hub": {"type": "streamable-http", "url": "https://hub.example.org/mcp", "headers": {"Authorization": "Bearer ${HUB}"},
                    "oauth": {"clientId": "abc", "callbackPort": 8787, "scopes": "read write"}},
            "push": {"type": "ws", "url": "wss://push.example.org/mcp"},
            "bad": {"url": "https://no-type.example.org/mcp"}}}"#;
        check(
            "claude-code",
            text,
            "db stdio ${HOME}/bin/db --mode ${MODE:-ro} call 60s; \
             hub http https://hub.example.org/mcp [Authorization: Bearer ${HUB}]; \
             push unsupported (WebSocket is no transport of MCP); bad auto https://no-type.example.org/mcp",
        );
        check_remarks(
            text,
            &[
                "2: `db.alwaysLoad` has no effect: it has no meaning for a gateway",
                "4: `hub.oauth` has no effect: a login in a browser and its tokens belong to the program; \
                 give the gateway a token in `headers`",
                "6: `bad` has a URL and no type, which its program refuses",
            ],
        );
    }

    #[test]
    fn the_file_of_the_user() {
        let text = r#"{"numStartups": 3, "mcpServers": {"glob": {"type": "stdio", "command": "glob-mcp"}},
            "projects": {"/home/u/p": {"mcpServers": {"inner": {"command": "inner-mcp"}}, "disabledMcpServers": ["glob"]}}}"#;
        check("claude-code", text, "glob stdio glob-mcp");
        check_remarks(text, &["2: the servers of `projects` are not imported; they belong to those folders only"]);
    }

    #[test]
    fn commands_for_headers_are_refused_and_short_times_ignored() {
        let text = r#"{"disabledMcpServers": ["b"], "mcpServers": {
            "a": {"type": "http", "url": "https://a.test", "headersHelper": "/bin/h"},
            "b": {"command": "b", "timeout": 500, "env": {"K": "${user_config.KEY}"}}}}"#;
        check(
            "claude-code",
            text,
            "a unsupported (`headersHelper` runs a command, which an import never does; give the gateway the headers); \
             b stdio b [K=${KEY}] disabled",
        );
        check_remarks(
            text,
            &[
                "3: the program asks its user for values: `KEY` (set in the environment: `KEY`)",
                "3: `b.timeout` has no effect: its program ignores a time below 1000 ms",
            ],
        );
    }
}
