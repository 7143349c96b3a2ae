//! Definition format of Compozy's proxy: flat JSON, with its defaults, its order of checks and its error texts.
//!
//! ```
//! use schemas::Definition;
//!
//! let document = r#"{"name":"time","transport":"stdio","command":"mcp-server-time","healthCheckEnabled":true}"#;
//! let definition: Definition = serde_json::from_str(document)?;
//! assert_eq!(serde_json::to_value(&definition)?["healthCheckInterval"], 30_000_000_000_u64);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod command;
mod conversion;
mod declared;
mod limits;
mod number;
mod process;
mod redacted;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use crate::Definition;
pub use crate::dialect::compozy::command::Command;
pub use crate::dialect::compozy::declared::DeclaredDocument;
use crate::{Secret, WireDuration};

/// A definition as written in requests, in responses and in Redis.
///
/// Ignores unknown members, because a later version may have sent the response. A definition that a user declares is
/// read as a [`DeclaredDocument`], which refuses unknown members.
///
/// ```
/// use schemas::Definition;
/// use schemas::dialect::compozy::{Command, DefinitionDocument};
///
/// let document = DefinitionDocument {
///     name: "time".to_owned(),
///     transport: "stdio".to_owned(),
///     command: Command::Program("mcp-server-time".to_owned()),
///     ..DefinitionDocument::default()
/// };
/// let definition = Definition::try_from(document)?;
/// assert_eq!(definition.name.as_str(), "time");
/// # Ok::<(), schemas::InvalidDefinition>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DefinitionDocument {
    /// Name of the upstream; part of the URL that clients use.
    pub name: String,
    /// Description for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Transport: `stdio`, `sse` or `streamable-http`.
    pub transport: String,
    /// Program of a stdio upstream. Early clients sent a list: the program, then its arguments.
    #[serde(skip_serializing_if = "Command::is_empty")]
    pub command: Command,
    /// Arguments of the program.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub args: Vec<String>,
    /// Further arguments; sent by early clients.
    #[serde(rename = "startup_args", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub startup_args: Vec<String>,
    /// Working directory of the program. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cwd: String,
    /// Environment variables of the program.
    #[serde(skip_serializing_if = "IndexMap::is_empty", deserialize_with = "null_is_default")]
    pub env: IndexMap<String, Secret>,
    /// URL of an HTTP upstream.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Headers sent with every request to an HTTP upstream.
    #[serde(skip_serializing_if = "IndexMap::is_empty", deserialize_with = "null_is_default")]
    pub headers: IndexMap<String, Secret>,
    /// Time limit for connecting.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub timeout: WireDuration,
    /// True if `maxReconnects` and `reconnectDelay` have defaults (5 attempts, 5 s).
    #[serde(skip_serializing_if = "is_false")]
    pub auto_reconnect: bool,
    /// Maximum number of reconnection attempts.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_reconnects: i64,
    /// Delay before the first reconnection attempt, which doubles with each further one.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub reconnect_delay: WireDuration,
    /// True if the upstream is pinged while connected.
    #[serde(skip_serializing_if = "is_false")]
    pub health_check_enabled: bool,
    /// Interval between pings.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub health_check_interval: WireDuration,
    /// True if log output of the upstream is logged at level `info` instead of `debug`.
    #[serde(skip_serializing_if = "is_false")]
    pub log_enabled: bool,
    /// Filter that selects the visible and callable tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_filter: Option<FilterDocument>,
    /// Free-form labels set by the owner.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub tags: BTreeMap<String, String>,
    /// Bearer tokens accepted for this upstream.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub auth_tokens: Vec<Secret>,
    /// True if every caller is refused as long as no token is configured at all.
    #[serde(skip_serializing_if = "is_false")]
    pub require_auth: bool,
    /// Addresses and networks that may call.
    #[serde(rename = "allowedIPs", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub allowed_ips: Vec<String>,
    /// Scopes that an access token needs here. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub required_scopes: Vec<String>,
    /// Session mode: `auto`, `shared` or `dedicated`. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session_mode: String,
    /// Maximum number of dedicated upstream sessions at a time. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_sessions: i64,
    /// Protocol era spoken with the upstream: `auto`, `legacy` or `modern`. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub era: String,
    /// Protocol eras that the upstream's own endpoints speak with clients: `both` or `legacy`. An extension; other
    /// proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub eras: String,
    /// Rank among upstreams that offer the same tool: the lowest number is tried first. From 1 up; default 1. An
    /// extension; other proxies ignore it.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// URL of the forward proxy to an HTTP upstream, or `none`. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Secret>,
    /// Path of a PEM file with trusted certificate authorities. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_file: String,
    /// Path of a PEM file with the client certificate of the gateway. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_cert_file: String,
    /// Path of a PEM file with the private key of the client certificate. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_key_file: String,
    /// Longest silence of the upstream during a call; progress restarts it. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub call_timeout: WireDuration,
    /// Longest duration of a whole call. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub max_call_timeout: WireDuration,
    /// Time limit for reading all pages of one list. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub list_timeout: WireDuration,
    /// Interval at which the lists are read again if the upstream does not announce changes. An extension; other
    /// proxies ignore it.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub refresh_interval: WireDuration,
    /// Maximum number of requests awaiting an answer. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_in_flight: i64,
    /// Maximum size in bytes of a message from the upstream. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_message_bytes: i64,
    /// User that the program runs as: a name or a number; the gateway needs to be root. An extension; other proxies
    /// ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Permissions that files created by the program do not get, in octal. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub umask: String,
    /// Variables of the gateway's environment that the program gets, of those that the gateway allows. An extension;
    /// other proxies ignore it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub inherit_env: Vec<String>,
    /// Maximum size in bytes of the private memory of each process of the program. An extension; other proxies ignore
    /// it.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_memory_bytes: i64,
    /// Maximum CPU time of each process of the program, rounded up to seconds. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub max_cpu_time: WireDuration,
    /// Maximum number of open descriptors of each process of the program. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_open_files: i64,
    /// Amount by which other processes are preferred when the CPU is contended, from 1 to 19. An extension; other
    /// proxies ignore it.
    #[serde(skip_serializing_if = "is_zero")]
    pub nice: i64,
    /// Time of the registration (RFC 3339); set by the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Time of the last change (RFC 3339); set by the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
}

/// A tool filter as written; [`Definition`] checks its mode, in the ancestor's order of checks.
///
/// ```
/// use schemas::dialect::compozy::DefinitionDocument;
/// use schemas::{Definition, InvalidDefinition};
///
/// let document = r#"{"name":"a","transport":"stdio","command":"x","toolFilter":{"mode":"deny","list":["b"]}}"#;
/// let document: DefinitionDocument = serde_json::from_str(document)?;
/// assert_eq!(document.tool_filter.as_ref().map(|filter| filter.mode.as_str()), Some("deny"));
/// assert_eq!(Definition::try_from(document), Err(InvalidDefinition::FilterMode("deny".to_owned())));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FilterDocument {
    /// Meaning of the list: `allow` or `block`.
    pub mode: String,
    /// Tool names.
    #[serde(deserialize_with = "null_is_default")]
    pub list: Vec<String>,
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests;
