//! What may be declared about any upstream, however it is reached.

use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Secret;

/// What happens after a connection is lost. Without a limit the gateway never gives up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reconnect {
    /// The wire's `autoReconnect`; when set, `max` and `delay` have the defaults of 5 and 5 s.
    pub auto: bool,
    /// Attempts after which the gateway gives up.
    pub max: Option<u32>,
    /// First delay between attempts.
    pub delay: Option<Duration>,
}

/// Which tools of an upstream are visible and callable. Names match exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ToolFilter {
    /// Whether the list names what is kept or what is dropped.
    pub mode: FilterMode,
    /// Tool names as the upstream has them.
    pub list: Vec<String>,
}

impl ToolFilter {
    /// Whether a tool with this name passes.
    pub fn passes(&self, tool: &str) -> bool {
        let listed = self.list.iter().any(|name| name == tool);
        match self.mode {
            FilterMode::Allow => listed,
            FilterMode::Block => !listed,
        }
    }
}

/// Whether a [`ToolFilter`] keeps or drops what it lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum FilterMode {
    /// Keep only what is listed.
    Allow,
    /// Drop what is listed.
    Block,
}

/// Who may use an upstream's endpoints, besides holders of a global token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Bearer tokens accepted for this upstream.
    pub auth_tokens: Vec<Secret>,
    /// Refuse every caller when no token is configured at all.
    pub require_auth: bool,
    /// Addresses that may call; everyone when empty.
    pub allowed_ips: Vec<IpNet>,
}

/// How downstream sessions map to upstream sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sessions {
    /// Who shares.
    pub mode: SessionMode,
    /// The most dedicated sessions at once; the gateway's limit when absent.
    pub max: Option<u32>,
}

/// Whether downstream sessions share one upstream session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum SessionMode {
    /// Over HTTP each session has its own. A stdio process is shared, except by sessions whose client can be asked
    /// something (sampling, elicitation, roots): each of those has its own, so that questions reach the right one.
    #[default]
    Auto,
    /// One for all.
    Shared,
    /// One each.
    Dedicated,
}

/// Which generation of the protocol is spoken with an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum EraMode {
    /// The gateway finds out, once, and remembers. An upstream that speaks both is spoken to in the modern way.
    #[default]
    Auto,
    /// With an `initialize` handshake: 2024-11-05 to 2025-11-25.
    Legacy,
    /// With metadata in every request: 2026-07-28 on.
    Modern,
}
