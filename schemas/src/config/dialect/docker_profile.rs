//! Docker's MCP Gateway: profile, whose `servers` are a list.

use crate::config::dialect::docker_catalog;
use crate::config::entry::{Entries, Entry, name_of};
use crate::config::fields::texts;
use crate::config::format::{Dialect, File, MCP_SERVERS, Reading};
use crate::config::remark::Remark;
use crate::config::server::Kind;
use crate::document::Node;

const ROOT: &str = "servers";

pub(super) const DIALECT: Dialect = Dialect {
    id: "docker-profile",
    programs: "Docker's MCP Gateway",
    roots: &[ROOT],
    evidence: |file| {
        let is_first_version = file.at(&["version"]).and_then(Node::literal) == Some("1");
        file.list(&[ROOT]).filter(|_| is_first_version).map(|_| format!("`{ROOT}`, a list"))
    },
    servers,
    rules: docker_catalog::RULES,
    finish,
    ..MCP_SERVERS
};

fn servers<'f>(file: &File<'f>, entries: &mut Entries<'f>) {
    for node in file.list(&[ROOT]).unwrap_or_default() {
        let Some(map) = node.as_map() else {
            entries.remarks.push(Remark::error(node.head(), "this is no server: it is not a mapping"));
            continue;
        };
        let snapshot = map.get("snapshot").and_then(|node| node.get("server")?.as_map());
        let named = [Some(map), snapshot].into_iter().flatten().find_map(|map| map.get("name")?.literal());
        let mut entry = Entry::new(named.map_or_else(|| name_of(map), str::to_owned), node.head(), map);
        if let Some(snapshot) = snapshot {
            entry.inner.push(("snapshot", snapshot));
            let remote = snapshot.get("remote").and_then(Node::as_map);
            entry.inner.extend(remote.map(|remote| ("remote", remote)));
        }
        entries.list.push(entry);
    }
}

fn finish(reading: &mut Reading<'_, '_>) {
    docker_catalog::finish(reading);
    let entry = reading.entry;
    let has_address = ["url", "endpoint", "sseEndpoint", "image"].iter().any(|key| entry.get(key).is_some());
    if !has_address {
        reading.server.kind = Kind::Unsupported("it is the name of a server in a registry".to_owned());
    }
    // The list of a snapshot only describes.
    if let Some(tools) = entry.map.get("tools") {
        let path = format!("`tools` of `{}`", entry.name);
        reading.server.allow = texts(&path, tools, reading.remarks);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn a_profile() {
        let text = r#"
version: 1
id: dev
name: Dev
servers:
  - {type: remote, endpoint: "https://r.example.org/mcp", tools: [x]}
  - {type: image, image: "mcp/i:1", config: {k: v}}
"#;
        check(
            "docker-profile",
            text,
            "r auto https://r.example.org/mcp allow x; i unsupported (it is the image `mcp/i:1`; \
             give the gateway a command, such as `docker run -i --rm mcp/i:1`)",
        );
        check_remarks(text, &[]);
    }

    #[test]
    fn a_snapshot_is_an_entry_of_the_catalogue() {
        let text = "version: 1\nservers:\n  - type: registry\n    source: https://registry.example.org/x\n    \
            snapshot: {server: {name: s, type: remote, tools: [{name: t}], \
            remote: {url: 'https://s.test/mcp', transport_type: sse}}}\n  - {type: registry, source: x}\n";
        check(
            "docker-profile",
            text,
            "s sse https://s.test/mcp; server unsupported (it is the name of a server in a registry)",
        );
        check_remarks(text, &["4: `s.source` has no effect: it has no meaning for a gateway"]);
    }
}
