//! Connecting: names, TCP, proxies and TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tower_service::Service;

use super::proxy::{Proxy, tunnel};
use super::tls::Tls;
use super::{Refused, guard, is_localhost};

/// After so long without a word, the other side is asked whether it is there; thrice in vain, and it is not.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;
/// How long data may stay without an acknowledgement.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

const HTTPS: &str = "https";
const HTTPS_PORT: u16 = 443;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A connection, with or without TLS.
pub(super) type Stream = Box<dyn Duplex>;

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Opens connections.
pub(super) struct Connector {
    tcp: HttpConnector<GuardedResolver>,
    patience: Duration,
}

/// The way to an origin.
pub(super) struct Way {
    pub(super) proxy: Option<Arc<Proxy>>,
    /// Secures the connection with the origin.
    pub(super) tls: Arc<Tls>,
    /// The same with the proxy, which is not shown who the gateway is.
    pub(super) proxy_tls: Arc<Tls>,
}

/// Why a proxy is of no use.
#[derive(Debug, thiserror::Error)]
#[error("proxy `{address}`")]
struct ProxyFailure {
    address: Uri,
    source: Failure,
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
        Self { tcp, patience }
    }

    /// Connects to an origin: a scheme, a host and perhaps a port.
    pub(super) async fn connect(&self, origin: &Uri, way: &Way) -> Result<Stream, Failure> {
        timeout(self.patience, self.open(origin, way)).await.map_err(|_| "connecting took too long")?
    }

    async fn open(&self, origin: &Uri, way: &Way) -> Result<Stream, Failure> {
        let stream = match &way.proxy {
            None => self.reach(origin).await?,
            Some(proxy) => self.reach_through(proxy, origin, way).await.map_err(|source| {
                let address = proxy.address().clone();
                ProxyFailure { address, source }
            })?,
        };
        if origin.scheme_str() != Some(HTTPS) {
            return Ok(stream);
        }
        Ok(Box::new(way.tls.secure(origin.host().unwrap_or_default(), stream).await?))
    }

    async fn reach(&self, address: &Uri) -> Result<Stream, Failure> {
        Ok(Box::new(self.tcp.clone().call(address.clone()).await?.into_inner()))
    }

    /// Connects to a proxy; for an origin that is spoken to in secret, to the origin behind it.
    async fn reach_through(&self, proxy: &Proxy, origin: &Uri, way: &Way) -> Result<Stream, Failure> {
        let mut stream = self.reach(proxy.address()).await?;
        if proxy.address().scheme_str() == Some(HTTPS) {
            let host = proxy.address().host().unwrap_or_default();
            stream = Box::new(way.proxy_tls.secure(host, stream).await?);
        }
        if origin.scheme_str() == Some(HTTPS) {
            let (host, port) = (origin.host().unwrap_or_default(), origin.port_u16().unwrap_or(HTTPS_PORT));
            tunnel(&mut stream, &format!("{host}:{port}"), proxy.authorization()).await?;
        }
        Ok(stream)
    }
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
