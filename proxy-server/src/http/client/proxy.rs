//! Forward proxies: selects the proxy of a URL and opens tunnels through it (RFC 9110, 9.3.6). Only [`tunnel`] does I/O.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use url::{Host, Position, Url};

/// Maximum size of the head of a proxy's response.
const MAX_HEAD: usize = 16 * 1024;
const MAX_FIELDS: usize = 64;

/// A forward proxy. `Debug` omits its credentials.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Proxy {
    /// Scheme, host and port.
    address: Uri,
    /// The value of `Proxy-Authorization`.
    authorization: Option<HeaderValue>,
}

/// The text is not the URL of a usable proxy.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the http or https URL of a proxy")]
pub(crate) struct NoProxyUrl(String);

/// The gateway's proxy settings, used for upstreams whose definition names no proxy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies {
    pub(crate) http: Choice,
    pub(crate) https: Choice,
    pub(crate) exempt: Exempt,
}

/// The proxy for one scheme or one definition.
#[derive(Debug, Clone, Default)]
pub(crate) enum Choice {
    #[default]
    Direct,
    Via(Arc<Proxy>),
    /// A proxy is configured but not supported, such as a SOCKS proxy. Fails only the connections that need it.
    Unusable(Arc<NoProxyUrl>),
}

/// Hosts that are reached directly, as listed by `NO_PROXY`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exempt(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    All,
    Network(IpNet),
    /// A domain with its subdomains, optionally at one port only.
    Name(String, Option<u16>),
}

impl Proxy {
    /// Reads a URL; without a scheme it is `http`.
    pub(crate) fn parse(text: &str) -> Result<Self, NoProxyUrl> {
        let text = text.trim();
        let invalid = || NoProxyUrl(without_user(text));
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&full).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(invalid)?;
        let port = url.port_or_known_default().unwrap_or_default();
        let host = url.host_str().unwrap_or_default();
        let address = Uri::try_from(format!("{}://{host}:{port}", url.scheme())).map_err(|_| invalid())?;
        Ok(Self { address, authorization: authorization(&url) })
    }

    pub(super) fn address(&self) -> &Uri {
        &self.address
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.address)
    }
}

impl Choice {
    /// Reads a setting: a URL, or `none`.
    pub(crate) fn parse(text: &str) -> Self {
        if text.trim().eq_ignore_ascii_case("none") {
            return Self::Direct;
        }
        match Proxy::parse(text) {
            Ok(proxy) => Self::Via(Arc::new(proxy)),
            Err(error) => Self::Unusable(Arc::new(error)),
        }
    }
}

impl Proxies {
    /// Selects the proxy for a URL. Loopback hosts are always reached directly.
    pub(super) fn choose(&self, url: &Url) -> Choice {
        if self.exempt.covers(url) {
            return Choice::Direct;
        }
        if url.scheme() == "https" { self.https.clone() } else { self.http.clone() }
    }
}

impl Exempt {
    /// Reads a comma-separated list of domains (optionally with a port), addresses, networks, or `*`.
    pub(crate) fn parse(text: &str) -> Self {
        let entries = text.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
        Self(entries.map(Entry::parse).collect())
    }

    fn covers(&self, url: &Url) -> bool {
        let port = url.port_or_known_default().unwrap_or_default();
        let (name, address) = match url.host() {
            Some(Host::Ipv4(address)) => (address.to_string(), Some(IpAddr::from(address))),
            Some(Host::Ipv6(address)) => (address.to_string(), Some(IpAddr::from(address).to_canonical())),
            Some(Host::Domain(name)) => (name.trim_end_matches('.').to_ascii_lowercase(), None),
            None => return true,
        };
        let is_here = address.map_or_else(|| super::guard::is_localhost(&name), |address| address.is_loopback());
        is_here || self.0.iter().any(|entry| entry.covers(&name, address, port))
    }
}

impl std::fmt::Display for Exempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, entry) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            match entry {
                Entry::All => f.write_str("*")?,
                Entry::Network(network) => write!(f, "{network}")?,
                Entry::Name(name, None) => f.write_str(name)?,
                Entry::Name(name, Some(port)) => write!(f, "{name}:{port}")?,
            }
        }
        Ok(())
    }
}

impl Entry {
    fn parse(text: &str) -> Self {
        if text == "*" {
            return Self::All;
        }
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(network) = bare.parse::<IpNet>().or_else(|_| bare.parse::<IpAddr>().map(IpNet::from)) {
            return Self::Network(network);
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => (name, port.parse().ok()),
            _ => (text, None),
        };
        let name = name.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
        Self::Name(name.to_ascii_lowercase(), port)
    }

    fn covers(&self, name: &str, address: Option<IpAddr>, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Network(network) => address.is_some_and(|address| network.contains(&address)),
            Self::Name(own, own_port) => {
                let below = name.strip_suffix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                below && own_port.is_none_or(|own| own == port)
            }
        }
    }
}

/// The reason why no tunnel was opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum TunnelError {
    #[error("the proxy closed the connection")]
    Closed,
    #[error("the proxy's response is not valid")]
    Invalid,
    #[error("the proxy refused with status {0}; check the user and password in its URL")]
    Credentials(u16),
    #[error("the proxy refused with status {0}")]
    Refused(u16),
    #[error("the connection with the proxy broke")]
    Io(#[from] std::io::Error),
}

/// Turns a connection with a proxy into a connection with `authority`, by the method CONNECT.
pub(super) async fn tunnel(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    authority: &str,
    authorization: Option<&HeaderValue>,
) -> Result<(), TunnelError> {
    let mut head = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n").into_bytes();
    if let Some(value) = authorization {
        head.extend_from_slice(b"proxy-authorization: ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    stream.write_all(&head).await?;
    stream.flush().await?;
    let mut received = Vec::new();
    loop {
        // Read byte by byte: bytes after the head belong to the TLS session.
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Err(TunnelError::Closed);
        }
        received.extend_from_slice(&byte);
        if received.ends_with(b"\r\n\r\n") {
            break;
        }
        if received.len() > MAX_HEAD {
            return Err(TunnelError::Invalid);
        }
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    response.parse(&received).map_err(|_| TunnelError::Invalid)?;
    match response.code {
        Some(200..=299) => Ok(()),
        Some(code @ 407) => Err(TunnelError::Credentials(code)),
        Some(code) => Err(TunnelError::Refused(code)),
        None => Err(TunnelError::Invalid),
    }
}

/// Builds the value of `Proxy-Authorization` from the user of a proxy's URL.
fn authorization(url: &Url) -> Option<HeaderValue> {
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy();
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let pair = format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Removes user and password from a URL, or from a malformed one.
fn without_user(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) => format!("{}://{}", url.scheme(), &url[Position::BeforeHost..Position::AfterPort]),
        Err(_) => text.rsplit('@').next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().expect("a URL")
    }

    fn proxies(exempt: &str) -> Proxies {
        let (http, https) = (Choice::parse("http://h:1"), Choice::parse("http://s:2"));
        Proxies { http, https, exempt: Exempt::parse(exempt) }
    }

    fn check(exempt: &str, to: &str, is_direct: bool) {
        let chosen = proxies(exempt).choose(&url(to));
        assert_eq!(matches!(chosen, Choice::Direct), is_direct, "{to}, exempt {exempt:?}");
    }

    #[test]
    fn a_proxy_is_chosen_by_scheme_unless_the_host_is_exempt_or_here() {
        assert_eq!(format!("{:?}", proxies("").choose(&url("http://x.example/"))), "Via(http://h:1/)");
        assert_eq!(format!("{:?}", proxies("").choose(&url("https://x.example/"))), "Via(http://s:2/)");
        for here in
            ["http://localhost:1/", "http://127.0.0.2/", "http://[::1]/", "http://a.localhost/", "http://localhost./"]
        {
            check("", here, true);
        }
        let exempt = "internal.example, .corp,*.lan other:8080,10.0.0.0/8,192.0.2.1,[2001:db8::1]";
        for to in [
            "https://internal.example/",
            "https://a.internal.example/",
            "https://x.corp/",
            "https://a.lan./",
            "http://other:8080/",
            "http://10.1.2.3/",
            "http://192.0.2.1:99/",
            "http://[2001:db8::1]/",
        ] {
            check(exempt, to, true);
        }
        for to in ["https://notinternal.example/", "http://other/", "http://11.0.0.1/", "https://corp.example/"] {
            check(exempt, to, false);
        }
        check("*", "https://x.example/", true);
        check(" , ,", "https://x.example/", false);
    }

    #[test]
    fn a_proxy_is_an_http_url_whose_credentials_are_not_shown() {
        let proxy = Proxy::parse("http://us%40er:pass@proxy.example:3128/").expect("a proxy");
        assert_eq!(proxy.authorization().map(HeaderValue::as_bytes), Some(b"Basic dXNAZXI6cGFzcw==".as_slice()));
        assert_eq!(format!("{proxy:?}"), "http://proxy.example:3128/");
        assert_eq!(format!("{:?}", Proxy::parse("proxy.example").expect("a proxy")), "http://proxy.example:80/");
        assert_eq!(format!("{:?}", Proxy::parse("https://[::1]").expect("a proxy")), "https://[::1]:443/");
        for text in ["socks5://u:secret@p.example:1080", "ftp://p.example", "http://", "a b", ""] {
            let error = Proxy::parse(text).expect_err("no proxy").to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    async fn tunnelled(answer: &'static [u8], authorization: Option<&str>) -> (Result<(), String>, String) {
        let (mut near, mut far) = duplex(4096);
        let value = authorization.map(|text| HeaderValue::from_str(text).expect("a value"));
        let asking =
            async { tunnel(&mut near, "x.example:443", value.as_ref()).await.map_err(|error| error.to_string()) };
        let answering = async {
            let mut asked = vec![0; 4096];
            let count = far.read(&mut asked).await.expect("a request");
            far.write_all(answer).await.expect("a reader");
            drop(far);
            String::from_utf8_lossy(&asked[..count]).into_owned()
        };
        tokio::join!(asking, answering)
    }

    #[tokio::test]
    async fn a_tunnel_is_open_once_the_proxy_says_so() {
        let (open, asked) =
            tunnelled(b"HTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n", Some("Basic eA==")).await;
        assert_eq!(open, Ok(()));
        let expected =
            "CONNECT x.example:443 HTTP/1.1\r\nhost: x.example:443\r\nproxy-authorization: Basic eA==\r\n\r\n";
        assert_eq!(asked, expected);
        for (answer, why) in [
            (b"HTTP/1.1 407 x\r\n\r\n".as_slice(), "status 407; check the user and password"),
            (b"HTTP/1.0 403 Filtered\r\n\r\n", "status 403"),
            (b"SSH-2.0-x\r\n\r\n", "not valid"),
            (b"HTTP/1.1 200", "closed"),
        ] {
            let error = tunnelled(answer, None).await.0.expect_err("no tunnel");
            assert!(error.contains(why), "{error}");
        }
    }
}
