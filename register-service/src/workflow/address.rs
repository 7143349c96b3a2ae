//! Parses the gateway's base URL, builds URLs of upstreams below it, and recognizes such URLs.

use std::fmt;
use std::str::FromStr;

use schemas::ServerName;
use url::{Host, Url};

/// Base URL of a gateway, `http` or `https`, without query and trailing slash.
///
/// ```
/// use register_service::files::GatewayUrl;
///
/// let gateway: GatewayUrl = "127.0.0.1:6001/".parse()?;
/// assert_eq!(gateway.as_str(), "http://127.0.0.1:6001");
/// assert!("ftp://127.0.0.1".parse::<GatewayUrl>().is_err());
/// # Ok::<(), register_service::files::InvalidGatewayUrl>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayUrl(Url);

/// Reason why a text is not the URL of a gateway. The text itself is not repeated, because it may contain a password.
///
/// ```
/// use register_service::files::{GatewayUrl, InvalidGatewayUrl};
///
/// let error = "http://admin:hunter2@gateway.test".parse::<GatewayUrl>();
/// assert_eq!(error, Err(InvalidGatewayUrl::Credentials));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidGatewayUrl {
    /// The text is not a URL.
    #[error("it is not an address: {0}")]
    Malformed(String),
    /// The scheme is neither `http` nor `https`.
    #[error("its scheme is neither http nor https")]
    Scheme,
    /// The URL has a user or password; the admin token has a setting of its own.
    #[error("it holds credentials")]
    Credentials,
    /// The URL has a query or a fragment.
    #[error("it has a query or a fragment")]
    Query,
}

/// Target of a URL below the gateway's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Below {
    /// An upstream: its name, and its endpoint with the rest of the path (`sse`, `stream/extra`).
    Upstream(String, String),
    /// Another path of the gateway.
    Elsewhere,
}

impl GatewayUrl {
    /// Returns the URL without a trailing slash.
    ///
    /// ```
    /// let gateway: register_service::files::GatewayUrl = "https://gateway.test/mcp/".parse()?;
    /// assert_eq!(gateway.as_str(), "https://gateway.test/mcp");
    /// # Ok::<(), register_service::files::InvalidGatewayUrl>(())
    /// ```
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// Returns the URL of an upstream at the gateway; `endpoint` is `sse`, `stream` or `mcp`, or one of them with a
    /// longer path.
    pub(crate) fn upstream(&self, name: &ServerName, endpoint: &str) -> String {
        format!("{}/{name}/{endpoint}", self.as_str())
    }

    /// Returns the target of a URL below this one, `None` for any other URL. All names of the local machine are equal.
    pub(crate) fn below(&self, url: &Url) -> Option<Below> {
        let same_machine = match (self.0.host(), url.host()) {
            (Some(base), Some(host)) => base == host || (is_local(&base) && is_local(&host)),
            _ => false,
        };
        if !same_machine || self.0.scheme() != url.scheme() || port(&self.0) != port(url) {
            return None;
        }
        let base = self.0.path().trim_end_matches('/');
        let path = url.path().strip_prefix(base)?;
        if !path.is_empty() && !path.starts_with('/') {
            return None;
        }
        let path = path.trim_start_matches('/');
        let path = path.strip_prefix("mcp-proxy/").unwrap_or(path);
        let Some((name, endpoint)) = path.split_once('/') else { return Some(Below::Elsewhere) };
        let kind = endpoint.split('/').next().unwrap_or_default();
        let is_upstream = !name.is_empty() && name != "admin" && matches!(kind, "sse" | "stream" | "mcp");
        Some(if is_upstream { Below::Upstream(name.to_owned(), endpoint.to_owned()) } else { Below::Elsewhere })
    }
}

impl FromStr for GatewayUrl {
    type Err = InvalidGatewayUrl;

    fn from_str(text: &str) -> Result<Self, InvalidGatewayUrl> {
        let text = text.trim();
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&full).map_err(|error| InvalidGatewayUrl::Malformed(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidGatewayUrl::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidGatewayUrl::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidGatewayUrl::Query);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for GatewayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn port(url: &Url) -> Option<u16> {
    url.port_or_known_default()
}

fn is_local(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback() || address.is_unspecified(),
        Host::Ipv6(address) => address.is_loopback() || address.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base: &str, url: &str, expected: Option<Below>) {
        let gateway: GatewayUrl = base.parse().expect(base);
        assert_eq!(gateway.below(&Url::parse(url).expect(url)), expected, "{url} below {base}");
    }

    fn upstream(name: &str, endpoint: &str) -> Option<Below> {
        Some(Below::Upstream(name.to_owned(), endpoint.to_owned()))
    }

    #[test]
    fn finds_the_upstream_that_an_address_leads_to() {
        let base = "http://127.0.0.1:6001";
        check(base, "http://127.0.0.1:6001/chat/sse", upstream("chat", "sse"));
        check(base, "http://127.0.0.1:6001/mcp-proxy/chat/stream", upstream("chat", "stream"));
        check(base, "http://127.0.0.1:6001/chat/mcp/more/parts", upstream("chat", "mcp/more/parts"));
        check(base, "http://localhost:6001/chat/sse", upstream("chat", "sse"));
        check("http://0.0.0.0:6001/", "http://[::1]:6001/chat/sse", upstream("chat", "sse"));
        check("https://x.test/gw", "https://x.test:443/gw/chat/sse", upstream("chat", "sse"));
    }

    #[test]
    fn tells_other_addresses_of_the_gateway() {
        for path in ["", "/", "/mcp", "/sse", "/chat", "/chat/other", "/admin/mcps", "/admin/sse/updates"] {
            check("http://127.0.0.1:6001", &format!("http://127.0.0.1:6001{path}"), Some(Below::Elsewhere));
        }
    }

    #[test]
    fn leaves_foreign_addresses_alone() {
        check("http://127.0.0.1:6001", "http://127.0.0.1:6002/chat/sse", None);
        check("http://127.0.0.1:6001", "https://127.0.0.1:6001/chat/sse", None);
        check("http://127.0.0.1:6001", "http://example.com:6001/chat/sse", None);
        check("https://x.test/gw", "https://x.test/gwen/chat/sse", None);
    }

    #[test]
    fn refuses_what_is_no_base() {
        for text in ["", "ftp://x", "http://", "http://x/?a=b", "http://x y", "http://u:p@x"] {
            assert!(text.parse::<GatewayUrl>().is_err(), "{text}");
        }
    }
}
