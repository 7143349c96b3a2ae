//! What may be declared about any upstream, however it is reached.

use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Secret;

/// What happens after a connection is lost. Without a limit the gateway never gives up.
///
/// ```
/// use std::time::Duration;
///
/// use schemas::{Definition, Reconnect};
///
/// let posted = r#"{"name":"time","transport":"stdio","command":"mcp-server-time","autoReconnect":true}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// let limited = Reconnect { auto: true, max: Some(5), delay: Some(Duration::from_secs(5)) };
/// assert_eq!(definition.reconnect, limited);
/// assert_eq!(Reconnect::default().max, None, "never gives up");
/// # Ok::<(), serde_json::Error>(())
/// ```
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
///
/// ```
/// use schemas::{Definition, FilterMode};
///
/// let posted = r#"{"name":"fs","transport":"stdio","command":"mcp-fs",
///     "toolFilter":{"mode":"block","list":["delete_file"]}}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// let filter = definition.tool_filter.ok_or("no filter")?;
/// assert_eq!((filter.mode, filter.list.as_slice()), (FilterMode::Block, ["delete_file".to_owned()].as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// ```
    /// use schemas::{FilterMode, ToolFilter};
    ///
    /// let filter = ToolFilter { mode: FilterMode::Allow, list: vec!["read_file".to_owned()] };
    /// assert!(filter.passes("read_file"));
    /// assert!(!filter.passes("Read_File"));
    /// ```
    pub fn passes(&self, tool: &str) -> bool {
        let listed = self.list.iter().any(|name| name == tool);
        match self.mode {
            FilterMode::Allow => listed,
            FilterMode::Block => !listed,
        }
    }
}

/// Whether a [`ToolFilter`] keeps or drops what it lists.
///
/// ```
/// use schemas::{FilterMode, ToolFilter};
///
/// let passes = |mode, tool| ToolFilter { mode, list: vec!["a".to_owned()] }.passes(tool);
/// assert_eq!((passes(FilterMode::Allow, "a"), passes(FilterMode::Allow, "b")), (true, false));
/// assert_eq!((passes(FilterMode::Block, "a"), passes(FilterMode::Block, "b")), (false, true));
/// ```
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
///
/// ```
/// use schemas::Definition;
///
/// let posted = r#"{"name":"time","transport":"stdio","command":"mcp-server-time",
///     "authTokens":["s3cret"],"allowedIPs":["127.0.0.1","10.0.0.0/8"]}"#;
/// let access = serde_json::from_str::<Definition>(posted)?.access;
/// assert_eq!(access.auth_tokens.len(), 1);
/// assert!(access.allowed_ips.iter().map(ToString::to_string).eq(["127.0.0.1/32", "10.0.0.0/8"]));
/// # Ok::<(), serde_json::Error>(())
/// ```
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
///
/// ```
/// use schemas::{Definition, SessionMode, Sessions};
///
/// let posted = r#"{"name":"time","transport":"stdio","command":"x","sessionMode":"dedicated","maxSessions":4}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// assert_eq!(definition.sessions, Sessions { mode: SessionMode::Dedicated, max: Some(4) });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sessions {
    /// Who shares.
    pub mode: SessionMode,
    /// The most dedicated sessions at once; the gateway's limit when absent.
    pub max: Option<u32>,
}

/// Whether downstream sessions share one upstream session.
///
/// ```
/// use schemas::SessionMode;
///
/// assert_eq!(serde_json::from_str::<SessionMode>(r#""shared""#)?, SessionMode::Shared);
/// assert_eq!(SessionMode::default(), SessionMode::Auto);
/// # Ok::<(), serde_json::Error>(())
/// ```
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

/// Which generations of the protocol an endpoint of the gateway speaks to clients.
///
/// Some clients choose the modern era wherever they can and then do not listen for changes; in the legacy era the same
/// clients hear of them.
///
/// ```
/// use schemas::{Definition, Eras};
///
/// let posted = r#"{"name":"time","transport":"stdio","command":"mcp-server-time","eras":"legacy"}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// assert_eq!(definition.eras, Eras::Legacy);
/// assert_eq!("both".parse(), Ok(Eras::Both));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Eras {
    /// Each client is answered in the era that it speaks.
    #[default]
    Both,
    /// Only the one with an `initialize` handshake: 2024-11-05 to 2025-11-25.
    Legacy,
}

/// A text that is neither `both` nor `legacy`.
///
/// ```
/// use schemas::Eras;
///
/// let error = "modern".parse::<Eras>().err().ok_or("no error")?;
/// assert_eq!(error.to_string(), "must be 'both' or 'legacy'");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 'both' or 'legacy'")]
pub struct UnknownEras;

impl FromStr for Eras {
    type Err = UnknownEras;

    fn from_str(text: &str) -> Result<Self, UnknownEras> {
        match text {
            "both" => Ok(Self::Both),
            "legacy" => Ok(Self::Legacy),
            _ => Err(UnknownEras),
        }
    }
}

/// Which generation of the protocol is spoken with an upstream.
///
/// ```
/// use schemas::{Definition, EraMode};
///
/// let posted = r#"{"name":"time","transport":"stdio","command":"mcp-server-time","era":"modern"}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// assert_eq!(definition.era, EraMode::Modern);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum EraMode {
    /// The gateway finds out, once, and remembers. An upstream that speaks both is spoken to in the era of each client.
    #[default]
    Auto,
    /// With an `initialize` handshake: 2024-11-05 to 2025-11-25.
    Legacy,
    /// With metadata in every request: 2026-07-28 on.
    Modern,
}
