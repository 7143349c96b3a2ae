//! TBXark/mcp-proxy, first version: `config.json` with `server` and `clients`.

use crate::config::dialect::settings::{self, Form};
use crate::config::dialect::tbxark;
use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, File, Imported, MCP_SERVERS};
use crate::config::pattern::Notation;
use crate::document::Node;

pub(super) const DIALECT: Dialect = Dialect {
    id: "tbxark-v1",
    programs: "TBXark/mcp-proxy, first version",
    roots: &["clients", "server"],
    evidence: |file| {
        let is_client = |node: &Node| node.get("config").is_some();
        let clients = file.map(&["clients"]).filter(|_| file.map(&["server"]).is_some())?;
        clients.entries.iter().all(|(.., node)| is_client(node)).then(|| "`server` and `clients`".to_owned())
    },
    servers: |file, entries| {
        entries.named(file.map(&["clients"]));
        entries.within("config");
    },
    rules: Rules { transport: &["type"], ..Rules::new(UrlAlone::Sse, Unit::Nanos, Notation::DOLLAR) },
    finish: tbxark::options,
    whole,
    ..MCP_SERVERS
};

fn whole(file: &File<'_>, imported: &mut Imported) {
    let Some(server) = file.map(&["server"]) else { return };
    tbxark::address("server", server, imported);
    if let Some(tokens) = server.get("globalAuthTokens") {
        let setting = ("global-auth-tokens", Form::List);
        settings::add(imported, setting, "server.globalAuthTokens", tokens, Notation::DOLLAR);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks, check_settings};

    #[test]
    fn config_json() {
        let text = r#"{"server": {"baseURL": "https://p.example.org", "addr": ":9090", "name": "P", "version": "1",
                "globalAuthTokens": ["t"]},
            "clients": {"o": {"type": "stdio", "config": {"command": "o-mcp", "args": []}},
                "p": {"type": "sse", "config": {"url": "https://p2.example.org/sse"}}}}"#;
        check("tbxark-v1", text, "o stdio o-mcp; p sse https://p2.example.org/sse");
        check_settings(text, "base-url https://p.example.org; port 9090; global-auth-tokens t");
        check_remarks(
            text,
            &["1: `server.addr` names no host: its program listens on all addresses, the gateway does not \
               (set `host` to `0.0.0.0` for that)"],
        );
    }

    #[test]
    fn tokens_and_other_options() {
        let text = r#"{"server": {"globalAuthTokens": ["$T"]}, "clients": {"a": {"type": "streamable-http",
            "config": {"url": "http://a.test"}, "panicIfInvalid": true, "logEnabled": true, "authTokens": ["x"]}}}"#;
        check("tbxark-v1", text, "a http http://a.test tokens x logged");
        check_settings(text, "");
        check_remarks(
            text,
            &[
                "1: `server.globalAuthTokens` holds a variable, and the settings of this file are taken as they are \
                 (set `global-auth-tokens` by its flag or its environment variable)",
                "2: `a.panicIfInvalid` has no effect: the gateway supervises its servers by its own rules",
            ],
        );
    }
}
