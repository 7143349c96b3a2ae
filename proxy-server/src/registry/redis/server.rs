//! Connects to the server: directly, or to the master that sentinels name.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    TlsCertificates, TlsMode,
};
use schemas::Secret;

use super::fault::storage_error;
use crate::registry::failure::{Fault, StorageError};

const DEFAULT_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Settings of the server. Parts override those of the URL.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// URL with the scheme `redis`, `rediss`, `valkey`, `valkeys`, `unix` or `redis+unix`.
    pub(crate) url: Option<Secret>,
    /// Host, or path of a Unix socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) username: String,
    pub(crate) password: Option<Secret>,
    pub(crate) database: Option<u32>,
    pub(crate) tls: bool,
    /// PEM file with the certificate authorities that are trusted in place of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Addresses of sentinels, `HOST:PORT`.
    pub(crate) sentinels: Vec<String>,
    /// Name of the master that the sentinels watch.
    pub(crate) sentinel_master: String,
    pub(crate) sentinel_username: String,
    pub(crate) sentinel_password: Option<Secret>,
    pub(crate) connect_timeout: Duration,
    /// Timeout for a response.
    pub(crate) timeout: Duration,
}

/// The server, with its settings checked.
pub(super) struct Server {
    way: Way,
    /// Address for messages, without secrets.
    shown: String,
    connect_timeout: Duration,
    timeout: Duration,
}

enum Way {
    Direct(Client),
    /// Made anew for each connection, because a client keeps what the sentinels said before.
    Sentinels(Settings, Option<Vec<u8>>),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: None,
            host: String::new(),
            port: DEFAULT_PORT,
            username: String::new(),
            password: None,
            database: None,
            tls: false,
            ca_file: None,
            sentinels: Vec::new(),
            sentinel_master: "mymaster".to_owned(),
            sentinel_username: String::new(),
            sentinel_password: None,
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// True if a server is named.
    pub(crate) fn names_a_server(&self) -> bool {
        self.url.is_some() || !self.host.is_empty() || !self.sentinels.is_empty()
    }

    /// Returns the passwords that must never be logged.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let url = self.url.as_ref().and_then(|url| url.expose().into_connection_info().ok());
        let of_url = url.and_then(|url| url.redis_settings().password().map(Secret::new));
        of_url.into_iter().chain(self.password.clone()).chain(self.sentinel_password.clone()).collect()
    }
}

impl Server {
    pub(super) fn new(settings: &Settings) -> Result<Self, StorageError> {
        let authorities = match &settings.ca_file {
            Some(file) => Some(std::fs::read(file).map_err(|error| {
                StorageError::new(
                    Fault::Refused,
                    format!("cannot read `{}` (--redis-ca-file): {error}", file.display()),
                )
            })?),
            None => None,
        };
        let (way, shown) = if settings.sentinels.is_empty() {
            let info = address(settings)?;
            let shown = shown(info.addr());
            let client = match (&authorities, info.addr()) {
                (Some(pem), ConnectionAddr::TcpTls { .. }) => Client::build_with_tls(info, certificates(pem)),
                (Some(_), _) => return Err(refused("--redis-ca-file needs TLS: rediss:// or --redis-tls")),
                (None, _) => Client::open(info),
            };
            (Way::Direct(client.map_err(|error| storage_error(&error))?), shown)
        } else {
            let shown = format!("{} of the sentinels {}", settings.sentinel_master, settings.sentinels.join(", "));
            (Way::Sentinels(settings.clone(), authorities), shown)
        };
        let server = Self { way, shown, connect_timeout: settings.connect_timeout, timeout: settings.timeout };
        // Bad settings are told at once, and not when the first connection is made.
        if let Way::Sentinels(settings, authorities) = &server.way {
            sentinels(settings, authorities.as_deref()).map_err(|error| storage_error(&error))?;
        }
        Ok(server)
    }

    /// Opens a connection for commands.
    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        self.connect_with(self.timeout).await
    }

    /// Opens a connection for commands that wait at the server for this time.
    pub(super) async fn connect_to_wait(&self, wait: Duration) -> Result<MultiplexedConnection, RedisError> {
        self.connect_with(self.timeout + wait).await
    }

    async fn connect_with(&self, timeout: Duration) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(timeout));
        let connect = async {
            match &self.way {
                Way::Direct(client) => client.get_multiplexed_async_connection_with_config(&config).await,
                Way::Sentinels(settings, authorities) => {
                    let mut client = sentinels(settings, authorities.as_deref())?;
                    client.get_async_connection_with_config(&config).await
                }
            }
        };
        // Each sentinel has its own time.
        let most = self.connect_timeout * 5;
        let late = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        tokio::time::timeout(most, connect).await.unwrap_or_else(late)
    }

    /// Describes a failure, with the address.
    pub(super) fn explain(&self, error: &RedisError) -> StorageError {
        let StorageError { fault, details } = storage_error(error);
        StorageError { fault, details: format!("{}: {details}", self.shown) }
    }
}

fn refused(details: impl fmt::Display) -> StorageError {
    StorageError::new(Fault::Refused, details)
}

fn certificates(pem: &[u8]) -> TlsCertificates {
    TlsCertificates { client_tls: None, root_cert: Some(pem.to_vec()) }
}

fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

/// Puts the address together from the URL and the parts.
fn address(settings: &Settings) -> Result<ConnectionInfo, StorageError> {
    let info = match &settings.url {
        Some(url) => parse(url.expose())?,
        None if settings.host.starts_with('/') => parse(&format!("unix://{}", settings.host))?,
        None => {
            let host = if settings.host.is_empty() { "localhost" } else { &settings.host };
            let info = (host, settings.port).into_connection_info().map_err(|error| storage_error(&error))?;
            let tls = ConnectionAddr::TcpTls {
                host: host.to_owned(),
                port: settings.port,
                insecure: false,
                tls_params: None,
            };
            if settings.tls { info.set_addr(tls) } else { info }
        }
    };
    let mut redis: RedisConnectionInfo = info.redis_settings().clone();
    if !settings.username.is_empty() {
        redis = redis.set_username(&settings.username);
    }
    if let Some(password) = &settings.password {
        redis = redis.set_password(password.expose());
    }
    if let Some(database) = settings.database {
        redis = redis.set_db(database.into());
    }
    Ok(info.set_tcp_settings(tcp()).set_redis_settings(redis))
}

/// Parses a URL. Its parameters, which the library ignores for TCP, are an error.
fn parse(text: &str) -> Result<ConnectionInfo, StorageError> {
    let url = ::redis::parse_redis_url(text);
    let bad =
        || refused("--redis-url is none: redis://USER:PASSWORD@HOST:PORT/DATABASE, rediss://.. for TLS, unix:///PATH");
    let url = url.ok_or_else(bad)?;
    let is_socket = url.scheme().contains("unix");
    if let Some((name, _)) = url.query_pairs().find(|(name, _)| !is_socket && name != "protocol") {
        // Anything else may be a part of a password with an unescaped `?`.
        let is_name = name.chars().all(|letter| letter.is_ascii_alphabetic() || letter == '_');
        let shown = if is_name { format!("parameter `{name}`") } else { "parameters".to_owned() };
        return Err(refused(format!("--redis-url has no {shown}; the database is its path, as in /3")));
    }
    // The library's error may repeat the URL.
    text.into_connection_info().map_err(|_| bad())
}

fn sentinels(settings: &Settings, authorities: Option<&[u8]>) -> Result<::redis::sentinel::SentinelClient, RedisError> {
    let address = |text: &String| {
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        ConnectionAddr::Tcp(host.trim_matches(['[', ']']).to_owned(), port.parse().unwrap_or(SENTINEL_PORT))
    };
    let addresses: Vec<_> = settings.sentinels.iter().map(address).collect();
    let mut builder = SentinelClientBuilder::new(addresses, &settings.sentinel_master, SentinelServerType::Master)?;
    builder = builder.set_client_to_redis_tcp_settings(tcp()).set_client_to_sentinel_tcp_settings(tcp());
    if settings.tls {
        builder =
            builder.set_client_to_redis_tls_mode(TlsMode::Secure).set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    if let Some(pem) = authorities {
        builder = builder.set_client_to_redis_certificates(certificates(pem));
        builder = builder.set_client_to_sentinel_certificates(certificates(pem));
    }
    if let Some(database) = settings.database {
        builder = builder.set_client_to_redis_db(database.into());
    }
    if !settings.username.is_empty() {
        builder = builder.set_client_to_redis_username(&settings.username);
    }
    if let Some(password) = &settings.password {
        builder = builder.set_client_to_redis_password(password.expose());
    }
    if !settings.sentinel_username.is_empty() {
        builder = builder.set_client_to_sentinel_username(&settings.sentinel_username);
    }
    if let Some(password) = &settings.sentinel_password {
        builder = builder.set_client_to_sentinel_password(password.expose());
    }
    builder.build()
}

fn shown(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, port) => format!("redis://{host}:{port}"),
        ConnectionAddr::TcpTls { host, port, .. } => format!("rediss://{host}:{port}"),
        ConnectionAddr::Unix(path) => format!("unix://{}", path.display()),
        _ => "redis".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Result<&str, &str>) {
        let settings = Settings { url: Some(Secret::new(url)), ..Settings::default() };
        match (Server::new(&settings), expected) {
            (Ok(server), Ok(shown)) => assert_eq!(server.shown, shown, "{url}"),
            (Err(error), Err(words)) => assert!(error.details.contains(words), "{url}: {error}"),
            (found, _) => panic!("{url}: {:?}", found.err()),
        }
    }

    #[test]
    fn urls_name_a_server_and_their_secrets_are_never_shown() {
        check("redis://u:p%40ss@h:7/3", Ok("redis://h:7"));
        check("valkey://h", Ok("redis://h:6379"));
        check("rediss://h", Ok("rediss://h:6379"));
        check("unix:///run/r.sock", Ok("unix:///run/r.sock"));
        check("redis+unix:///run/r.sock?db=2&user=u&pass=p", Ok("unix:///run/r.sock"));
        check("redis://h?db=4", Err("no parameter `db`"));
        check("redis://user:4321?s3cret@h:6379", Err("no parameters;"));
        for bad in ["h:6379", "http://h", "redis://u:s3cret/x@h", "redis://h/abc"] {
            check(bad, Err("--redis-url is none"));
        }
    }

    #[test]
    fn parts_override_the_url() {
        let settings = Settings {
            url: Some(Secret::new("redis://a:b@h:7/3")),
            username: "u".to_owned(),
            password: Some(Secret::new("p")),
            database: Some(0),
            ..Settings::default()
        };
        let info = address(&settings).expect("an address");
        let redis = info.redis_settings();
        assert_eq!((redis.username(), redis.password(), redis.db()), (Some("u"), Some("p"), 0));
        let parts = Settings { host: "h".to_owned(), tls: true, ..Settings::default() };
        assert_eq!(shown(address(&parts).expect("an address").addr()), "rediss://h:6379");
        let socket = Settings { host: "/run/r.sock".to_owned(), ..Settings::default() };
        assert_eq!(shown(address(&socket).expect("an address").addr()), "unix:///run/r.sock");
    }
}
