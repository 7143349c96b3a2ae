//! Every setting of the gateway as one value: flags override the environment, which overrides defaults. Each module
//! gets its own part of the configuration and reads no variable itself.

mod edge;
mod env;
mod flags;
mod limits;
mod model;
mod outbound;
mod serve;
mod setting;
mod storage;
mod value;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use schemas::Secret;
use url::Url;

pub(crate) use self::env::process_environment;
use self::env::{NotText, Variables};
pub(crate) use self::flags::Flags;
pub use self::model::{Config, InvalidSetting};
pub(crate) use self::setting::Effective;
use self::setting::FlagValues;
#[cfg(test)]
pub(crate) use self::setting::Origin;
use crate::policy::{PageOrigin, Sites};
use crate::telemetry::Level;

/// The ancestor's default admin token, known to everyone.
const KNOWN_TOKEN: &str = "CHANGE_ME_ADMIN_TOKEN";
/// Time for a child's orderly end, twice within the 2 s that the parent process may wait.
const STDIO_CHILD_PATIENCE: Duration = Duration::from_millis(350);

/// Parser for the flags of `serve` without a sub-command.
#[derive(Debug, Parser)]
struct Alone {
    #[command(flatten)]
    flags: Flags,
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

impl Config {
    /// Defaults on a port chosen by the system, with the environment that child processes inherit: for a gateway
    /// embedded in another program.
    pub fn ephemeral() -> Self {
        let mut config = Self { port: 0, children: env::children(&process_environment()), ..Self::default() };
        config.storage.keep_nothing_unasked();
        config
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
        let mut config = Self::resolve(&alone.flags, &Variables::default()).map_err(InvalidFlags::Value)?;
        config.storage.keep_nothing_unasked();
        Ok(Self { children: env::children(&process_environment()), ..config })
    }

    /// Builds the configuration of a gateway for one client on standard streams, whose parent process waits for it to
    /// exit.
    pub(crate) fn for_stdio(level: Level, variables: &Variables) -> Result<Self, InvalidSetting> {
        let mut config = Self { children: env::children(variables), ..Self::default() };
        config.telemetry.level = level;
        for setting in limits::SETTINGS.iter().chain(outbound::SETTINGS) {
            setting.resolve(&FlagValues::default(), variables, &mut config)?;
        }
        config.upstream.child_patience = STDIO_CHILD_PATIENCE;
        // The servers come from the user's own file, not from an API that must bound them.
        config.upstream.upstreams = usize::MAX;
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
        Self::explain(args, variables).map(|(config, _)| config)
    }

    /// Merges flags, variables and defaults. Returns also each setting with its value and the origin of the value.
    pub(crate) fn explain(args: &Flags, variables: &Variables) -> Result<(Self, Vec<Effective>), InvalidSetting> {
        let mut config = Self { children: env::children(variables), ..Self::default() };
        config.storage.state_home = variables.state_home();
        let resolved = flags::settings().map(|setting| setting.resolve(&args.values, variables, &mut config));
        let effective = resolved.collect::<Result<_, _>>()?;
        config.check_known_token()?;
        let host = config.base_url.as_ref().and_then(Url::host_str);
        let host = host.map(|host| host.trim_matches(['[', ']']).to_owned());
        config.allowed_hosts.extend(host);
        config.downstream.base_url = config.base_url.as_ref().map(Url::to_string);
        Ok((config, effective))
    }

    /// Returns the variables that are set for an ancestor and have no effect here.
    pub(crate) fn without_effect(variables: &Variables) -> Vec<&'static str> {
        storage::without_effect(variables)
    }

    /// Returns this configuration with the live settings of another: those that can change while the gateway runs.
    pub(crate) fn renewed(&self, other: &Self) -> Self {
        let (mut renewed, mut other) = (self.clone(), other.clone());
        for setting in flags::settings().filter(|setting| setting.is_live) {
            (setting.field)(&mut renewed).swap((setting.field)(&mut other));
        }
        renewed
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

    /// `MCP_PROXY_DISABLE_DEFAULT_TOKEN`: refuses to start without an admin token, or with the ancestor's published
    /// default.
    fn check_known_token(&self) -> Result<(), InvalidSetting> {
        let tokens = &self.policy.admin_tokens;
        let is_known = tokens.iter().any(|token| token.expose() == KNOWN_TOKEN);
        if !self.forbid_known_token || !(is_known || tokens.is_empty()) {
            return Ok(());
        }
        let what = if is_known { KNOWN_TOKEN } else { "nothing" };
        let reason = format!("{what} is not a list of tokens of your own (MCP_PROXY_DISABLE_DEFAULT_TOKEN is set)");
        Err(InvalidSetting::unusable("--admin-tokens", reason))
    }
}

/// Reads a token from its flag, or else from its variable.
pub(crate) fn one_token(flag: Option<&str>, variables: &Variables) -> Result<Option<Secret>, InvalidSetting> {
    const VARIABLE: &str = "MCP_PROXY_TOKEN";
    let (origin, text) = match (flag, variables.raw(VARIABLE)) {
        (Some(flag), _) => ("--token", flag.to_owned()),
        (None, Some(text)) => {
            (VARIABLE, text.map_err(|NotText| InvalidSetting::unusable(VARIABLE, "the token is not UTF-8"))?)
        }
        (None, None) => return Ok(None),
    };
    Secret::new(text).token().map(Some).map_err(|error| InvalidSetting::unusable(origin, error))
}

#[cfg(test)]
mod tests;
