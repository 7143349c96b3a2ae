//! Leases: a registration stays for as long as one that needs it lives. Other proxies have none.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Holder, WireDuration};

/// The shortest time to live of a lock or a lease.
pub const MIN_TTL: Duration = Duration::from_secs(1);

/// The longest time to live of a lease.
pub const MAX_LEASE_TTL: Duration = Duration::from_secs(3600);

/// `PUT /admin/leases/{holder}`: takes, renews and gives back leases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// How long all of the holder's leases last from now on, from 1 s to 1 h.
    pub ttl: WireDuration,
    /// On which registrations exactly; leases on others are given back. Absent, those that are held are renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcps: Option<Vec<String>>,
}

/// What a holder holds after [`LeaseRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LeaseGrant {
    /// When the leases end unless they are renewed (RFC 3339, by the gateway's clock).
    pub expires_at: String,
    /// The registrations that are leased, by name.
    pub held: Vec<String>,
    /// Those of the names asked for that are not registered.
    pub missing: Vec<String>,
}

impl LeaseGrant {
    /// What is held until then, and what could not be.
    pub fn new(expires_at: String, held: Vec<String>, missing: Vec<String>) -> Self {
        Self { expires_at, held, missing }
    }
}

/// `DELETE /admin/leases/{holder}`: what became of the registrations it held.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LeaseRelease {
    /// Those that are gone, because nobody else held a lease on them.
    pub removed: Vec<String>,
    /// Those that stay, because somebody does or because they were declared.
    pub kept: Vec<String>,
}

/// `GET /admin/leases`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LeaseList {
    /// Every holder, by name.
    pub leases: Vec<HeldLeases>,
    /// How many there are.
    pub count: usize,
}

/// All leases of one holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldLeases {
    /// Who holds them.
    pub holder: Holder,
    /// When they end unless they are renewed (RFC 3339).
    pub expires_at: String,
    /// The registrations, by name.
    pub mcps: Vec<String>,
}

/// A lease on a registration, as shown with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// Who holds it.
    pub holder: Holder,
    /// When it ends unless it is renewed (RFC 3339, by the gateway's clock).
    pub expires_at: String,
}
