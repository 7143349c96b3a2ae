//! ToolHive: virtual MCP server over several `backends`.

use crate::config::fields::{Rules, Unit, UrlAlone, texts};
use crate::config::format::{Dialect, File, Imported, MCP_SERVERS};
use crate::config::pattern::Notation;
use crate::config::remark::Remark;
use crate::config::server::Kind;
use crate::document::{Node, Value};

const ROOT: &str = "backends";

pub(super) const DIALECT: Dialect = Dialect {
    id: "toolhive-vmcp",
    programs: "ToolHive's virtual MCP server",
    roots: &[ROOT],
    evidence: |file| {
        let is_backend = |node: &Node| node.get("url").is_some() && node.get("transport").is_some();
        file.list(&[ROOT])?.iter().any(is_backend).then(|| format!("`{ROOT}`"))
    },
    servers: |file, entries| entries.listed(file.at(&[ROOT]), "name"),
    rules: Rules::new(UrlAlone::Auto, Unit::Guessed, Notation::NONE),
    whole,
    ..MCP_SERVERS
};

/// Reads the tools of each backend.
fn whole(file: &File<'_>, imported: &mut Imported) {
    for rule in file.list(&["aggregation", "tools"]).unwrap_or_default() {
        let name = rule.get("workload").and_then(Node::literal).unwrap_or_default();
        let Some(server) = imported.servers.iter_mut().find(|server| server.name == name) else {
            let message = format!("this rule has no effect: no backend has the name `{name}`");
            imported.remarks.push(Remark::warning(rule.head(), message));
            continue;
        };
        let before = imported.remarks.len();
        let allow = rule.get("filter").and_then(|it| texts("`aggregation.tools.filter`", it, &mut imported.remarks));
        if let Some(error) = imported.remarks.get(before) {
            server.kind = Kind::Unsupported(error.message.clone());
        }
        server.allow = allow.or(server.allow.take());
        server.is_disabled |= matches!(rule.get("excludeAll").map(|it| &it.value), Some(Value::Bool(true, _)));
        if let Some(span) = rule.as_map().and_then(|map| map.key_span("overrides")) {
            let reason = "the gateway offers what a server has as the server describes it";
            imported.remarks.push(Remark::lost(span, "aggregation.tools.overrides", reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn backends() {
        let text = "name: v\ngroupRef: dev\nbackends:\n  \
            - {name: a, url: \"http://127.0.0.1:8081/mcp\", transport: streamable-http}\n  \
            - {name: b, url: \"http://127.0.0.1:8082/sse\", transport: sse}\n";
        check("toolhive-vmcp", text, "a http http://127.0.0.1:8081/mcp; b sse http://127.0.0.1:8082/sse");
        check_remarks(text, &[]);
    }

    #[test]
    fn tools_are_selected_elsewhere() {
        let text = "backends:\n  - {name: a, url: 'http://a.test/mcp', transport: sse}\n  \
            - {name: b, url: 'http://b.test/mcp', transport: sse}\naggregation:\n  tools:\n    \
            - {workload: a, filter: [x], overrides: {x: {name: y}}}\n    - {workload: b, excludeAll: true}\n";
        check("toolhive-vmcp", text, "a sse http://a.test/mcp allow x; b sse http://b.test/mcp disabled");
        check_remarks(
            text,
            &["6: `aggregation.tools.overrides` has no effect: the gateway offers what a server has as the server \
               describes it"],
        );
    }
}
