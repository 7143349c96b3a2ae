//! How an upstream does.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::WireDuration;

/// How an upstream does.
///
/// ```
/// use schemas::admin::{State, Status};
///
/// // Not every proxy writes the state in lower case.
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
    /// Whether it is usable.
    #[serde(deserialize_with = "any_case")]
    pub status: State,
    /// Whether the gateway has given up, after as many attempts as `maxReconnects` allows: `status` is `error` then, and
    /// stays so until the definition changes. Absent from other proxies.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gave_up: bool,
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
    /// Attempts since the last session that held: failed ones, and those whose session ended within 5 s of its handshake.
    pub reconnect_attempts: u32,
    /// Sessions in a row that ended within 5 s of their handshake; absent when the last one held. Absent from other proxies.
    #[serde(skip_serializing_if = "is_zero")]
    pub short_sessions: u32,
    /// Lines on a program's standard output that are no usable message; absent when there was none. Absent from other
    /// proxies.
    #[serde(skip_serializing_if = "is_none")]
    pub unreadable_lines: u64,
    /// The beginning of the last of them, and what is wrong with it. Absent from other proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_unreadable_line: Option<String>,
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

    /// Time since the last handshake.
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

/// Whether an upstream is usable.
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
