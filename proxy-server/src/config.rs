//! Every setting of the gateway as one value: flags override the environment, which overrides defaults. Each module
//! gets its own part of the configuration and reads no variable itself.

mod edge;
mod env;
mod flags;
mod limits;
mod outbound;

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use ipnet::IpNet;
use schemas::{Secret, parse_duration};
use url::Url;

pub(crate) use self::env::process_environment;
use self::env::{NotText, Variables};
pub(crate) use self::flags::Flags;
pub(crate) use self::limits::LimitFlags;
use crate::catalog::Naming;
use crate::http::client::Network;
use crate::policy::{PageOrigin, Sites, split_host};
use crate::telemetry::{Format, Level};
use crate::upstream::ChildEnvironment;
use crate::{downstream, policy, telemetry, upstream};

/// The ancestor's default admin token, known to everyone.
const KNOWN_TOKEN: &str = "CHANGE_ME_ADMIN_TOKEN";
const DEFAULT_PORT: u16 = 6001;
/// Time for a child's orderly end, twice within the 2 s that the parent process may wait.
const STDIO_CHILD_PATIENCE: Duration = Duration::from_millis(350);
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Every setting of a gateway.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) base_url: Option<Url>,
    pub(crate) shutdown_timeout: Duration,
    /// True if another gateway may listen on the same address.
    pub(crate) reuse_port: bool,
    /// Time for which requests are still accepted after SIGTERM.
    pub(crate) drain_delay: Duration,
    /// Maximum number of open downstream connections.
    pub(crate) max_connections: usize,
    /// Timeout for opening a connection to an upstream.
    pub(crate) connect_timeout: Duration,
    /// Maximum size of a definition in bytes.
    pub(crate) max_definition_bytes: usize,
    /// Accepted host names besides loopback ones, without port or brackets.
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) allowed_origins: Vec<PageOrigin>,
    pub(crate) policy: policy::Config,
    pub(crate) naming: Naming,
    pub(crate) telemetry: telemetry::Config,
    pub(crate) upstream: upstream::Config,
    pub(crate) downstream: downstream::Config,
    pub(crate) network: Network,
    pub(crate) children: ChildEnvironment,
}

/// Parser for the flags of `serve` without a sub-command.
#[derive(Debug, Parser)]
struct Alone {
    #[command(flatten)]
    flags: Flags,
}

/// An invalid setting, with its origin.
#[derive(Debug, thiserror::Error)]
#[error("invalid {origin}: {reason}")]
pub struct InvalidSetting {
    origin: String,
    reason: String,
}

/// Flags that do not form a valid configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFlags {
    /// Unknown flag, or a flag without its value.
    #[error(transparent)]
    Syntax(clap::Error),
    /// A flag's value is invalid.
    #[error(transparent)]
    Value(InvalidSetting),
}

impl Default for Config {
    /// The defaults: loopback only, port 6001, no token required.
    fn default() -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port: DEFAULT_PORT,
            base_url: None,
            shutdown_timeout: DEFAULT_GRACE,
            reuse_port: false,
            drain_delay: Duration::from_secs(1),
            max_connections: 10_000,
            connect_timeout: Duration::from_secs(10),
            max_definition_bytes: 256 << 10,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            policy: policy::Config::default(),
            naming: Naming::default(),
            telemetry: telemetry::Config { level: Level::Info, format: Format::Text, source: false },
            upstream: upstream::Config::default(),
            downstream: downstream::Config::default(),
            network: Network::default(),
            children: ChildEnvironment::default(),
        }
    }
}

impl Config {
    /// Defaults on a port chosen by the system, with the environment that child processes inherit: for a gateway
    /// embedded in another program.
    pub fn ephemeral() -> Self {
        Self { port: 0, children: env::children(&process_environment()), ..Self::default() }
    }

    /// Builds a configuration from flags of `mcp-proxy serve`. Reads nothing from the environment except the variables
    /// that child processes inherit.
    ///
    /// ```
    /// let config = proxy_server::Config::from_flags(["--port", "0", "--admin-tokens", "t0ken"])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_flags<'a>(flags: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidFlags> {
        let alone = Alone::try_parse_from(["mcp-proxy"].into_iter().chain(flags)).map_err(InvalidFlags::Syntax)?;
        let config = Self::resolve(&alone.flags, &Variables::default()).map_err(InvalidFlags::Value)?;
        Ok(Self { children: env::children(&process_environment()), ..config })
    }

    /// Builds the configuration of a gateway for one client on standard streams, whose parent process waits for it to
    /// exit.
    pub(crate) fn for_stdio(level: Level, variables: &Variables) -> Result<Self, InvalidSetting> {
        let mut config = Self { children: env::children(variables), ..Self::default() };
        config.telemetry.level = level;
        limits::apply(&LimitFlags::default(), variables, &mut config)?;
        config.upstream.child_patience = STDIO_CHILD_PATIENCE;
        // The servers come from the user's own file, not from an API that must bound them.
        config.upstream.upstreams = usize::MAX;
        outbound::apply(&outbound::OutboundFlags::default(), variables, &mut config)?;
        Ok(config)
    }

    /// Runs a warden process for each child program. The executable must call [`warden`](crate::warden) first in
    /// `main`.
    pub(crate) fn with_wardens(mut self) -> Self {
        // A warden is started through /proc, and finds its descendants there.
        self.children.warden = Some(PathBuf::from("/proc/self/exe")).filter(|own| own.exists());
        self
    }

    /// Merges flags, variables and defaults.
    pub(crate) fn resolve(args: &Flags, variables: &Variables) -> Result<Self, InvalidSetting> {
        let env = variables;
        let mut config = Self { children: env::children(variables), ..Self::default() };
        if let Some(host) = args.host.clone().or_else(|| env.text(&["MCP_PROXY_HOST"])) {
            config.host = host;
        }
        config.port = args.port.map_or_else(|| port(env), Ok)?;
        config.base_url = base_url(args, env)?;
        config.shutdown_timeout = shutdown_timeout(args, env)?;
        edge::apply(&args.edge, env, &mut config)?;
        config.telemetry = logging(args, env)?;
        config.naming = naming(args, env)?;
        outbound::apply(&args.outbound, env, &mut config)?;
        limits::apply(&args.limits, env, &mut config)?;
        let max_servers = (&args.max_servers, "--max-servers");
        let max_servers = word::<NonZeroUsize>(max_servers, (env, &["MCP_PROXY_MAX_SERVERS"]), "a number from 1 on")?;
        config.upstream.upstreams = max_servers.map_or(config.upstream.upstreams, NonZeroUsize::get);
        starts(args, env, &mut config.upstream)?;
        let eras = word((&args.eras, "--eras"), (env, &["MCP_PROXY_ERAS"]), "one of both, legacy")?;
        config.downstream.eras = eras.unwrap_or_default();
        let cards = word((&args.server_cards, "--server-cards"), (env, &["MCP_PROXY_SERVER_CARDS"]), "one of on, off")?;
        config.downstream.server_cards = cards.is_none_or(|Switch(is_on)| is_on);
        config.policy = policy::Config {
            admin_tokens: tokens(
                (&args.admin_tokens, "--admin-tokens"),
                (env, &["MCP_PROXY_ADMIN_TOKENS", "MCP_PROXY_ADMIN_TOKEN"]),
            )?,
            global_tokens: tokens(
                (&args.global_auth_tokens, "--global-auth-tokens"),
                (env, &["MCP_PROXY_GLOBAL_AUTH_TOKENS", "MCP_PROXY_GLOBAL_AUTH_TOKEN"]),
            )?,
            admin_allow_ips: networks(&args.admin_allow_ips, env, ("--admin-allow-ips", "MCP_PROXY_ADMIN_ALLOW_IPS"))?,
            trusted_proxies: networks(&args.trusted_proxies, env, ("--trusted-proxies", "MCP_PROXY_TRUSTED_PROXIES"))?,
            allow_insecure_admin: args.allow_insecure_admin,
        };
        forbid_known_token(&config.policy, env)?;
        config.allowed_hosts = allowed_hosts(args, env)?;
        let host = config.base_url.as_ref().and_then(Url::host_str);
        config.allowed_hosts.extend(host.map(|host| host.trim_matches(['[', ']']).to_owned()));
        config.allowed_origins = allowed_origins(args, env)?;
        config.downstream.base_url = config.base_url.as_ref().map(Url::to_string);
        Ok(config)
    }

    /// Returns the host names and page origins that are accepted by a gateway listening on this address.
    pub(crate) fn sites(&self, address: IpAddr) -> Sites {
        Sites {
            hosts: self.allowed_hosts.clone(),
            are_hosts_known: address.to_canonical().is_loopback() || !self.allowed_hosts.is_empty(),
            base: self.base_url.as_ref().map(PageOrigin::of),
            allowed: self.allowed_origins.clone(),
        }
    }

    /// True if a gateway on this address would let any machine change registrations without a setting that allows it.
    pub(crate) fn is_open_to_strangers(&self, address: IpAddr) -> bool {
        let policy = &self.policy;
        let is_guarded = !policy.admin_tokens.is_empty() || !policy.admin_allow_ips.is_empty();
        !address.to_canonical().is_loopback() && !is_guarded && !policy.allow_insecure_admin
    }
}

struct Switch(bool);

impl std::str::FromStr for Switch {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "on" | "true" | "1" => Ok(Self(true)),
            "off" | "false" | "0" => Ok(Self(false)),
            _ => Err(()),
        }
    }
}

fn port(env: &Variables) -> Result<u16, InvalidSetting> {
    let Some(text) = env.text(&["MCP_PROXY_PORT"]) else { return Ok(DEFAULT_PORT) };
    text.parse().map_err(|_| invalid("MCP_PROXY_PORT", text, "a port, 0 to 65535"))
}

fn base_url(args: &Flags, env: &Variables) -> Result<Option<Url>, InvalidSetting> {
    let (origin, text) = match (&args.base_url, env.text(&["MCP_PROXY_BASE_URL"])) {
        (Some(flag), _) => ("--base-url", flag.clone()),
        (None, Some(text)) => ("MCP_PROXY_BASE_URL", text),
        (None, None) => return Ok(None),
    };
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.map(Some).ok_or_else(|| invalid(origin, text, "an http or https URL"))
}

/// Reads the allowed host names without their ports: the gateway cannot know the port of a proxy in front.
fn allowed_hosts(args: &Flags, env: &Variables) -> Result<Vec<String>, InvalidSetting> {
    let origin = if args.allowed_hosts.is_empty() { "MCP_PROXY_ALLOWED_HOSTS" } else { "--allowed-hosts" };
    let name = |entry: String| match split_host(&entry) {
        Some((name, _)) => Ok(name.to_owned()),
        None if entry.parse::<IpAddr>().is_ok() => Ok(entry),
        None => Err(invalid(origin, entry, "a host name or address, such as `gateway.example`")),
    };
    list(&args.allowed_hosts, env, &["MCP_PROXY_ALLOWED_HOSTS"]).into_iter().map(name).collect()
}

fn allowed_origins(args: &Flags, env: &Variables) -> Result<Vec<PageOrigin>, InvalidSetting> {
    let origin = if args.allowed_origins.is_empty() { "MCP_PROXY_ALLOWED_ORIGINS" } else { "--allowed-origins" };
    let expected = "the origin of pages, such as `https://console.example:8443`";
    let page = |entry: String| entry.parse().map_err(|()| invalid(origin, entry, expected));
    list(&args.allowed_origins, env, &["MCP_PROXY_ALLOWED_ORIGINS"]).into_iter().map(page).collect()
}

fn shutdown_timeout(args: &Flags, env: &Variables) -> Result<Duration, InvalidSetting> {
    let (origin, text) = match (&args.shutdown_timeout, env.text(&["MCP_PROXY_SHUTDOWN_TIMEOUT"])) {
        (Some(flag), _) => ("--shutdown-timeout", flag.clone()),
        (None, Some(text)) => ("MCP_PROXY_SHUTDOWN_TIMEOUT", text),
        (None, None) => return Ok(DEFAULT_GRACE),
    };
    let timeout = parse_duration(&text).map_err(|_| invalid(origin, text, "a duration such as `10s`"))?;
    // Some builds of the ancestor wrote 0 for "not set".
    Ok(if timeout.is_zero() { DEFAULT_GRACE } else { timeout })
}

/// Reads the settings for starting programs.
fn starts(args: &Flags, env: &Variables, upstream: &mut upstream::Config) -> Result<(), InvalidSetting> {
    let flag = (&args.concurrent_starts, "--concurrent-starts");
    let count = word::<NonZeroUsize>(flag, (env, &["MCP_PROXY_CONCURRENT_STARTS"]), "a number from 1 on")?;
    // Tokio's semaphore has a maximum.
    let most = tokio::sync::Semaphore::MAX_PERMITS;
    upstream.starts = count.map_or(upstream.starts, NonZeroUsize::get).min(most);
    let flag = args.era_probe.clone().map(|text| ("--era-probe", text));
    let variable = || Some(("MCP_PROXY_ERA_PROBE", env.text(&["MCP_PROXY_ERA_PROBE"])?));
    if let Some((origin, text)) = flag.or_else(variable) {
        let probe = parse_duration(&text).ok().filter(|probe| !probe.is_zero());
        upstream.era_probe = probe.ok_or_else(|| invalid(origin, text, "a duration above zero, such as `3s`"))?;
    }
    Ok(())
}

fn logging(args: &Flags, env: &Variables) -> Result<telemetry::Config, InvalidSetting> {
    let choose = |name: &str| {
        let text = env.text(&[name])?;
        Some((name.to_owned(), text))
    };
    let level = match (args.log_level, choose("MCP_PROXY_LOG_LEVEL")) {
        _ if args.debug => Level::Debug,
        (Some(level), _) => level,
        _ if env.flag(&["MCP_PROXY_DEBUG", "COMPOZY_DEBUG"]) => Level::Debug,
        (None, Some((name, text))) => <Level as clap::ValueEnum>::from_str(&text, true)
            .map_err(|_| invalid(&name, text, "one of debug, info, warn, error"))?,
        (None, None) => Level::default(),
    };
    let format = match (args.log_format, choose("MCP_PROXY_LOG_FORMAT")) {
        _ if args.log_json => Format::Json,
        (Some(format), _) => format,
        (None, Some((name, text))) => {
            <Format as clap::ValueEnum>::from_str(&text, true).map_err(|_| invalid(&name, text, "one of text, json"))?
        }
        (None, None) => Format::default(),
    };
    Ok(telemetry::Config { level, format, source: args.log_source })
}

fn naming(args: &Flags, env: &Variables) -> Result<Naming, InvalidSetting> {
    let default = Naming::default();
    Ok(Naming {
        mode: word(
            (&args.naming_mode, "--naming-mode"),
            (env, &["MCP_PROXY_NAMING_MODE"]),
            "one of always, on_conflict, never",
        )?
        .unwrap_or(default.mode),
        separator: word(
            (&args.naming_separator, "--naming-separator"),
            (env, &["MCP_PROXY_NAMING_SEPARATOR", "SERVER_TOOLNAME_SEPERATOR"]),
            "1 to 8 of A-Z a-z 0-9 . _ -",
        )?
        .unwrap_or(default.separator),
        conflict: word(
            (&args.conflict_strategy, "--conflict-strategy"),
            (env, &["MCP_PROXY_CONFLICT_STRATEGY"]),
            "one of auto_prefix, reject, priority_override",
        )?
        .unwrap_or(default.conflict),
    })
}

/// Parses a setting from its flag, or else from the first of its variables that is set.
fn word<T: std::str::FromStr>(
    (flag, flag_name): (&Option<String>, &str),
    (env, variables): (&Variables, &[&str]),
    expected: &'static str,
) -> Result<Option<T>, InvalidSetting> {
    let from_env = || variables.iter().find_map(|name| Some((*name, env.text(&[name])?)));
    let Some((origin, text)) = flag.clone().map(|text| (flag_name, text)).or_else(from_env) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| invalid(origin, text, expected))
}

/// Merges a list from its flags, or else from all of its variables.
fn list(flags: &[String], env: &Variables, names: &[&str]) -> Vec<String> {
    let from_env: Vec<String> = if flags.is_empty() { env.all(names) } else { Vec::new() };
    let mut entries: Vec<String> = Vec::new();
    for entry in flags.iter().chain(&from_env).flat_map(|value| value.split(',')).map(str::trim) {
        if !entry.is_empty() && !entries.iter().any(|known| known == entry) {
            entries.push(entry.to_owned());
        }
    }
    entries
}

/// Reads tokens from flags, or else from all variables that are set. An empty flag or variable is an error: it usually
/// comes from an unset variable, and would open the gateway to everyone.
fn tokens(
    (flags, flag_name): (&[String], &str),
    (env, variables): (&Variables, &[&str]),
) -> Result<Vec<Secret>, InvalidSetting> {
    let from_flags = flags.iter().map(|text| (flag_name.to_owned(), Ok(text.clone())));
    let from_env = || variables.iter().filter_map(|name| Some(((*name).to_owned(), env.raw(name)?)));
    let sources: Vec<_> = if flags.is_empty() { from_env().collect() } else { from_flags.collect() };
    let mut tokens: Vec<Secret> = Vec::new();
    for (origin, text) in sources {
        let text = text.map_err(|NotText| unusable(&origin, "the token is not UTF-8"))?;
        let found = Secret::tokens(&text).map_err(|error| unusable(&origin, error))?;
        for token in found {
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
    }
    Ok(tokens)
}

/// Reads a token from its flag, or else from its variable.
pub(crate) fn one_token(flag: Option<&str>, variables: &Variables) -> Result<Option<Secret>, InvalidSetting> {
    const VARIABLE: &str = "MCP_PROXY_TOKEN";
    let (origin, text) = match (flag, variables.raw(VARIABLE)) {
        (Some(flag), _) => ("--token", flag.to_owned()),
        (None, Some(text)) => (VARIABLE, text.map_err(|NotText| unusable(VARIABLE, "the token is not UTF-8"))?),
        (None, None) => return Ok(None),
    };
    Secret::new(text).token().map(Some).map_err(|error| unusable(origin, error))
}

fn networks(flags: &[String], env: &Variables, names: (&str, &str)) -> Result<Vec<IpNet>, InvalidSetting> {
    let (flag, variable) = names;
    let origin = if flags.is_empty() { variable } else { flag };
    let parse = |entry: String| {
        let address = || entry.parse::<IpAddr>().map(IpNet::from);
        let network = entry.parse().or_else(|_| address());
        network.map_err(|_| invalid(origin, entry, "an IP address or a CIDR block"))
    };
    list(flags, env, &[variable]).into_iter().map(parse).collect()
}

/// `MCP_PROXY_DISABLE_DEFAULT_TOKEN`: refuses to start without an admin token, or with the ancestor's published
/// default.
fn forbid_known_token(policy: &policy::Config, env: &Variables) -> Result<(), InvalidSetting> {
    let known = policy.admin_tokens.iter().any(|token| token.expose() == KNOWN_TOKEN);
    if env.flag(&["MCP_PROXY_DISABLE_DEFAULT_TOKEN"]) && (known || policy.admin_tokens.is_empty()) {
        let what = if known { KNOWN_TOKEN } else { "nothing" };
        return Err(unusable(
            "--admin-tokens",
            format!("{what} is not a list of tokens of your own (MCP_PROXY_DISABLE_DEFAULT_TOKEN is set)"),
        ));
    }
    Ok(())
}

/// Builds an error for a setting whose value must not be shown.
fn unusable(origin: &str, reason: impl std::fmt::Display) -> InvalidSetting {
    InvalidSetting { origin: origin.to_owned(), reason: reason.to_string() }
}

fn invalid(origin: &str, value: String, expected: &'static str) -> InvalidSetting {
    InvalidSetting { origin: origin.to_owned(), reason: format!("`{value}` is not {expected}") }
}

#[cfg(test)]
mod tests;
