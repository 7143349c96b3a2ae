//! Conversion between documents and definitions, with the ancestor's defaults and its order of checks.

use std::net::IpAddr;
use std::time::Duration;

use indexmap::IndexMap;
use ipnet::IpNet;
use url::Url;

use crate::definition::network;
use crate::dialect::compozy::number::{count, positive, wire};
use crate::dialect::compozy::{Command, DefinitionDocument, FilterDocument, limits, process};
use crate::{
    Access, Definition, EraMode, Eras, FilterMode, Inert, InvalidDefinition, Network, Proxy, Reconnect, Remote, Secret,
    SessionMode, Sessions, Stdio, ToolFilter, Transport,
};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_MAX_RECONNECTS: u32 = 5;
const DEFAULT_RECONNECT_DELAY: Duration = Duration::from_secs(5);
const DEFAULT_HEALTH_CHECK_INTERVAL: Duration = Duration::from_secs(30);

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
        let process = process::read(&document, document.transport == "stdio");
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
                required_scopes: document.required_scopes.into_iter().map(scope).collect::<Result<_, _>>()?,
            },
            sessions: Sessions {
                mode: session_mode(&document.session_mode)?,
                max: count(document.max_sessions.max(0), "maxSessions")?,
            },
            limits: limits?,
            process: process?,
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
            required_scopes: definition.access.required_scopes,
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
            ..process::written(definition.process, limits::written(&definition.limits))
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

fn network(entry: &str) -> Result<IpNet, InvalidDefinition> {
    let entry = entry.trim();
    let address = || entry.parse::<IpAddr>().map(IpNet::from);
    entry.parse().or_else(|_| address()).map_err(|_| InvalidDefinition::AllowedIp(entry.to_owned()))
}

/// Reads a scope (RFC 6749, 3.3).
fn scope(entry: String) -> Result<String, InvalidDefinition> {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    let is_scope = !entry.is_empty() && entry.bytes().all(is_allowed);
    if is_scope { Ok(entry) } else { Err(InvalidDefinition::Scope(entry)) }
}

fn address_or_network(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
