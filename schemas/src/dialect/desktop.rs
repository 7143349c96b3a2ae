//! Schema of the `mcpServers` file on which desktop clients and editors agree, for authors in editors. The gateway reads
//! such files, and those of each program, through `schemas::config`.

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{EraMode, Secret, ServerName};

/// A whole file: `{"mcpServers": {NAME: {...}}}`.
///
/// ```
/// use schemas::dialect::desktop::Document;
///
/// let text = r#"{"mcpServers": {"time": {"command": "mcp-server-time"}, "docs": {"url": "https://x.example/mcp"}}}"#;
/// let document: Document = serde_json::from_str(text)?;
/// assert_eq!(document.servers["docs"].url.as_deref(), Some("https://x.example/mcp"));
/// # Ok::<(), serde_json::Error>(())
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
