//! Body types of `/admin/leases`: a leased registration is removed when its last lease ends. An extension: other
//! proxies have no leases.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Holder, WireDuration};

/// Shortest time to live of a lock or a lease.
///
/// ```
/// use std::time::Duration;
///
/// use schemas::admin::MIN_TTL;
///
/// let too_short = Duration::from_millis(50);
/// assert_eq!(too_short.max(MIN_TTL), Duration::from_secs(1));
/// ```
pub const MIN_TTL: Duration = Duration::from_secs(1);

/// Longest time to live of a lease.
///
/// ```
/// use std::time::Duration;
///
/// use schemas::admin::MAX_LEASE_TTL;
///
/// let a_day = Duration::from_secs(24 * 3600);
/// assert_eq!(schemas::format_duration(a_day.min(MAX_LEASE_TTL)), "1h");
/// ```
pub const MAX_LEASE_TTL: Duration = Duration::from_secs(3600);

/// Body of `PUT /admin/leases/{holder}`: takes, renews and returns leases.
///
/// ```
/// use std::time::Duration;
///
/// use schemas::admin::LeaseRequest;
///
/// let ttl = Duration::from_secs(30).into();
/// let exactly = LeaseRequest { ttl, mcps: Some(vec!["time".to_owned()]) };
/// assert_eq!(serde_json::to_string(&exactly)?, r#"{"ttl":30000000000,"mcps":["time"]}"#);
/// let renewal = LeaseRequest { ttl, mcps: None };
/// assert_eq!(serde_json::to_string(&renewal)?, r#"{"ttl":30000000000}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// Time to live of all leases of the holder, counted from now: 1 s to 1 h.
    pub ttl: WireDuration,
    /// Names of the registrations to hold leases on; the holder's other leases are returned. If absent, all leases
    /// that the holder has are renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcps: Option<Vec<String>>,
}

/// Answer of `PUT /admin/leases/{holder}` ([`LeaseRequest`]).
///
/// ```
/// use schemas::admin::LeaseGrant;
///
/// let answer = r#"{"expiresAt":"2026-11-21T10:00:30Z","held":["time"],"missing":["docs"]}"#;
/// let grant: LeaseGrant = serde_json::from_str(answer)?;
/// assert_eq!(grant.missing, ["docs"], "still has to be registered");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LeaseGrant {
    /// Time at which the leases end unless renewed (RFC 3339, by the gateway's clock).
    pub expires_at: String,
    /// Names of the registrations that the holder now has leases on.
    pub held: Vec<String>,
    /// Requested names that are not registered.
    pub missing: Vec<String>,
}

impl LeaseGrant {
    /// Creates the answer from the end time, the leased names and the names that are not registered.
    ///
    /// ```
    /// use schemas::admin::LeaseGrant;
    ///
    /// let grant = LeaseGrant::new("2026-11-21T10:00:30Z".to_owned(), vec!["time".to_owned()], Vec::new());
    /// let body = r#"{"expiresAt":"2026-11-21T10:00:30Z","held":["time"],"missing":[]}"#;
    /// assert_eq!(serde_json::to_string(&grant)?, body);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn new(expires_at: String, held: Vec<String>, missing: Vec<String>) -> Self {
        Self { expires_at, held, missing }
    }
}

/// Answer of `DELETE /admin/leases/{holder}`: the registrations that were removed and those that were kept.
///
/// ```
/// use schemas::admin::LeaseRelease;
///
/// let released: LeaseRelease = serde_json::from_str(r#"{"removed":["time"],"kept":["docs"]}"#)?;
/// assert_eq!(released.removed, ["time"], "nobody else needed it");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LeaseRelease {
    /// Registrations removed because no other holder had a lease on them.
    pub removed: Vec<String>,
    /// Registrations kept because another holder has a lease on them, or because they are declared without a lease.
    pub kept: Vec<String>,
}

/// Answer of `GET /admin/leases`.
///
/// ```
/// use schemas::admin::LeaseList;
///
/// let answer = r#"{"leases":[{"holder":"worker-1","expiresAt":"2026-11-21T10:00:30Z","mcps":["time"]}],"count":1}"#;
/// let list: LeaseList = serde_json::from_str(answer)?;
/// let needs_time = list.leases.iter().filter(|held| held.mcps.iter().any(|name| name == "time"));
/// assert!(needs_time.map(|held| held.holder.as_str()).eq(["worker-1"]));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LeaseList {
    /// Every holder with its leases, sorted by name.
    pub leases: Vec<HeldLeases>,
    /// Number of holders.
    pub count: usize,
}

/// All leases of one holder.
///
/// ```
/// use schemas::admin::HeldLeases;
///
/// let mcps = vec!["docs".to_owned(), "time".to_owned()];
/// let held = HeldLeases { holder: "worker-1".parse()?, expires_at: "2026-11-21T10:00:30Z".to_owned(), mcps };
/// let body = r#"{"holder":"worker-1","expiresAt":"2026-11-21T10:00:30Z","mcps":["docs","time"]}"#;
/// assert_eq!(serde_json::to_string(&held)?, body);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldLeases {
    /// The holder of the leases.
    pub holder: Holder,
    /// Time at which the leases end unless renewed (RFC 3339).
    pub expires_at: String,
    /// Names of the leased registrations.
    pub mcps: Vec<String>,
}

/// A lease on one registration, as listed in [`Registration::leases`](crate::admin::Registration::leases).
///
/// ```
/// use schemas::admin::{Lease, Registration};
///
/// let answer = r#"{"leased":true,"leases":[{"holder":"worker-1","expiresAt":"2026-11-21T10:00:30Z"}]}"#;
/// let registration: Registration = serde_json::from_str(answer)?;
/// let ends = registration.leases.iter().map(|lease: &Lease| lease.expires_at.as_str()).max();
/// assert_eq!(ends, Some("2026-11-21T10:00:30Z"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// The holder of the lease.
    pub holder: Holder,
    /// Time at which the lease ends unless renewed (RFC 3339, by the gateway's clock).
    pub expires_at: String,
}
