//! Definition format of Compozy's proxy: flat JSON, with its defaults, its order of checks and its error texts.
//!
//! ```
//! use schemas::Definition;
//!
//! let document = r#"{"name":"time","transport":"stdio","command":"mcp-server-time","healthCheckEnabled":true}"#;
//! let definition: Definition = serde_json::from_str(document)?;
//! assert_eq!(serde_json::to_value(&definition)?["healthCheckInterval"], 30_000_000_000_u64);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod command;
mod declared;
mod limits;
mod redacted;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use indexmap::IndexMap;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::definition::network;
pub use crate::dialect::compozy::command::Command;
pub use crate::dialect::compozy::declared::DeclaredDocument;
use crate::{
    Access, Definition, EraMode, Eras, FilterMode, Inert, InvalidDefinition, Network, Proxy, Reconnect, Remote, Secret,
    SessionMode, Sessions, Stdio, ToolFilter, Transport, WireDuration,
};

const SHORTEST: Duration = Duration::from_millis(1);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_MAX_RECONNECTS: u32 = 5;
const DEFAULT_RECONNECT_DELAY: Duration = Duration::from_secs(5);
const DEFAULT_HEALTH_CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// A definition as written in requests, in responses and in Redis.
///
/// Ignores unknown members, because a later version may have sent the response. A definition that a user declares is
/// read as a [`DeclaredDocument`], which refuses unknown members.
///
/// ```
/// use schemas::Definition;
/// use schemas::dialect::compozy::{Command, DefinitionDocument};
///
/// let document = DefinitionDocument {
///     name: "time".to_owned(),
///     transport: "stdio".to_owned(),
///     command: Command::Program("mcp-server-time".to_owned()),
///     ..DefinitionDocument::default()
/// };
/// let definition = Definition::try_from(document)?;
/// assert_eq!(definition.name.as_str(), "time");
/// # Ok::<(), schemas::InvalidDefinition>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DefinitionDocument {
    /// Name of the upstream; part of the URL that clients use.
    pub name: String,
    /// Description for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Transport: `stdio`, `sse` or `streamable-http`.
    pub transport: String,
    /// Program of a stdio upstream. Early clients sent a list: the program, then its arguments.
    #[serde(skip_serializing_if = "Command::is_empty")]
    pub command: Command,
    /// Arguments of the program.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub args: Vec<String>,
    /// Further arguments; sent by early clients.
    #[serde(rename = "startup_args", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub startup_args: Vec<String>,
    /// Working directory of the program. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cwd: String,
    /// Environment variables of the program.
    #[serde(skip_serializing_if = "IndexMap::is_empty", deserialize_with = "null_is_default")]
    pub env: IndexMap<String, Secret>,
    /// URL of an HTTP upstream.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Headers sent with every request to an HTTP upstream.
    #[serde(skip_serializing_if = "IndexMap::is_empty", deserialize_with = "null_is_default")]
    pub headers: IndexMap<String, Secret>,
    /// Time limit for connecting.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub timeout: WireDuration,
    /// True if `maxReconnects` and `reconnectDelay` have defaults (5 attempts, 5 s).
    #[serde(skip_serializing_if = "is_false")]
    pub auto_reconnect: bool,
    /// Maximum number of reconnection attempts.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_reconnects: i64,
    /// Delay before the first reconnection attempt, which doubles with each further one.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub reconnect_delay: WireDuration,
    /// True if the upstream is pinged while connected.
    #[serde(skip_serializing_if = "is_false")]
    pub health_check_enabled: bool,
    /// Interval between pings.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub health_check_interval: WireDuration,
    /// True if log output of the upstream is logged at level `info` instead of `debug`.
    #[serde(skip_serializing_if = "is_false")]
    pub log_enabled: bool,
    /// Filter that selects the visible and callable tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_filter: Option<FilterDocument>,
    /// Free-form labels set by the owner.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub tags: BTreeMap<String, String>,
    /// Bearer tokens accepted for this upstream.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub auth_tokens: Vec<Secret>,
    /// True if every caller is refused as long as no token is configured at all.
    #[serde(skip_serializing_if = "is_false")]
    pub require_auth: bool,
    /// Addresses and networks that may call.
    #[serde(rename = "allowedIPs", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub allowed_ips: Vec<String>,
    /// Session mode: `auto`, `shared` or `dedicated`. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session_mode: String,
    /// Maximum number of dedicated upstream sessions at a time. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_sessions: i64,
    /// Protocol era spoken with the upstream: `auto`, `legacy` or `modern`. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub era: String,
    /// Protocol eras that the upstream's own endpoints speak with clients: `both` or `legacy`. An extension; other
    /// proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub eras: String,
    /// Rank among upstreams that offer the same tool: the lowest number is tried first. From 1 up; default 1. An
    /// extension; other proxies ignore it.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// URL of the forward proxy to an HTTP upstream, or `none`. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Secret>,
    /// Path of a PEM file with trusted certificate authorities. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_file: String,
    /// Path of a PEM file with the client certificate of the gateway. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_cert_file: String,
    /// Path of a PEM file with the private key of the client certificate. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_key_file: String,
    /// Longest silence of the upstream during a call; progress restarts it. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub call_timeout: WireDuration,
    /// Longest duration of a whole call. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub max_call_timeout: WireDuration,
    /// Time limit for reading all pages of one list. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub list_timeout: WireDuration,
    /// Interval at which the lists are read again if the upstream does not announce changes. An extension; other
    /// proxies ignore it.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub refresh_interval: WireDuration,
    /// Maximum number of requests awaiting an answer. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_in_flight: i64,
    /// Maximum size in bytes of a message from the upstream. An extension; other proxies ignore it.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_message_bytes: i64,
    /// Time of the registration (RFC 3339); set by the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Time of the last change (RFC 3339); set by the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
}

/// A tool filter as written; [`Definition`] checks its mode, in the ancestor's order of checks.
///
/// ```
/// use schemas::dialect::compozy::DefinitionDocument;
/// use schemas::{Definition, InvalidDefinition};
///
/// let document = r#"{"name":"a","transport":"stdio","command":"x","toolFilter":{"mode":"deny","list":["b"]}}"#;
/// let document: DefinitionDocument = serde_json::from_str(document)?;
/// assert_eq!(document.tool_filter.as_ref().map(|filter| filter.mode.as_str()), Some("deny"));
/// assert_eq!(Definition::try_from(document), Err(InvalidDefinition::FilterMode("deny".to_owned())));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FilterDocument {
    /// Meaning of the list: `allow` or `block`.
    pub mode: String,
    /// Tool names.
    #[serde(deserialize_with = "null_is_default")]
    pub list: Vec<String>,
}

impl TryFrom<DefinitionDocument> for Definition {
    type Error = InvalidDefinition;

    fn try_from(document: DefinitionDocument) -> Result<Self, InvalidDefinition> {
        let name = document.name.parse()?;
        let written = network::Written {
            proxy: document.proxy.clone().filter(|proxy| !proxy.expose().is_empty()),
            ca_file: &document.ca_file.clone(),
            client_cert_file: &document.client_cert_file.clone(),
            client_key_file: &document.client_key_file.clone(),
        };
        // Keep the result for later: the ancestor's checks are reported first.
        let limits = limits::read(&document);
        let DefinitionDocument { transport, command, args, startup_args, cwd, url, headers, .. } = document;
        let (program, leading) = command.split();
        let words = leading.into_iter().chain(args).chain(startup_args).collect();
        let (kind, inert) = match transport.as_str() {
            "stdio" if program.is_empty() => return Err(InvalidDefinition::NoCommand),
            "sse" | "streamable-http" if url.is_empty() => return Err(InvalidDefinition::NoUrl),
            "stdio" => (
                Kind::Stdio(Stdio { command: program, args: words, cwd: some(cwd) }),
                Inert { url: some(url), headers, ..Inert::default() },
            ),
            "sse" => (
                Kind::Sse(url, headers),
                Inert { command: some(program), args: words, cwd: some(cwd), ..Inert::default() },
            ),
            "streamable-http" => (
                Kind::StreamableHttp(url, headers),
                Inert { command: some(program), args: words, cwd: some(cwd), ..Inert::default() },
            ),
            _ => return Err(InvalidDefinition::Transport(transport)),
        };
        let tool_filter = document.tool_filter.map(tool_filter).transpose()?;
        let timeout = positive(document.timeout, "timeout")?;
        let max = count(document.max_reconnects, "maxReconnects")?;
        let delay = positive(document.reconnect_delay, "reconnectDelay")?;
        let interval = positive(document.health_check_interval, "healthCheckInterval")?;
        let auto = document.auto_reconnect;
        Ok(Self {
            name,
            description: some(document.description),
            era: era(&document.era, &kind)?,
            eras: eras(&document.eras)?,
            priority: count(document.priority, "priority")?,
            network: Network::read(written, !matches!(kind, Kind::Stdio(_)))?,
            timeout: timeout.or((!matches!(kind, Kind::Stdio(_))).then_some(DEFAULT_TIMEOUT)),
            transport: kind.parse()?,
            env: document.env,
            reconnect: Reconnect {
                auto,
                max: max.or(auto.then_some(DEFAULT_MAX_RECONNECTS)),
                delay: delay.or(auto.then_some(DEFAULT_RECONNECT_DELAY)),
            },
            health_check_interval: document
                .health_check_enabled
                .then(|| interval.unwrap_or(DEFAULT_HEALTH_CHECK_INTERVAL)),
            log_enabled: document.log_enabled,
            tool_filter,
            tags: document.tags,
            access: Access {
                auth_tokens: document.auth_tokens.iter().map(Secret::token).collect::<Result<_, _>>()?,
                require_auth: document.require_auth,
                allowed_ips: document.allowed_ips.iter().map(|entry| network(entry)).collect::<Result<_, _>>()?,
            },
            sessions: Sessions {
                mode: session_mode(&document.session_mode)?,
                max: count(document.max_sessions.max(0), "maxSessions")?,
            },
            limits: limits?,
            inert,
        })
    }
}

impl From<Definition> for DefinitionDocument {
    fn from(definition: Definition) -> Self {
        let identity = definition.network.identity.map(|identity| (identity.certificate_file, identity.key_file));
        let (client_cert_file, client_key_file) = identity.unwrap_or_default();
        let transport = definition.transport.kind().to_owned();
        let Inert { url, headers, command, args, cwd } = definition.inert;
        let (command, args, cwd, url, headers) = match definition.transport {
            Transport::Stdio(stdio) => (stdio.command, stdio.args, stdio.cwd, url.unwrap_or_default(), headers),
            Transport::Sse(remote) | Transport::StreamableHttp(remote) => {
                (command.unwrap_or_default(), args, cwd, remote.url.into(), remote.headers)
            }
        };
        Self {
            name: definition.name.into(),
            description: definition.description.unwrap_or_default(),
            transport,
            command: Command::Program(command),
            args,
            startup_args: Vec::new(),
            cwd: cwd.unwrap_or_default(),
            env: definition.env,
            url,
            headers,
            timeout: wire(definition.timeout),
            auto_reconnect: definition.reconnect.auto,
            max_reconnects: definition.reconnect.max.map_or(0, i64::from),
            reconnect_delay: wire(definition.reconnect.delay),
            health_check_enabled: definition.health_check_interval.is_some(),
            health_check_interval: wire(definition.health_check_interval),
            log_enabled: definition.log_enabled,
            tool_filter: definition.tool_filter.map(|filter| FilterDocument {
                mode: match filter.mode {
                    FilterMode::Allow => "allow".to_owned(),
                    FilterMode::Block => "block".to_owned(),
                },
                list: filter.list,
            }),
            tags: definition.tags,
            auth_tokens: definition.access.auth_tokens,
            require_auth: definition.access.require_auth,
            allowed_ips: definition.access.allowed_ips.iter().map(address_or_network).collect(),
            session_mode: match definition.sessions.mode {
                SessionMode::Auto => String::new(),
                SessionMode::Shared => "shared".to_owned(),
                SessionMode::Dedicated => "dedicated".to_owned(),
            },
            max_sessions: definition.sessions.max.map_or(0, i64::from),
            priority: definition.priority.map_or(0, i64::from),
            proxy: definition.network.proxy.map(Proxy::into_text),
            ca_file: definition.network.ca_file.unwrap_or_default(),
            client_cert_file,
            client_key_file,
            era: match definition.era {
                EraMode::Auto => String::new(),
                EraMode::Legacy => "legacy".to_owned(),
                EraMode::Modern => "modern".to_owned(),
            },
            eras: match definition.eras {
                Eras::Both => String::new(),
                Eras::Legacy => "legacy".to_owned(),
            },
            ..limits::written(&definition.limits)
        }
    }
}

/// A transport whose URL is not parsed yet: an invalid URL is reported after the ancestor's checks.
enum Kind {
    Stdio(Stdio),
    Sse(String, IndexMap<String, Secret>),
    StreamableHttp(String, IndexMap<String, Secret>),
}

impl Kind {
    fn parse(self) -> Result<Transport, InvalidDefinition> {
        match self {
            Self::Stdio(stdio) => {
                let nul = |word: &String| word.contains('\0');
                if nul(&stdio.command) || stdio.args.iter().any(nul) || stdio.cwd.as_ref().is_some_and(nul) {
                    return Err(InvalidDefinition::Nul);
                }
                Ok(Transport::Stdio(stdio))
            }
            Self::Sse(url, headers) => remote(&url, headers).map(Transport::Sse),
            Self::StreamableHttp(url, headers) => remote(&url, headers).map(Transport::StreamableHttp),
        }
    }
}

fn remote(url: &str, headers: IndexMap<String, Secret>) -> Result<Remote, InvalidDefinition> {
    let url = Url::parse(url).map_err(|error| InvalidDefinition::Url(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(InvalidDefinition::Url(format!("scheme `{}` is not http or https", url.scheme())));
    }
    for (name, value) in &headers {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(InvalidDefinition::Header(name.clone(), "the name holds a character HTTP does not allow"));
        }
        if value.expose().bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f) {
            return Err(InvalidDefinition::Header(name.clone(), "the value holds a control character"));
        }
    }
    Ok(Remote { url, headers })
}

fn tool_filter(document: FilterDocument) -> Result<ToolFilter, InvalidDefinition> {
    let mode = match document.mode.as_str() {
        "allow" => FilterMode::Allow,
        "block" => FilterMode::Block,
        _ => return Err(InvalidDefinition::FilterMode(document.mode)),
    };
    if document.list.is_empty() {
        return Err(InvalidDefinition::FilterEmpty);
    }
    Ok(ToolFilter { mode, list: document.list })
}

fn wire(duration: Option<Duration>) -> WireDuration {
    duration.map(WireDuration::from).unwrap_or_default()
}

fn era(text: &str, transport: &Kind) -> Result<EraMode, InvalidDefinition> {
    match text {
        "" | "auto" => Ok(EraMode::Auto),
        "legacy" => Ok(EraMode::Legacy),
        "modern" if matches!(transport, Kind::Sse(..)) => Err(InvalidDefinition::ModernSse),
        "modern" => Ok(EraMode::Modern),
        _ => Err(InvalidDefinition::Era(text.to_owned())),
    }
}

fn eras(text: &str) -> Result<Eras, InvalidDefinition> {
    if text.is_empty() { Ok(Eras::Both) } else { text.parse().map_err(|_| InvalidDefinition::Eras(text.to_owned())) }
}

fn session_mode(text: &str) -> Result<SessionMode, InvalidDefinition> {
    match text {
        "" | "auto" => Ok(SessionMode::Auto),
        "shared" => Ok(SessionMode::Shared),
        "dedicated" => Ok(SessionMode::Dedicated),
        _ => Err(InvalidDefinition::SessionMode(text.to_owned())),
    }
}

/// Converts a duration; zero means "not set" on the wire.
fn positive(duration: WireDuration, field: &'static str) -> Result<Option<Duration>, InvalidDefinition> {
    let duration = duration.get().ok_or(InvalidDefinition::Negative(field))?;
    // Refuse durations under 1 ms: they are almost certainly seconds or milliseconds written as a bare number.
    if !duration.is_zero() && duration < SHORTEST {
        return Err(InvalidDefinition::tiny(field, duration));
    }
    Ok((!duration.is_zero()).then_some(duration))
}

fn count(number: i64, field: &'static str) -> Result<Option<u32>, InvalidDefinition> {
    if number < 0 {
        return Err(InvalidDefinition::Negative(field));
    }
    Ok((number > 0).then(|| u32::try_from(number).unwrap_or(u32::MAX)))
}

fn network(entry: &str) -> Result<IpNet, InvalidDefinition> {
    let entry = entry.trim();
    let address = || entry.parse::<IpAddr>().map(IpNet::from);
    entry.parse().or_else(|_| address()).map_err(|_| InvalidDefinition::AllowedIp(entry.to_owned()))
}

fn address_or_network(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests;
