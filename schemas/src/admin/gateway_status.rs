//! Status of the gateway with its upstreams and its configuration file.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Response to `GET /admin/status`: the members of Compozy's documents, and the configuration file.
///
/// ```
/// use schemas::admin::GatewayStatus;
///
/// let answer = r#"{"admin_api":"healthy","registered_servers":1,"active_sessions":0,"server_health":{"fs":"healthy"}}"#;
/// let status: GatewayStatus = serde_json::from_str(answer)?;
/// assert_eq!(status.server_health["fs"], "healthy");
/// assert!(status.configuration.is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[non_exhaustive]
pub struct GatewayStatus {
    /// `healthy` while the admin API answers.
    pub admin_api: String,
    /// Number of registrations.
    pub registered_servers: u64,
    /// Number of client sessions of the legacy era.
    pub active_sessions: u64,
    /// State of each upstream: `healthy`, `connecting`, `reconnecting` or `unhealthy`.
    pub server_health: IndexMap<String, String>,
    /// Configuration file, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<ConfigurationStatus>,
}

/// State of the configuration file in a [`GatewayStatus`].
///
/// ```
/// use schemas::admin::ConfigurationStatus;
///
/// let answer = r#"{"file":"mcp-proxy.yaml","generation":2,"servers":3,"rejected":"mcp-proxy.yaml:3:1: error: unknown key `prot`"}"#;
/// let status: ConfigurationStatus = serde_json::from_str(answer)?;
/// assert_eq!((status.generation, status.servers), (2, 3));
/// assert!(status.rejected.is_some(), "generation 2 stays in effect");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ConfigurationStatus {
    /// Path, as it was named.
    pub file: String,
    /// Number of the version in effect, counted from 1 at start.
    pub generation: u64,
    /// Time since when it is in effect (RFC 3339, UTC).
    pub loaded_at: String,
    /// Number of servers that it declares.
    pub servers: u64,
    /// Servers that cannot be registered, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// Reason why its servers are not registered yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
    /// Mistakes of a newer version, which is not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
}
