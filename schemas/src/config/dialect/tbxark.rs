//! TBXark/mcp-proxy: `config.json` with `mcpProxy` and `mcpServers`; also servers of such a file alone.

use crate::config::dialect::settings::{self, Form};
use crate::config::fields::{Rules, Unit, UrlAlone, texts};
use crate::config::format::{Dialect, File, Imported, MCP_SERVERS, Reading};
use crate::config::pattern::{Notation, Pattern};
use crate::config::remark::Remark;
use crate::config::server::Kind;
use crate::document::{Map, Node, Value};

pub(super) const DIALECT: Dialect = Dialect {
    id: "tbxark",
    programs: "TBXark/mcp-proxy",
    roots: &["mcpServers", "mcpProxy"],
    evidence: |file| file.map(&["mcpProxy"]).map(|_| "`mcpProxy`".to_owned()),
    servers: |file, entries| {
        entries.named(file.family);
        entries.within("options");
    },
    rules: Rules {
        transport: &["transportType"],
        command_wins: true,
        ..Rules::new(UrlAlone::Sse, Unit::Nanos, Notation::DOLLAR)
    },
    finish,
    whole,
    ..MCP_SERVERS
};

/// Servers with this program's word for their transport.
pub(super) const TYPED: Dialect = Dialect {
    evidence: |file| {
        let is_typed = |map: &Map| map.get("transportType").and_then(Node::literal) == Some("streamable-http");
        file.has_entry(is_typed).then(|| "`transportType`".to_owned())
    },
    ..DIALECT
};

/// Servers with this program's `options`.
pub(super) const FRAGMENT: Dialect = Dialect {
    evidence: |file| {
        let is_own = |node: &Node| node.get("panicIfInvalid").is_some() || node.get("toolFilter").is_some();
        file.has_entry(|map| map.get("options").is_some_and(is_own)).then(|| "`options`".to_owned())
    },
    ..DIALECT
};

fn finish(reading: &mut Reading<'_, '_>) {
    if reading.entry.get("type").is_some() {
        reading.lose("type", "its program reads `transportType` only");
    }
    if reading.server.call_timeout.is_some() && reading.server.kind != Kind::Http {
        reading.server.call_timeout = None;
        reading.lose("timeout", "its program reads it for Streamable HTTP only");
    }
    options(reading);
    let Some(filter) = reading.map("toolFilter") else { return };
    let path = format!("`toolFilter.list` of `{}`", reading.server.name);
    let names = filter.get("list").and_then(|node| texts(&path, node, reading.remarks));
    match (filter.get("mode").and_then(Node::literal).map(str::to_lowercase).as_deref(), names) {
        (Some("allow"), Some(names)) => reading.server.allow = Some(names),
        (Some("block"), Some(names)) => reading.server.deny = names,
        _ => {
            let message =
                format!("`toolFilter` of `{}` needs a mode, `allow` or `block`, and a list", reading.server.name);
            reading.remarks.push(Remark::error(reading.entry.span, message));
        }
    }
}

/// Reads who may use a server, and whether it is logged.
pub(super) fn options(reading: &mut Reading<'_, '_>) {
    reading.server.auth_tokens = tokens(reading.texts("authTokens"));
    reading.used.add(&["logEnabled"]);
    reading.server.log_enabled = is_true(reading.entry.get("logEnabled"));
}

fn tokens(texts: Option<Vec<String>>) -> Vec<Pattern> {
    texts.unwrap_or_default().iter().map(|token| Pattern::parse(token, Notation::DOLLAR)).collect()
}

fn is_true(node: Option<&Node>) -> bool {
    matches!(node.map(|node| &node.value), Some(Value::Bool(true, _)))
}

fn whole(file: &File<'_>, imported: &mut Imported) {
    let Some(proxy) = file.map(&["mcpProxy"]) else { return };
    address("mcpProxy", proxy, imported);
    let Some(options) = proxy.get("options").and_then(Node::as_map) else { return };
    let tokens = tokens(file.texts(&["mcpProxy", "options", "authTokens"], imported));
    for server in &mut imported.servers {
        let own = |key: &str| file.family.and_then(|map| map.get(&server.name)?.get("options")?.get(key));
        if own("authTokens").is_none_or(|node| matches!(node.value, Value::Null)) {
            server.auth_tokens.clone_from(&tokens);
        }
        if own("logEnabled").is_none() {
            server.log_enabled = is_true(options.get("logEnabled"));
        }
    }
    for key in ["toolFilter", "disabled"] {
        if let Some(span) = options.key_span(key) {
            let reason = "its program does not pass it on to the servers";
            imported.remarks.push(Remark::lost(span, &format!("mcpProxy.options.{key}"), reason));
        }
    }
}

/// Reads the addresses of the proxy.
pub(super) fn address(path: &str, proxy: &Map, imported: &mut Imported) {
    if let Some(url) = proxy.get("baseURL") {
        settings::add(imported, ("base-url", Form::Text), &format!("{path}.baseURL"), url, Notation::DOLLAR);
    }
    let Some(node) = proxy.get("addr") else { return };
    let Some((host, port)) = node.literal().and_then(|address| address.rsplit_once(':')) else {
        imported.remarks.push(Remark::error(node.head(), format!("`{path}.addr` is not an address with a port")));
        return;
    };
    let part = |text: &str| Node { span: node.span, ..Node::text(text) };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        let message =
            format!("`{path}.addr` names no host: its program listens on all addresses, the gateway does not");
        imported.remarks.push(Remark::note(node.head(), message).hint("set `host` to `0.0.0.0` for that"));
    }
    let path = format!("{path}.addr");
    settings::add(imported, ("host", Form::Text), &path, &part(host), Notation::DOLLAR);
    settings::add(imported, ("port", Form::Text), &path, &part(port), Notation::DOLLAR);
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks, check_settings};

    const TEXT: &str = r#"{"mcpProxy": {"baseURL": "https://p.example.org", "addr": ":9090", "name": "P", "version": "1",
            "type": "streamable-http", "options": {"authTokens": ["t"]}},
        "mcpServers": {"gh": {"command": "npx", "args": ["demo"],
            "options": {"toolFilter": {"mode": "block", "list": ["rm"]}}},
        "amap": {"url": "https://amap.example.org/sse", "options": {"disabled": true}},
        "st": {"transportType": "streamable-http", "url": "https://st.example.org/mcp", "timeout": 30000000000},
        "trap": {"type": "http", "url": "https://trap.example.org/mcp"}}}"#;

    #[test]
    fn config_json_with_nanoseconds_and_an_unread_type() {
        check(
            "tbxark",
            TEXT,
            "gh stdio npx demo deny rm tokens t; amap sse https://amap.example.org/sse tokens t disabled; \
             st http https://st.example.org/mcp call 30s tokens t; trap sse https://trap.example.org/mcp tokens t",
        );
        check_settings(TEXT, "base-url https://p.example.org; port 9090");
        check_remarks(
            TEXT,
            &[
                "1: `mcpProxy.addr` names no host: its program listens on all addresses, the gateway does not \
                 (set `host` to `0.0.0.0` for that)",
                "7: `trap.type` has no effect: its program reads `transportType` only",
            ],
        );
    }

    #[test]
    fn options_of_a_server_replace_those_of_the_proxy() {
        let text = r#"{"mcpProxy": {"addr": "127.0.0.1:80", "options": {"authTokens": ["$A"], "logEnabled": true,
                "toolFilter": {"mode": "allow", "list": ["x"]}}},
            "mcpServers": {"a": {"command": "a", "url": "http://a.test", "options": {"authTokens": ["b"]}},
            "b": {"url": "http://b.test", "timeout": 1, "options": {"authTokens": [], "logEnabled": false}}}}"#;
        check("tbxark", text, "a stdio a tokens b logged; b sse http://b.test");
        check_settings(text, "host 127.0.0.1; port 80");
        check_remarks(
            text,
            &[
                "2: `mcpProxy.options.toolFilter` has no effect: its program does not pass it on to the servers",
                "3: `a` has a command and a URL; the command is used",
                "4: `b.timeout` has no effect: its program reads it for Streamable HTTP only",
            ],
        );
    }

    #[test]
    fn servers_without_the_proxy() {
        let text = r#"{"mcpServers": {"a": {"url": "http://a.test/mcp", "transportType": "streamable-http"}}}"#;
        check("tbxark", text, "a http http://a.test/mcp");
        let text =
            r#"{"mcpServers": {"a": {"command": "a", "options": {"toolFilter": {"mode": "allow", "list": ["x"]}}}}}"#;
        check("tbxark", text, "a stdio a allow x");
    }
}
