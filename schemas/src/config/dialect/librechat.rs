//! LibreChat: `librechat.yaml` with `mcpServers`.

use crate::config::fields::{Rules, Unit, UrlAlone, add_header};
use crate::config::format::{Dialect, MCP_SERVERS, Reading};
use crate::config::pattern::{Notation, Pattern};
use crate::document::{Node, Syntax};

const NOTATION: Notation = Notation::BRACES.with(Notation::MUSTACHE);

pub(super) const DIALECT: Dialect = Dialect {
    id: "librechat",
    programs: "LibreChat",
    evidence: |file| file.family.filter(|_| file.syntax == Syntax::Yaml).map(|_| "its YAML".to_owned()),
    rules: Rules { process: Notation::NONE, ..Rules::new(UrlAlone::Sse, Unit::Millis, NOTATION) },
    finish,
    ..MCP_SERVERS
};

/// Reads the key that the administrator gives for all users.
fn finish(reading: &mut Reading<'_, '_>) {
    let Some(key) = reading.map("apiKey") else { return };
    let text = |name: &str| key.get(name).and_then(Node::literal);
    let Some(token) = text("key").filter(|_| text("source") != Some("user")) else {
        reading.lose("apiKey", "every user of the program has a key of their own");
        return;
    };
    let token = Pattern::parse(token, NOTATION);
    let (header, value) = match text("authorization_type") {
        Some("basic") => ("Authorization", token.prefixed("Basic ")),
        Some("custom") => (text("custom_header").unwrap_or("X-Api-Key"), token),
        _ => ("Authorization", token.prefixed("Bearer ")),
    };
    add_header(reading.server, header, value);
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn librechat_yaml() {
        let text = r#"
version: 1.2.8
mcpServers:
  fs: {command: npx, args: [-y, demo-fs], env: {K: "${FS_KEY}"}, timeout: 60000}
  a: {url: "http://localhost:3001/sse", headers: {X-User: "{{LIBRECHAT_USER_ID}}"}}
  b: {type: streamable-http, url: "https://b.example.org/mcp", initTimeout: 10000, startup: false, oauth: {client_id: cid, scope: "r w"}}
  c: {url: "wss://c.example.org/mcp"}
"#;
        check(
            "librechat",
            text,
            "fs stdio npx -y demo-fs [K=${FS_KEY}] call 60s; a sse http://localhost:3001/sse \
             [X-User: <refused: only the program itself can fill in `{{LIBRECHAT_USER_ID}}`>]; \
             b http https://b.example.org/mcp connect 10s; c unsupported (WebSocket is no transport of MCP)",
        );
        check_remarks(
            text,
            &[
                "6: `b.startup` has no effect: the gateway supervises its servers by its own rules",
                "6: `b.oauth` has no effect: a login in a browser and its tokens belong to the program; \
                 give the gateway a token in `headers`",
            ],
        );
    }

    #[test]
    fn keys_of_the_administrator_and_of_users() {
        let text = "mcpServers:\n  \
            a: {url: 'http://a.test', apiKey: {source: admin, authorization_type: custom, custom_header: K, key: '${A}'}}\n  \
            b: {url: 'http://b.test', apiKey: {source: user}, customUserVars: {X: {title: x}}, sseReadTimeout: 1}\n  \
            c: {command: c, args: ['${C}']}\n";
        check("librechat", text, "a sse http://a.test [K: ${A}]; b sse http://b.test; c stdio c $${C}");
        check_remarks(
            text,
            &[
                "3: `b.apiKey` has no effect: every user of the program has a key of their own",
                "3: `b.customUserVars` has no effect: the gateway sends every user's requests with the headers of the \
                 definition",
                "3: `b.sseReadTimeout` has no effect: the gateway supervises its servers by its own rules",
            ],
        );
    }
}
