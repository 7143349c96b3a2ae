//! The one HTTP client by which the gateway opens connections, and the addresses it refuses to connect to.
//!
//! An upstream's address comes from whoever may register one; it must not lead to the cloud's metadata service, nor
//! back to the gateway itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{RequestBuilder, redirect};
use url::{Host, Url};

/// Metadata services that are not link-local: Alibaba's, Oracle's, Azure's.
const METADATA: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];
/// Names the gateway's own requests, so that it refuses those that come back to itself.
pub(crate) const OWN_MARK: HeaderName = HeaderName::from_static("x-mcp-proxy-mark");

const IDLE_CONNECTION: Duration = Duration::from_secs(90);

/// Opens connections to upstreams. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dialer {
    client: reqwest::Client,
    own: Arc<OnceLock<SocketAddr>>,
    mark: HeaderValue,
}

/// Why an address is not dialled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("link-local addresses are not dialled")]
    LinkLocal,
    #[error("the address is the gateway's own")]
    Own,
}

impl Dialer {
    /// A dialer that gives up connecting after this long, and by whose mark the gateway knows its own requests.
    pub(crate) fn new(connect_timeout: Duration, mark: HeaderValue) -> Result<Self, reqwest::Error> {
        // Installing twice is no error worth reporting: the first one serves all.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder()
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(IDLE_CONNECTION)
            .redirect(redirect::Policy::none())
            // A proxy would resolve names by itself, past the resolver below.
            .no_proxy()
            .dns_resolver(Arc::new(GuardedResolver))
            .user_agent(concat!("mcp-proxy/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, own: Arc::default(), mark })
    }

    /// Tells the address the gateway listens on, once it is known.
    pub(crate) fn set_own(&self, address: SocketAddr) {
        self.own.set(address).ok();
    }

    /// A request with these headers, after a look at where it would go. A name that leads back to the gateway is not
    /// known here; there the mark stops it.
    pub(crate) fn request(&self, method: Method, url: &Url, headers: &HeaderMap) -> Result<RequestBuilder, Refused> {
        let client = self.client(url)?;
        Ok(client.request(method, url.clone()).headers(headers.clone()).header(OWN_MARK, self.mark.clone()))
    }

    fn client(&self, url: &Url) -> Result<&reqwest::Client, Refused> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::from(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::from(address).to_canonical()),
            Some(Host::Domain(_)) | None => None,
        };
        if address.is_some_and(is_link_local) {
            return Err(Refused::LinkLocal);
        }
        let loopback = address.map_or(url.host_str() == Some("localhost"), |address| address.is_loopback());
        let own = self.own.get().is_some_and(|own| {
            let same_host =
                address == Some(own.ip()) || (loopback && (own.ip().is_loopback() || own.ip().is_unspecified()));
            same_host && url.port_or_known_default() == Some(own.port())
        });
        if own { Err(Refused::Own) } else { Ok(&self.client) }
    }
}

/// Resolves as the system does and drops link-local addresses, so that what was checked is what is dialled.
struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| !is_link_local(address.ip().to_canonical())).collect();
            if allowed.is_empty() {
                return Err(io::Error::other(Refused::LinkLocal).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Link-local addresses, and the metadata services of clouds, which are most often among them.
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || METADATA.contains(&address),
        IpAddr::V6(address) => match address.segments() {
            // A translator's address for an IPv4 one (RFC 6052).
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                is_link_local(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)).into())
            }
            [0xfd00, 0x0ec2, ..] => true,
            _ => address.is_unicast_link_local(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, allowed: bool) {
        let mark = HeaderValue::from_static("m");
        let dialer = Dialer::new(Duration::from_secs(1), mark).expect("a client");
        dialer.set_own("0.0.0.0:6001".parse().expect("an address"));
        assert_eq!(dialer.client(&url.parse().expect("a URL")).is_ok(), allowed, "{url}");
    }

    #[test]
    fn dials_anywhere_but_to_itself_and_to_metadata_services() {
        check("http://127.0.0.1:6002/mcp", true);
        check("https://example.com/mcp", true);
        check("http://169.254.169.254/latest", false);
        check("http://[fe80::1]/", false);
        check("http://[::ffff:169.254.169.254]/", false);
        check("http://[fd00:ec2::254]/", false);
        check("http://100.100.100.200/", false);
        check("http://[64:ff9b::a9fe:a9fe]/", false);
        check("http://127.0.0.1:6001/x/stream", false);
        check("http://localhost:6001/x/stream", false);
        check("http://[::1]:6001/x/stream", false);
    }
}
