//! Cline: `cline_mcp_settings.json`, with fields beside each other or below `transport`.

use std::time::Duration;

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS, Reading};
use crate::config::pattern::Notation;
use crate::document::{Map, Node};

pub(super) const DIALECT: Dialect = Dialect {
    id: "cline",
    programs: "Cline",
    evidence: |file| {
        let is_nested = |map: &Map| map.get("transport").and_then(Node::as_map).is_some();
        let is_spelled = |map: &Map| map.get("type").and_then(Node::literal) == Some("streamableHttp");
        let nested = file.has_entry(is_nested).then(|| "`transport`, a mapping".to_owned());
        let spelled = || file.has_entry(is_spelled).then(|| "type `streamableHttp`".to_owned());
        nested.or_else(spelled).or_else(|| file.entry_key(&["transportType", "oauthClient"]))
    },
    servers: |file, entries| {
        entries.named(file.family);
        entries.within("transport");
    },
    rules: Rules::new(UrlAlone::Sse, Unit::Seconds, Notation::ENV),
    finish,
    ..MCP_SERVERS
};

/// Keeps the time limit within that of the program.
pub(super) fn finish(reading: &mut Reading<'_, '_>) {
    let limits = (Duration::from_secs(1), Duration::from_secs(3_600));
    reading.server.call_timeout = reading.server.call_timeout.map(|limit| limit.clamp(limits.0, limits.1));
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn cline_mcp_settings_json() {
        let text = r#"{"mcpServers": {
            "loc": {"command": "node", "args": ["s.js"], "env": {"K": "${env:K}"}, "timeout": 120, "autoApprove": ["read"], "disabled": false},
            "rem": {"type": "streamableHttp", "url": "https://rem.example.org/mcp"},
            "nest": {"transport": {"type": "streamableHttp", "url": "https://nest.example.org/mcp"}, "disabled": true,
                     "oauthClient": {"clientId": "cid"}, "oauth": {"tokens": {"access_token": "saved-state"}}},
            "old": {"url": "https://old.example.org/sse"}}}"#;
        check(
            "cline",
            text,
            "loc stdio node s.js [K=${K}] call 120s; rem http https://rem.example.org/mcp; \
             nest http https://nest.example.org/mcp disabled; old sse https://old.example.org/sse",
        );
        check_remarks(
            text,
            &[
                "2: `loc.autoApprove` has no effect: it concerns questions to the program's user, \
                 which a gateway does not ask",
                "5: `nest.oauthClient`, `nest.oauth` have no effect: a login in a browser and its tokens belong to the \
                 program; give the gateway a token in `headers`",
            ],
        );
    }

    #[test]
    fn the_old_word_for_the_transport() {
        let text = r#"{"mcpServers": {"a": {"transportType": "http", "url": "https://a.test", "timeout": 9999},
            "b": {"transport": {"type": "stdio", "command": "b", "args": ["${env: B }"], "env": {"X": "1"}}, "autoApprove": []}}}"#;
        check("cline", text, "a http https://a.test call 3600s; b stdio b ${B} [X=1]");
        check_remarks(text, &[]);
    }
}
