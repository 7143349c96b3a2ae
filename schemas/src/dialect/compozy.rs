//! Compozy's proxy: the flat JSON of a definition, with its defaults, the order of its checks and their texts.
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

/// A definition as it stands in a request, in an answer and in Redis.
///
/// Members that it does not know are passed over, because answers come from later versions too; what somebody declares
/// is read as a [`DeclaredDocument`], which refuses them.
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
    /// The name clients put into the URL.
    pub name: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// `stdio`, `sse` or `streamable-http`.
    pub transport: String,
    /// The program of a stdio upstream. The first generation of clients sent a list: program, then arguments.
    #[serde(skip_serializing_if = "Command::is_empty")]
    pub command: Command,
    /// Arguments of the program.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub args: Vec<String>,
    /// More arguments, as the first generation of clients sent them.
    #[serde(rename = "startup_args", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub startup_args: Vec<String>,
    /// The folder the program runs in. This gateway's own; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cwd: String,
    /// Environment of the program.
    #[serde(skip_serializing_if = "IndexMap::is_empty", deserialize_with = "null_is_default")]
    pub env: IndexMap<String, Secret>,
    /// The endpoint of an HTTP upstream.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Headers sent with every request to an HTTP upstream.
    #[serde(skip_serializing_if = "IndexMap::is_empty", deserialize_with = "null_is_default")]
    pub headers: IndexMap<String, Secret>,
    /// How long connecting may take.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub timeout: WireDuration,
    /// Whether `maxReconnects` and `reconnectDelay` have defaults.
    #[serde(skip_serializing_if = "is_false")]
    pub auto_reconnect: bool,
    /// Attempts after which the gateway gives up.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_reconnects: i64,
    /// First delay between attempts.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub reconnect_delay: WireDuration,
    /// Whether a connected upstream is pinged.
    #[serde(skip_serializing_if = "is_false")]
    pub health_check_enabled: bool,
    /// How often it is pinged.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub health_check_interval: WireDuration,
    /// Whether the upstream's own log output is logged.
    #[serde(skip_serializing_if = "is_false")]
    pub log_enabled: bool,
    /// Which tools are visible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_filter: Option<FilterDocument>,
    /// Free words of the owner.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub tags: BTreeMap<String, String>,
    /// Bearer tokens accepted for this upstream.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub auth_tokens: Vec<Secret>,
    /// Refuse every caller when no token is configured at all.
    #[serde(skip_serializing_if = "is_false")]
    pub require_auth: bool,
    /// Addresses and networks that may call.
    #[serde(rename = "allowedIPs", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub allowed_ips: Vec<String>,
    /// `auto`, `shared` or `dedicated`. This gateway's own; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session_mode: String,
    /// The most dedicated upstream sessions at once. This gateway's own; other proxies ignore it.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_sessions: i64,
    /// `auto`, `legacy` or `modern`. This gateway's own; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub era: String,
    /// `both` or `legacy`: which protocol eras the server's own endpoints speak to clients. This gateway's own; other proxies
    /// ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub eras: String,
    /// Who is preferred where several upstreams have the same tool: the lowest number from 1 on, which is also the default.
    /// This gateway's own; other proxies ignore it.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// The forward proxy to an HTTP upstream: its URL, or `none`. This gateway's own; other proxies ignore it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Secret>,
    /// File with certificates of authorities that are believed, in PEM form. This gateway's own; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_file: String,
    /// File with the certificate that the gateway shows, in PEM form. This gateway's own; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_cert_file: String,
    /// File with the private key of that certificate. This gateway's own; other proxies ignore it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_key_file: String,
    /// How long the upstream may be silent in a call; progress starts it anew. This gateway's own; other proxies ignore it.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub call_timeout: WireDuration,
    /// How long a call may take in all. This gateway's own; other proxies ignore it.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub max_call_timeout: WireDuration,
    /// How long reading all pages of one list may take. This gateway's own; other proxies ignore it.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub list_timeout: WireDuration,
    /// How often the lists are read again if the upstream does not announce changes. This gateway's own; other proxies
    /// ignore it.
    #[serde(skip_serializing_if = "WireDuration::is_zero")]
    pub refresh_interval: WireDuration,
    /// The most requests that wait for answers at once. This gateway's own; other proxies ignore it.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_in_flight: i64,
    /// The largest message in bytes that is read from the upstream. This gateway's own; other proxies ignore it.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_message_bytes: i64,
    /// When it was registered; set by the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When it was last changed; set by the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
}

/// A tool filter as written; its mode is checked in the definition's order.
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
    /// `allow` or `block`.
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
        // Reported after what the ancestor checks.
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
            timeout,
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
        // The ancestors show their default for HTTP.
        let is_http = !matches!(definition.transport, Transport::Stdio(_));
        let timeout = definition.timeout.or(is_http.then_some(DEFAULT_TIMEOUT));
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
            timeout: wire(timeout),
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

/// A transport whose address is not parsed yet: an unusable address is reported after the checks of the ancestor.
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

/// Zero is the wire's "not set".
fn positive(duration: WireDuration, field: &'static str) -> Result<Option<Duration>, InvalidDefinition> {
    let duration = duration.get().ok_or(InvalidDefinition::Negative(field))?;
    // No length of time in a definition is meant to be that short: it is a number that was meant to be seconds.
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
