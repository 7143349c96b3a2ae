//! Contents of a record.

use std::net::{IpAddr, Ipv6Addr};

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// Author of a change, or sender of a refused request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Actor {
    /// A caller of the admin API.
    Admin {
        principal: String,
        /// The caller's address; without one if a proxy does not name it.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
    },
    /// A client of the endpoints of servers.
    Client {
        /// Its access token, if it has a valid one.
        #[serde(skip_serializing_if = "Option::is_none")]
        principal: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
    },
    /// The configuration file.
    File { owner: String },
    /// The gateway by itself: leases that end, starts and stops.
    Gateway,
    /// The program that started `mcp-proxy stdio`.
    Stdio,
    /// Callers with many addresses, which are not told apart any more.
    Many,
}

impl Actor {
    /// Returns the actor with the network (/64) in place of an IPv6 address, of which one sender has as many as it likes.
    pub(super) fn of_network(mut self) -> Self {
        if let Self::Admin { address, .. } | Self::Client { address, .. } = &mut self
            && let Some(IpAddr::V6(own)) = address
            && own.to_ipv4_mapped().is_none()
        {
            *own = Ipv6Addr::from_bits(own.to_bits() & !u128::from(u64::MAX));
        }
        self
    }
}

/// Kind of audit records and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum EventType {
    Started,
    Draining,
    Stopped,
    Recovered,
    Configured,
    ConfigurationRefused,
    LogLevels,
    Registered,
    Updated,
    Deregistered,
    Leased,
    Locked,
    Unlocked,
    TokenIssued,
    TokenUpdated,
    TokenRotated,
    TokenRevoked,
    SecretsRead,
    Refused,
    Connecting,
    Connected,
    NotConnected,
    Ended,
    ListsChanged,
    StorageLost,
    StorageFound,
}

impl EventType {
    /// Returns the stable word of the wire.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Started => "gateway.started",
            Self::Draining => "gateway.draining",
            Self::Stopped => "gateway.stopped",
            Self::Recovered => "audit.recovered",
            Self::Configured => "configuration.applied",
            Self::ConfigurationRefused => "configuration.refused",
            Self::LogLevels => "log_levels.changed",
            Self::Registered => "registration.created",
            Self::Updated => "registration.updated",
            Self::Deregistered => "registration.deleted",
            Self::Leased => "leases.changed",
            Self::Locked => "lock.taken",
            Self::Unlocked => "lock.released",
            Self::TokenIssued => "token.issued",
            Self::TokenUpdated => "token.updated",
            Self::TokenRotated => "token.rotated",
            Self::TokenRevoked => "token.revoked",
            Self::SecretsRead => "secrets.read",
            Self::Refused => "access.refused",
            Self::Connecting => "upstream.connecting",
            Self::Connected => "upstream.connected",
            Self::NotConnected => "upstream.failed",
            Self::Ended => "upstream.ended",
            Self::ListsChanged => "catalog.changed",
            Self::StorageLost => "storage.lost",
            Self::StorageFound => "storage.found",
        }
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// A record without its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) time: Timestamp,
    pub(crate) kind: EventType,
    pub(crate) actor: Actor,
    /// Name of the registration, holder, owner, token or path.
    pub(crate) subject: Option<String>,
    /// Further facts; never a secret.
    pub(crate) details: Map<String, Value>,
}

impl Entry {
    pub(crate) fn new(kind: EventType, actor: &Actor, time: Timestamp) -> Self {
        Self { time, kind, actor: actor.clone(), subject: None, details: Map::new() }
    }

    #[must_use]
    pub(crate) fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}
