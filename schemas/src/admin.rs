//! Request and response bodies of the admin API (`/admin/...`, `/healthz`) and the parts that they show of a
//! registration.
//!
//! ```
//! use schemas::admin::{RegistrationList, State};
//!
//! let answer = r#"{"mcps":[
//!     {"definition":{"name":"time"},"status":{"name":"time","status":"connected"}},
//!     {"definition":{"name":"docs"},"status":{"name":"docs","status":"error","lastError":"status 401"}}
//! ]}"#;
//! let list: RegistrationList = serde_json::from_str(answer)?;
//! let usable = list.mcps.iter().filter(|registration| registration.status.status == State::Connected);
//! assert!(usable.map(|registration| registration.definition.name()).eq(["time"]));
//! # Ok::<(), serde_json::Error>(())
//! ```

mod audit;
mod event;
mod gateway_status;
mod generation;
mod health;
mod import;
mod lease;
mod lock;
mod log;
mod ownership;
mod refresh;
mod registration;
mod revision;
mod status;
mod token;
mod tool;

use serde::Deserialize;

pub use crate::admin::audit::AuditRecords;
pub use crate::admin::event::StateEvent;
pub use crate::admin::gateway_status::{ConfigurationStatus, GatewayStatus};
pub use crate::admin::generation::{
    Change, Changed, Generation, GenerationAnswer, GenerationRefused, Obstacle, RefusedChange,
};
pub use crate::admin::health::{ConnectionCounts, Health, Metrics, MetricsSnapshot, StorageHealth};
pub use crate::admin::import::{ImportAnswer, ImportOutcome, ImportRequest, ImportedServer};
pub use crate::admin::lease::{
    HeldLeases, Lease, LeaseGrant, LeaseList, LeaseRelease, LeaseRequest, MAX_LEASE_TTL, MIN_TTL,
};
pub use crate::admin::lock::{LockGrant, LockHeld, LockRequest, MAX_LOCK_TTL, NO_SUCH_LOCK};
pub use crate::admin::log::{
    LogComponent, LogLevel, LogLevels, LogLevelsAnswer, LogLevelsUpdate, LogLine, LogLines, LogSource, UnknownLogWord,
};
pub use crate::admin::ownership::{ACTOR_TAG, COMMIT_TAG, OWNER_TAG, RUN_TAG, SOURCE_TAG, Source};
pub use crate::admin::refresh::Refreshed;
pub use crate::admin::registration::{Acknowledgement, DefinitionView, Fingerprints, Registration, RegistrationList};
pub use crate::admin::revision::{Revision, StaleRevision};
pub use crate::admin::status::{State, Status};
pub use crate::admin::token::{
    AccessToken, InvalidTokenName, IssuedToken, MAX_TOKEN_TTL, NO_SUCH_TOKEN, NewToken, Right, TOKEN_PREFIX, TokenList,
    TokenName, TokenRotation, TokenUpdate,
};
pub use crate::admin::tool::{Tool, ToolCall, ToolCallAnswer, ToolList};

/// Reads a list that may be `null`: Go serialises an empty slice so.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<Vec<T>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Definition;

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

    #[test]
    fn requests_have_no_unknown_members() -> Result<(), serde_json::Error> {
        let request: LeaseRequest = serde_json::from_str(r#"{"ttl":"30s","mcps":["a"]}"#)?;
        assert_eq!(request.ttl.get(), Some(Duration::from_secs(30)));
        assert_eq!(serde_json::to_string(&request)?, r#"{"ttl":30000000000,"mcps":["a"]}"#);
        assert!(serde_json::from_str::<LeaseRequest>(r#"{"ttl":"30s","names":["a"]}"#).is_err());
        assert!(serde_json::from_str::<LockRequest>(r#"{"holder":"h","ttl":"30s","x":1}"#).is_err());
        Ok(())
    }
}
