//! Requests and answers of the admin API (`/admin/...`, `/healthz`), and what it says about a registration.

mod ownership;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use crate::admin::ownership::{
    ACTOR_TAG, COMMIT_TAG, HeldLeases, Lease, LeaseGrant, LeaseList, LeaseRelease, LeaseRequest, LockGrant, LockHeld,
    LockRequest, MAX_LEASE_TTL, MAX_LOCK_TTL, MIN_TTL, NO_SUCH_LOCK, OWNER_TAG, RUN_TAG, Revision, SOURCE_TAG, Source,
    StaleRevision,
};
use crate::dialect::compozy::DefinitionDocument;
use crate::{Definition, FingerprintSalt, WireDuration};

/// A definition as it may be shown: every secret is a placeholder.
///
/// Other proxies show secrets in the clear; what was read from one of those is kept, and still prints redacted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DefinitionView(DefinitionDocument);

impl DefinitionView {
    /// What may be shown of a definition registered and changed at these times (RFC 3339).
    pub fn new(definition: Definition, created_at: String, updated_at: String) -> Self {
        let document = DefinitionDocument::from(definition).redacted();
        Self(DefinitionDocument { created_at: Some(created_at), updated_at: Some(updated_at), ..document })
    }

    /// The registered name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The whole document.
    pub fn document(&self) -> &DefinitionDocument {
        &self.0
    }

    /// Whose it is, as its tags tell, if anyone's.
    pub fn owner(&self) -> Option<&str> {
        self.0.tags.get(OWNER_TAG).map(String::as_str).filter(|owner| !owner.is_empty())
    }

    /// Where it is declared, as its tags tell.
    pub fn source(&self) -> Option<Source> {
        Source::from_tags(&self.0.tags)
    }
}

/// One registration, as listed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Registration {
    /// What is registered.
    #[serde(default)]
    pub definition: DefinitionView,
    /// How it does.
    #[serde(default)]
    pub status: Status,
    /// Digests of the secrets that `definition` does not show. Absent from other proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprints: Option<Fingerprints>,
    /// Which state of it this is. Absent from other proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Whose it is, from the definition's tags. Absent from other proxies: see [`DefinitionView::owner`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where it is declared, from the definition's tags. Absent from other proxies: see [`DefinitionView::source`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Whether it is removed with the last lease on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leased: bool,
    /// Who holds a lease on it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<Lease>,
}

impl Registration {
    /// A registration with its status; owner and source are those of its tags.
    pub fn new(definition: DefinitionView, status: Status) -> Self {
        let (owner, source) = (definition.owner().map(str::to_owned), definition.source());
        Self { definition, status, owner, source, ..Self::default() }
    }
}

/// Digests of a definition's secrets, keyed by place (`headers.Authorization`), under one gateway's salt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fingerprints {
    /// The salt to compute one's own digests with.
    pub salt: FingerprintSalt,
    /// The digests.
    pub values: BTreeMap<String, String>,
}

/// Whether an upstream is usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not started, or stopped.
    #[default]
    Disconnected,
    /// An attempt is under way.
    Connecting,
    /// The handshake is done.
    Connected,
    /// The last attempt or the session failed; another attempt may follow.
    Error,
}

/// How an upstream does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Status {
    /// The upstream's name.
    pub name: String,
    /// Whether it is usable.
    #[serde(deserialize_with = "any_case")]
    pub status: State,
    /// When the last handshake was done (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_connected: Option<String>,
    /// What failed last; cleared on connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When that was (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_time: Option<String>,
    /// When the last session was lost (RFC 3339); kept on connect. Absent from other proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_disconnected: Option<String>,
    /// Why it was lost; kept on connect. Absent from other proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disconnect_reason: Option<String>,
    /// The generation of the protocol spoken with it, `legacy` or `modern`, once that is known. Absent from other proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub era: Option<String>,
    /// When that was found out (RFC 3339); absent where the definition says it. Absent from other proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub era_probed: Option<String>,
    /// Attempts since the last handshake.
    pub reconnect_attempts: u32,
    /// Time since the last handshake while connected, else 0.
    pub up_time: WireDuration,
    /// Requests sent.
    pub total_requests: u64,
    /// Requests that failed.
    pub total_errors: u64,
    /// Moving average over answered requests: nine parts old, one part new.
    pub avg_response_time: WireDuration,
}

impl Status {
    /// The status of an upstream that nothing is known of yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Time since the last handshake.
    pub fn up_time(&self) -> Duration {
        self.up_time.get().unwrap_or_default()
    }
}

/// `GET /admin/mcps`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RegistrationList {
    /// Every registration, in the order they were made.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub mcps: Vec<Registration>,
    /// How many there are. Absent from early proxies.
    #[serde(default)]
    pub count: usize,
}

/// The answer to a registration, a change or its warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledgement {
    /// What was done.
    pub message: String,
    /// To which registration.
    pub name: String,
    /// What did not work out (status 202).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// When the lease that was asked for ends unless it is renewed (RFC 3339). Absent from other proxies.
    #[serde(default, rename = "expiresAt", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// `GET /admin/tools`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ToolList {
    /// Tools of every connected upstream, in registration order.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub tools: Vec<Tool>,
    /// How many there are. Absent from early proxies.
    #[serde(default)]
    pub count: usize,
}

/// One tool, by the name its upstream gives it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// The upstream's own name for it.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of its arguments, exactly as the upstream wrote it.
    #[serde(default)]
    pub input_schema: Option<Box<RawValue>>,
    /// The upstream that offers it.
    pub mcp_name: String,
    /// What clients of the aggregated endpoint call it, where that was asked for or is out of the ordinary. Absent from
    /// other proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed_name: Option<String>,
    /// Whether the definition's filter hides it from every client. Absent from other proxies.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// Why it is hidden, left out of the aggregated endpoint, or called otherwise there than is usual. Absent from other
    /// proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /admin/tools/call`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolCall {
    /// The upstream.
    pub mcp_name: String,
    /// The tool, by the upstream's own name.
    pub tool_name: String,
    /// Its arguments, forwarded as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Box<RawValue>>,
}

/// What a tool call gave. `result` is the short form that Compozy's engine reads; the members below it are the whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolCallAnswer {
    /// The first content item in Compozy's form; `null` when the call failed.
    #[serde(default)]
    pub result: Option<Box<RawValue>>,
    /// Why the call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Every content item, as the upstream sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Box<RawValue>>,
    /// The structured result, as the upstream sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_content: Option<Box<RawValue>>,
    /// Whether the tool itself reported a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
}

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

fn any_case<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<State, D::Error> {
    let text = String::deserialize(deserializer)?.to_lowercase();
    match text.as_str() {
        "disconnected" => Ok(State::Disconnected),
        "connecting" => Ok(State::Connecting),
        "connected" => Ok(State::Connected),
        "error" => Ok(State::Error),
        _ => Err(serde::de::Error::unknown_variant(&text, &["disconnected", "connecting", "connected", "error"])),
    }
}

fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<Vec<T>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_other_proxies_send() -> Result<(), serde_json::Error> {
        assert!(serde_json::from_str::<ToolList>(r#"{"tools":null}"#)?.tools.is_empty());
        assert!(serde_json::from_str::<RegistrationList>(r#"{"mcps":null}"#)?.mcps.is_empty());
        let listed: RegistrationList = serde_json::from_str(
            r#"{"mcps":[{"definition":{"name":"gh","transport":"streamable-http","url":"https://x/mcp",
            "headers":{"Authorization":"Bearer t"},"timeout":30000000000,"createdAt":"2025-10-01T10:00:00.1-03:00"},
            "status":{"name":"gh","status":"Connected","reconnectAttempts":0,"upTime":12000000000,
            "totalRequests":3,"totalErrors":0,"avgResponseTime":41000000}}],"count":1}"#,
        )?;
        let only = listed.mcps.first().map(|one| (one.definition.name(), one.status.status, one.status.up_time()));
        assert_eq!(only, Some(("gh", State::Connected, Duration::from_secs(12))));
        Ok(())
    }

    #[test]
    fn a_view_shows_no_secret() -> Result<(), serde_json::Error> {
        let definition: Definition = serde_json::from_str(
            r#"{"name":"gh","transport":"sse","url":"http://x/","headers":{"A":"hush1"},"env":{"B":"hush2"},
            "authTokens":["hush3"]}"#,
        )?;
        let view = DefinitionView::new(definition, "t0".into(), "t1".into());
        let shown = serde_json::to_string(&view)?;
        assert!(!shown.contains("hush"), "{shown}");
        assert!(shown.contains(r#""headers":{"A":"[redacted]"}"#), "{shown}");
        Ok(())
    }
}
