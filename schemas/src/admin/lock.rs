//! Body types of `/admin/locks`: the lock of an owner prevents two concurrent runs for that owner. An extension: other
//! proxies have no locks.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Holder, Secret, WireDuration};

/// Longest time to live of a lock.
///
/// ```
/// use std::time::Duration;
///
/// use schemas::admin::{MAX_LOCK_TTL, MIN_TTL};
///
/// let an_hour = Duration::from_secs(3600);
/// assert_eq!(an_hour.clamp(MIN_TTL, MAX_LOCK_TTL), Duration::from_secs(600));
/// ```
pub const MAX_LOCK_TTL: Duration = Duration::from_secs(600);

/// Body of `PUT /admin/locks/{owner}`: takes the lock of an owner, or renews it.
///
/// ```
/// use std::time::Duration;
///
/// use schemas::admin::LockRequest;
///
/// let ttl = Duration::from_secs(30).into();
/// let request = LockRequest { holder: "ci-run-4711".parse()?, ttl, token: None, renew: false };
/// assert_eq!(serde_json::to_string(&request)?, r#"{"holder":"ci-run-4711","ttl":30000000000}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockRequest {
    /// The holder that asks for the lock; named in refusals to other holders.
    pub holder: Holder,
    /// Time to live of the lock: 1 s to 10 min.
    pub ttl: WireDuration,
    /// Proves later that the caller holds the lock: 1 to 128 printable characters that cannot be guessed. If absent,
    /// the gateway generates one. The token of the lock that is held renews that lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// True if an expired lock must not be taken again, only a live one renewed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renew: bool,
}

/// Answer of `PUT /admin/locks/{owner}`: the lock was taken or renewed.
///
/// ```
/// use schemas::admin::LockGrant;
///
/// let answer = r#"{"token":"5f0c","holder":"ci-run-4711",
///     "since":"2026-11-21T10:00:00Z","expiresAt":"2026-11-21T10:00:30Z"}"#;
/// let grant: LockGrant = serde_json::from_str(answer)?;
/// assert_eq!(grant.expires_at, "2026-11-21T10:00:30Z");
/// assert_eq!(format!("{:?}", grant.token), "[redacted]");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LockGrant {
    /// Token that renews and releases the lock.
    pub token: Secret,
    /// The holder of the lock.
    pub holder: Holder,
    /// Time at which the lock was taken (RFC 3339).
    pub since: String,
    /// Time at which the lock ends unless renewed (RFC 3339).
    pub expires_at: String,
}

/// Refusal (409) of a lock that another holder has.
///
/// ```
/// use schemas::admin::LockHeld;
///
/// let answer = r#"{"error":"Owner is locked","code":"lock_held","holder":"ci-run-4710",
///     "since":"2026-11-21T09:59:50Z","expiresAt":"2026-11-21T10:00:20Z"}"#;
/// let held: LockHeld = serde_json::from_str(answer)?;
/// assert_eq!(format!("{} until {}", held.holder, held.expires_at), "ci-run-4710 until 2026-11-21T10:00:20Z");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LockHeld {
    /// A short, fixed message.
    pub error: String,
    /// Always [`LockHeld::CODE`].
    pub code: String,
    /// The holder of the lock.
    pub holder: Holder,
    /// Time at which the lock was taken (RFC 3339).
    pub since: String,
    /// Time at which the lock ends unless renewed (RFC 3339).
    pub expires_at: String,
}

impl LockHeld {
    /// Machine-readable code of this refusal.
    ///
    /// ```
    /// use schemas::Problem;
    /// use schemas::admin::LockHeld;
    ///
    /// // A name conflict is also a 409, with another code.
    /// let answer = r#"{"error":"Owner is locked","code":"lock_held"}"#;
    /// let problem: Problem = serde_json::from_str(answer)?;
    /// assert_eq!(problem.code.as_deref(), Some(LockHeld::CODE));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub const CODE: &str = "lock_held";
}

/// Code of the refusal (404) of a token that belongs to no live lock.
///
/// ```
/// use schemas::Problem;
/// use schemas::admin::NO_SUCH_LOCK;
///
/// let problem = Problem::new("Lock not found").code(NO_SUCH_LOCK);
/// assert_eq!(serde_json::to_string(&problem)?, r#"{"error":"Lock not found","code":"no_such_lock"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub const NO_SUCH_LOCK: &str = "no_such_lock";
