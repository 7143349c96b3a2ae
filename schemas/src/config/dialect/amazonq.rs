//! Amazon Q CLI: `mcp.json`, and files of agents with `tools` and `allowedTools` beside `mcpServers`.

use crate::config::fields::{APPROVAL, Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, File, Imported, MCP_SERVERS, Reading};
use crate::config::glob;
use crate::config::pattern::{Notation, Pattern};
use crate::config::remark::Remark;
use crate::config::server::Server;
use crate::document::{Map, Node};

pub(super) const DIALECT: Dialect = Dialect {
    id: "amazonq",
    programs: "Amazon Q CLI",
    evidence: |file| {
        let is_login = |map: &Map| map.get("oauthScopes").is_some() && map.get("oauthClientId").is_none();
        let tools = || file.root_key(&["tools"]).filter(|_| file.list(&["tools"]).is_some());
        let beside = file.root_key(&["allowedTools", "useLegacyMcpJson", "toolsSettings"]).or_else(tools);
        beside.or_else(|| file.has_entry(is_login).then(|| "`oauthScopes`".to_owned()))
    },
    rules: Rules {
        process: Notation::NONE,
        address: Notation::NONE,
        ..Rules::new(UrlAlone::Refused, Unit::Millis, Notation::ENV)
    },
    finish,
    whole,
    ..MCP_SERVERS
};

/// Expands the home folder and variables, which this program does in the command alone.
fn finish(reading: &mut Reading<'_, '_>) {
    let Some(command) = reading.entry.literal("command") else { return };
    reading.server.command = match command.strip_prefix("~/") {
        Some(rest) => Pattern::home().joined(Pattern::parse(&format!("/{rest}"), Notation::DOLLAR)),
        None => Pattern::parse(command, Notation::DOLLAR),
    };
}

fn whole(file: &File<'_>, imported: &mut Imported) {
    if file.is_bare() {
        return;
    }
    if let Some(tools) = file.list(&["tools"]) {
        let names: Vec<&str> = tools.iter().filter_map(Node::literal).collect();
        for server in &mut imported.servers {
            let unclear = select(&names, server);
            let span = file.root.key_span("tools").unwrap_or_default();
            imported.remarks.extend(unclear.map(|name| {
                Remark::warning(
                    span,
                    format!("`{name}` of `tools` has no effect: a filter of the gateway has names only"),
                )
            }));
        }
    }
    for (key, reason) in [
        ("allowedTools", APPROVAL),
        ("toolAliases", "the gateway offers what a server has as the server describes it"),
        ("toolsSettings", "the gateway has no settings of single tools"),
    ] {
        imported.remarks.extend(file.root.key_span(key).map(|span| Remark::lost(span, key, reason)));
    }
}

/// Reads which tools of a server the agent uses; returns a pattern of tools that cannot be kept.
fn select<'n>(names: &[&'n str], server: &mut Server) -> Option<&'n str> {
    let is_all = |name: &str| {
        let whole = name.strip_prefix('@').map(|whole| whole.strip_suffix("/*").unwrap_or(whole));
        name == "*" || whole.is_some_and(|whole| !whole.contains('/') && glob::fits(whole, &server.name))
    };
    if names.iter().any(|name| is_all(name)) {
        return None;
    }
    let of_server = |name: &&'n str| name.strip_prefix('@')?.split_once('/').filter(|(of, _)| *of == server.name);
    let tools: Vec<&str> = names.iter().filter_map(|name| Some(of_server(name)?.1)).collect();
    if tools.is_empty() {
        // The agent has none of its tools.
        server.is_disabled = true;
        return None;
    }
    let unclear = names.iter().find(|name| of_server(name).is_some_and(|(_, tool)| glob::is_pattern(tool)));
    if unclear.is_none() {
        server.allow = Some(tools.into_iter().map(str::to_owned).collect());
    }
    unclear.copied()
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn the_file_of_an_agent() {
        let text = r#"{"name": "ops", "tools": ["fs_read", "@git", "@web/list"], "allowedTools": ["@git/status"], "useLegacyMcpJson": false,
            "mcpServers": {"git": {"command": "~/bin/git-mcp", "args": [], "env": {"G": "${env:G}"}, "timeout": 120000},
             "web": {"type": "http", "url": "https://web.example.org/mcp", "oauthScopes": ["openid"], "oauth": {"redirectUri": "127.0.0.1:7778"}}}}"#;
        check(
            "amazonq",
            text,
            "git stdio ${HOME}/bin/git-mcp [G=${G}] call 120s; web http https://web.example.org/mcp allow list",
        );
        check_remarks(
            text,
            &[
                "1: `allowedTools` has no effect: it concerns questions to the program's user, which a gateway does not ask",
                "3: `web.oauthScopes`, `web.oauth` have no effect: a login in a browser and its tokens belong to the \
                 program; give the gateway a token in `headers`",
            ],
        );
    }

    #[test]
    fn variables_are_those_of_each_place() {
        let text = r#"{"tools": ["@a/x*", "@*b"], "toolAliases": {"@a/y": "z"}, "mcpServers": {
            "a": {"command": "$A/${A}", "args": ["$A", "${env:A}"]}, "bb": {"url": "https://b.test/${env:B}"}}}"#;
        check("amazonq", text, "a stdio ${A}/${A} $A $${env:A}; bb auto https://b.test/$${env:B}");
        check_remarks(
            text,
            &[
                "1: `@a/x*` of `tools` has no effect: a filter of the gateway has names only",
                "1: `toolAliases` has no effect: the gateway offers what a server has as the server describes it",
                "2: `bb` has a URL and no type, which its program refuses",
            ],
        );
    }
}
