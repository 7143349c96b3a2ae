//! Zed: `settings.json` with `context_servers`, whose keys alone tell the transport.

use crate::config::fields::{Rules, Unit, UrlAlone, time_limit};
use crate::config::format::{Dialect, File, Imported, MCP_SERVERS, Reading};
use crate::config::pattern::Notation;
use crate::config::remark::Remark;
use crate::config::server::Kind;

const ROOT: &str = "context_servers";

pub(super) const DIALECT: Dialect = Dialect {
    id: "zed",
    programs: "Zed",
    roots: &[ROOT],
    evidence: |file| file.map(&[ROOT]).map(|_| format!("`{ROOT}`")),
    servers: |file, entries| entries.named(file.map(&[ROOT])),
    rules: Rules { transport: &[], ..Rules::new(UrlAlone::Http, Unit::Seconds, Notation::NONE) },
    finish,
    whole,
    ..MCP_SERVERS
};

fn finish(reading: &mut Reading<'_, '_>) {
    if reading.entry.literal("source") == Some("custom") {
        reading.used.add(&["source"]);
    }
    let has_address = ["command", "url"].iter().any(|key| reading.entry.get(key).is_some());
    if !has_address {
        reading.server.kind = Kind::Unsupported("an extension of Zed provides it".to_owned());
    }
}

fn whole(file: &File<'_>, imported: &mut Imported) {
    if let Some(node) = file.at(&["context_server_timeout"])
        && let Some(limit) = time_limit("`context_server_timeout`", node, Unit::Seconds, &mut imported.remarks)
    {
        for server in &mut imported.servers {
            server.call_timeout.get_or_insert(limit);
        }
    }
    let profiles = file.map(&["agent", "profiles"]).map(|map| map.entries.as_slice()).unwrap_or_default();
    for (name, span, profile) in profiles {
        if profile.get(ROOT).is_some() {
            let path = format!("agent.profiles.{name}.{ROOT}");
            imported.remarks.push(Remark::lost(*span, &path, "the gateway has no profiles of tools"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn settings_json() {
        let text = r#"{"theme": "One", "context_server_timeout": 60, "context_servers": {
            "loc": {"command": "loc-mcp", "args": ["--x"], "env": {}, "timeout": 30},
            "rem": {"enabled": false, "url": "https://rem.example.org/mcp", "headers": {"A": "b"},
                    "oauth": {"client_id": "cid"}},
            "ext": {"settings": {"token": "x"}},
            "nested": {"source": "custom", "command": {"path": "n-mcp", "args": ["-v"], "env": {"N": "1"}}}}}"#;
        check(
            "zed",
            text,
            "loc stdio loc-mcp --x call 30s; rem http https://rem.example.org/mcp [A: b] call 60s disabled; \
             ext unsupported (an extension of Zed provides it); nested stdio n-mcp -v [N=1] call 60s",
        );
        check_remarks(
            text,
            &["4: `rem.oauth` has no effect: a login in a browser and its tokens belong to the program; \
               give the gateway a token in `headers`"],
        );
    }

    #[test]
    fn a_type_is_not_read_and_profiles_are_told() {
        let text = r#"{"agent": {"profiles": {"write": {"context_servers": {"a": {"tools": {"x": true}}}}}},
            "context_servers": {"a": {"type": "sse", "url": "https://a.example.org/mcp"}}}"#;
        check("zed", text, "a http https://a.example.org/mcp");
        check_remarks(
            text,
            &[
                "1: `agent.profiles.write.context_servers` has no effect: the gateway has no profiles of tools",
                "2: `a.type` has no effect: it has no meaning for a gateway",
            ],
        );
    }
}
