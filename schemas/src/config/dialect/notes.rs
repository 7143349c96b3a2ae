//! Notes about what a file could mean too.

use std::collections::BTreeMap;

use crate::config::format::{Dialect, File, is_server_like};
use crate::config::pattern::Asked;
use crate::config::remark::Remark;
use crate::config::server::{Kind, Server};
use crate::document::{Node, Value};

/// Evidence that the files of several programs have, so that it decides only where there is no other.
const SHARED: [&str; 3] = ["`${env:`", "`autoApprove`", "`disabledTools`"];

/// Formats that have the evidence of another one among their own keys.
const SUPERSETS: [(&str, &str); 2] = [("qwen", "gemini"), ("warp", "windsurf")];

/// Keys below which programs have their servers.
const ROOTS: [&str; 12] = [
    "amp.mcpServers",
    "backends",
    "clients",
    "context_servers",
    "extensions",
    "mcp",
    "mcpServers",
    "mcp_servers",
    "mcpTemplates",
    "mcps",
    "registry",
    "servers",
];

/// Returns a note about the formats with `mcpServers` that have evidence too.
pub(super) fn other_formats(family: &[&Dialect], chosen: &Dialect, because: &str, file: &File<'_>) -> Option<Remark> {
    let mut others: Vec<(&str, String)> = Vec::new();
    // The last of the family is the format of files without any evidence.
    let is_other = |id: &str| id != chosen.id && !SUPERSETS.contains(&(chosen.id, id));
    for dialect in family.iter().rev().skip(1).rev().filter(|dialect| is_other(dialect.id)) {
        let evidence = (dialect.evidence)(file).filter(|evidence| !SHARED.contains(&evidence.as_str()));
        if let Some(evidence) = evidence.filter(|_| others.iter().all(|(id, _)| *id != dialect.id)) {
            others.push((dialect.id, evidence));
        }
    }
    let told: Vec<String> = others.iter().map(|(id, because)| format!("`{id}`, because of {because}")).collect();
    let message = format!("read as `{}`, because of {because}; it could also be {}", chosen.id, told.join("; "));
    let span = file.root.key_span("mcpServers").or_else(|| Some(file.root.entries.first()?.1))?;
    (!told.is_empty()).then(|| Remark::note(span, message).hint("choose one with `--config-format`"))
}

/// Returns a note for each key of the root with servers that are not read.
pub(super) fn other_roots(read: &[&str], file: &File<'_>) -> Vec<Remark> {
    let is_ignored = |key: &&str| !file.is_bare() && !read.contains(key);
    let holds = |key: &&str| file.root.get(key).is_some_and(|node| holds_servers(node, 2));
    let note = |key: &str| {
        let place = read.iter().find(|key| file.root.get(key).is_some()).or_else(|| read.first());
        let place = place.map_or_else(|| "is the root itself".to_owned(), |key| format!("is below `{key}`"));
        let message = format!("`{key}` is ignored: what counts in this file {place}");
        Some(Remark::note(file.root.key_span(key)?, message))
    };
    ROOTS.into_iter().filter(is_ignored).filter(holds).filter_map(note).collect()
}

/// Returns a warning for each kind of values that the program itself would ask for.
pub(super) fn asked(servers: &[Server]) -> Vec<Remark> {
    let known = || servers.iter().filter(|server| !matches!(server.kind, Kind::Unsupported(_)));
    let warning = |asked: Asked, message: &str| {
        let found = |server: &Server| -> Vec<(String, String)> {
            server.patterns().flat_map(|pattern| pattern.asked(asked)).collect()
        };
        let first = known().find(|server| !found(server).is_empty())?;
        let names: BTreeMap<String, String> = known().flat_map(found).collect();
        let told = |names: Vec<&String>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let message = format!("{message}: {}", told(names.keys().collect()));
        let hint = format!("set in the environment: {}", told(names.values().collect()));
        Some(Remark::warning(first.span, message).hint(hint))
    };
    [
        warning(Asked::User, "the program asks its user for values"),
        warning(Asked::Secrets, "the program has values in its store of secrets"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Returns an error for each server whose name at the gateway is that of an earlier one.
pub(super) fn clashes(servers: &[Server]) -> Vec<Remark> {
    let mut names = BTreeMap::new();
    let mut clashes = Vec::new();
    for server in servers.iter().filter(|server| !matches!(server.kind, Kind::Unsupported(_))) {
        let slug = server.slug();
        if let Some(first) = names.get(&slug) {
            let message = format!("`{first}` and `{}` have the same name at the gateway, `{slug}`", server.name);
            clashes.push(Remark::error(server.span, message));
        } else {
            names.insert(slug, &server.name);
        }
    }
    clashes
}

/// True if there is a server at most `depth` levels below a node.
fn holds_servers(node: &Node, depth: usize) -> bool {
    match &node.value {
        Value::Map(map) if is_server_like(map) => true,
        Value::Map(map) if depth > 0 => map.entries.iter().any(|(.., node)| holds_servers(node, depth - 1)),
        Value::List(items) if depth > 0 => items.iter().any(|node| holds_servers(node, depth - 1)),
        _ => false,
    }
}
