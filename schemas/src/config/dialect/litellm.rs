//! LiteLLM: `config.yaml` with `mcp_servers`; also Hermes and others with that root in YAML or JSON.

use crate::config::fields::{Rules, Unit, UrlAlone, add_header, texts};
use crate::config::format::{Dialect, MCP_SERVERS, Reading};
use crate::config::pattern::{Notation, Pattern};
use crate::document::Syntax;

const ROOT: &str = "mcp_servers";
const NOTATION: Notation = Notation::OS_ENVIRON.with(Notation::BRACES);

pub(super) const DIALECT: Dialect = Dialect {
    id: "litellm",
    programs: "LiteLLM, Hermes and others",
    roots: &[ROOT],
    evidence: |file| {
        let servers = file.map(&[ROOT]).filter(|_| file.syntax != Syntax::Toml);
        servers.map(|_| format!("`{ROOT}`"))
    },
    servers: |file, entries| entries.named(file.map(&[ROOT])),
    rules: Rules { transport: &["transport", "type"], ..Rules::new(UrlAlone::Auto, Unit::Seconds, NOTATION) },
    finish,
    ..MCP_SERVERS
};

fn finish(reading: &mut Reading<'_, '_>) {
    let entry = reading.entry;
    if let Some(way) = entry.literal("auth_type") {
        credentials(reading, way);
    }
    // Hermes has the tools to offer in a mapping.
    if let Some(tools) = reading.map("tools") {
        let mut names = |key: &str| {
            let node = tools.get(key)?;
            // One name may stand without a list.
            let path = format!("`tools.{key}` of `{}`", entry.name);
            let one = node.as_text().map(|text| vec![text.text.clone()]);
            one.or_else(|| texts(&path, node, reading.remarks)).filter(|names| !names.is_empty())
        };
        let (include, exclude) = (names("include"), names("exclude"));
        reading.server.allow = include.or(reading.server.allow.take());
        reading.server.deny.extend(exclude.unwrap_or_default());
    }
}

/// Reads the credentials in the way that the entry names. A bearer token has been read already.
fn credentials(reading: &mut Reading<'_, '_>, way: &str) {
    let token = ["authentication_token", "auth_value"].iter().find_map(|key| reading.entry.literal(key));
    let Some(token) = token else { return };
    let token = Pattern::parse(token, NOTATION);
    let bearer = token.clone().prefixed("Bearer ");
    let is_bearer = |name: &str, value: &Pattern| name.eq_ignore_ascii_case("Authorization") && *value == bearer;
    let (header, value) = match way {
        "bearer_token" => ("Authorization", bearer.clone()),
        "api_key" => ("X-API-Key", token),
        "authorization" => ("Authorization", token),
        _ => {
            // The token means something else, and must not be sent as a bearer token.
            reading.server.headers.retain(|name, value| !is_bearer(name, value));
            return;
        }
    };
    reading.server.headers.retain(|name, value| !is_bearer(name, value));
    add_header(reading.server, header, value);
    reading.used.add(&["auth_type", "auth_value"]);
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn config_yaml() {
        let text = r#"
model_list: [{model_name: m, litellm_params: {model: demo/m}}]
mcp_servers:
  z: {url: "https://z.example.org/sse", transport: sse}
  gh: {url: "https://gh.example.org/mcp", transport: http, auth_type: bearer_token, authentication_token: os.environ/GH, static_headers: {X: y}, allowed_tools: [list]}
  loc: {transport: stdio, command: npx, args: [-y, demo], env: {A: "1"}}
"#;
        check(
            "litellm",
            text,
            "z sse https://z.example.org/sse; \
             gh http https://gh.example.org/mcp [X: y, Authorization: Bearer ${GH}] allow list; \
             loc stdio npx -y demo [A=1]",
        );
        check_remarks(text, &[]);
    }

    #[test]
    fn other_credentials() {
        let text = "mcp_servers:\n  \
            a: {url: 'http://a.test', auth_type: api_key, authentication_token: k, extra_headers: [x]}\n  \
            b: {url: 'http://b.test', auth_type: oauth2, authentication_token: k, disallowed_tools: [rm]}\n  \
            c: {url: 'http://c.test', auth_type: authorization, auth_value: Token k}\n";
        check(
            "litellm",
            text,
            "a auto http://a.test [X-API-Key: k]; b auto http://b.test deny rm; \
             c auto http://c.test [Authorization: Token k]",
        );
        check_remarks(
            text,
            &[
                "2: `a.extra_headers` has no effect: the gateway sends every user's requests with the headers of the \
                 definition",
                "3: `b.auth_type` has no effect: a login in a browser and its tokens belong to the program; \
                 give the gateway a token in `headers`",
            ],
        );
    }

    #[test]
    fn servers_of_hermes() {
        let text = "mcp_servers:\n  a: {command: a, timeout: 120, connect_timeout: 60, enabled: false, \
            tools: {include: [x], exclude: y, prompts: false}}\n";
        check("litellm", text, "a stdio a connect 60s call 120s allow x deny y disabled");
    }
}
