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

use super::guard::{self, is_localhost};
use super::proxy::{Proxy, tunnel};
use super::refused::Refused;
use super::tls::Tls;

/// TCP keep-alive: idle time before the first probe and between probes. The connection ends after `PROBES` unanswered ones.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;
/// Maximum time for which sent data may stay unacknowledged (`TCP_USER_TIMEOUT`).
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

const HTTPS: &str = "https";
const HTTPS_PORT: u16 = 443;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A connection, with or without TLS.
pub(super) type Stream = Box<dyn Duplex>;

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub(super) struct Connector {
    tcp: HttpConnector<GuardedResolver>,
    patience: Duration,
}

/// The path to an origin: the proxy, and the TLS settings.
pub(super) struct Way {
    pub(super) proxy: Option<Arc<Proxy>>,
    /// TLS settings for the origin.
    pub(super) tls: Arc<Tls>,
    /// TLS settings for the proxy: without the client certificate, which is for the origin.
    pub(super) proxy_tls: Arc<Tls>,
}

/// A connection through a proxy failed.
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

    /// Connects to an origin, given as scheme, host and optional port.
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

    /// Connects to a proxy, and for an `https` origin through it to the origin.
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

/// Resolves names by the system's resolver and drops forbidden addresses, so that the checked address is the dialled one.
/// `localhost` resolves to both loopback addresses, because a server may listen on either.
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
            Ok(permitted(name.as_str(), found.map(Iterator::collect))?.into_iter())
        })
    }
}

/// Filters the addresses of a name to those that may be dialled.
fn permitted(name: &str, found: io::Result<Vec<SocketAddr>>) -> io::Result<Vec<SocketAddr>> {
    let mut found = match found {
        Err(error) if !is_localhost(name) => return Err(error),
        found => found.unwrap_or_default(),
    };
    if is_localhost(name) {
        for address in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
            if !found.iter().any(|known| known.ip() == address) {
                found.push(SocketAddr::new(address, 0));
            }
        }
    }
    found.retain(|address| !guard::is_forbidden(address.ip().to_canonical()));
    if found.is_empty() { Err(io::Error::other(Refused::LinkLocal)) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, found: Option<&[&str]>, expected: Option<&[&str]>) {
        let found = found.ok_or_else(|| io::Error::other("no such name"));
        let parse = |text: &&str| SocketAddr::new(text.parse().expect("an address"), 0);
        let permitted = permitted(name, found.map(|all| all.iter().map(parse).collect()));
        let permitted =
            permitted.ok().map(|all| all.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>());
        let expected = expected.map(|all| all.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(permitted, expected, "{name}");
    }

    #[test]
    fn a_name_that_leads_to_a_metadata_service_is_not_dialled() {
        check("x.example", Some(&["192.0.2.1", "2001:db8::1"]), Some(&["192.0.2.1", "2001:db8::1"]));
        check("metadata.google.internal", Some(&["169.254.169.254"]), None);
        check("x.example", Some(&["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254"]), None);
        check("x.example", Some(&["169.254.169.254", "192.0.2.1", "fe80::1"]), Some(&["192.0.2.1"]));
        check("x.example", Some(&[]), None);
        check("x.example", None, None);
    }

    #[test]
    fn the_name_of_this_machine_means_both_families() {
        check("localhost", Some(&["127.0.0.1"]), Some(&["127.0.0.1", "::1"]));
        check("localhost", Some(&["::1"]), Some(&["::1", "127.0.0.1"]));
        check("a.localhost.", None, Some(&["127.0.0.1", "::1"]));
        check("localhost.example", Some(&["192.0.2.1"]), Some(&["192.0.2.1"]));
    }
}
