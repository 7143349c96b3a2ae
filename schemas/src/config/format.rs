//! Form in which each dialect tells what is special about it, and what it leaves behind.

use crate::config::entry::{Entries, Entry, Used};
use crate::config::fields::{APPROVAL, Rules, Unit, UrlAlone, texts};
use crate::config::pattern::Notation;
use crate::config::remark::Remark;
use crate::config::server::{Kind, Server, Setting};
use crate::document::{Map, Node, Span, Syntax, Value};

/// Format of a program's configuration file.
///
/// ```
/// let imported = schemas::config::import("{\"mcpServers\": {\"a\": {\"command\": \"x\"}}}", "servers");
/// assert_eq!(imported.dialect.map(|dialect| dialect.id), Some("plain"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Dialect {
    /// Identifier, for `--config-format`.
    pub id: &'static str,
    /// Programs that use the format.
    pub programs: &'static str,
    /// Keys of the root that hold what is read.
    pub(super) roots: &'static [&'static str],
    /// Tells by what the file was recognised; `None` if it has another format.
    pub(super) evidence: fn(&File<'_>) -> Option<String>,
    /// Lists the servers.
    pub(super) servers: for<'f> fn(&File<'f>, &mut Entries<'f>),
    /// Meaning of the words that programs use differently.
    pub(super) rules: Rules,
    /// Reads what only this format has in an entry.
    pub(super) finish: fn(&mut Reading<'_, '_>),
    /// Reads what concerns the whole file: settings, and servers switched off elsewhere.
    pub(super) whole: fn(&File<'_>, &mut Imported),
}

/// Base of the formats: servers below `mcpServers`, with the fields that all programs share.
pub(super) const MCP_SERVERS: Dialect = Dialect {
    id: "",
    programs: "",
    roots: &["mcpServers"],
    evidence: |_| None,
    servers: |file, entries| entries.named(file.family),
    rules: Rules::new(UrlAlone::Auto, Unit::Guessed, Notation::BRACES.with(Notation::ENV)),
    finish: |_| {},
    whole: |_, _| {},
};

/// Result of looking at a file's content.
#[derive(Debug, Clone)]
pub(crate) enum Recognised {
    /// A format that can be read.
    Foreign {
        /// The format.
        dialect: &'static Dialect,
        /// The part of the file that shows it.
        because: String,
    },
    /// A known format that is not imported.
    Refused {
        /// The reason.
        because: String,
    },
    /// No known format.
    Nothing {
        /// Description of the keys that the file has instead.
        found: String,
    },
}

/// Servers and settings of another program's file.
///
/// ```
/// let text = "[mcp_servers.docs]\ncommand = \"npx\"\nargs = [\"-y\", \"docs\"]\n";
/// let imported = schemas::config::import(text, "config");
/// assert_eq!(imported.dialect.map(|dialect| dialect.id), Some("codex"));
/// assert_eq!(imported.servers[0].name, "docs");
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Imported {
    /// Format of the file; `None` if it is not recognised, which is one of the remarks.
    pub dialect: Option<&'static Dialect>,
    /// Servers, in the order of the file.
    pub servers: Vec<Server>,
    /// Settings of the gateway that the file holds, under their names here.
    pub settings: Vec<Setting>,
    /// True if the file says that its program is not to be started.
    pub is_switched_off: bool,
    /// Errors, warnings and notes, by position.
    pub remarks: Vec<Remark>,
}

/// File whose format is looked for.
pub(super) struct File<'f> {
    pub(super) syntax: Syntax,
    pub(super) root: &'f Map,
    /// Name of the file without its extension.
    pub(super) stem: &'f str,
    /// Servers of a file with `mcpServers`, or of one that is nothing but servers.
    pub(super) family: Option<&'f Map>,
}

/// Entry that is being read.
pub(super) struct Reading<'r, 'f> {
    pub(super) entry: &'r Entry<'f>,
    pub(super) server: &'r mut Server,
    pub(super) used: &'r mut Used,
    pub(super) remarks: &'r mut Vec<Remark>,
}

impl<'f> File<'f> {
    pub(super) fn new(syntax: Syntax, root: &'f Map, stem: &'f str) -> Self {
        let mut file = Self { syntax, root, stem, family: root.get("mcpServers").and_then(Node::as_map) };
        // Other meanings of the root come before that of a mapping of servers.
        let is_named = file.map(&["servers"]).is_some() || file.map(&["mcp"]).is_some_and(is_map_of_maps);
        if file.family.is_none() && !is_named && !is_server_like(root) && is_map_of_servers(root) {
            file.family = Some(root);
        }
        file
    }

    /// Returns the value at a path of keys.
    pub(super) fn at(&self, path: &[&str]) -> Option<&'f Node> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.root.get(first)?, |node, key| node.get(key))
    }

    /// Returns the mapping at a path of keys.
    pub(super) fn map(&self, path: &[&str]) -> Option<&'f Map> {
        self.at(path)?.as_map()
    }

    /// Returns the list at a path of keys.
    pub(super) fn list(&self, path: &[&str]) -> Option<&'f [Node]> {
        match &self.at(path)?.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the texts of the list at a path of keys, which restricts every server. Another value is an error, and no
    /// server can be used.
    pub(super) fn texts(&self, path: &[&str], imported: &mut Imported) -> Option<Vec<String>> {
        let before = imported.remarks.len();
        let texts = texts(&format!("`{}`", path.join(".")), self.at(path)?, &mut imported.remarks);
        if let Some(error) = imported.remarks.get(before) {
            let unusable = Kind::Unsupported(error.message.clone());
            imported.servers.iter_mut().for_each(|server| server.kind = unusable.clone());
        }
        texts
    }

    /// True if the keys of the root are names of servers.
    pub(super) fn is_bare(&self) -> bool {
        self.family.is_some_and(|family| std::ptr::eq(family, self.root))
    }

    /// Returns the first of the keys that stands beside `mcpServers`, as evidence.
    pub(super) fn root_key(&self, keys: &[&str]) -> Option<String> {
        let key = keys.iter().find(|key| !self.is_bare() && self.root.get(key).is_some())?;
        self.family.map(|_| format!("`{key}`"))
    }

    /// Returns the first of the keys that a server of `mcpServers` has, as evidence.
    pub(super) fn entry_key(&self, keys: &[&str]) -> Option<String> {
        keys.iter().find(|key| self.has_entry(|server| server.get(key).is_some())).map(|key| format!("`{key}`"))
    }

    /// True if a server of `mcpServers` passes a test.
    pub(super) fn has_entry(&self, test: impl Fn(&Map) -> bool) -> bool {
        let entries = self.family.map(|map| map.entries.as_slice()).unwrap_or_default();
        entries.iter().filter_map(|(.., node)| node.as_map()).any(test)
    }
}

impl<'f> Reading<'_, 'f> {
    /// Returns the mapping at a key, and marks the key as used.
    pub(super) fn map(&mut self, key: &'static str) -> Option<&'f Map> {
        let map = self.entry.get(key)?.as_map()?;
        self.used.add(&[key]);
        Some(map)
    }

    /// Returns the texts of the list at a key, and marks the key as used; reports another value as an error.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.used.add(&[key]);
        texts(&format!("`{key}` of `{}`", self.entry.name), self.entry.get(key)?, self.remarks)
    }

    /// Returns the position of a key of the entry.
    pub(super) fn span(&self, key: &str) -> Span {
        self.entry.keys().find(|(_, name, ..)| *name == key).map_or(self.entry.span, |(.., span, _)| span)
    }

    /// Warns about a key.
    pub(super) fn warn(&mut self, key: &str, message: impl Into<String>) {
        let span = self.span(key);
        self.remarks.push(Remark::warning(span, message));
    }

    /// Reports a key without effect.
    pub(super) fn lose(&mut self, key: &'static str, reason: &str) {
        self.used.add(&[key]);
        let remark = Remark::lost(self.span(key), &format!("{}.{key}", self.entry.name), reason);
        self.remarks.push(remark);
    }

    /// Reports a key about approval that other programs use for something else.
    pub(super) fn approval(&mut self, key: &'static str) {
        self.lose(key, APPROVAL);
    }
}

/// True for a mapping that says how to reach a server.
pub(super) fn is_server_like(map: &Map) -> bool {
    const ADDRESSES: [&str; 4] = ["url", "serverUrl", "httpUrl", "uri"];
    let is_program = |node: &Node| node.as_map().is_none_or(|map| map.get("path").is_some());
    ADDRESSES.iter().any(|key| map.get(key).is_some_and(|node| node.as_map().is_none()))
        || ["command", "cmd"].iter().any(|key| map.get(key).is_some_and(is_program))
        || map.get("transport").and_then(Node::as_map).is_some()
}

/// True if there are values and all of them are mappings.
pub(super) fn is_map_of_maps(map: &Map) -> bool {
    !map.entries.is_empty() && map.entries.iter().all(|(.., node)| node.as_map().is_some())
}

/// True if every value is a mapping, and at least one of them a server.
fn is_map_of_servers(map: &Map) -> bool {
    is_map_of_maps(map) && map.entries.iter().any(|(.., node)| node.as_map().is_some_and(is_server_like))
}
