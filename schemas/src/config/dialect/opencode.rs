//! OpenCode, and Kilo from version 7 on: `opencode.json` with `mcp`, and `tools` that are switched off by name.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, File, Imported, MCP_SERVERS, is_map_of_maps};
use crate::config::glob;
use crate::config::pattern::Notation;
use crate::config::remark::Remark;
use crate::config::server::Server;
use crate::document::{Map, Node, Value};

const ROOT: &str = "mcp";

pub(super) const DIALECT: Dialect = Dialect {
    id: "opencode",
    programs: "OpenCode, Kilo",
    roots: &[ROOT],
    evidence: |file| {
        let is_own = |map: &Map| {
            let kind = map.get("type").and_then(Node::literal);
            let is_list = map.get("command").is_some_and(|node| matches!(node.value, Value::List(_)));
            matches!(kind, Some("local" | "remote")) || is_list || map.get("environment").is_some()
        };
        let servers = file.map(&[ROOT]).filter(|map| is_map_of_maps(map))?;
        servers.entries.iter().filter_map(|(.., node)| node.as_map()).any(is_own).then(|| format!("`{ROOT}`"))
    },
    servers: |file, entries| entries.named(file.map(&[ROOT])),
    rules: Rules::new(UrlAlone::Auto, Unit::Millis, Notation::BARE_BRACES),
    whole,
    ..MCP_SERVERS
};

/// Switches that a file has for the tools of one server.
#[derive(Debug, Default)]
struct Switches {
    /// True if all tools are off.
    is_off: bool,
    /// Tools that are on although all are off.
    on: Vec<String>,
    off: Vec<String>,
}

fn whole(file: &File<'_>, imported: &mut Imported) {
    let Some(tools) = file.map(&["tools"]) else { return };
    let names: Vec<String> = imported.servers.iter().map(|server| prefix(&server.name)).collect();
    // A tool belongs to the server with the longest name that fits.
    let is_of = |key: &str, name: &str| key.starts_with(name) || key.trim_end_matches('*') == bare(name);
    let longest = |key: &str| names.iter().filter(|name| is_of(key, name)).map(String::len).max().unwrap_or_default();
    let lengths: Vec<usize> = tools.entries.iter().map(|(key, ..)| longest(key)).collect();
    for (server, prefix) in imported.servers.iter_mut().zip(&names) {
        let mut switches = Switches::default();
        for ((key, span, node), length) in tools.entries.iter().zip(&lengths) {
            let Value::Bool(flag, _) = node.value else { continue };
            if *length > prefix.len() {
                continue;
            }
            if !switches.read(key, prefix, flag) {
                let reason = "a filter of the gateway has names only";
                imported.remarks.push(Remark::lost(*span, &format!("tools.{key}"), reason));
            }
        }
        switches.apply(server);
    }
}

/// Returns the text with which the names of a server's tools begin.
fn prefix(server: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    server.chars().map(letter).chain(['_']).collect()
}

/// Returns the prefix without the letter that separates it from a tool's own name.
fn bare(prefix: &str) -> &str {
    prefix.strip_suffix('_').unwrap_or(prefix)
}

impl Switches {
    /// Reads a switch; returns false if it cannot be kept.
    fn read(&mut self, key: &str, prefix: &str, flag: bool) -> bool {
        if key.ends_with('*') && (glob::fits(key, prefix) || key.trim_end_matches('*') == bare(prefix)) {
            self.is_off = !flag;
            self.on.clear();
            return true;
        }
        match key.strip_prefix(prefix) {
            Some(_) if glob::is_pattern(key) => false,
            Some(tool) => {
                self.on.retain(|name| name != tool);
                self.off.retain(|name| name != tool);
                let list = if flag { &mut self.on } else { &mut self.off };
                list.push(tool.to_owned());
                true
            }
            // A switch of another tool, unless its wildcard may stand for the prefix.
            None => {
                let head = key.split(['*', '?']).next().unwrap_or_default();
                !(glob::is_pattern(key) && prefix.starts_with(head))
            }
        }
    }

    fn apply(self, server: &mut Server) {
        match (self.is_off, self.on.is_empty()) {
            (true, true) => server.is_disabled = true,
            (true, false) => server.allow = Some(self.on),
            (false, _) => server.deny.extend(self.off),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn opencode_jsonc() {
        let text = r#"{
          "$schema": "https://opencode.ai/config.json",
          "mcp": {
            "every": {"type": "local", "command": ["npx", "-y", "demo"], "environment": {"A": "1"}, "timeout": 8000},
            "jira": {"type": "remote", "url": "https://jira.example.org/mcp", "enabled": false, "oauth": false,
                     "headers": {"Authorization": "Bearer {env:JIRA}"}}, // trailing comma
          },
          "tools": {"every_add": false},
        }"#;
        check(
            "opencode",
            text,
            "every stdio npx -y demo [A=1] call 8s deny add; \
             jira auto https://jira.example.org/mcp [Authorization: Bearer ${JIRA}] disabled",
        );
        check_remarks(text, &[]);
    }

    #[test]
    fn tools_by_wildcards() {
        let text = r#"{"mcp": {"a": {"type": "local", "command": ["a"]}, "a b": {"type": "local", "command": ["b"]},
            "c": {"type": "local", "command": ["{file:c}"]}, "d": {"type": "local", "command": ["d"]}},
            "tools": {"a_b*": false, "a_b_x": true, "c_*": false, "d_x*": false, "bash": false, "a_y": false}}"#;
        check("opencode", text, "a stdio a deny y; a b stdio b allow x; c stdio ${file:c} disabled; d stdio d");
        check_remarks(text, &["3: `tools.d_x*` has no effect: a filter of the gateway has names only"]);
    }

    #[test]
    fn a_wildcard_for_all_servers_is_told() {
        let text = r#"{"mcp": {"a": {"type": "local", "command": ["a"]}}, "tools": {"*_add": false}}"#;
        check("opencode", text, "a stdio a");
        check_remarks(text, &["1: `tools.*_add` has no effect: a filter of the gateway has names only"]);
    }
}
