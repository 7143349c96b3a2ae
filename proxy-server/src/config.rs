//! Every setting of the gateway as one value: flags override the environment, which overrides files, which override
//! defaults. Each module gets its own part of the configuration and reads no variable itself.

mod edge;
mod env;
mod file;
mod flags;
mod limits;
mod migrate;
mod model;
mod oauth;
mod outbound;
mod place;
mod process;
mod schema;
mod secret;
mod serve;
mod setting;
mod storage;
mod tls;
mod value;
mod without_effect;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use schemas::Secret;
use url::Url;

use self::env::NotText;
pub(crate) use self::env::{Variables, process_environment};
use self::file::FileValues;
pub(crate) use self::file::{FileFlags, Files, ForeignFlags, FormatFlags, Stamps, absolute, displayed};
use self::flags::Flags;
pub(crate) use self::flags::ServeFlags;
pub(crate) use self::migrate::Migrated;
pub(crate) use self::model::InvalidSetting;
pub use self::model::{Config, InvalidConfig};
pub(crate) use self::place::Place;
pub(crate) use self::schema::schema;
pub(crate) use self::setting::{Effective, Origin};
use self::setting::{FlagValues, Setting, Sources};
use crate::control::DeclaredServers;
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
    flags: ServeFlags,
}

/// A configuration that was read, with what the readers of reports need.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// Every setting with its value and the origin of the value.
    pub(crate) settings: Vec<Effective>,
    /// Configuration file, if there is one.
    pub(crate) file: Option<LoadedFile>,
}

/// Summary of a file without a mistake.
pub(crate) struct Checked {
    pub(crate) format: &'static str,
    /// Number of servers.
    pub(crate) servers: usize,
    /// Warnings and notes.
    pub(crate) remarks: Vec<String>,
}

/// A configuration file that was read.
pub(crate) struct LoadedFile {
    pub(crate) path: PathBuf,
    pub(crate) format: &'static str,
    /// Warnings and notes, each with its position.
    pub(crate) remarks: Vec<String>,
    /// True if the file says that no gateway is to be started.
    pub(crate) is_switched_off: bool,
}

/// Flags that do not form a valid configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFlags {
    /// Unknown flag, or a flag without its value.
    #[error(transparent)]
    Syntax(clap::Error),
    /// The value of a flag is invalid, or the configuration file that a flag names.
    #[error(transparent)]
    Value(InvalidConfig),
}

impl Config {
    /// Defaults on a port chosen by the system, with the environment that child processes inherit: for a gateway
    /// embedded in another program.
    pub fn ephemeral() -> Self {
        let mut config = Self { port: 0, ..Self::default() };
        config.children = env::children(&process_environment(), &config);
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
        let mut flags = alone.flags;
        // No file is looked for, because the working folder is the embedding program's.
        flags.files.config.get_or_insert_with(|| PathBuf::from("none"));
        let (loaded, _) = Self::load(&flags, &Variables::default());
        let mut config = loaded.map_err(InvalidFlags::Value)?.config;
        config.storage.keep_nothing_unasked();
        config.children = env::children(&process_environment(), &config);
        Ok(config)
    }

    /// Builds the configuration of a gateway for one client on standard streams, whose parent process waits for it to
    /// exit.
    pub(crate) fn for_stdio(level: Level, variables: &Variables) -> Result<Self, InvalidSetting> {
        let mut config = Self::default();
        config.telemetry.levels.level = level;
        let (flags, file) = (FlagValues::default(), FileValues::default());
        for setting in [limits::SETTINGS, outbound::SETTINGS, process::SETTINGS].into_iter().flatten() {
            setting.resolve(Sources { flags: &flags, variables, file: &file }, &mut config)?;
        }
        config.check_inheritable_env()?;
        config.children = env::children(variables, &config);
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

    /// Finds and reads the configuration file, and merges flags, variables, file and defaults. Returns also the state of
    /// the files, to notice their changes.
    pub(crate) fn load(args: &ServeFlags, variables: &Variables) -> (Result<Loaded, InvalidConfig>, Stamps) {
        let mut defaults = Self::default();
        let is_secret = move |setting: &&Setting| (setting.field)(&mut defaults).is_secret();
        let secrets =
            flags::settings().filter(is_secret).flat_map(|setting| secret::files(setting.variables, variables));
        let path = match args.files.find(variables) {
            Ok(Some(path)) => path,
            Ok(None) => {
                let mut stamps = Stamps::default();
                secrets.for_each(|path| stamps.add(&path));
                let explained = Self::explain(&args.settings, variables, &FileValues::default());
                explained.iter().for_each(|(config, _)| config.tls_files().for_each(|path| stamps.add(path)));
                return (explained.map(|(config, settings)| Loaded { config, settings, file: None }), stamps);
            }
            Err(invalid) => return (Err(invalid.into()), Stamps::default()),
        };
        let owner = match args.files.owner(&path) {
            Ok(owner) => owner,
            Err(invalid) => return (Err(invalid.into()), Stamps::default()),
        };
        let (files, mut stamps) =
            file::read(&path, &owner, (&keys(), &args.files.foreign, args.files.is_reload), variables);
        secrets.for_each(|path| stamps.add(&path));
        let loaded = files.map_err(InvalidConfig::from).and_then(|files| {
            let Files { values, servers, remarks, refused, format, is_switched_off } = files;
            let (mut config, settings) = Self::explain(&args.settings, variables, &values)?;
            let file = Some(displayed(&path));
            config.servers = Some(DeclaredServers { owner, file, definitions: servers.into(), refused });
            Ok(Loaded { config, settings, file: Some(LoadedFile { path, format, remarks, is_switched_off }) })
        });
        loaded.iter().for_each(|loaded| loaded.config.tls_files().for_each(|path| stamps.add(path)));
        (loaded, stamps)
    }

    /// Reads a configuration file for its servers; its settings are not used.
    pub(crate) fn read_file(
        path: &Path,
        foreign: &ForeignFlags,
        variables: &Variables,
    ) -> Result<Files, InvalidConfig> {
        let flags = FileFlags::default();
        let owner = flags.owner(path)?;
        let (files, _) = file::read(path, &owner, (&keys(), foreign, false), variables);
        Ok(files?)
    }

    /// Checks a configuration file: its syntax, its servers, and the values of its settings.
    pub(crate) fn check_file(
        path: &Path,
        foreign: &ForeignFlags,
        variables: &Variables,
    ) -> Result<Checked, InvalidConfig> {
        let Files { values, servers, remarks, refused, format, .. } = Self::read_file(path, foreign, variables)?;
        let explained = Self::explain(&Flags::default(), &Variables::default(), &values);
        let invalid = explained.err().map(|invalid| invalid.problems).unwrap_or_default();
        match refused.is_empty() && invalid.is_empty() {
            true => Ok(Checked { format, servers: servers.len(), remarks }),
            false => Err(InvalidConfig { problems: remarks.into_iter().chain(refused).chain(invalid).collect() }),
        }
    }

    /// Merges flags, variables, the values of files and defaults. Returns also each setting with its value and the origin
    /// of the value.
    fn explain(
        flags: &Flags,
        variables: &Variables,
        file: &FileValues,
    ) -> Result<(Self, Vec<Effective>), InvalidConfig> {
        let mut config = Self::default();
        config.storage.state_home = variables.state_home();
        let sources = Sources { flags: &flags.values, variables, file };
        let (mut effective, mut problems) = (Vec::new(), Vec::new());
        for setting in flags::settings() {
            match setting.resolve(sources, &mut config) {
                Ok(resolved) => effective.push(resolved),
                Err(invalid) => problems.push(invalid.to_string()),
            }
        }
        config.children = env::children(variables, &config);
        if problems.is_empty() {
            let checks = [
                config.check_known_token(),
                config.check_places(),
                oauth::check(&config),
                tls::check(&config),
                config.check_inheritable_env(),
            ];
            problems.extend(checks.into_iter().filter_map(Result::err).map(|invalid| invalid.to_string()));
        }
        if !problems.is_empty() {
            return Err(InvalidConfig { problems });
        }
        let query_tokens = effective.iter_mut().filter(|it| it.name == "query-tokens" && it.origin == Origin::Default);
        if let Some((query_tokens, keys)) = query_tokens.zip(variables.query_keys()).next() {
            config.policy.query_tokens = true;
            query_tokens.value = Some("on".to_owned());
            query_tokens.origin = Origin::Environment { variables: vec![keys.to_owned()] };
        }
        let host = config.base_url.as_ref().and_then(Url::host_str);
        let host = host.map(|host| host.trim_matches(['[', ']']).to_owned());
        config.allowed_hosts.extend(host);
        config.downstream.base_url = config.base_url.as_ref().map(Url::to_string);
        config.policy.client_certificates = !config.tls.client_authorities.is_empty();
        Ok((config, effective))
    }

    /// Returns the variables that are set for the gateway or a predecessor and have no effect, each with the reason.
    pub(crate) fn without_effect(variables: &Variables) -> Vec<(&str, String)> {
        without_effect::without_effect(variables, flags::settings())
    }

    /// Returns this configuration with the live settings of another: those that can change while the gateway runs.
    pub(crate) fn renewed(&self, other: &Self) -> Self {
        let (mut renewed, mut other) = (self.clone(), other.clone());
        for setting in flags::settings().filter(|setting| setting.is_live) {
            (setting.field)(&mut renewed).swap((setting.field)(&mut other));
        }
        renewed
    }

    /// Returns the names of settings that differ in another configuration and apply only at the next start.
    pub(crate) fn fixed_changes(&self, other: &Self) -> Vec<&'static str> {
        self.changes(other, false)
    }

    /// Returns the names of settings that differ in another configuration and apply while the gateway runs.
    pub(crate) fn live_changes(&self, other: &Self) -> Vec<&'static str> {
        self.changes(other, true)
    }

    fn changes(&self, other: &Self, are_live: bool) -> Vec<&'static str> {
        let (mut one, mut other) = (self.clone(), other.clone());
        let settings = flags::settings().filter(|setting| setting.is_live == are_live);
        let changed = settings.filter(|setting| !(setting.field)(&mut one).is_same(&(setting.field)(&mut other)));
        changed.map(|setting| setting.name).collect()
    }

    /// Returns the files that TLS towards clients needs.
    fn tls_files(&self) -> impl Iterator<Item = &Path> {
        let own = self.tls.certificate.iter().chain(&self.tls.key);
        own.chain(&self.tls.client_authorities).map(PathBuf::as_path)
    }

    /// Returns the scheme of URLs by which clients reach the gateway.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.certificate.is_some() { "https" } else { "http" }
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

    /// `--inheritable-env`: refuses variables that hold secrets of the gateway itself, or of its clients.
    fn check_inheritable_env(&self) -> Result<(), InvalidSetting> {
        let mut defaults = Self::default();
        let mut secrets = flags::settings().filter(|setting| (setting.field)(&mut defaults).is_secret());
        let own = secrets
            .find_map(|setting| self.inheritable_env.iter().find(|name| setting.variables.contains(&name.as_str())));
        let own = own.or_else(|| self.inheritable_env.iter().find(|name| name.starts_with("MCP_PROXY_")));
        let reason = |name| format!("`{name}` holds a setting of the gateway, which may be a secret");
        own.map_or(Ok(()), |name| Err(InvalidSetting::unusable("inheritable-env", reason(name))))
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

/// Returns the keys that settings have in a file.
fn keys() -> Vec<String> {
    let mut defaults = Config::default();
    let mut keys = Vec::new();
    for setting in flags::settings() {
        if !keys.iter().any(|key| key == setting.key()) {
            keys.push(setting.key().to_owned());
            keys.extend((setting.field)(&mut defaults).is_secret().then(|| secret::key(setting.key())));
        }
    }
    keys
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
