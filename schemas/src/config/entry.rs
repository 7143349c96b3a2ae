//! Declarations of servers in a file, as they are found, and the keys of them that have been used.

use std::collections::BTreeSet;

use crate::config::remark::Remark;
use crate::document::{Map, Node, Span, Value};

/// Declaration of a server.
#[derive(Debug, Clone)]
pub(super) struct Entry<'f> {
    pub(super) name: String,
    /// Position of the name.
    pub(super) span: Span,
    pub(super) map: &'f Map,
    /// Further mappings with fields of the server, each with the key that it has in `map`.
    pub(super) inner: Vec<(&'static str, &'f Map)>,
}

/// Declarations that were found, and remarks about those that are none.
#[derive(Debug, Default)]
pub(super) struct Entries<'f> {
    pub(super) list: Vec<Entry<'f>>,
    pub(super) remarks: Vec<Remark>,
}

/// Keys whose values have been used.
#[derive(Debug, Default)]
pub(super) struct Used(BTreeSet<&'static str>);

impl<'f> Entry<'f> {
    pub(super) fn new(name: impl Into<String>, span: Span, map: &'f Map) -> Self {
        Self { name: name.into(), span, map, inner: Vec::new() }
    }

    /// Adds the mapping at a key, if there is one: its fields count as fields of the server.
    pub(super) fn within(mut self, key: &'static str) -> Self {
        if let Some(map) = self.map.get(key).and_then(Node::as_map) {
            self.inner.push((key, map));
        }
        self
    }

    /// Returns the value of a key; null is no value.
    pub(super) fn get(&self, key: &str) -> Option<&'f Node> {
        let maps = std::iter::once(self.map).chain(self.inner.iter().map(|(_, map)| *map));
        let mut values = maps.filter_map(|map| map.get(key));
        values.find(|node| !matches!(node.value, Value::Null))
    }

    /// Returns the value of a key as a text.
    pub(super) fn literal(&self, key: &str) -> Option<&'f str> {
        self.get(key).and_then(Node::literal)
    }

    /// Lists the keys, each with its path below the server.
    pub(super) fn keys(&self) -> impl Iterator<Item = (String, &'f str, Span, &'f Node)> {
        let of = |path: String, map: &'f Map| {
            map.entries.iter().map(move |(key, span, node)| (format!("{path}{key}"), key.as_str(), *span, node))
        };
        let inner = self.inner.iter().flat_map(move |(path, map)| of(format!("{path}."), map));
        of(String::new(), self.map).chain(inner)
    }
}

impl<'f> Entries<'f> {
    /// Adds the servers of a mapping from names to servers.
    pub(super) fn named(&mut self, servers: Option<&'f Map>) {
        for (name, span, node) in servers.map(|map| map.entries.as_slice()).unwrap_or_default() {
            match node.as_map() {
                Some(map) => self.list.push(Entry::new(name, *span, map)),
                None if is_comment(name) => {}
                None if matches!(node.value, Value::Null) => {
                    self.remarks.push(Remark::warning(*span, format!("`{name}` is left out: its value is null")));
                }
                None => {
                    let message = format!("`{name}` is no server: its value is not a mapping");
                    self.remarks.push(Remark::error(*span, message));
                }
            }
        }
    }

    /// Adds the servers of a list, each with its name at a key.
    pub(super) fn listed(&mut self, servers: Option<&'f Node>, key: &str) {
        for node in servers.map(Node::items).unwrap_or_default() {
            let Some(map) = node.as_map() else {
                self.remarks.push(match node.literal() {
                    Some(name) => {
                        Remark::warning(node.head(), format!("`{name}` is the name of a server declared elsewhere"))
                    }
                    None => Remark::error(node.head(), "this is no server: it is not a mapping"),
                });
                continue;
            };
            match map.get(key).and_then(|name| Some((name.literal()?, name.span))) {
                Some((name, span)) => self.list.push(Entry::new(name, span, map)),
                None => {
                    let name = name_of(map);
                    let message = format!("this server has no `{key}`; here it is called `{name}`");
                    self.remarks.push(Remark::warning(node.head(), message));
                    self.list.push(Entry::new(name, node.head(), map));
                }
            }
        }
    }

    /// Adds the mapping at a key to every server that has one.
    pub(super) fn within(&mut self, key: &'static str) {
        self.list = std::mem::take(&mut self.list).into_iter().map(|entry| entry.within(key)).collect();
    }
}

impl Used {
    /// Marks keys as used.
    pub(super) fn add(&mut self, keys: &[&'static str]) {
        self.0.extend(keys);
    }

    /// Marks keys as not used after all.
    pub(super) fn remove(&mut self, keys: &[&'static str]) {
        self.0.retain(|key| !keys.contains(key));
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains(key)
    }
}

/// True for keys with which people write comments and extensions into JSON.
pub(super) fn is_comment(key: &str) -> bool {
    key.starts_with(['_', '/', '#', '$']) || key.starts_with("x-") || key.starts_with("comment")
}

/// Builds a name for a server without one: from its host, its image or its program.
pub(super) fn name_of(map: &Map) -> String {
    let text = |keys: &[&str]| keys.iter().find_map(|key| map.get(key)?.literal());
    let of_url = || text(&["url", "endpoint", "serverUrl", "httpUrl", "uri", "remote_url"]).and_then(host_label);
    let last = |text: &str| text.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    let of_image = || text(&["image"]).map(|image| last(image.split('@').next().unwrap_or_default()));
    let of_image = || of_image().map(|image| image.split(':').next().unwrap_or_default().to_owned());
    let words = || map.get("command").or_else(|| map.get("cmd"));
    let program = || words().and_then(|node| node.literal().or_else(|| node.items().first()?.literal()));
    let of_program = || program().map(|path| last(path).trim_end_matches(".exe").to_owned());
    let name = of_url().or_else(of_image).or_else(of_program).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "server".to_owned())
}

/// Returns the first label of a URL's host that tells something; the whole host, if it is an address.
fn host_label(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = if host.starts_with('[') { host } else { host.split(':').next()? };
    let labels: Vec<&str> = host.split('.').collect();
    let is_address = host.starts_with('[') || labels.iter().all(|label| label.bytes().all(|it| it.is_ascii_digit()));
    let is_telling = |label: &&&str| !matches!(**label, "www" | "api" | "mcp" | "app" | "");
    let label = labels.iter().find(is_telling).filter(|_| !is_address && !host.contains('$'));
    Some((*label.unwrap_or(&host)).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    #[test]
    fn a_name_is_taken_from_host_image_or_program() {
        let check = |text: &str, expected: &str| {
            let document = Document::parse(text);
            assert_eq!(document.root.as_map().map(name_of).as_deref(), Some(expected), "{text}");
        };
        check("url: https://r.example.org/mcp", "r");
        check("url: https://mcp.example.org:8443/mcp", "example");
        check("endpoint: http://127.0.0.1:9000/mcp", "127.0.0.1");
        check("image: ghcr.io/a/duck:1@sha256:abc", "duck");
        check("command: /usr/bin/time-mcp", "time-mcp");
        check("command: [uvx, a]", "uvx");
        check("{args: [a]}", "server");
    }
}
