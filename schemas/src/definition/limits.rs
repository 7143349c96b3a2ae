//! Limits that a definition may set for its own upstream.

use std::time::Duration;

/// Limits of one upstream. What is absent is as the gateway's own settings have it.
///
/// ```
/// use std::time::Duration;
///
/// use schemas::{Definition, Limits};
///
/// let posted = r#"{"name":"build","transport":"stdio","command":"mcp-build","callTimeout":"20m","maxInFlight":4}"#;
/// let limits = serde_json::from_str::<Definition>(posted)?.limits;
/// let declared = Limits { call: Some(Duration::from_secs(1_200)), in_flight: Some(4), ..Limits::default() };
/// assert_eq!(limits, declared);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// `callTimeout`: how long the upstream may be silent in a call; each progress notification starts it anew.
    pub call: Option<Duration>,
    /// `maxCallTimeout`: how long a call may take in all.
    pub call_in_all: Option<Duration>,
    /// `listTimeout`: how long reading all pages of one list may take.
    pub list: Option<Duration>,
    /// `refreshInterval`: how often the lists of an upstream that does not announce changes are read again.
    pub refresh: Option<Duration>,
    /// `maxInFlight`: the most requests that wait for answers at once.
    pub in_flight: Option<u32>,
    /// `maxMessageBytes`: the largest message that is read: a line, an event or a body.
    pub message_bytes: Option<u64>,
}
