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
    /// Name of the server in this project, as in `$mcp(id#tool)`. A registered server has the same name at the
    /// gateway: 1 to 64 letters, digits, `.`, `_` and `-`, and none of the gateway's own paths such as `admin`.
    #[schemars(with = "Text", extend("minLength" = 1), example = &"search", example = &"filesystem")]
    pub id: Option<String>,
    /// Name of the resource in the engine's store; the id if absent.
    #[schemars(with = "Option<Text>", extend("minLength" = 1))]
    pub resource: Option<String>,
    /// URL of an HTTP server. Excludes `command`, except if the URL is one of the gateway's own
    /// (`http://127.0.0.1:6001/NAME/sse`, `/stream` or `/mcp`): such an entry means the server `NAME` of that gateway,
    /// and with a `command` registers it there. May contain templates such as `{{ .env.SEARCH_URL }}`.
    #[schemars(transform = form::address, example = &"https://search.example.com/mcp", example = &"http://127.0.0.1:6001/search/stream")]
    pub url: Option<String>,
    /// Program of a stdio server with its arguments: a text that is split as by a shell. List words in `args`
    /// to avoid quoting. May contain templates such as `{{ .env.ROOT }}`.
    #[schemars(example = &"npx -y @modelcontextprotocol/server-filesystem /srv", example = &"uvx mcp-server-time")]
    pub command: Option<CommandLine>,
    /// Further arguments of the program, appended to those in `command`. Stdio servers only.
    #[schemars(transform = form::with_gaps, example = example::some_options())]
    pub args: Vec<Text>,
    /// Headers sent to an HTTP server with every request. Only with `url`. Write secrets as templates, such as `Bearer
    /// {{ .env.TOKEN }}`; their values are never shown.
    #[schemars(transform = form::header_names, example = example::some_headers())]
    pub headers: IndexMap<String, Text>,
    /// Environment variables of a stdio server. Write secrets as templates, such as `{{ .env.TOKEN }}`; their values
    /// are never shown.
    #[schemars(transform = form::variable_names, example = example::some_variables())]
    pub env: IndexMap<String, Text>,
    /// MCP revision that the server speaks, as a date.
    #[schemars(transform = form::date, example = &"2025-03-26")]
    pub proto: Option<String>,
    /// Transport to the server. If absent: `stdio` with a `command`, otherwise `sse`.
    #[schemars(transform = form::transport)]
    pub transport: Option<String>,
    /// Time limit for connecting, with a unit.
    #[schemars(transform = form::with_a_unit, example = &"30s", example = &"1m30s")]
    pub start_timeout: Option<WireDuration>,
    /// Maximum number of dedicated sessions with the server; 0 or less for the gateway's limit.
    #[schemars(example = 4)]
    pub max_sessions: Option<i64>,
    /// True to register this server at the gateway and to use it through the gateway. `use_proxy_default: true` in
    /// `compozy.yaml` sets this for all entries.
    #[schemars(example = true)]
    pub use_proxy: Option<bool>,
    /// True to keep the registration when the entry is removed from the files. `deregister --force` removes it anyway.
    #[schemars(example = true)]
    pub prevent_destroy: Option<bool>,
    /// Settings of a registered server that only the gateway reads: tool filter, access, limits, reconnection.
    #[schemars(example = example::some_settings())]
    pub gateway: Option<GatewaySettings>,
    /// Tags of the registration, as `register-service dump --secrets` writes them: owner, place, commit. Read by
    /// `sync --restore` only.
    #[schemars(with = "Option<BTreeMap<String, Text>>")]
    pub registered: Option<BTreeMap<String, String>>,
    /// Alias of `start_timeout`.
    #[schemars(transform = form::with_a_unit, example = &"30s")]
    pub timeout: Option<WireDuration>,
    /// Documented by the engine but not evaluated.
    #[schemars(transform = form::documented_only)]
    pub condition: Option<Value>,
    /// Documented by the engine but not read.
    #[schemars(transform = form::documented_only)]
    pub auth: Option<Value>,
    /// Documented by the engine but not read.
    #[schemars(transform = form::documented_only)]
    pub security: Option<Value>,
    /// Documented by the engine but not read.
    #[schemars(transform = form::documented_only)]
    pub tls: Option<Value>,
}

/// The keys of [`McpEntry`], used to report unknown keys.
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

/// Settings of a registered server that only the gateway reads; the engine ignores them.
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
    /// Description of the server for people.
    #[schemars(example = &"Searches the web")]
    pub description: String,
    /// Filter that selects the visible and callable tools; all tools if absent.
    #[schemars(with = "Option<ToolFilter>", transform = form::at_least_one_tool, example = example::a_filter())]
    pub tool_filter: Option<FilterDocument>,
    /// Free-form labels, shown with the registration. `register-service` sets `owner`, `source` and `prevent_destroy`
    /// itself.
    #[schemars(with = "BTreeMap<String, Text>", transform = form::free_tags)]
    pub tags: BTreeMap<String, String>,
    /// Working directory of a stdio server, as an absolute path; the gateway's if absent. May contain templates such
    /// as `{{ .env.PROJECT }}`.
    #[schemars(example = &"/srv/project")]
    pub cwd: Text,
    /// Protocol era spoken with the server; `auto` if absent.
    #[schemars(with = "EraMode")]
    pub era: String,
    /// Protocol eras that the gateway's endpoints for this server speak with clients; `both` if absent.
    #[schemars(with = "Eras")]
    pub eras: String,
    /// Rank among servers that offer the same tool: the lowest number is tried first. From 1 up; 1 if absent.
    #[schemars(extend("minimum" = 0), example = 1)]
    pub priority: i64,
    /// URL of the forward proxy to an HTTP server, or `none`. Write secrets as templates.
    #[schemars(example = &"http://proxy.example:3128")]
    pub proxy: String,
    /// Path on the gateway's machine of a PEM file with trusted certificate authorities.
    #[schemars(example = &"/etc/gateway/authority.pem")]
    pub ca_file: String,
    /// Path on the gateway's machine of a PEM file with the client certificate presented to the server.
    #[schemars(example = &"/etc/gateway/client.pem")]
    pub client_cert_file: String,
    /// Path on the gateway's machine of a PEM file with the private key of the client certificate.
    #[schemars(example = &"/etc/gateway/client.key.pem")]
    pub client_key_file: String,
    /// Longest silence of the server during a call, with a unit; progress restarts it. `5m` if absent.
    #[schemars(transform = form::not_negative, example = &"5m")]
    pub call_timeout: WireDuration,
    /// Longest duration of a whole call, with a unit; `1h` if absent.
    #[schemars(transform = form::not_negative, example = &"1h")]
    pub max_call_timeout: WireDuration,
    /// Time limit for reading all pages of one list, with a unit; if absent, the larger of `timeout` and `10s`.
    #[schemars(transform = form::not_negative, example = &"60s")]
    pub list_timeout: WireDuration,
    /// Interval at which the lists are read again if the server does not announce changes, with a unit; `1m` if
    /// absent.
    #[schemars(transform = form::not_negative, example = &"1m")]
    pub refresh_interval: WireDuration,
    /// Maximum number of requests awaiting an answer; 256 if absent.
    #[schemars(extend("minimum" = 0), example = 256)]
    pub max_in_flight: i64,
    /// Maximum size in bytes of a message from the server; 16777216 if absent.
    #[schemars(extend("minimum" = 0), example = 16_777_216)]
    pub max_message_bytes: i64,
    /// Rule by which clients share one session with the server; `auto` if absent.
    #[schemars(with = "SessionMode")]
    pub session_mode: String,
    /// True to apply the defaults of `max_reconnects` and `reconnect_delay` where they are absent. Without a limit, the
    /// gateway retries forever.
    pub auto_reconnect: bool,
    /// Maximum number of reconnection attempts; if absent, 5 with automatic reconnection, otherwise unlimited.
    #[schemars(extend("minimum" = 0), example = 5)]
    pub max_reconnects: i64,
    /// Delay before the first retry, which doubles up to `1m`, with a unit; if absent, `5s` with automatic
    /// reconnection, otherwise `1s`.
    #[schemars(transform = form::not_negative, example = &"5s")]
    pub reconnect_delay: WireDuration,
    /// True to ping the server while it is connected.
    pub health_check_enabled: bool,
    /// Interval between pings, with a unit; `30s` if absent.
    #[schemars(transform = form::not_negative, example = &"30s")]
    pub health_check_interval: WireDuration,
    /// True to write the server's log output to the gateway's log at level `info` instead of `debug`.
    pub log_enabled: bool,
    /// Bearer tokens that clients of this server may use. Write secrets as templates, such as `{{ .env.TOKEN }}`.
    #[schemars(example = example::some_tokens())]
    pub auth_tokens: Vec<Text>,
    /// True to refuse all clients as long as no token is configured at all.
    pub require_auth: bool,
    /// Addresses and networks of clients that may use this server; all clients if empty.
    #[schemars(example = example::some_networks())]
    pub allowed_ips: Vec<String>,
    /// Scopes that an access token of the gateway's authorization server needs for this server.
    #[schemars(example = example::some_scopes())]
    pub required_scopes: Vec<String>,
    /// User that a stdio server runs as: a name or a number. The gateway needs to be root for it.
    #[schemars(example = &"nobody")]
    pub user: Text,
    /// Permissions that files created by a stdio server do not get, in octal and in quotes.
    #[schemars(extend("pattern" = "^(0o)?[0-7]*$"), example = &"027")]
    pub umask: String,
    /// Variables of the gateway's environment that a stdio server gets, of those in the gateway's `--inheritable-env`.
    #[schemars(example = example::some_inherited())]
    pub inherit_env: Vec<String>,
    /// Maximum size in bytes of the private memory of each process of a stdio server.
    #[schemars(extend("minimum" = 0), example = 536_870_912)]
    pub max_memory_bytes: i64,
    /// Maximum CPU time of each process of a stdio server, with a unit.
    #[schemars(transform = form::not_negative, example = &"10m")]
    pub max_cpu_time: WireDuration,
    /// Maximum number of open descriptors of each process of a stdio server.
    #[schemars(extend("minimum" = 0), example = 1_024)]
    pub max_open_files: i64,
    /// Amount by which other processes are preferred when the CPU is contended, from 1 to 19.
    #[schemars(extend("minimum" = 0, "maximum" = 19), example = 10)]
    pub nice: i64,
}

/// The keys of [`GatewaySettings`], used to report unknown keys.
///
/// ```
/// use schemas::workflow::GATEWAY_SETTINGS_KEYS;
///
/// // Files use `tool_filter`; `toolFilter` is the name in the admin API.
/// assert!(GATEWAY_SETTINGS_KEYS.contains(&"tool_filter"));
/// assert!(!GATEWAY_SETTINGS_KEYS.contains(&"toolFilter"));
/// ```
pub const GATEWAY_SETTINGS_KEYS: [&str; 35] = [
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
    "required_scopes",
    "user",
    "umask",
    "inherit_env",
    "max_memory_bytes",
    "max_cpu_time",
    "max_open_files",
    "nice",
];
