//! Connecting: names, TCP and TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::{Refused, guard, is_localhost};

/// After so long without a word, the other side is asked whether it is there; thrice in vain, and it is not.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;
/// How long data may stay without an acknowledgement.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A connection, with or without TLS.
pub(super) type Stream = Box<dyn Duplex>;

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Opens connections.
pub(super) struct Connector {
    tcp: HttpConnector<GuardedResolver>,
    /// Made with the first connection that needs it: reading the system's certificates takes a while.
    tls: OnceLock<Result<TlsConnector, rustls::Error>>,
    patience: Duration,
}

impl Connector {
    pub(super) fn new(patience: Duration) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(GuardedResolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(patience));
        tcp.set_keepalive(Some(PROBE_INTERVAL));
        tcp.set_keepalive_interval(Some(PROBE_INTERVAL));
        tcp.set_keepalive_retries(Some(PROBES));
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        Self { tcp, tls: OnceLock::new(), patience }
    }

    /// Connects to an origin: a scheme, a host and perhaps a port.
    pub(super) async fn connect(&self, origin: &Uri) -> Result<Stream, Failure> {
        timeout(self.patience, self.open(origin)).await.map_err(|_| "connecting took too long")?
    }

    async fn open(&self, origin: &Uri) -> Result<Stream, Failure> {
        let tcp = self.tcp.clone().call(origin.clone()).await?.into_inner();
        if origin.scheme_str() != Some("https") {
            return Ok(Box::new(tcp));
        }
        let host = origin.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())?;
        let tls = self.tls.get_or_init(tls).clone()?;
        Ok(Box::new(tls.connect(name, tcp).await?))
    }
}

fn tls() -> Result<TlsConnector, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_platform_verifier()?;
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Resolves as the system does and drops addresses that are never dialled, so that what was checked is what is dialled.
/// The name of this machine means both of its families, whatever the system says: a server may listen on either.
#[derive(Clone)]
struct GuardedResolver;

impl Service<Name> for GuardedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let mut found: Vec<SocketAddr> = match found {
                Ok(found) => found.collect(),
                Err(_) if is_localhost(name.as_str()) => Vec::new(),
                Err(error) => return Err(error),
            };
            if is_localhost(name.as_str()) {
                for address in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
                    if !found.iter().any(|known| known.ip() == address) {
                        found.push(SocketAddr::new(address, 0));
                    }
                }
            }
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| !guard::is_forbidden(address.ip().to_canonical())).collect();
            if allowed.is_empty() { Err(io::Error::other(Refused::LinkLocal)) } else { Ok(allowed.into_iter()) }
        })
    }
}
