//! Crush: `crush.json` with `mcp`, whose texts are expanded as by a shell.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS, is_map_of_maps, is_server_like};
use crate::config::pattern::Notation;
use crate::document::Node;

const ROOT: &str = "mcp";

pub(super) const DIALECT: Dialect = Dialect {
    id: "crush",
    programs: "Crush",
    roots: &[ROOT],
    evidence: |file| {
        let servers = file.map(&[ROOT]).filter(|map| is_map_of_maps(map))?;
        let is_server = |node: &Node| node.as_map().is_some_and(is_server_like) || node.get("type").is_some();
        servers.entries.iter().any(|(.., node)| is_server(node)).then(|| format!("`{ROOT}`"))
    },
    servers: |file, entries| entries.named(file.map(&[ROOT])),
    rules: Rules::new(UrlAlone::Http, Unit::Seconds, Notation::DOLLAR.with(Notation::SHELL)),
    ..MCP_SERVERS
};

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};
    use crate::config::{Surroundings, import};

    const TEXT: &str = r#"{"mcp": {"f": {"type": "stdio", "command": "node", "args": ["f.js"], "timeout": 10, "disabled_tools": ["x"]},
        "g": {"type": "http", "url": "https://g.example.org/mcp", "oauth": true, "oauth_client_id": "cid", "oauth_client_secret": "$G_SECRET"},
        "s": {"type": "sse", "url": "https://s.example.org/sse", "headers": {"K": "$(cat key)"}, "disabled": true}}}"#;

    #[test]
    fn crush_json() {
        check(
            "crush",
            TEXT,
            "f stdio node f.js call 10s deny x; g http https://g.example.org/mcp; s sse https://s.example.org/sse \
             [K: <refused: `$(...)` runs a command, which an import never does>] disabled",
        );
        check_remarks(
            TEXT,
            &[
                "2: `g.oauth`, `g.oauth_client_id`, `g.oauth_client_secret` have no effect: a login in a browser and its \
               tokens belong to the program; give the gateway a token in `headers`",
            ],
        );
    }

    #[test]
    fn a_server_with_a_command_in_it_is_refused() {
        let refused = import(TEXT, "crush").servers[2].definition(&Surroundings::default());
        let refused = refused.map(|_| ()).map_err(|remark| remark.message);
        assert_eq!(refused, Err("`s`: `$(...)` runs a command, which an import never does".to_owned()));
    }

    #[test]
    fn other_expansions_of_shells() {
        let text = r#"{"mcp": {"a": {"type": "stdio", "command": "$A", "args": ["${B:-b}", "${C:?c}", "`d`"]}}}"#;
        check(
            "crush",
            text,
            "a stdio ${A} ${B:-b} <refused: `${C:?c}` is an expansion that only a shell knows> \
             <refused: a command in backticks, which an import never runs>",
        );
    }
}
