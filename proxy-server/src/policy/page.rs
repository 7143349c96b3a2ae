//! Identifies the web page that makes a browser send a request, and limits its rights (DNS rebinding, cross-site
//! requests).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Origin, Url};

use crate::policy::host::{is_loopback_name, split_host};

/// The origin of a page (RFC 6454): scheme, host and port. `null` is not an origin here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageOrigin(Origin);

/// Host names and page origins that are accepted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sites {
    /// Accepted host names besides loopback ones, without port or brackets.
    pub(crate) hosts: Vec<String>,
    /// True if only loopback names and `hosts` are accepted: the gateway listens on loopback, or `hosts` is not empty.
    pub(crate) are_hosts_known: bool,
    /// Origin of the gateway's public URL.
    pub(crate) base: Option<PageOrigin>,
    /// Origins with the same rights as the gateway's own pages, the admin API included.
    pub(crate) allowed: Vec<PageOrigin>,
}

/// The header fields that identify the page behind a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shown<'a> {
    pub(crate) host: Option<&'a str>,
    pub(crate) origin: Option<&'a str>,
    /// The value of `Sec-Fetch-Site`.
    pub(crate) fetch_site: Option<&'a str>,
}

/// The page behind a request, with its rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// No page, or one that the browser reports as same-origin.
    None,
    /// A page of the gateway's own origin.
    Own,
    /// A page of a configured origin.
    Allowed,
    /// A page of another origin on loopback or on an accepted host. It may use MCP endpoints, but not the admin API.
    Neighbour,
    /// A page of anywhere else, which may read what is for everybody.
    Foreign,
}

/// The reason why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// `Host` is missing or malformed.
    NoHost,
    /// `Host` is not a name of the gateway.
    Host,
    /// `Origin` is foreign.
    Origin,
    /// `Sec-Fetch-Site` reports a foreign page.
    Site,
}

impl FromStr for PageOrigin {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let origin = Url::parse(text).map_err(|_| ())?.origin();
        if origin.is_tuple() { Ok(Self(origin)) } else { Err(()) }
    }
}

impl fmt::Display for PageOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.ascii_serialization())
    }
}

impl PageOrigin {
    /// Returns the origin of a URL.
    pub(crate) fn of(url: &Url) -> Self {
        Self(url.origin())
    }

    /// Returns the host name without brackets, the port, and whether the port is the scheme's default.
    fn parts(&self) -> Option<(String, u16, bool)> {
        let Origin::Tuple(scheme, host, port) = &self.0 else { return None };
        let default = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let name = host.to_string();
        Some((name.trim_start_matches('[').trim_end_matches(']').to_owned(), *port, *port == default))
    }
}

impl Page {
    /// True if the page may use the admin API.
    pub(crate) fn may_administer(self) -> bool {
        match self {
            Self::None | Self::Own | Self::Allowed => true,
            Self::Neighbour | Self::Foreign => false,
        }
    }
}

impl Sites {
    /// Identifies the page behind a request that arrived at this local address, or refuses the request.
    pub(crate) fn page(&self, shown: Shown<'_>, local: IpAddr) -> Result<Page, Foreign> {
        let (name, port) = shown.host.and_then(split_host).ok_or(Foreign::NoHost)?;
        if self.are_hosts_known && !self.knows(name) && !is_address(name, local) {
            return Err(Foreign::Host);
        }
        match (shown.origin, shown.fetch_site) {
            (Some(origin), _) => self.of_origin(origin, (name, port)).ok_or(Foreign::Origin),
            (None, None | Some("same-origin" | "none")) => Ok(Page::None),
            (None, Some(_)) => Err(Foreign::Site),
        }
    }

    fn of_origin(&self, text: &str, (host, host_port): (&str, Option<u16>)) -> Option<Page> {
        let origin: PageOrigin = text.parse().ok()?;
        if self.allowed.contains(&origin) {
            return Some(Page::Allowed);
        }
        if self.base.as_ref() == Some(&origin) {
            return Some(Page::Own);
        }
        let (name, port, is_default_port) = origin.parts()?;
        let is_base_name = self.base.as_ref().and_then(PageOrigin::parts).is_some_and(|(base, ..)| base == name);
        // Behind a proxy that terminates TLS the scheme is unknown, so a name from `hosts` may be reached by either
        // one.
        let is_named =
            !is_base_name && is_default_port && self.hosts.iter().any(|known| known.eq_ignore_ascii_case(&name));
        let is_same = name.eq_ignore_ascii_case(host)
            && match host_port {
                Some(host_port) => port == host_port,
                None => is_default_port,
            };
        let is_http = text.starts_with("http:");
        if is_named || (is_same && !is_base_name && (is_http || !is_loopback_name(host))) {
            return Some(Page::Own);
        }
        self.knows(&name).then_some(Page::Neighbour)
    }

    fn knows(&self, name: &str) -> bool {
        is_loopback_name(name) || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// True if a host name is this IP address, which DNS rebinding cannot forge.
fn is_address(name: &str, address: IpAddr) -> bool {
    name.parse::<IpAddr>().is_ok_and(|named| named.to_canonical() == address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(are_hosts_known: bool) -> Sites {
        Sites {
            hosts: vec!["gateway.example".into(), "other.example".into()],
            are_hosts_known,
            base: "https://gateway.example/mcp".parse().ok(),
            allowed: vec!["https://console.example:8443".parse().expect("an origin")],
        }
    }

    fn of(host: &str, origin: Option<&str>, fetch_site: Option<&str>) -> Result<Page, Foreign> {
        let local = "192.0.2.1".parse().expect("an address");
        sites(true).page(Shown { host: Some(host), origin, fetch_site }, local)
    }

    #[test]
    fn a_gateway_is_reached_by_its_names_only() {
        for host in
            ["localhost:6001", "127.0.0.1:6001", "[::1]:6001", "LOCALHOST:1", "GateWay.example:8", "192.0.2.1:80"]
        {
            assert_eq!(of(host, None, None), Ok(Page::None), "{host}");
        }
        for host in ["evil.example", "evil.example:6001", "127.0.0.1.evil.example", "192.0.2.2", "gateway.example.evil"]
        {
            assert_eq!(of(host, None, None), Err(Foreign::Host), "{host}");
        }
        for host in ["", "a b:x", "localhost:6001:6001", "[::1", "user@localhost:x"] {
            assert_eq!(of(host, None, None), Err(Foreign::NoHost), "{host}");
        }
        let local = "192.0.2.1".parse().expect("an address");
        assert_eq!(sites(false).page(Shown::default(), local), Err(Foreign::NoHost));
        let any = Shown { host: Some("mcp-proxy:6001"), ..Shown::default() };
        assert_eq!(sites(false).page(any, local), Ok(Page::None), "no name is known");
        assert_eq!(
            sites(false).page(Shown { origin: Some("http://evil.example"), ..any }, local),
            Err(Foreign::Origin)
        );
    }

    #[test]
    fn an_own_page_has_the_scheme_the_host_and_the_port_of_the_gateway() {
        for (host, origin) in [
            ("localhost:6001", "http://localhost:6001"),
            ("[::1]:6001", "http://[::1]:6001"),
            ("127.0.0.1", "http://127.0.0.1"),
            ("192.0.2.1:80", "http://192.0.2.1"),
            ("127.0.0.1:6001", "https://gateway.example"),
            ("127.0.0.1:6001", "https://other.example"),
            ("other.example:8443", "https://other.example:8443"),
        ] {
            assert_eq!(of(host, Some(origin), Some("cross-site")), Ok(Page::Own), "{origin} at {host}");
        }
        for (host, origin) in [
            ("localhost:6001", "http://localhost:3000"),
            ("localhost:6001", "https://localhost:6001"),
            ("localhost:6001", "http://127.0.0.1:6001"),
            ("localhost:6001", "http://[::1]:6001"),
            ("localhost", "http://localhost:6001"),
            ("gateway.example", "http://gateway.example"),
            ("gateway.example:8080", "http://gateway.example:8080"),
            ("127.0.0.1:6001", "https://other.example:8443"),
        ] {
            assert_eq!(of(host, Some(origin), None), Ok(Page::Neighbour), "{origin} at {host}");
        }
        assert_eq!(of("localhost:6001", Some("https://console.example:8443"), Some("cross-site")), Ok(Page::Allowed));
    }

    #[test]
    fn other_pages_are_foreign() {
        for origin in [
            "null",
            "",
            "http://evil.example",
            "https://console.example",
            "http://localhost.evil.example",
            "file://",
            "http://evil.example:6001",
            "chrome-extension://abc",
            "localhost:6001",
            "http://192.0.2.2",
        ] {
            assert_eq!(of("localhost:6001", Some(origin), None), Err(Foreign::Origin), "{origin}");
        }
    }

    #[test]
    fn a_browser_that_names_no_origin_tells_of_the_site() {
        for site in ["same-origin", "none"] {
            assert_eq!(of("localhost:6001", None, Some(site)), Ok(Page::None), "{site}");
        }
        for site in ["cross-site", "same-site", "Same-Origin", ""] {
            assert_eq!(of("localhost:6001", None, Some(site)), Err(Foreign::Site), "{site}");
        }
    }
}
