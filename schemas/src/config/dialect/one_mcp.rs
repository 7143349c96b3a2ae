//! 1mcp: `mcp.json` with `mcpServers`, `serverDefaults` and `mcpTemplates`.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, File, Imported, MCP_SERVERS};
use crate::config::pattern::Notation;
use crate::config::remark::Remark;
use crate::document::Node;

const DEFAULTS: &str = "serverDefaults";
const TEMPLATES: &str = "mcpTemplates";

pub(super) const DIALECT: Dialect = Dialect {
    id: "1mcp",
    programs: "1mcp",
    roots: &["mcpServers", TEMPLATES],
    evidence: |file| file.root_key(&[DEFAULTS, TEMPLATES, "templateSettings"]),
    servers: |file, entries| {
        entries.named(file.family);
        // The defaults fill in the keys that a server does not have.
        for entry in &mut entries.list {
            entry.inner.extend(file.map(&[DEFAULTS]).map(|defaults| (DEFAULTS, defaults)));
        }
    },
    rules: Rules::new(UrlAlone::ByEnding, Unit::Millis, Notation::DOLLAR),
    whole,
    ..MCP_SERVERS
};

fn whole(file: &File<'_>, imported: &mut Imported) {
    let Some(node) = file.at(&[TEMPLATES]) else { return };
    let names = node.as_map().map(|map| map.entries.iter().map(|(name, ..)| format!("`{name}`")).collect::<Vec<_>>());
    let Some(names) = names.filter(|names| !names.is_empty()) else { return };
    let span = file.root.key_span(TEMPLATES).unwrap_or_else(|| Node::head(node));
    let message = format!("{} of `{TEMPLATES}` left out: only their program fills in templates", names.join(", "));
    imported.remarks.push(Remark::warning(span, message));
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn mcp_json() {
        let text = r#"{"version": "1", "serverDefaults": {"requestTimeout": 60000},
            "mcpServers": {"a": {"command": "a-mcp", "env": ["A=1", "HOME"], "tags": ["dev"], "restartOnExit": true},
                "b": {"url": "https://b.example.org/mcp", "connectionTimeout": 5000},
                "c": {"url": "https://c.example.org/events", "disabled": true, "disabledTools": ["q"]}},
            "mcpTemplates": {"t": {"command": "t-mcp", "args": ["{{project.path}}"]}}}"#;
        check(
            "1mcp",
            text,
            "a stdio a-mcp [A=1, HOME=${HOME}] call 60s; b http https://b.example.org/mcp connect 5s call 60s; \
             c sse https://c.example.org/events call 60s deny q disabled",
        );
        check_remarks(
            text,
            &[
                "2: `a.tags` has no effect: it has no meaning for a gateway",
                "2: `a.restartOnExit` has no effect: the gateway supervises its servers by its own rules",
                "5: `t` of `mcpTemplates` left out: only their program fills in templates",
            ],
        );
    }

    #[test]
    fn a_switch_that_is_a_template_leaves_the_server_on() {
        let text = r#"{"templateSettings": {}, "mcpServers": {
            "a": {"url": "https://a.test/mcp/?x=1", "disabled": "{{#if ci}}true{{/if}}"},
            "b": {"url": "https://b.test/MCP", "disabled": "true"}}}"#;
        check("1mcp", text, "a http https://a.test/mcp/?x=1; b sse https://b.test/MCP disabled");
        check_remarks(text, &["2: `disabled` of `a` is a template; the server is not disabled"]);
    }
}
