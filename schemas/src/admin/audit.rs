//! Answer of `/admin/audit`. An extension: other proxies record no changes.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Answer of `GET /admin/audit`: records of changes and refused accesses, as they were written, oldest first.
///
/// ```
/// let answer = r#"{"records":[{"seq":7,"action":"registration.deleted","subject":"time"}],"seq":7,"digest":"5f.."}"#;
/// let answer: schemas::admin::AuditRecords = serde_json::from_str(answer)?;
/// assert_eq!((answer.records.len(), answer.seq), (1, 7));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditRecords {
    /// The records: JSON objects with `seq`, `time`, `action`, `actor`, `subject`, `details` and `prev`.
    pub records: Vec<Box<RawValue>>,
    /// Number of the last record of the log.
    pub seq: u64,
    /// SHA-256 of the last record, in hexadecimal. Noted elsewhere, it shows later that nothing up to it was changed.
    pub digest: String,
    /// The reason why records cannot be written, for which changes are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}
