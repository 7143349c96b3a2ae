//! Data of the events of `/admin/events`. An extension: other proxies announce no changes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A state change, as an event of `GET /admin/events` carries it. The type is also that of the event.
///
/// ```
/// let data = r#"{"time":"2026-12-01T10:00:00Z","type":"upstream.connected","subject":"time","details":{"era":"modern"}}"#;
/// let event: schemas::admin::StateEvent = serde_json::from_str(data)?;
/// assert_eq!((event.kind.as_str(), event.subject.as_deref()), ("upstream.connected", Some("time")));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StateEvent {
    /// RFC 3339 time of the change.
    pub time: String,
    /// Kind of the change, such as `registration.created`. There may be more kinds in later versions.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name of the registration, upstream, holder or token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Further facts, without secrets.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

impl StateEvent {
    /// Creates an event about nothing in particular.
    ///
    /// ```
    /// use schemas::admin::StateEvent;
    ///
    /// assert!(StateEvent::new("gateway.draining", "2026-12-01T10:00:00Z").details.is_empty());
    /// ```
    pub fn new(kind: impl Into<String>, time: impl Into<String>) -> Self {
        Self { time: time.into(), kind: kind.into(), subject: None, details: Map::new() }
    }
}
