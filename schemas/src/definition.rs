//! What a user declares about one upstream, as a value that is valid by construction.
//!
//! The wire form is Compozy's flat JSON ([`crate::dialect::compozy`]); serialising and reading a [`Definition`] goes
//! through it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use indexmap::IndexMap;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::dialect::compozy::DefinitionDocument;
use crate::{FingerprintSalt, InvalidName, Secret, ServerName};

/// One upstream, as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DefinitionDocument", into = "DefinitionDocument")]
pub struct Definition {
    /// What clients put into the URL.
    pub name: ServerName,
    /// For people.
    pub description: Option<String>,
    /// How the upstream is reached.
    pub transport: Transport,
    /// Environment of the child process. An HTTP upstream has none; its entries are kept and shown, never used.
    pub env: IndexMap<String, Secret>,
    /// How long one attempt to connect and shake hands may take; the gateway's own limit when absent.
    pub timeout: Option<Duration>,
    /// What happens after a connection is lost.
    pub reconnect: Reconnect,
    /// How often a connected upstream is pinged; never when absent.
    pub health_check_interval: Option<Duration>,
    /// Whether the upstream's own log output is logged at `info` and not at `debug`.
    pub log_enabled: bool,
    /// Which tools are visible and callable; all when absent.
    pub tool_filter: Option<ToolFilter>,
    /// Free words of the owner.
    pub tags: BTreeMap<String, String>,
    /// Who may use this upstream's endpoints.
    pub access: Access,
    /// How downstream sessions map to upstream sessions.
    pub sessions: Sessions,
    /// Which generation of the protocol is spoken with it.
    pub era: EraMode,
    /// Who is preferred where several upstreams have the same tool: the lowest number. 1 when absent.
    pub priority: Option<u32>,
    /// Members of the other transport that were declared as well.
    pub inert: Inert,
}

/// How an upstream is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// A child process that speaks JSON lines on its standard streams.
    Stdio(Stdio),
    /// HTTP with a separate event stream (revision 2024-11-05, deprecated by the specification).
    Sse(Remote),
    /// Streamable HTTP (revision 2025-03-26 on).
    StreamableHttp(Remote),
}

/// A program to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stdio {
    /// The program: a path, or a name looked up in `PATH`.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
}

/// An address to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The endpoint; `http` or `https` with a host.
    pub url: Url,
    /// Sent with every request.
    pub headers: IndexMap<String, Secret>,
}

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

/// Members that an ancestor accepted beside a transport they do not belong to. Kept and shown, never used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inert {
    /// A `url` declared for a stdio upstream.
    pub url: Option<String>,
    /// `headers` declared for a stdio upstream.
    pub headers: IndexMap<String, Secret>,
    /// A `command` declared for an HTTP upstream.
    pub command: Option<String>,
    /// `args` declared for an HTTP upstream.
    pub args: Vec<String>,
}

/// Why a well-formed document is not a definition. The checks run in this order and the first failure wins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDefinition {
    /// The name is missing or not allowed.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The transport is missing or unknown.
    #[error("invalid transport type: {0}")]
    Transport(String),
    /// A stdio definition without a program.
    #[error("command is required for stdio transport")]
    NoCommand,
    /// An HTTP definition without an address.
    #[error("url is required for HTTP-based transports")]
    NoUrl,
    /// A filter mode other than `allow` and `block`.
    #[error("tool filter validation failed: invalid tool filter mode: {0}")]
    FilterMode(String),
    /// A filter that lists nothing.
    #[error("tool filter validation failed: tool filter list cannot be empty")]
    FilterEmpty,
    /// A quantity below zero; the field's wire name is inside.
    #[error("{0} cannot be negative")]
    Negative(&'static str),
    /// An address that no HTTP client could use.
    #[error("invalid url: {0}")]
    Url(String),
    /// A header that HTTP does not allow.
    #[error("invalid header `{0}`: {1}")]
    Header(String, &'static str),
    /// A program or argument that no process could be given.
    #[error("command and args cannot hold NUL bytes")]
    Nul,
    /// Neither an address nor a network.
    #[error("invalid allowedIPs entry `{0}`: expected an IP address or a CIDR block")]
    AllowedIp(String),
    /// A session mode other than `auto`, `shared` and `dedicated`.
    #[error("invalid sessionMode: {0} (must be 'auto', 'shared' or 'dedicated')")]
    SessionMode(String),
    /// An era other than `auto`, `legacy` and `modern`.
    #[error("invalid era: {0} (must be 'auto', 'legacy' or 'modern')")]
    Era(String),
    /// The modern era over a transport that it has not.
    #[error("era 'modern' needs transport stdio or streamable-http; sse is legacy only")]
    ModernSse,
    /// A placeholder came back for a secret that is not stored, or that belongs to another origin or program.
    #[error("`{0}` is redacted and there is no stored value to keep")]
    NothingToKeep(String),
}

impl Definition {
    /// A definition that declares nothing but how the upstream is reached.
    pub fn new(name: ServerName, transport: Transport) -> Self {
        Self {
            name,
            description: None,
            transport,
            env: IndexMap::new(),
            timeout: None,
            reconnect: Reconnect::default(),
            health_check_interval: None,
            log_enabled: false,
            tool_filter: None,
            tags: BTreeMap::new(),
            access: Access::default(),
            sessions: Sessions::default(),
            era: EraMode::default(),
            priority: None,
            inert: Inert::default(),
        }
    }

    /// The digests by which a caller sees that a secret differs from its own, keyed by place (`headers.X-Key`).
    pub fn fingerprints(&self, salt: &FingerprintSalt) -> BTreeMap<String, String> {
        let mut prints = BTreeMap::new();
        for (place, secret) in self.secrets() {
            let print = secret.fingerprint(salt, &place);
            prints.insert(place, print);
        }
        prints
    }

    /// Replaces each placeholder that a view showed and that came back unchanged by the stored value.
    ///
    /// Headers and environment are kept only for the origin or the program they were declared for: who does not know a
    /// secret must not be able to have it sent elsewhere.
    pub fn keep_redacted(&mut self, stored: &Self) -> Result<(), InvalidDefinition> {
        let same_receiver = self.receiver() == stored.receiver();
        let kept = |place: &str| same_receiver || place.starts_with("authTokens.");
        let secrets = stored.secrets().into_iter().filter(|(place, _)| kept(place));
        let known: BTreeMap<String, Secret> = secrets.map(|(place, secret)| (place, secret.clone())).collect();
        for (place, secret) in self.secrets_mut() {
            if secret.is_redacted() {
                *secret = known.get(&place).cloned().ok_or(InvalidDefinition::NothingToKeep(place))?;
            }
        }
        Ok(())
    }

    /// Whether a caller at this address may use the upstream's endpoints.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.access.allowed_ips.is_empty() || self.access.allowed_ips.iter().any(|net| net.contains(&address))
    }

    /// Who gets to see the headers and the environment.
    fn receiver(&self) -> String {
        match &self.transport {
            Transport::Stdio(stdio) => stdio.command.clone(),
            Transport::Sse(remote) | Transport::StreamableHttp(remote) => remote.url.origin().ascii_serialization(),
        }
    }

    fn secrets(&self) -> Vec<(String, &Secret)> {
        let headers = match &self.transport {
            Transport::Stdio(_) => &self.inert.headers,
            Transport::Sse(remote) | Transport::StreamableHttp(remote) => &remote.headers,
        };
        let headers = headers.iter().map(|(name, value)| (format!("headers.{name}"), value));
        let env = self.env.iter().map(|(name, value)| (format!("env.{name}"), value));
        let tokens = self.access.auth_tokens.iter().enumerate().map(|(i, token)| (format!("authTokens.{i}"), token));
        headers.chain(env).chain(tokens).collect()
    }

    fn secrets_mut(&mut self) -> Vec<(String, &mut Secret)> {
        let headers = match &mut self.transport {
            Transport::Stdio(_) => &mut self.inert.headers,
            Transport::Sse(remote) | Transport::StreamableHttp(remote) => &mut remote.headers,
        };
        let headers = headers.iter_mut().map(|(name, value)| (format!("headers.{name}"), value));
        let env = self.env.iter_mut().map(|(name, value)| (format!("env.{name}"), value));
        let tokens =
            self.access.auth_tokens.iter_mut().enumerate().map(|(i, token)| (format!("authTokens.{i}"), token));
        headers.chain(env).chain(tokens).collect()
    }
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

impl Transport {
    /// The transport's name on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Stdio(_) => "stdio",
            Self::Sse(_) => "sse",
            Self::StreamableHttp(_) => "streamable-http",
        }
    }
}
