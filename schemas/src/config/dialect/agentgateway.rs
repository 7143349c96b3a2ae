//! agentgateway: targets of MCP backends, below `binds` or `mcp`.

use crate::config::entry::Entries;
use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, File, Imported, MCP_SERVERS, Reading};
use crate::config::pattern::{Notation, Pattern};
use crate::config::remark::Remark;
use crate::config::server::Kind;
use crate::document::{Map, Node};

const AUTHORIZATION: &str = "mcpAuthorization";

pub(super) const DIALECT: Dialect = Dialect {
    id: "agentgateway",
    programs: "agentgateway",
    roots: &["binds", "mcp"],
    evidence: |file| {
        let binds = file.list(&["binds"]).map(|_| "`binds`");
        binds.or_else(|| file.list(&["mcp", "targets"]).map(|_| "`mcp.targets`")).map(str::to_owned)
    },
    servers,
    rules: Rules { transport: &[], ..Rules::new(UrlAlone::Http, Unit::Guessed, Notation::NONE) },
    finish,
    whole,
    ..MCP_SERVERS
};

fn servers<'f>(file: &File<'f>, entries: &mut Entries<'f>) {
    for backend in backends(file) {
        entries.listed(backend.get("targets"), "name");
    }
    for key in ["stdio", "mcp", "sse"] {
        entries.within(key);
    }
}

/// Returns the mappings with `targets`.
fn backends<'f>(file: &File<'f>) -> Vec<&'f Map> {
    let below = |nodes: Vec<&'f Node>, key: &str| -> Vec<&'f Node> {
        nodes.into_iter().filter_map(|node| node.get(key)).flat_map(Node::items).collect()
    };
    let binds: Vec<&Node> = file.list(&["binds"]).unwrap_or_default().iter().collect();
    let routed = below(below(below(binds, "listeners"), "routes"), "backends");
    let routed = routed.into_iter().filter_map(|node| node.get("mcp")?.as_map());
    routed.chain(file.map(&["mcp"])).collect()
}

fn finish(reading: &mut Reading<'_, '_>) {
    reading.used.add(&["host", "port", "path", "backend"]);
    let entry = reading.entry;
    let kind = match entry.inner.first() {
        Some(("mcp", _)) => Kind::Http,
        Some(("sse", _)) => Kind::Sse,
        Some(_) => return,
        None => {
            let word = entry.map.entries.iter().map(|(key, ..)| key.as_str()).find(|key| *key != "name");
            let word = word.unwrap_or("none");
            reading.server.kind = Kind::Unsupported(format!("transport `{word}` exists only in that program"));
            return;
        }
    };
    match entry.literal("host") {
        Some(host) => {
            reading.server.url = Pattern::literal(url(host, entry.literal("port"), entry.literal("path")));
            reading.server.kind = kind;
        }
        None => {
            let reason = "it refers to a backend elsewhere in the file; give the gateway its URL";
            reading.server.kind = Kind::Unsupported(reason.to_owned());
        }
    }
}

/// Returns the URL of a target, whose host may be a whole URL.
fn url(host: &str, port: Option<&str>, path: Option<&str>) -> String {
    let path = path.map(|path| if path.starts_with('/') { path.to_owned() } else { format!("/{path}") });
    let path = path.unwrap_or_default();
    match (host.contains("://"), port) {
        (true, _) => format!("{}{path}", if path.is_empty() { host } else { host.trim_end_matches('/') }),
        (false, Some("443")) => format!("https://{host}{path}"),
        (false, Some(port)) => format!("http://{host}:{port}{path}"),
        (false, None) => format!("http://{host}{path}"),
    }
}

fn whole(file: &File<'_>, imported: &mut Imported) {
    // Rules stand at a backend, or at a route or listener above it.
    let mut open: Vec<&Node> = ["binds", "mcp"].iter().filter_map(|key| file.at(&[key])).collect();
    let mut found = Vec::new();
    while let Some(node) = open.pop() {
        open.extend(node.items());
        for (key, span, node) in node.as_map().map(|map| map.entries.as_slice()).unwrap_or_default() {
            if key == AUTHORIZATION { found.push(*span) } else { open.push(node) }
        }
    }
    let reason = "the gateway has no rules in CEL; use `authTokens` and `toolFilter` of a server's definition";
    imported.remarks.extend(found.into_iter().min().map(|span| Remark::lost(span, AUTHORIZATION, reason)));
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    const TEXT: &str = r#"
binds:
- port: 3000
  listeners:
  - routes:
    - backends:
      - mcp:
          targets:
          - {name: time, stdio: {cmd: uvx, args: [demo-time], env: {TZ: UTC}}}
          - {name: rem, mcp: {host: "https://rem.example.org/mcp"}}
          - {name: parts, mcp: {host: 10.0.0.5, port: 3001, path: /mcp}}
          - {name: old, sse: {host: "http://old.example.org/sse"}}
          - {name: api, openapi: {host: "localhost:8080", schema: {file: ./o.json}}}
"#;

    #[test]
    fn targets_of_binds() {
        check(
            "agentgateway",
            TEXT,
            "time stdio uvx demo-time [TZ=UTC]; rem http https://rem.example.org/mcp; \
             parts http http://10.0.0.5:3001/mcp; old sse http://old.example.org/sse; \
             api unsupported (transport `openapi` exists only in that program)",
        );
        check_remarks(TEXT, &[]);
    }

    #[test]
    fn targets_of_one_backend() {
        let text = "mcp:\n  mcpAuthorization: {rules: ['true']}\n  targets:\n  \
            - {name: a, mcp: {host: a.test, port: 443}}\n  - {name: b, mcp: {backend: x}}\n  \
            - {name: c, stdio: {cmd: c, clear_env: true}}\n";
        check(
            "agentgateway",
            text,
            "a http https://a.test; \
             b unsupported (it refers to a backend elsewhere in the file; give the gateway its URL); c stdio c",
        );
        check_remarks(
            text,
            &[
                "2: `mcpAuthorization` has no effect: the gateway has no rules in CEL; use `authTokens` and \
                 `toolFilter` of a server's definition",
                "6: `c.stdio.clear_env` has no effect: the gateway supervises its servers by its own rules",
            ],
        );
    }
}
