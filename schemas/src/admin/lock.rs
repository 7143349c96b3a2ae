//! Locks of owners, which keep two runs for one owner apart. Other proxies have none.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Holder, Secret, WireDuration};

/// The longest time to live of a lock.
pub const MAX_LOCK_TTL: Duration = Duration::from_secs(600);

/// `PUT /admin/locks/{owner}`: takes the lock of an owner, or renews it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockRequest {
    /// Who asks; told to others who want the lock meanwhile.
    pub holder: Holder,
    /// How long it lasts, from 1 s to 10 min.
    pub ttl: WireDuration,
    /// What shows later that the lock is the caller's: 1 to 128 printable characters that nobody else can know. The
    /// gateway draws one where there is none. With the token of the lock that is held, that lock is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Only renew: a lock that has expired is not taken again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renew: bool,
}

/// A lock that was taken or renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LockGrant {
    /// What renews and releases it.
    pub token: Secret,
    /// Who holds it.
    pub holder: Holder,
    /// When it was taken (RFC 3339).
    pub since: String,
    /// When it ends unless it is renewed (RFC 3339).
    pub expires_at: String,
}

/// The refusal (409) of a lock that another holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LockHeld {
    /// The refusal in a few fixed words.
    pub error: String,
    /// Always [`LockHeld::CODE`].
    pub code: String,
    /// Who holds it.
    pub holder: Holder,
    /// Since when (RFC 3339).
    pub since: String,
    /// When it ends unless it is renewed (RFC 3339).
    pub expires_at: String,
}

impl LockHeld {
    /// The code of this refusal.
    pub const CODE: &str = "lock_held";
}

/// The code of the refusal (404) of a token that is not that of a lock which is held.
pub const NO_SUCH_LOCK: &str = "no_such_lock";
