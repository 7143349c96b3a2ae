//! Settings that apply to upstreams of every transport.

use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Secret;

/// Reconnection after a lost connection. Without a limit the gateway retries forever.
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
    /// `autoReconnect`: if set, `max` defaults to 5 and `delay` to 5 s.
    pub auto: bool,
    /// Maximum number of attempts; unlimited if absent.
    pub max: Option<u32>,
    /// Delay before the first retry, which doubles up to 1 min; 1 s if absent.
    pub delay: Option<Duration>,
}

/// Selects the tools of an upstream that are visible and callable. Names are compared exactly.
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
    /// `allow`: the list names the tools to keep. `block`: it names the tools to hide.
    pub mode: FilterMode,
    /// Tool names, as the upstream reports them.
    pub list: Vec<String>,
}

impl ToolFilter {
    /// Returns true if a tool with this name is visible and callable.
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

/// Meaning of the list in a [`ToolFilter`].
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
    /// Keeps only the listed tools.
    Allow,
    /// Hides the listed tools.
    Block,
}

/// Access control of one upstream's endpoints. Holders of a global token have access in any case.
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
    /// True if every caller is refused as long as no token is configured at all.
    pub require_auth: bool,
    /// Addresses and networks that may call; all if empty.
    pub allowed_ips: Vec<IpNet>,
    /// Scopes that an access token of an authorization server needs here, besides those that the gateway asks for
    /// everywhere. Static tokens have none and need none.
    pub required_scopes: Vec<String>,
}

/// Mapping of downstream sessions to upstream sessions.
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
    /// Rule by which downstream sessions share an upstream session.
    pub mode: SessionMode,
    /// Maximum number of dedicated sessions at a time; the gateway's limit if absent.
    pub max: Option<u32>,
}

/// Rule by which downstream sessions share an upstream session.
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
    /// Over HTTP, each downstream session has its own upstream session. A stdio process is shared, except by sessions
    /// whose client supports server requests (sampling, elicitation, roots): each of them has its own process, so that
    /// a request reaches the right client.
    #[default]
    Auto,
    /// One upstream session for all downstream sessions.
    Shared,
    /// One upstream session per downstream session.
    Dedicated,
}

/// Protocol eras that an endpoint of the gateway speaks with clients.
///
/// Some clients choose the modern era whenever it is offered, but then do not subscribe to change notifications, which
/// the same clients do receive in the legacy era.
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
    /// Answers each client in the era that the client speaks.
    #[default]
    Both,
    /// Legacy era only, with an `initialize` handshake: revisions 2024-11-05 to 2025-11-25.
    Legacy,
}

/// Error for a text that is neither `both` nor `legacy`.
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

/// Protocol era spoken with an upstream.
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
    /// The gateway detects the era once and remembers it. A dual-era upstream is called in the era of each client.
    #[default]
    Auto,
    /// Legacy era, with an `initialize` handshake: revisions 2024-11-05 to 2025-11-25.
    Legacy,
    /// Modern era, with metadata in every request: revision 2026-07-28 and later.
    Modern,
}
