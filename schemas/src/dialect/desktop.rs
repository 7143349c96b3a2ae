//! The `mcpServers` file of desktop clients and editors: Claude Desktop, Cursor, VS Code and others, which agree on
//! the structure but not on every key. A server's keys that other programs are known to read are ignored and reported;
//! any other unknown key is an error, because it is probably a misspelling.
//!
//! ```
//! use schemas::dialect::desktop::Document;
//!
//! // Form that VS Code writes.
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

/// One server: a program (`command`) or an HTTP endpoint (`url`).
///
/// ```
/// use schemas::dialect::desktop::Entry;
///
/// // Accept the names that different programs use for the URL.
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
    /// Program of a stdio server, without its arguments.
    #[schemars(example = &"npx")]
    pub command: Option<String>,
    /// Arguments of the program.
    #[schemars(example = some_arguments())]
    pub args: Vec<String>,
    /// Environment variables of the program, added to those of the gateway.
    #[schemars(with = "IndexMap<String, String>", example = some_variables())]
    pub env: IndexMap<String, Secret>,
    /// Working directory of the program; the gateway's if absent.
    #[schemars(example = &"/srv/project")]
    pub cwd: Option<String>,
    /// URL of an HTTP server.
    #[serde(alias = "serverUrl", alias = "httpUrl")]
    #[schemars(example = &"https://docs.example.com/mcp")]
    pub url: Option<String>,
    /// Headers sent with every request to the URL.
    #[schemars(with = "IndexMap<String, String>", example = some_headers())]
    pub headers: IndexMap<String, Secret>,
    /// Transport: `stdio`, `sse` or `http`; derived from the other members if absent.
    #[serde(rename = "type", alias = "transport", alias = "transportType")]
    #[schemars(transform = kinds)]
    pub kind: Option<String>,
    /// True if the server is ignored.
    pub disabled: bool,
    /// Protocol era spoken with the server; `auto` if absent. An extension of this gateway.
    #[schemars(with = "EraMode")]
    pub era: String,
}

/// A server whose entry is not a valid definition.
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
    /// Name of the server in the file.
    pub server: String,
    /// The reason why the entry is invalid.
    #[source]
    pub source: InvalidDefinition,
}

impl Document {
    /// Converts all servers that are not disabled to definitions, in the order of the file.
    ///
    /// # Errors
    ///
    /// The first entry that is not a valid definition.
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

/// Returns true if the URL's path ends in `/sse`, the usual path of the SSE transport.
fn ends_in_sse(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.path().trim_end_matches('/').ends_with("/sse"))
}

/// Adds `servers` to the schema as an alternative to `mcpServers`.
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
