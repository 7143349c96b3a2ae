//! Codex: `config.toml` with `[mcp_servers.NAME]`; Mistral Vibe, whose `[[mcp_servers]]` have a `name`.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS};
use crate::config::pattern::Notation;
use crate::document::{Syntax, Value};

const ROOT: &str = "mcp_servers";

pub(super) const DIALECT: Dialect = Dialect {
    id: "codex",
    programs: "Codex, Mistral Vibe",
    roots: &[ROOT],
    evidence: |file| {
        let servers = file.at(&[ROOT]).filter(|_| file.syntax == Syntax::Toml)?;
        matches!(servers.value, Value::Map(_) | Value::List(_)).then(|| format!("`{ROOT}` in TOML"))
    },
    servers: |file, entries| {
        entries.named(file.map(&[ROOT]));
        entries.listed(file.at(&[ROOT]), "name");
    },
    // `type` is no field of Codex; Vibe has `transport`.
    rules: Rules { transport: &["transport"], ..Rules::new(UrlAlone::Http, Unit::Millis, Notation::NONE) },
    finish: |reading| {
        if reading.entry.get("type").is_some() {
            reading.lose("type", "its program finds the transport by the other keys");
        }
        if reading.entry.get("tools").is_some_and(|tools| tools.as_map().is_some()) {
            reading.approval("tools");
        }
    },
    ..MCP_SERVERS
};

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    const TEXT: &str = r#"
model = "demo"
[mcp_servers.docs]
command = "npx"
args = ["-y", "demo-docs"]
env_vars = ["DOCS_KEY", { name = "REGION", source = "local" }]
startup_timeout_sec = 20
tool_timeout_sec = 90.5
enabled_tools = ["a", "b"]
disabled_tools = ["b"]
[mcp_servers.docs.env]
LOG = "1"
[mcp_servers.docs.tools.a]
approval_mode = "approve"
[mcp_servers.figma]
url = "https://figma.example.org/mcp"
bearer_token_env_var = "FIGMA"
http_headers = { "X-Region" = "eu" }
env_http_headers = { "X-Team" = "TEAM_ID" }
oauth = { client_id = "cid" }
[mcp_servers.off]
command = "off-mcp"
enabled = false
"#;

    #[test]
    fn config_toml() {
        check(
            "codex",
            TEXT,
            "docs stdio npx -y demo-docs [LOG=1, DOCS_KEY=${DOCS_KEY}, REGION=${REGION}] connect 20s call 90.5s \
             allow a,b deny b; figma http https://figma.example.org/mcp \
             [X-Region: eu, X-Team: ${TEAM_ID}, Authorization: Bearer ${FIGMA}]; off stdio off-mcp disabled",
        );
        check_remarks(
            TEXT,
            &[
                "13: `docs.tools` has no effect: it concerns questions to the program's user, which a gateway does not ask",
                "20: `figma.oauth` has no effect: a login in a browser and its tokens belong to the program; \
                 give the gateway a token in `headers`",
            ],
        );
    }

    #[test]
    fn a_helper_for_headers_is_not_run() {
        let text = "[mcp_servers.a]\nurl = \"https://a.test\"\nhttp_headers_helper = \"/bin/h\"\n";
        let reason = "`http_headers_helper` runs a command, which an import never does; give the gateway the headers";
        check("codex", text, &format!("a unsupported ({reason})"));
    }

    #[test]
    fn servers_in_a_list() {
        let text = "[[mcp_servers]]\nname = \"a\"\ntransport = \"stdio\"\ncommand = \"a-mcp\"\n";
        check("codex", text, "a stdio a-mcp");
    }

    #[test]
    fn a_type_is_no_field() {
        let text = "[mcp_servers.a]\ntype = \"sse\"\nurl = \"https://a.test/sse\"\nstartup_timeout_ms = 500\n\
            startup_timeout_sec = 2\nrequired = true\n";
        check("codex", text, "a http https://a.test/sse connect 2s");
        check_remarks(
            text,
            &[
                "2: `a.type` has no effect: its program finds the transport by the other keys",
                "6: `a.required` has no effect: the gateway supervises its servers by its own rules",
            ],
        );
    }
}
