//! How the gateway itself does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Health {
    /// `healthy` while the process answers; some proxies say `ok`.
    pub status: String,
    /// Now (RFC 3339).
    #[serde(default)]
    pub timestamp: String,
    /// The gateway's version.
    #[serde(default)]
    pub version: String,
    /// Time since start, in Go's form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<String>,
    /// Downstream connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<ConnectionCounts>,
    /// Where registrations are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageHealth>,
}

impl Health {
    /// A healthy gateway.
    pub fn healthy(timestamp: String, version: &str) -> Self {
        let status = "healthy".to_owned();
        Self { status, timestamp, version: version.to_owned(), uptime: None, connections: None, storage: None }
    }
}

/// Downstream connections, now and since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionCounts {
    /// Open now.
    pub active: u64,
    /// Accepted since start.
    pub total: u64,
}

/// Where registrations are kept, and whether it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StorageHealth {
    /// `memory`, `embedded` or `redis`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `connected`, or what is wrong.
    pub status: String,
}

/// `GET /admin/metrics`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MetricsSnapshot {
    /// Now (RFC 3339, UTC).
    pub timestamp: String,
    /// The counts.
    pub metrics: Metrics,
}

/// Counts over all upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[non_exhaustive]
pub struct Metrics {
    /// Registered upstreams.
    pub total_clients: u64,
    /// Of them connected.
    pub connected: u64,
    /// Of them connecting.
    pub connecting: u64,
    /// Of them failed.
    pub errored: u64,
    /// Of them neither.
    pub disconnected: u64,
    /// Requests sent to upstreams.
    pub total_requests: u64,
    /// Requests that failed.
    pub total_errors: u64,
    /// How many upstreams may be registered.
    pub max_connections: u64,
}
