//! Contents of a record.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// Whoever makes a change, or is refused.
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

/// Kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub(crate) enum Action {
    #[serde(rename = "gateway.started")]
    Started,
    #[serde(rename = "gateway.stopped")]
    Stopped,
    #[serde(rename = "audit.recovered")]
    Recovered,
    #[serde(rename = "configuration.applied")]
    Configured,
    #[serde(rename = "configuration.refused")]
    ConfigurationRefused,
    #[serde(rename = "log_levels.changed")]
    LogLevels,
    #[serde(rename = "registration.created")]
    Registered,
    #[serde(rename = "registration.updated")]
    Updated,
    #[serde(rename = "registration.deleted")]
    Deregistered,
    #[serde(rename = "leases.changed")]
    Leased,
    #[serde(rename = "lock.taken")]
    Locked,
    #[serde(rename = "lock.released")]
    Unlocked,
    #[serde(rename = "token.issued")]
    TokenIssued,
    #[serde(rename = "token.updated")]
    TokenUpdated,
    #[serde(rename = "token.rotated")]
    TokenRotated,
    #[serde(rename = "token.revoked")]
    TokenRevoked,
    #[serde(rename = "secrets.read")]
    SecretsRead,
    #[serde(rename = "access.refused")]
    Refused,
}

/// A record without its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) time: Timestamp,
    pub(crate) action: Action,
    pub(crate) actor: Actor,
    /// Name of the registration, holder, owner, token or path.
    pub(crate) subject: Option<String>,
    /// Further facts; never a secret.
    pub(crate) details: Map<String, Value>,
}

impl Entry {
    pub(crate) fn new(action: Action, actor: &Actor, time: Timestamp) -> Self {
        Self { time, action, actor: actor.clone(), subject: None, details: Map::new() }
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
