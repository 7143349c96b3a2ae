//! Radium: `.radium/mcp-proxy.toml` with `[mcp.proxy]`. Its settings become those of the gateway.

use crate::config::dialect::settings::{self, Form};
use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, File, Imported, MCP_SERVERS, Reading};
use crate::config::pattern::Notation;
use crate::config::remark::Remark;
use crate::config::server::Setting;
use crate::document::{Map, Node, Number, Syntax, Value};

/// Radium's port, where its file names none.
const DEFAULT_PORT: &str = "3000";
/// Name of the gateway's setting for conflicts of names.
const CONFLICTS: &str = "conflict-strategy";

/// Keys of `[mcp.proxy.security]`, each with the reason why it has no effect.
const SECURITY: [(&str, &str); 4] = [
    ("rate_limit_per_minute", "the gateway does not limit rates yet"),
    ("log_requests", "the gateway logs calls at level debug, without arguments"),
    ("log_responses", "the gateway logs calls at level debug, without results"),
    ("redact_patterns", "the gateway masks secrets by the names of members"),
];

pub(super) const DIALECT: Dialect = Dialect {
    id: "radium",
    programs: "Radium",
    roots: &["mcp"],
    evidence: |file| proxy(file).filter(|_| file.syntax == Syntax::Toml).map(|_| "`mcp.proxy`".to_owned()),
    servers: |file, entries| entries.listed(file.at(&["mcp", "proxy", "upstreams"]), "name"),
    rules: Rules::new(UrlAlone::Http, Unit::Seconds, Notation::NONE),
    finish,
    whole,
    ..MCP_SERVERS
};

fn proxy<'f>(file: &File<'f>) -> Option<&'f Map> {
    file.map(&["mcp", "proxy"])
}

fn finish(reading: &mut Reading<'_, '_>) {
    reading.used.add(&["name", "priority", "health_check_interval"]);
    reading.server.allow = reading.texts("tools");
    let map = reading.entry.map;
    if let Some(priority) = map.get("priority") {
        match above_zero(priority) {
            Some(number) => reading.server.priority = u32::try_from(number).ok(),
            None => reading.remarks.push(Remark::error(priority.head(), "`priority` is a number above zero")),
        }
    }
    if let Some(interval) = map.get("health_check_interval") {
        match above_zero(interval) {
            Some(seconds) => reading.server.health_check_interval = Some(std::time::Duration::from_secs(seconds)),
            None => {
                let message = "`health_check_interval` is a number of seconds above zero";
                reading.remarks.push(Remark::error(interval.head(), message));
            }
        }
    }
}

fn above_zero(node: &Node) -> Option<u64> {
    match node.value {
        Value::Number(Number::Natural(number), _) if number > 0 => Some(number),
        _ => None,
    }
}

fn whole(file: &File<'_>, imported: &mut Imported) {
    const KNOWN: [&str; 7] =
        ["enable", "port", "transport", "max_connections", "conflict_strategy", "security", "upstreams"];
    let Some(proxy) = proxy(file) else { return };
    for (key, span, node) in &proxy.entries {
        let known = match key.as_str() {
            "port" => Some("port"),
            "max_connections" => Some("max-connections"),
            "conflict_strategy" => Some(CONFLICTS),
            "enable" | "transport" | "security" | "upstreams" => None,
            _ => {
                let unknown = Remark::warning(*span, format!("`mcp.proxy.{key}` is unknown and has no effect"));
                imported.remarks.push(unknown.did_you_mean(key, KNOWN));
                None
            }
        };
        if let Some(name) = known {
            settings::add(imported, (name, Form::Text), &format!("mcp.proxy.{key}"), node, Notation::NONE);
        }
    }
    for setting in imported.settings.iter_mut().filter(|setting| setting.name == CONFLICTS) {
        setting.values.iter_mut().for_each(|value| *value = spelled(value));
    }
    let span = file.at(&["mcp", "proxy"]).map(Node::head).unwrap_or_default();
    // Its tools have their own names, and those of several upstreams are one tool or in conflict.
    imported.settings.push(Setting { name: "naming-mode", values: vec!["on_conflict".to_owned()], span });
    if let Some(transport) = proxy.get("transport").filter(|it| !matches!(it.literal(), Some("sse" | "http"))) {
        let message = "`mcp.proxy.transport` is `sse` or `http`; the gateway serves both";
        imported.remarks.push(Remark::error(transport.head(), message));
    }
    let is_on = proxy.get("enable").is_some_and(|node| matches!(node.value, Value::Bool(true, _)));
    imported.is_switched_off = !is_on;
    if !is_on {
        let message =
            "`mcp.proxy.enable` is not true: `mcp-proxy start` does not start the gateway, `mcp-proxy serve` does";
        let at = proxy.get("enable").map_or(span, Node::head);
        imported.remarks.push(Remark::note(at, message));
    }
    if proxy.get("port").is_none() {
        imported.settings.push(Setting { name: "port", values: vec![DEFAULT_PORT.to_owned()], span });
    }
    for (key, span, _) in
        proxy.get("security").and_then(Node::as_map).map(|it| it.entries.as_slice()).unwrap_or_default()
    {
        let path = format!("mcp.proxy.security.{key}");
        let known = SECURITY.iter().find(|(known, _)| known == key);
        imported.remarks.push(match known {
            Some((_, reason)) => Remark::lost(*span, &path, reason),
            None => {
                let unknown = Remark::warning(*span, format!("`{path}` is unknown and has no effect"));
                unknown.did_you_mean(key, SECURITY.iter().map(|(known, _)| *known))
            }
        });
    }
}

/// Returns a strategy for conflicts in the spelling of the gateway.
fn spelled(value: &str) -> String {
    let plain: String = value.to_lowercase().chars().filter(|letter| *letter != '_').collect();
    match plain.as_str() {
        "autoprefix" => "auto_prefix".to_owned(),
        "priorityoverride" => "priority_override".to_owned(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};
    use crate::config::import;

    const TEXT: &str = r#"
[mcp.proxy]
enable = true
port = 3000
transport = "sse"
conflict_strategy = "AutoPrefix"
maxconnections = 5

[mcp.proxy.security]
rate_limit_per_minute = 30

[[mcp.proxy.upstreams]]
name = "primary"
transport = "http"
url = "http://127.0.0.1:9001/mcp"
priority = 1
health_check_interval = 60
tools = ["a"]

[[mcp.proxy.upstreams]]
name = "local"
transport = "stdio"
command = "demo"
args = ["--x"]
priority = 0
"#;

    #[test]
    fn upstreams_and_settings() {
        check(
            "radium",
            TEXT,
            "primary http http://127.0.0.1:9001/mcp allow a; local unsupported (`priority` is a number above zero)",
        );
        let imported = import(TEXT, "mcp-proxy");
        let settings: Vec<_> = imported.settings.iter().map(|it| (it.name, it.values.join(","))).collect();
        let expected = [("port", "3000"), ("conflict-strategy", "auto_prefix"), ("naming-mode", "on_conflict")];
        assert_eq!(settings, expected.map(|(name, value)| (name, value.to_owned())));
        assert_eq!(imported.servers[0].priority, Some(1));
        check_remarks(
            TEXT,
            &[
                "7: `mcp.proxy.maxconnections` is unknown and has no effect (did you mean `max_connections`?)",
                "10: `mcp.proxy.security.rate_limit_per_minute` has no effect: the gateway does not limit rates yet",
            ],
        );
    }
}
