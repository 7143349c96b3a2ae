//! One MCP server, as declared in `mcps:`.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::dialect::compozy::FilterDocument;
use crate::workflow::{CommandLine, Text, example, form};
use crate::{EraMode, Eras, SessionMode, ToolFilter, WireDuration};

/// One MCP server: a program (`command`), or an HTTP endpoint (`url`).
///
/// ```
/// use std::time::Duration;
///
/// use schemas::workflow::McpEntry;
///
/// let entry: McpEntry = serde_json::from_str(
///     r#"{"id": "search", "url": "{{ .env.SEARCH_URL }}", "start_timeout": "10s", "use_proxy": true}"#,
/// )?;
/// assert_eq!(entry.url.as_deref(), Some("{{ .env.SEARCH_URL }}"), "rendered later");
/// assert_eq!(entry.start_timeout.and_then(|limit| limit.get()), Some(Duration::from_secs(10)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "MCP server", transform = form::document, transform = form::server)]
pub struct McpEntry {
    /// The server's name in this project, as in `$mcp(id#tool)`. A server that is registered has it as its name at the
    /// gateway too: 1 to 64 letters, digits, `.`, `_` and `-`, and none of the gateway's own paths such as `admin`.
    #[schemars(with = "Text", extend("minLength" = 1), example = &"search", example = &"filesystem")]
    pub id: Option<String>,
    /// The resource's name in the engine's store; the id when absent.
    #[schemars(with = "Option<Text>", extend("minLength" = 1))]
    pub resource: Option<String>,
    /// The endpoint of an HTTP server. Not together with `command`, except for an address below the gateway's own
    /// (`http://127.0.0.1:6001/NAME/sse`, `/stream` or `/mcp`): it stands for the server `NAME` of the gateway, which is
    /// created there if the entry has a `command`. May hold templates such as `{{ .env.SEARCH_URL }}`.
    #[schemars(transform = form::address, example = &"https://search.example.com/mcp", example = &"http://127.0.0.1:6001/search/stream")]
    pub url: Option<String>,
    /// The program of a stdio server with its arguments: a text that is split as a shell does. Words that need no quotes
    /// there are listed under `args`. May hold templates such as `{{ .env.ROOT }}`.
    #[schemars(example = &"npx -y @modelcontextprotocol/server-filesystem /srv", example = &"uvx mcp-server-time")]
    pub command: Option<CommandLine>,
    /// More arguments of the program, after those in `command`. Only with a program.
    #[schemars(transform = form::with_gaps, example = example::some_options())]
    pub args: Vec<Text>,
    /// Headers sent to an HTTP server with every request. Only with `url`. A secret comes from a template, such as
    /// `Bearer {{ .env.TOKEN }}`, and is shown nowhere.
    #[schemars(transform = form::header_names, example = example::some_headers())]
    pub headers: IndexMap<String, Text>,
    /// Environment of a stdio server. A secret comes from a template such as `{{ .env.TOKEN }}`, and is shown nowhere.
    #[schemars(transform = form::variable_names, example = example::some_variables())]
    pub env: IndexMap<String, Text>,
    /// The MCP revision the server speaks, as a date.
    #[schemars(transform = form::date, example = &"2025-03-26")]
    pub proto: Option<String>,
    /// How the server is reached. When absent: `stdio` if there is a `command`, else `sse`.
    #[schemars(transform = form::transport)]
    pub transport: Option<String>,
    /// How long connecting may take, with a unit.
    #[schemars(transform = form::with_a_unit, example = &"30s", example = &"1m30s")]
    pub start_timeout: Option<WireDuration>,
    /// The most sessions of its own the server is given; 0 or less for the gateway's limit.
    #[schemars(example = 4)]
    pub max_sessions: Option<i64>,
    /// Register this server at the gateway and use it through there. `compozy.yaml` can say so for every entry, with
    /// `use_proxy_default: true`.
    #[schemars(example = true)]
    pub use_proxy: Option<bool>,
    /// Never remove the registration because nothing declares it any more. `deregister --force` does.
    #[schemars(example = true)]
    pub prevent_destroy: Option<bool>,
    /// What only the gateway knows of a registered server: which tools are visible, who may use them, when to give up.
    #[schemars(example = example::some_settings())]
    pub gateway: Option<GatewaySettings>,
    /// Tags with which it was registered, as `register-service dump --secrets` writes them: owner, place, commit. They have an
    /// effect with `sync --restore` alone.
    #[schemars(with = "Option<BTreeMap<String, Text>>")]
    pub registered: Option<BTreeMap<String, String>>,
    /// Another name for `start_timeout`.
    #[schemars(transform = form::with_a_unit, example = &"30s")]
    pub timeout: Option<WireDuration>,
    /// Documented by the engine, evaluated by none.
    #[schemars(transform = form::documented_only)]
    pub condition: Option<Value>,
    /// Documented by the engine, read by none.
    #[schemars(transform = form::documented_only)]
    pub auth: Option<Value>,
    /// Documented by the engine, read by none.
    #[schemars(transform = form::documented_only)]
    pub security: Option<Value>,
    /// Documented by the engine, read by none.
    #[schemars(transform = form::documented_only)]
    pub tls: Option<Value>,
}

/// The keys of [`McpEntry`], for reports of keys that are none.
///
/// ```
/// use schemas::workflow::MCP_ENTRY_KEYS;
///
/// let written = ["id", "comand", "args"];
/// let unknown = written.iter().filter(|key| !MCP_ENTRY_KEYS.contains(key));
/// assert!(unknown.eq(&["comand"]));
/// ```
pub const MCP_ENTRY_KEYS: [&str; 20] = [
    "id",
    "resource",
    "url",
    "command",
    "args",
    "headers",
    "env",
    "proto",
    "transport",
    "start_timeout",
    "max_sessions",
    "use_proxy",
    "prevent_destroy",
    "gateway",
    "registered",
    "timeout",
    "condition",
    "auth",
    "security",
    "tls",
];

/// What only the gateway knows of a registered server. The engine does not read it.
///
/// ```
/// use schemas::workflow::McpEntry;
///
/// let entry: McpEntry = serde_json::from_str(
///     r#"{"id": "fs", "command": "mcp-fs", "gateway": {"tool_filter": {"mode": "allow", "list": ["read_file"]}}}"#,
/// )?;
/// let filter = entry.gateway.and_then(|settings| settings.tool_filter);
/// assert_eq!(filter.map(|filter| filter.list), Some(vec!["read_file".to_owned()]));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline, transform = form::document, extend("additionalProperties" = false))]
pub struct GatewaySettings {
    /// What the server is for, in words for people.
    #[schemars(example = &"Searches the web")]
    pub description: String,
    /// Which of the server's tools are visible and callable; all if absent.
    #[schemars(with = "Option<ToolFilter>", transform = form::at_least_one_tool, example = example::a_filter())]
    pub tool_filter: Option<FilterDocument>,
    /// Free words, shown with the registration. `owner`, `source` and `prevent_destroy` are set by `register-service`.
    #[schemars(with = "BTreeMap<String, Text>", transform = form::free_tags)]
    pub tags: BTreeMap<String, String>,
    /// The folder that a stdio server runs in, as an absolute path; that of the gateway when absent. May hold templates
    /// such as `{{ .env.PROJECT }}`.
    #[schemars(example = &"/srv/project")]
    pub cwd: Text,
    /// Which generation of the protocol is spoken with the server; `auto` when absent.
    #[schemars(with = "EraMode")]
    pub era: String,
    /// Which generations of the protocol the gateway's endpoints for this server speak to clients; `both` when absent.
    #[schemars(with = "Eras")]
    pub eras: String,
    /// Who is preferred where several servers have the same tool: the lowest number from 1 on. 1 when absent.
    #[schemars(extend("minimum" = 0), example = 1)]
    pub priority: i64,
    /// The forward proxy to an HTTP server: its URL, or `none`. A secret in it comes from a template.
    #[schemars(example = &"http://proxy.example:3128")]
    pub proxy: String,
    /// File on the gateway's machine with certificates of authorities that are believed, in PEM form.
    #[schemars(example = &"/etc/gateway/authority.pem")]
    pub ca_file: String,
    /// File on the gateway's machine with the certificate that it shows the server, in PEM form.
    #[schemars(example = &"/etc/gateway/client.pem")]
    pub client_cert_file: String,
    /// File with the private key of that certificate.
    #[schemars(example = &"/etc/gateway/client.key.pem")]
    pub client_key_file: String,
    /// How long the server may be silent in a call, with a unit; progress starts it anew. `5m` when absent.
    #[schemars(transform = form::not_negative, example = &"5m")]
    pub call_timeout: WireDuration,
    /// How long a call may take in all, with a unit; `1h` when absent.
    #[schemars(transform = form::not_negative, example = &"1h")]
    pub max_call_timeout: WireDuration,
    /// How long reading all pages of one list may take, with a unit; `timeout`, or `10s` if that is longer, when absent.
    #[schemars(transform = form::not_negative, example = &"60s")]
    pub list_timeout: WireDuration,
    /// How often the lists are read again if the server does not announce changes, with a unit; `1m` when absent.
    #[schemars(transform = form::not_negative, example = &"1m")]
    pub refresh_interval: WireDuration,
    /// The most requests that wait for answers at once; 256 when absent.
    #[schemars(extend("minimum" = 0), example = 256)]
    pub max_in_flight: i64,
    /// The largest message in bytes that is read from the server; 16777216 when absent.
    #[schemars(extend("minimum" = 0), example = 16_777_216)]
    pub max_message_bytes: i64,
    /// Whether clients share one session with the server; `auto` when absent.
    #[schemars(with = "SessionMode")]
    pub session_mode: String,
    /// Connect again by the two rules below, at most `max_reconnects` times. Without it the gateway never gives up.
    pub auto_reconnect: bool,
    /// Attempts after which the gateway gives up; 5 when absent.
    #[schemars(extend("minimum" = 0), example = 5)]
    pub max_reconnects: i64,
    /// First delay between attempts, with a unit; `5s` when absent.
    #[schemars(transform = form::not_negative, example = &"5s")]
    pub reconnect_delay: WireDuration,
    /// Ping the server while it is connected.
    pub health_check_enabled: bool,
    /// How often to ping, with a unit; `30s` when absent.
    #[schemars(transform = form::not_negative, example = &"30s")]
    pub health_check_interval: WireDuration,
    /// Show the server's own log output in the gateway's log.
    pub log_enabled: bool,
    /// Bearer tokens with which clients may use this server. A secret comes from a template such as `{{ .env.TOKEN }}`.
    #[schemars(example = example::some_tokens())]
    pub auth_tokens: Vec<Text>,
    /// Refuse everyone if no token is configured at all.
    pub require_auth: bool,
    /// Addresses and networks of clients that may use this server; everyone if there are none.
    #[schemars(example = example::some_networks())]
    pub allowed_ips: Vec<String>,
}

/// The keys of [`GatewaySettings`], for reports of keys that are none.
///
/// ```
/// use schemas::workflow::GATEWAY_SETTINGS_KEYS;
///
/// // A file says `tool_filter`; `toolFilter` is what the admin API says.
/// assert!(GATEWAY_SETTINGS_KEYS.contains(&"tool_filter"));
/// assert!(!GATEWAY_SETTINGS_KEYS.contains(&"toolFilter"));
/// ```
pub const GATEWAY_SETTINGS_KEYS: [&str; 27] = [
    "description",
    "tool_filter",
    "tags",
    "cwd",
    "era",
    "eras",
    "priority",
    "proxy",
    "ca_file",
    "client_cert_file",
    "client_key_file",
    "call_timeout",
    "max_call_timeout",
    "list_timeout",
    "refresh_interval",
    "max_in_flight",
    "max_message_bytes",
    "session_mode",
    "auto_reconnect",
    "max_reconnects",
    "reconnect_delay",
    "health_check_enabled",
    "health_check_interval",
    "log_enabled",
    "auth_tokens",
    "require_auth",
    "allowed_ips",
];
