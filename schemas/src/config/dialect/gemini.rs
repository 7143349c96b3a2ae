//! Gemini CLI: `settings.json` with `mcpServers`, and rules for all servers at `mcp`.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, File, Imported, MCP_SERVERS, Reading};
use crate::config::glob;
use crate::config::pattern::{Notation, Pattern};
use crate::config::server::Kind;

pub(super) const DIALECT: Dialect = Dialect {
    id: "gemini",
    programs: "Gemini CLI",
    evidence: |file| {
        let keys = ["httpUrl", "includeTools", "excludeTools", "trust", "authProviderType", "tcp"];
        let has_list = |key: &str| !file.is_bare() && file.family.is_some() && file.list(&["mcp", key]).is_some();
        let beside = || ["allowed", "excluded"].into_iter().find(|key| has_list(key));
        file.entry_key(&keys).or_else(|| beside().map(|key| format!("`mcp.{key}`")))
    },
    rules: Rules::new(UrlAlone::Http, Unit::Millis, Notation::DOLLAR),
    finish,
    whole,
    ..MCP_SERVERS
};

/// Prefers `httpUrl` to `url`.
pub(super) fn finish(reading: &mut Reading<'_, '_>) {
    if let Some(url) = reading.entry.literal("httpUrl").filter(|_| reading.server.kind != Kind::Stdio) {
        reading.server.url = Pattern::parse(url, Notation::DOLLAR);
        reading.server.kind = Kind::Http;
    }
}

/// Reads which servers are switched off; of the two programs one has wildcards.
pub(super) fn whole(file: &File<'_>, imported: &mut Imported) {
    let fits = |names: &[String], name: &str| names.iter().any(|pattern| glob::fits(pattern, name));
    let excluded = file.texts(&["mcp", "excluded"], imported).unwrap_or_default();
    let allowed = file.texts(&["mcp", "allowed"], imported);
    for server in &mut imported.servers {
        let is_allowed = allowed.as_ref().is_none_or(|allowed| fits(allowed, &server.name));
        server.is_disabled |= fits(&excluded, &server.name) || !is_allowed;
    }
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn settings_json() {
        let text = r#"{ // settings of the whole program
            "ui": {"theme": "x"}, "mcp": {"excluded": ["skip"]},
            "mcpServers": {
              "py": {"command": "python", "args": ["-m", "srv"], "cwd": "./srv", "env": {"KEY": "$PY_KEY"}, "timeout": 30000, "trust": false},
              "web": {"url": "https://web.example.org/mcp", "includeTools": ["get", "wipe"], "excludeTools": ["wipe"]},
              "old": {"url": "https://old.example.org/sse", "type": "sse"},
              "skip": {"httpUrl": "https://skip.example.org/mcp"}}}"#;
        check(
            "gemini",
            text,
            "py stdio python -m srv [KEY=${PY_KEY}] cwd ./srv call 30s; \
             web http https://web.example.org/mcp allow get,wipe deny wipe; old sse https://old.example.org/sse; \
             skip http https://skip.example.org/mcp disabled",
        );
        check_remarks(text, &[]);
    }

    #[test]
    fn servers_that_are_not_allowed() {
        let text = r#"{"mcp": {"allowed": ["a"]}, "mcpServers": {
            "a": {"url": "https://a.test/sse", "httpUrl": "https://a.test/mcp", "trust": true},
            "b": {"command": "${B:-b}", "authProviderType": "google_credentials"}}}"#;
        check("gemini", text, "a http https://a.test/mcp; b stdio ${B:-b} disabled");
        check_remarks(
            text,
            &[
                "2: `a.trust` has no effect: it concerns questions to the program's user, which a gateway does not ask",
                "3: `b.authProviderType` has no effect: a login in a browser and its tokens belong to the program; \
                 give the gateway a token in `headers`",
            ],
        );
    }
}
