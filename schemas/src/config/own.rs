//! The gateway's own configuration file: its settings, `servers`, `include`, and `profiles`, which is reserved.
//!
//! Strict: an unknown key is an error. A text is a template of `{{ .env.NAME }}`, as in a workflow file, or has
//! variables as `${NAME}`, `${NAME:-default}` and `${file:PATH}`; `$${` stands for `${`.

mod server;
mod value;

use crate::config::format::{File, Recognised};
use crate::config::own::value::Values;
use crate::config::pattern::Surroundings;
use crate::config::remark::Remark;
use crate::document::{Document, Map, Node, Span, Syntax, Value};
use crate::{Definition, ServerName};

/// Keys of the file that are not settings.
const OTHER_KEYS: [&str; 4] = ["servers", "include", "profiles", "$schema"];

/// Keys below which other programs have their servers.
const FOREIGN_ROOTS: [&str; 6] = ["mcpServers", "mcp_servers", "mcps", "mcp", "context_servers", "extensions"];

/// Contents of the gateway's own file, with its variables replaced.
///
/// ```
/// use schemas::config::{Surroundings, read_own};
/// use schemas::document::Document;
///
/// let document = Document::parse("port: 7000\nservers:\n  time: {command: \"${PROGRAM:-mcp-server-time}\"}\n");
/// let own = read_own(&document, &["port"], &Surroundings::default());
/// assert_eq!((own.settings[0].key.as_str(), own.settings[0].values[0].as_str()), ("port", "7000"));
/// assert_eq!(own.servers[0].definition.transport.kind(), "stdio");
///
/// let document = Document::parse("prot: 7000\n");
/// let own = read_own(&document, &["port"], &Surroundings::default());
/// assert_eq!(own.remarks[0].in_file("a.yaml"), "a.yaml:1:1: error: unknown key `prot`\n  hint: did you mean `port`?");
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OwnFile {
    /// Settings, in the order of the file.
    pub settings: Vec<OwnSetting>,
    /// Files and folders whose servers are added.
    pub include: Vec<(String, Span)>,
    /// Servers, in the order of the file, without those that have an error.
    pub servers: Vec<OwnServer>,
    /// Errors and warnings, by position.
    pub remarks: Vec<Remark>,
}

/// Setting in the gateway's own file.
///
/// ```
/// use schemas::config::{Surroundings, read_own};
/// use schemas::document::Document;
///
/// let document = Document::parse("allowed-hosts: [a.test, b.test]\n");
/// let own = read_own(&document, &["allowed-hosts"], &Surroundings::default());
/// assert_eq!(own.settings[0].values, ["a.test", "b.test"]);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct OwnSetting {
    /// Name of the setting.
    pub key: String,
    /// Values as text: one, unless the value is a list.
    pub values: Vec<String>,
    /// Position of the value.
    pub span: Span,
}

/// Server in the gateway's own file.
///
/// ```
/// use schemas::config::{Surroundings, read_own};
/// use schemas::document::Document;
///
/// let text = "servers:\n  a: {url: \"https://a.test/mcp\", disabled: \"${OFF:-true}\"}\n  b: {disabled: true}\n";
/// let own = read_own(&Document::parse(text), &[], &Surroundings::default());
/// assert_eq!(own.servers.len(), 1, "one that is plainly switched off may be unfinished");
/// assert!(own.servers[0].is_disabled);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OwnServer {
    /// Definition.
    pub definition: Definition,
    /// Position of the name.
    pub span: Span,
    /// True if the server is not to be registered.
    pub is_disabled: bool,
}

impl std::fmt::Debug for OwnSetting {
    /// Prints no values, which may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnSetting").field("key", &self.key).field("span", &self.span).finish_non_exhaustive()
    }
}

/// True if a file is the gateway's own: it has a setting, an `include` or `profiles`, or it is YAML or TOML with
/// `servers`. JSON with nothing but `servers` is VS Code's, unless `$schema` names the gateway's own, or the file has its
/// name.
///
/// ```
/// use schemas::config::is_own;
/// use schemas::document::Document;
///
/// assert!(is_own(&Document::parse("servers:\n  a: {command: x}\n"), &[], false));
/// assert!(!is_own(&Document::parse("{\"servers\": {\"a\": {\"command\": \"x\"}}}"), &["port"], false));
/// assert!(is_own(&Document::parse("{\"port\": 1, \"servers\": {}}"), &["port"], false));
/// ```
pub fn is_own(document: &Document, settings: &[&str], is_named: bool) -> bool {
    let Some(root) = document.root.as_map() else { return false };
    let has = |key: &str| root.get(key).is_some();
    if root.get("$schema").and_then(Node::literal).is_some_and(|url| url.contains("mcp-proxy.schema.json")) {
        return true;
    }
    // No other program has keys such as `admin-tokens`.
    if root.entries.iter().any(|(key, ..)| key.contains('-') && settings.contains(&key.as_str())) {
        return true;
    }
    // Other programs have settings of the same names, but `servers` only VS Code.
    // The predecessor's file can have the same name.
    if matches!(File::new(document.syntax, root, "").recognise(), Recognised::Foreign { dialect, .. } if dialect.id != "vscode")
    {
        return false;
    }
    if is_named {
        return true;
    }
    let has_setting =
        root.entries.iter().any(|(key, _, node)| settings.contains(&key.as_str()) && node.as_map().is_none());
    let has_servers = root.get("servers").is_some_and(|node| matches!(node.value, Value::Map(_) | Value::Null));
    has_setting || has("include") || has("profiles") || (has_servers && document.syntax != Syntax::Json)
}

/// Reads the gateway's own file. `settings` are the names of all settings.
///
/// ```
/// use schemas::config::{Surroundings, read_own};
/// use schemas::document::Document;
///
/// let document = Document::parse("servers:\n  a: {comand: x}\n");
/// let own = read_own(&document, &[], &Surroundings::default());
/// assert_eq!(own.remarks[0].hint.as_deref(), Some("did you mean `command`?"));
/// ```
pub fn read_own(document: &Document, settings: &[&str], surroundings: &Surroundings) -> OwnFile {
    let mut own = OwnFile::default();
    own.remarks.extend(document.malformed.iter().cloned().map(Remark::from));
    let Some(root) = document.root.as_map() else { return own };
    let mut values = Values { surroundings, remarks: Vec::new() };
    for (key, span, node) in &root.entries {
        match key.as_str() {
            "$schema" => {}
            "servers" => read_servers(node, &mut values, &mut own),
            "include" => {
                own.include = match values.texts(key, node) {
                    Some(paths) => paths.into_iter().map(|path| (path, node.head())).collect(),
                    None => Vec::new(),
                };
            }
            "profiles" => {
                if node.as_map().is_none_or(|map| !map.entries.is_empty()) {
                    let message = "`profiles` is reserved for a later version, and cannot hold anything yet";
                    values.remarks.push(Remark::error(*span, message));
                }
            }
            _ if settings.contains(&key.as_str()) => {
                if matches!(node.value, Value::Null) {
                    values.remarks.push(Remark::error(*span, format!("`{key}` has no value")));
                } else if let Some(texts) = values.texts(key, node) {
                    own.settings.push(OwnSetting { key: key.clone(), values: texts, span: node.head() });
                }
            }
            _ => {
                let known = settings.iter().copied().chain(OTHER_KEYS);
                let unknown = Remark::error(*span, format!("unknown key `{key}`"));
                values.remarks.push(match FOREIGN_ROOTS.contains(&key.as_str()) {
                    true => unknown.hint("servers are below `servers` here; a file of another program can be included"),
                    false => unknown.did_you_mean(key, known),
                });
            }
        }
    }
    own.remarks.append(&mut values.remarks);
    own.remarks.sort_by_key(|remark| (remark.span.start, remark.level));
    own
}

fn read_servers(node: &Node, values: &mut Values<'_>, own: &mut OwnFile) {
    let entries: &Map = match &node.value {
        Value::Map(map) => map,
        Value::Null => return,
        _ => {
            values.remarks.push(Remark::error(node.head(), "`servers` is not a mapping from names to servers"));
            return;
        }
    };
    for (name, span, entry) in &entries.entries {
        let name = match name.parse::<ServerName>() {
            Ok(name) => name,
            Err(error) => {
                values.remarks.push(Remark::error(*span, error.to_string()));
                continue;
            }
        };
        if let Some((definition, is_disabled)) = server::read(&name, *span, entry, values) {
            own.servers.push(OwnServer { definition, span: *span, is_disabled });
        }
    }
}

#[cfg(test)]
mod tests;
