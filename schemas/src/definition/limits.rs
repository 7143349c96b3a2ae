//! Limits that a definition may set for its own upstream.

use std::time::Duration;

/// Limits of one upstream. The gateway's settings apply to absent members.
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
    /// `callTimeout`: longest silence of the upstream during a call; each progress notification restarts it.
    pub call: Option<Duration>,
    /// `maxCallTimeout`: longest duration of a whole call.
    pub call_in_all: Option<Duration>,
    /// `listTimeout`: time limit for reading all pages of one list.
    pub list: Option<Duration>,
    /// `refreshInterval`: interval at which the lists of an upstream that does not announce changes are read again.
    pub refresh: Option<Duration>,
    /// `maxInFlight`: maximum number of requests awaiting an answer.
    pub in_flight: Option<u32>,
    /// `maxMessageBytes`: maximum size of a received message (line, event or body), in bytes.
    pub message_bytes: Option<u64>,
}
