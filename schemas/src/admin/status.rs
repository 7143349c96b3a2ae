//! Status of an upstream.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::WireDuration;

/// Status of an upstream.
///
/// ```
/// use schemas::admin::{State, Status};
///
/// // Read the state in any case: not every proxy writes it in lower case.
/// let answer = r#"{"name":"time","status":"Error","lastError":"exited with 1","reconnectAttempts":4}"#;
/// let status: Status = serde_json::from_str(answer)?;
/// assert_eq!((status.status, status.reconnect_attempts), (State::Error, 4));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Status {
    /// The upstream's name.
    pub name: String,
    /// State of the connection.
    #[serde(deserialize_with = "any_case")]
    pub status: State,
    /// True if the gateway stopped trying to connect after `maxReconnects` attempts: `status` is then `error` until
    /// the definition changes. Absent from other proxies.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gave_up: bool,
    /// Time of the last completed handshake (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_connected: Option<String>,
    /// Message of the last failure; cleared when the upstream connects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Time of the last failure (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_time: Option<String>,
    /// Time at which the last session was lost (RFC 3339); kept when the upstream connects. Absent from other proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_disconnected: Option<String>,
    /// Reason why the last session was lost; kept when the upstream connects. Absent from other proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disconnect_reason: Option<String>,
    /// Protocol era spoken with the upstream, `legacy` or `modern`, once it is known. Absent from other proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub era: Option<String>,
    /// Time at which the era was detected (RFC 3339); absent if the definition sets it. Absent from other proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub era_probed: Option<String>,
    /// Connection attempts since the last stable session: failed ones and those whose session ended within 5 s of its
    /// handshake.
    pub reconnect_attempts: u32,
    /// Consecutive sessions that ended within 5 s of their handshake; absent if the last one lasted longer. Absent
    /// from other proxies.
    #[serde(skip_serializing_if = "is_zero")]
    pub short_sessions: u32,
    /// Lines on the standard output of a stdio upstream that are not valid JSON-RPC messages; absent if there were
    /// none. Absent from other proxies.
    #[serde(skip_serializing_if = "is_none")]
    pub unreadable_lines: u64,
    /// Start of the last unreadable line and the error in it. Absent from other proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_unreadable_line: Option<String>,
    /// Time since the last handshake while the upstream is connected, otherwise 0.
    pub up_time: WireDuration,
    /// Requests sent to the upstream.
    pub total_requests: u64,
    /// Requests that failed.
    pub total_errors: u64,
    /// Exponential moving average of the response time: 90 % previous average, 10 % latest response.
    pub avg_response_time: WireDuration,
}

impl Status {
    /// Creates the status of an upstream that has not been started.
    ///
    /// ```
    /// use schemas::admin::{State, Status};
    ///
    /// let status = Status::new("time");
    /// assert_eq!((status.name.as_str(), status.status, status.last_error), ("time", State::Disconnected, None));
    /// ```
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Returns the time since the last handshake; zero if the upstream is not connected.
    ///
    /// ```
    /// use schemas::admin::Status;
    ///
    /// let status: Status = serde_json::from_str(r#"{"status":"connected","upTime":90000000000}"#)?;
    /// assert_eq!(schemas::format_duration(status.up_time()), "1m30s");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn up_time(&self) -> Duration {
        self.up_time.get().unwrap_or_default()
    }
}

/// State of the connection to an upstream.
///
/// ```
/// use schemas::admin::State;
///
/// assert_eq!(serde_json::from_str::<State>(r#""connecting""#)?, State::Connecting);
/// assert_eq!(State::default(), State::Disconnected);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not started or stopped.
    #[default]
    Disconnected,
    /// A connection attempt is under way.
    Connecting,
    /// The handshake is complete.
    Connected,
    /// The last attempt or the session failed; another attempt may follow.
    Error,
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_none(number: &u64) -> bool {
    *number == 0
}
