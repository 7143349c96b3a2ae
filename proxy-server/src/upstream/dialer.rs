//! The one HTTP client by which the gateway opens connections, and the addresses it refuses to connect to.
//!
//! An upstream's address comes from whoever may register one; it must not lead to the cloud's metadata service, nor
//! back to the gateway itself.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;
use url::{Host, Url};

const IDLE_CONNECTION: Duration = Duration::from_secs(90);

/// Opens connections to upstreams. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dialer {
    client: reqwest::Client,
    own: Arc<OnceLock<SocketAddr>>,
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
    /// A dialer that gives up connecting after this long.
    pub(crate) fn new(connect_timeout: Duration) -> Result<Self, reqwest::Error> {
        // Installing twice is no error worth reporting: the first one serves all.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder()
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(IDLE_CONNECTION)
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(GuardedResolver))
            .user_agent(concat!("mcp-proxy/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, own: Arc::default() })
    }

    /// Tells the address the gateway listens on, once it is known.
    pub(crate) fn set_own(&self, address: SocketAddr) {
        self.own.set(address).ok();
    }

    /// The client, after a look at where it would connect.
    pub(crate) fn client(&self, url: &Url) -> Result<&reqwest::Client, Refused> {
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

/// Link-local addresses, among them every cloud's metadata service.
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.segments().starts_with(&[0xfd00, 0x0ec2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, allowed: bool) {
        let dialer = Dialer::new(Duration::from_secs(1)).expect("a client");
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
        check("http://127.0.0.1:6001/x/stream", false);
        check("http://localhost:6001/x/stream", false);
        check("http://[::1]:6001/x/stream", false);
    }
}
