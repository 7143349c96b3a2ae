//! Health and metrics of the gateway itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answer of `GET /healthz`.
///
/// ```
/// use schemas::admin::Health;
///
/// let answer = r#"{"status":"healthy","version":"0.1.0","storage":{"type":"redis","status":"connected"}}"#;
/// let health: Health = serde_json::from_str(answer)?;
/// assert_eq!(health.version, "0.1.0");
/// assert_eq!(health.storage.map(|storage| storage.kind).as_deref(), Some("redis"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Health {
    /// `healthy` while the process answers; some proxies say `ok`.
    pub status: String,
    /// Time of the answer (RFC 3339).
    #[serde(default)]
    pub timestamp: String,
    /// The gateway's version.
    #[serde(default)]
    pub version: String,
    /// Time since start, as Go formats durations (`1h2m3s`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<String>,
    /// Numbers of downstream connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<ConnectionCounts>,
    /// The storage of registrations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageHealth>,
}

impl Health {
    /// Creates the answer of a healthy gateway, with the optional members absent.
    ///
    /// ```
    /// use schemas::admin::Health;
    ///
    /// let health = Health::healthy("2026-11-21T10:00:00Z".to_owned(), "0.1.0");
    /// let body = r#"{"status":"healthy","timestamp":"2026-11-21T10:00:00Z","version":"0.1.0"}"#;
    /// assert_eq!(serde_json::to_string(&health)?, body);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn healthy(timestamp: String, version: &str) -> Self {
        let status = "healthy".to_owned();
        Self { status, timestamp, version: version.to_owned(), uptime: None, connections: None, storage: None }
    }
}

/// Numbers of downstream connections.
///
/// ```
/// use schemas::admin::ConnectionCounts;
///
/// let counts: ConnectionCounts = serde_json::from_str(r#"{"active":3,"total":41}"#)?;
/// assert_eq!(counts.total - counts.active, 38, "have come and gone");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionCounts {
    /// Connections open now.
    pub active: u64,
    /// Connections accepted since the gateway started.
    pub total: u64,
}

/// The storage of registrations and its state.
///
/// ```
/// use schemas::admin::StorageHealth;
///
/// let storage = StorageHealth { kind: "embedded".to_owned(), status: "connected".to_owned() };
/// assert_eq!(serde_json::to_string(&storage)?, r#"{"type":"embedded","status":"connected"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StorageHealth {
    /// `memory`, `embedded` or `redis`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `connected`, or a description of the failure.
    pub status: String,
}

/// Answer of `GET /admin/metrics`.
///
/// ```
/// use schemas::admin::MetricsSnapshot;
///
/// let answer = r#"{"timestamp":"2026-11-21T10:00:00Z","metrics":{"total_clients":3,"connected":2,"errored":1}}"#;
/// let snapshot: MetricsSnapshot = serde_json::from_str(answer)?;
/// assert_eq!(snapshot.metrics.errored, 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MetricsSnapshot {
    /// Time of the answer (RFC 3339, UTC).
    pub timestamp: String,
    /// The counts.
    pub metrics: Metrics,
}

/// Counts over all upstreams.
///
/// ```
/// use schemas::admin::Metrics;
///
/// let metrics: Metrics = serde_json::from_str(r#"{"total_requests":200,"total_errors":4}"#)?;
/// assert_eq!(metrics.total_errors * 100 / metrics.total_requests, 2, "per cent");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[non_exhaustive]
pub struct Metrics {
    /// Registered upstreams.
    pub total_clients: u64,
    /// Connected upstreams.
    pub connected: u64,
    /// Connecting upstreams.
    pub connecting: u64,
    /// Failed upstreams.
    pub errored: u64,
    /// Upstreams in no other state: not started, or stopped.
    pub disconnected: u64,
    /// Requests sent to upstreams.
    pub total_requests: u64,
    /// Requests that failed.
    pub total_errors: u64,
    /// Maximum number of registered upstreams.
    pub max_connections: u64,
    /// Version of the configuration file in effect, counted from 1 at start; 0 without a file.
    #[serde(skip_serializing_if = "is_zero")]
    pub configuration_generation: u64,
    /// 1 while the newest version of the configuration file has a mistake, and an earlier one stays in effect.
    #[serde(skip_serializing_if = "is_zero")]
    pub configuration_rejected: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
