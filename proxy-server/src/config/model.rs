//! The configuration, and its defaults.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::file::{InvalidFiles, Place};
use crate::call::Limits;
use crate::catalog::Naming;
use crate::control::DeclaredServers;
use crate::http::client::Network;
use crate::http::server::TlsFiles;
use crate::policy::PageOrigin;
use crate::upstream::ChildEnvironment;
use crate::{downstream, policy, registry, telemetry, upstream};

const DEFAULT_PORT: u16 = 6001;
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Every setting of a gateway.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) base_url: Option<Url>,
    /// Host and port of the admin API, `HOST:PORT`; empty if it is at the address of the endpoints.
    pub(crate) admin_listen: String,
    /// Permissions of Unix sockets, in octal.
    pub(crate) socket_mode: String,
    pub(crate) shutdown_timeout: Duration,
    /// True if another gateway may listen on the same address.
    pub(crate) reuse_port: bool,
    /// True if `/metrics` asks for no token.
    pub(crate) public_metrics: bool,
    /// Time for which requests are still accepted after SIGTERM.
    pub(crate) drain_delay: Duration,
    /// Maximum number of open downstream connections.
    pub(crate) max_connections: usize,
    /// Timeout for opening a connection to an upstream.
    pub(crate) connect_timeout: Duration,
    /// Maximum size of a definition in bytes.
    pub(crate) max_definition_bytes: usize,
    /// True if the gateway starts only with admin tokens of its own.
    pub(crate) forbid_known_token: bool,
    /// Accepted host names besides loopback ones, without port or brackets.
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) allowed_origins: Vec<PageOrigin>,
    /// Files of the certificate with which TLS is spoken; none for plain HTTP.
    pub(crate) tls: TlsFiles,
    pub(crate) storage: registry::Config,
    pub(crate) policy: policy::Config,
    pub(crate) naming: Naming,
    pub(crate) telemetry: telemetry::Config,
    /// File of the audit log; without one, nothing is recorded.
    pub(crate) audit_log: Option<PathBuf>,
    /// File of the access log.
    pub(crate) access_log: Option<PathBuf>,
    pub(crate) upstream: upstream::Config,
    pub(crate) downstream: downstream::Config,
    /// Limits of calls; those that the edges share are the edges' own.
    pub(crate) calls: Limits,
    pub(crate) network: Network,
    /// Names of the gateway's variables that definitions may ask for.
    pub(crate) inheritable_env: Vec<String>,
    /// Users that programs may run as.
    pub(crate) program_users: Vec<String>,
    pub(crate) children: ChildEnvironment,
    /// Servers of the configuration file; without a file, `None`: the servers of
    /// earlier files are deregistered at the start, and left alone by a reload.
    pub(crate) servers: Option<DeclaredServers>,
}

/// An invalid setting, with its origin.
#[derive(Debug, thiserror::Error)]
pub(crate) struct InvalidSetting {
    /// Flag, variable, or key of a file.
    pub(super) origin: String,
    pub(super) reason: String,
    /// Position, if the setting is in a file.
    pub(super) place: Option<Place>,
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .problems.join("\n"))]
pub struct InvalidConfig {
    /// Every mistake: for one in a file with its position and its cure.
    pub(super) problems: Vec<String>,
}

impl InvalidSetting {
    /// Returns the error for a value at a position in a file.
    pub(super) fn at(self, place: &Place, key: &str) -> Self {
        Self { origin: key.to_owned(), place: Some(place.clone()), ..self }
    }
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, reason, place } = self;
        match place {
            Some(place) => write!(f, "{place}: error: `{origin}`: {reason}"),
            None => write!(f, "invalid {origin}: {reason}"),
        }
    }
}

impl From<InvalidSetting> for InvalidConfig {
    fn from(invalid: InvalidSetting) -> Self {
        Self { problems: vec![invalid.to_string()] }
    }
}

impl From<InvalidFiles> for InvalidConfig {
    fn from(invalid: InvalidFiles) -> Self {
        Self { problems: invalid.problems }
    }
}

impl Default for Config {
    /// The defaults: loopback only, port 6001, no token required.
    fn default() -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port: DEFAULT_PORT,
            base_url: None,
            admin_listen: String::new(),
            socket_mode: "600".to_owned(),
            shutdown_timeout: DEFAULT_GRACE,
            reuse_port: false,
            public_metrics: false,
            drain_delay: Duration::from_secs(1),
            max_connections: 10_000,
            connect_timeout: Duration::from_secs(10),
            max_definition_bytes: 256 << 10,
            forbid_known_token: false,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            tls: TlsFiles::default(),
            storage: registry::Config::default(),
            policy: policy::Config::default(),
            naming: Naming::default(),
            telemetry: telemetry::Config::default(),
            audit_log: None,
            access_log: None,
            upstream: upstream::Config::default(),
            downstream: downstream::Config::default(),
            calls: Limits::default(),
            network: Network::default(),
            inheritable_env: Vec::new(),
            program_users: Vec::new(),
            children: ChildEnvironment::default(),
            servers: None,
        }
    }
}
