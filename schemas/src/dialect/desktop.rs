//! The `mcpServers` file of desktop clients and editors (Claude Desktop, Cursor, VS Code and others, which agree on the
//! form but not on every key). A server's keys that other programs are known to read are named and passed over; any other
//! unknown one is an error, because it is a mistake that would otherwise show as something missing.
//!
//! ```
//! use schemas::dialect::desktop::Document;
//!
//! // As VS Code writes it.
//! let text = r#"{"inputs": [], "servers": {"docs": {"type": "http", "url": "https://x.example/sse"}}}"#;
//! let document: Document = serde_json::from_str(text)?;
//! assert!(document.definitions()?.iter().map(|definition| definition.transport.kind()).eq(["streamable-http"]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod foreign;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::dialect::compozy::{Command, DefinitionDocument};
use crate::{Definition, EraMode, InvalidDefinition, Secret, ServerName};

/// A whole file: `{"mcpServers": {NAME: {...}}}`.
///
/// ```
/// use schemas::dialect::desktop::Document;
///
/// let text = r#"{"mcpServers": {"time": {"command": "mcp-server-time"}, "docs": {"url": "https://x.example/mcp"}}}"#;
/// let document: Document = serde_json::from_str(text)?;
/// let definitions = document.definitions()?;
/// assert_eq!(definitions[1].transport.kind(), "streamable-http");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(title = "MCP servers", transform = known_as_servers)]
pub struct Document {
    /// The servers by name, in the file's order. VS Code calls the member `servers`.
    #[serde(rename = "mcpServers", alias = "servers")]
    #[schemars(transform = server_names, example = some_servers())]
    pub servers: IndexMap<String, Entry>,
}

/// One server: a program (`command`), or an HTTP endpoint (`url`).
///
/// ```
/// use schemas::dialect::desktop::Entry;
///
/// // Programs that agree on everything but the key.
/// for text in [r#"{"url": "https://x.example/mcp"}"#, r#"{"serverUrl": "https://x.example/mcp"}"#] {
///     let entry: Entry = serde_json::from_str(text)?;
///     assert_eq!(entry.url.as_deref(), Some("https://x.example/mcp"));
/// }
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(title = "MCP server", transform = reachable)]
pub struct Entry {
    /// The program of a stdio server, without its arguments.
    #[schemars(example = &"npx")]
    pub command: Option<String>,
    /// Its arguments.
    #[schemars(example = some_arguments())]
    pub args: Vec<String>,
    /// Its environment, besides that of the gateway.
    #[schemars(with = "IndexMap<String, String>", example = some_variables())]
    pub env: IndexMap<String, Secret>,
    /// The folder the program runs in; that of the gateway when absent.
    #[schemars(example = &"/srv/project")]
    pub cwd: Option<String>,
    /// The endpoint of an HTTP server.
    #[serde(alias = "serverUrl", alias = "httpUrl")]
    #[schemars(example = &"https://docs.example.com/mcp")]
    pub url: Option<String>,
    /// Headers for every request to it.
    #[schemars(with = "IndexMap<String, String>", example = some_headers())]
    pub headers: IndexMap<String, Secret>,
    /// `stdio`, `sse` or `http`; told by the other members where it is absent.
    #[serde(rename = "type", alias = "transport", alias = "transportType")]
    #[schemars(transform = kinds)]
    pub kind: Option<String>,
    /// Whether it is passed over.
    pub disabled: bool,
    /// Which generation of the protocol is spoken with the server; `auto` when absent. A word of this gateway.
    #[schemars(with = "EraMode")]
    pub era: String,
}

/// A server that cannot be used as it is written.
///
/// ```
/// use schemas::InvalidDefinition;
/// use schemas::dialect::desktop::Document;
///
/// let document: Document = serde_json::from_str(r#"{"mcpServers": {"time": {"type": "stdio"}}}"#)?;
/// let error = document.definitions().err().ok_or("no error")?;
/// assert_eq!(error.to_string(), "`mcpServers.time` is no server that can be used");
/// assert_eq!(error.source, InvalidDefinition::NoCommand);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`mcpServers.{server}` is no server that can be used")]
pub struct InvalidEntry {
    /// Its name in the file.
    pub server: String,
    /// What is wrong with it.
    #[source]
    pub source: InvalidDefinition,
}

impl Document {
    /// Reads a file, and tells which keys of its servers are for other programs.
    ///
    /// # Errors
    ///
    /// A text that is not such a file, and a key of a server that no program is known to read.
    ///
    /// ```
    /// use schemas::dialect::desktop::Document;
    ///
    /// let (_, foreign) = Document::read(r#"{"mcpServers": {"a": {"command": "x", "autoApprove": []}}}"#)?;
    /// assert_eq!(foreign, ["mcpServers.a.autoApprove"]);
    ///
    /// let error = Document::read(r#"{"mcpServers": {"a": {"comand": "x"}}}"#).map_err(|error| error.to_string());
    /// assert_eq!(error.err().as_deref(), Some("unknown member `mcpServers.a.comand`; did you mean `command`?"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn read(text: &str) -> serde_json::Result<(Self, Vec<String>)> {
        foreign::read(text)
    }

    /// The definitions of all servers that are not disabled, in the file's order.
    ///
    /// # Errors
    ///
    /// The first entry that makes no definition.
    ///
    /// ```
    /// use schemas::dialect::desktop::Document;
    ///
    /// let text = r#"{"mcpServers": {"a": {"command": "x"}, "b": {"command": "y", "disabled": true}}}"#;
    /// let definitions = serde_json::from_str::<Document>(text)?.definitions()?;
    /// assert!(definitions.iter().map(|definition| definition.name.as_str()).eq(["a"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn definitions(self) -> Result<Vec<Definition>, InvalidEntry> {
        let enabled = self.servers.into_iter().filter(|(_, entry)| !entry.disabled);
        let define = |(server, entry): (String, Entry)| {
            entry.definition(server.clone()).map_err(|source| InvalidEntry { server, source })
        };
        enabled.map(define).collect()
    }
}

impl Entry {
    fn definition(self, name: String) -> Result<Definition, InvalidDefinition> {
        let transport = match self.kind.as_deref() {
            Some("http" | "streamableHttp" | "streamable_http" | "streamable-http") => "streamable-http",
            Some(kind) => kind,
            None if self.command.is_some() => "stdio",
            None if self.url.as_deref().is_some_and(ends_in_sse) => "sse",
            None => "streamable-http",
        };
        DefinitionDocument {
            name,
            transport: transport.to_owned(),
            command: Command::Program(self.command.unwrap_or_default()),
            args: self.args,
            cwd: self.cwd.unwrap_or_default(),
            env: self.env,
            url: self.url.unwrap_or_default(),
            headers: self.headers,
            era: self.era,
            ..DefinitionDocument::default()
        }
        .try_into()
    }
}

/// A separate event stream is most often served at a path of this name.
fn ends_in_sse(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.path().trim_end_matches('/').ends_with("/sse"))
}

/// Other programs have other words for some keys.
fn known_as_servers(schema: &mut Schema) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let same = properties.get("mcpServers").cloned().unwrap_or_default();
        properties.insert("servers".to_owned(), same);
    }
    schema.remove("required");
    schema.insert("anyOf".to_owned(), json!([{ "required": ["mcpServers"] }, { "required": ["servers"] }]));
}

fn server_names(schema: &mut Schema) {
    let names = json!({ "pattern": ServerName::pattern() });
    schema.insert("propertyNames".to_owned(), names);
}

fn reachable(schema: &mut Schema) {
    let url = schema.get("properties").and_then(|it| it.get("url")).cloned().unwrap_or_default();
    let kind = schema.get("properties").and_then(|it| it.get("type")).cloned().unwrap_or_default();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.extend(["serverUrl", "httpUrl"].map(|name| (name.to_owned(), url.clone())));
        properties.extend(["transport", "transportType"].map(|name| (name.to_owned(), kind.clone())));
    }
    let disabled = json!({ "required": ["disabled"], "properties": { "disabled": { "const": true } } });
    let ways = ["command", "url", "serverUrl", "httpUrl"].map(|key| json!({ "required": [key] }));
    schema.insert("anyOf".to_owned(), ways.into_iter().chain([disabled]).collect());
}

fn kinds(schema: &mut Schema) {
    let kinds = ["stdio", "sse", "http", "streamable-http", "streamableHttp", "streamable_http"];
    schema.insert("enum".to_owned(), kinds.into_iter().map(Value::from).chain([Value::Null]).collect());
}

fn some_servers() -> Value {
    json!({
        "time": { "command": "uvx", "args": ["mcp-server-time"] },
        "docs": { "url": "https://docs.example.com/mcp" },
    })
}

fn some_arguments() -> Value {
    json!(["-y", "@modelcontextprotocol/server-memory"])
}

fn some_variables() -> Value {
    json!({ "LOG_LEVEL": "debug" })
}

fn some_headers() -> Value {
    json!({ "Authorization": "Bearer 0123456789" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Definition>, InvalidEntry> {
        serde_json::from_str::<Document>(text).expect("a document").definitions()
    }

    fn check(entry: &str, expected: &str) {
        let definitions = read(&format!(r#"{{"mcpServers":{{"a":{entry}}}}}"#)).expect("a definition");
        let shown: Vec<String> = definitions.iter().map(|it| serde_json::to_string(it).expect("JSON")).collect();
        assert_eq!(shown.join(" "), expected, "{entry}");
    }

    #[test]
    fn the_members_tell_the_transport() {
        check(
            r#"{"command":"npx","args":["-y","x"],"env":{"K":"v"},"autoApprove":[]}"#,
            r#"{"name":"a","transport":"stdio","command":"npx","args":["-y","x"],"env":{"K":"v"}}"#,
        );
        check(
            r#"{"url":"https://x.example/mcp","headers":{"A":"b"}}"#,
            r#"{"name":"a","transport":"streamable-http","url":"https://x.example/mcp","headers":{"A":"b"},"timeout":30000000000}"#,
        );
        check(
            r#"{"url":"https://x.example/sse"}"#,
            r#"{"name":"a","transport":"sse","url":"https://x.example/sse","timeout":30000000000}"#,
        );
        check(
            r#"{"type":"http","url":"https://x.example/sse","era":"modern"}"#,
            r#"{"name":"a","transport":"streamable-http","url":"https://x.example/sse","timeout":30000000000,"era":"modern"}"#,
        );
        check(r#"{"command":"x","cwd":"/srv"}"#, r#"{"name":"a","transport":"stdio","command":"x","cwd":"/srv"}"#);
        check(r#"{"command":"x","disabled":true}"#, "");
    }

    #[test]
    fn an_entry_that_cannot_be_used_is_named() {
        let error = read(r#"{"mcpServers":{"fine":{"command":"x"},"bad":{}}}"#).expect_err("no url");
        assert_eq!((error.server.as_str(), error.source), ("bad", InvalidDefinition::NoUrl));
        let error = read(r#"{"mcpServers":{"a b":{"command":"x"}}}"#).expect_err("no name");
        assert_eq!(error.server, "a b");
    }
}
