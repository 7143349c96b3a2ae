//! Opens all outgoing connections, keeps them for later requests, and refuses forbidden addresses.
//!
//! A definition's URL is untrusted: it must not reach a cloud's metadata service, nor the gateway itself.

pub(crate) mod body;
mod coding;
mod connect;
mod connection;
mod cookies;
mod error;
mod fetch;
mod guard;
pub(crate) mod head;
mod idle_pool;
mod origin;
mod proxy;
mod refused;
mod response;
mod tls;
mod zstd;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::sync::lock;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BufMut;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION,
    TRANSFER_ENCODING, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use url::{Host, Position, Url};

pub(crate) use self::coding::Undecodable;
use self::connect::{Connector, Way};
use self::cookies::Jar;
pub(crate) use self::error::DialError;
pub(crate) use self::fetch::{Fetch, FetchError};
use self::guard::is_localhost;
use self::idle_pool::SWEEP_INTERVAL;
use self::origin::Origin;
use self::proxy::Proxy;
pub(crate) use self::proxy::{Choice, Exempt, Proxies};
pub(crate) use self::refused::Refused;
pub(crate) use self::response::Response;
use self::tls::Tls;
pub(crate) use self::tls::Trust;
use crate::http::write::{Written, put_field, put_fields, put_length, put_text};
use crate::pieces::Pieces;

/// Header that marks the gateway's own requests, so that a request that loops back is refused.
pub(crate) const OWN_MARK: HeaderName = HeaderName::from_static("x-mcp-proxy-mark");
const OWN_NAME: HeaderValue = HeaderValue::from_static(concat!("mcp-proxy/", env!("CARGO_PKG_VERSION")));

/// Initial buffer size for the head of a request and a small body.
const HEAD_ROOM: usize = 1024;

/// Maximum number of redirects per request.
const MAX_REDIRECTS: usize = 5;
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// Limits of connections to upstreams.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Timeout for connecting.
    pub(crate) connect_timeout: Duration,
    /// Idle timeout of connections for which the upstream announces none.
    pub(crate) idle_timeout: Duration,
}

/// Proxies and trusted authorities for upstreams whose definitions set none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Network {
    pub(crate) proxies: Proxies,
    /// Files with CA certificates that are trusted in addition to the system's.
    pub(crate) authorities: Vec<PathBuf>,
}

/// Proxy and TLS settings of one upstream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reach {
    /// Overrides the gateway's proxy settings.
    pub(crate) proxy: Option<Choice>,
    pub(crate) trust: Trust,
}

/// The destination of a session's requests, with their headers and limits.
pub(crate) struct Destination<'a> {
    pub(crate) url: &'a Url,
    pub(crate) headers: HeaderMap,
    pub(crate) reach: Reach,
    /// The largest message in bytes, which is also the largest piece that is decoded at once.
    pub(crate) message_limit: usize,
}

/// Identifies a pool of connections: those of one key may serve each other's requests.
#[derive(PartialEq, Eq, Hash)]
struct OriginKey {
    /// Scheme, host and port.
    address: String,
    proxy: Option<Arc<Proxy>>,
    trust: Trust,
}

/// Opens connections to upstreams. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dialer {
    limits: Arc<Limits>,
    network: Arc<Network>,
    /// TLS settings of upstreams whose definitions name no files.
    tls: Arc<Tls>,
    connector: Arc<Connector>,
    origins: Arc<Mutex<HashMap<OriginKey, Arc<Origin>>>>,
    own: Arc<OnceLock<Vec<SocketAddr>>>,
    mark: HeaderValue,
}

/// A checked address, with the header fields and cookies of one session.
pub(crate) struct Target {
    origin: Arc<Origin>,
    connector: Arc<Connector>,
    message_limit: usize,
    url: Url,
    path: Uri,
    /// Scheme, host and port before the path in requests to a plain HTTP proxy (RFC 9112, 3.2.2); else empty.
    prefix: Box<str>,
    jar: Arc<Jar>,
    /// The header fields of every request, as they are written.
    fields: Box<[u8]>,
    names_accepted: bool,
}

/// A request that is not sent yet.
pub(crate) struct Prepared<'a> {
    target: &'a Target,
    head: Vec<u8>,
    names_accepted: bool,
}

impl Dialer {
    /// Creates a dialer. `mark` identifies the gateway's own requests.
    pub(crate) fn new(limits: Limits, network: Network, mark: HeaderValue) -> Self {
        let connector = Arc::new(Connector::new(limits.connect_timeout));
        let tls = Arc::new(Tls::new(Trust { authorities: network.authorities.clone(), identity: None }));
        let (limits, network) = (Arc::new(limits), Arc::new(network));
        Self { limits, network, tls, connector, origins: Arc::default(), own: Arc::default(), mark }
    }

    /// Sets the addresses that the gateway listens on, once they are bound.
    pub(crate) fn set_own(&self, addresses: Vec<SocketAddr>) {
        self.own.set(addresses).ok();
    }

    /// Checks an address and prepares requests of a new session. A name that resolves to the gateway itself passes
    /// here; the mark stops such requests.
    pub(crate) fn target(&self, place: &Destination<'_>) -> Result<Target, Refused> {
        let declared = place.headers.get(COOKIE).and_then(|value| value.to_str().ok());
        self.target_with(place, place.url, Arc::new(Jar::new(declared.unwrap_or_default())))
    }

    /// Prepares requests to another address of the same session, with its headers and cookies.
    pub(crate) fn sibling(&self, of: &Target, place: &Destination<'_>, url: &Url) -> Result<Target, Refused> {
        self.target_with(place, url, Arc::clone(&of.jar))
    }

    fn target_with(&self, place: &Destination<'_>, url: &Url, jar: Arc<Jar>) -> Result<Target, Refused> {
        let (mut headers, reach) = (place.headers.clone(), &place.reach);
        // Cookies are sent from the jar.
        headers.remove(COOKIE);
        self.check(url)?;
        let proxy = self.proxy(url, reach)?;
        let authority = &url[Position::BeforeHost..Position::AfterPort];
        let value = |text: &str| HeaderValue::from_str(text).map_err(|error| Refused::Unwritable(error.into()));
        if let Some(credentials) = credentials(url)
            && !headers.contains_key(AUTHORIZATION)
        {
            headers.insert(AUTHORIZATION, value(&credentials)?);
        }
        if !headers.contains_key(HOST) {
            headers.insert(HOST, value(authority)?);
        }
        headers.entry(USER_AGENT).or_insert(OWN_NAME);
        // Without this field every coding would be acceptable (RFC 9110, 12.5.3).
        headers.entry(ACCEPT_ENCODING).or_insert(IDENTITY);
        headers.append(OWN_MARK, self.mark.clone());
        // A tunnel carries the proxy's credentials in its CONNECT; plain requests to a proxy carry them themselves.
        let is_absolute = proxy.is_some() && url.scheme() == "http";
        if let Some(value) = proxy.as_ref().filter(|_| is_absolute).and_then(|proxy| proxy.authorization()) {
            headers.insert(PROXY_AUTHORIZATION, value.clone());
        }
        // Only the dialer frames the body.
        headers.remove(CONTENT_LENGTH);
        headers.remove(TRANSFER_ENCODING);
        let mut fields = Vec::new();
        put_fields(&mut fields, &headers);
        let path = Uri::try_from(&url[Position::BeforePath..Position::AfterQuery]);
        let path = path.map_err(|error| Refused::Unwritable(error.into()))?;
        let address = format!("{}://{authority}", url.scheme());
        let prefix = if is_absolute { address.as_str().into() } else { Box::default() };
        Ok(Target {
            origin: self.origin(OriginKey { address, proxy, trust: self.trust(reach) })?,
            connector: Arc::clone(&self.connector),
            message_limit: place.message_limit,
            url: url.clone(),
            path,
            prefix,
            jar,
            fields: fields.into(),
            names_accepted: headers.contains_key(ACCEPT),
        })
    }

    /// Selects the proxy for a URL and checks its address like that of an upstream.
    fn proxy(&self, url: &Url, reach: &Reach) -> Result<Option<Arc<Proxy>>, Refused> {
        let proxy = match reach.proxy.clone().unwrap_or_else(|| self.network.proxies.choose(url)) {
            Choice::Direct => return Ok(None),
            Choice::Unusable(error) => return Err(Refused::Proxy(error)),
            Choice::Via(proxy) => proxy,
        };
        let address = Url::parse(&proxy.address().to_string());
        address.ok().map_or(Ok(()), |address| self.check(&address))?;
        Ok(Some(proxy))
    }

    fn trust(&self, reach: &Reach) -> Trust {
        let all = self.network.authorities.iter().chain(&reach.trust.authorities).cloned();
        Trust { authorities: all.collect(), identity: reach.trust.identity.clone() }
    }

    fn origin(&self, key: OriginKey) -> Result<Arc<Origin>, Refused> {
        let mut origins = lock(&self.origins);
        if let Some(known) = origins.get(&key) {
            return Ok(Arc::clone(known));
        }
        let uri = Uri::try_from(&key.address).map_err(|error| Refused::Unwritable(error.into()))?;
        let is_usual = key.trust.identity.is_none() && key.trust.authorities == self.network.authorities;
        let tls = if is_usual { Arc::clone(&self.tls) } else { Arc::new(Tls::new(key.trust.clone())) };
        let way = Way { proxy: key.proxy.clone(), tls, proxy_tls: Arc::clone(&self.tls) };
        let origin = Arc::new(Origin::new(uri, way, self.limits.idle_timeout));
        origins.insert(key, Arc::clone(&origin));
        Ok(origin)
    }

    fn check(&self, url: &Url) -> Result<(), Refused> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::from(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::from(address).to_canonical()),
            // An address with a trailing dot is a name to some parsers, and an address to some resolvers.
            Some(Host::Domain(name)) => {
                name.trim_end_matches('.').parse().ok().map(|address: IpAddr| address.to_canonical())
            }
            None => None,
        };
        if address.is_some_and(guard::is_forbidden) {
            return Err(Refused::LinkLocal);
        }
        let loopback =
            address.map_or_else(|| url.host_str().is_some_and(is_localhost), |address| address.is_loopback());
        let own = self.own.get().into_iter().flatten().any(|own| {
            let same_host =
                address == Some(own.ip()) || (loopback && (own.ip().is_loopback() || own.ip().is_unspecified()));
            same_host && url.port_or_known_default() == Some(own.port())
        });
        if own { Err(Refused::Own) } else { Ok(()) }
    }

    /// Closes idle connections periodically until cancelled.
    pub(crate) async fn sweep(self, stopping: CancellationToken) {
        while timeout(SWEEP_INTERVAL, stopping.cancelled()).await.is_err() {
            let mut origins = lock(&self.origins);
            origins.retain(|_, origin| origin.sweep() || Arc::strong_count(origin) > 1);
        }
    }
}

impl Target {
    /// Starts a request.
    pub(crate) fn request(&self, method: &Method) -> Prepared<'_> {
        let mut head = Vec::with_capacity(HEAD_ROOM);
        for part in [method.as_str(), " ", &self.prefix, self.path.path(), self.path.query().map_or("", |_| "?")] {
            head.put_slice(part.as_bytes());
        }
        head.put_slice(self.path.query().unwrap_or_default().as_bytes());
        head.put_slice(b" HTTP/1.1\r\n");
        head.put_slice(&self.fields);
        if !self.jar.is_empty()
            && let Some(cookies) = self.jar.header(&self.url, Timestamp::now())
        {
            put_text(&mut head, &COOKIE, &cookies);
        }
        Prepared { target: self, head, names_accepted: self.names_accepted }
    }

    async fn send(&self, mut request: Written) -> Result<Response, DialError> {
        let response = self.origin.send(&self.connector, &mut request).await?;
        if response.is_usual() {
            return Ok(response);
        }
        Box::pin(self.conclude(response, request)).await
    }

    /// Follows redirects within the origin that keep method and body (307 and 308), stores cookies, and sets up
    /// decoding. Returns any other redirect unchanged.
    async fn conclude(&self, mut response: Response, mut request: Written) -> Result<Response, DialError> {
        let mut moved_to = None;
        for redirects in 0..=MAX_REDIRECTS {
            let url = moved_to.as_ref().unwrap_or(&self.url);
            self.jar.store(response.cookies(), url, Timestamp::now());
            let Some(next) = redirect(&response, url).filter(|_| redirects < MAX_REDIRECTS) else { break };
            debug!(from = url.path(), to = next.path(), "redirect followed");
            let cookies = self.jar.header(&next, Timestamp::now());
            let target = format!("{}{}", self.prefix, &next[Position::BeforePath..Position::AfterQuery]);
            request = request.redirected(&target, &COOKIE, cookies.as_deref());
            response.finish();
            response = self.origin.send(&self.connector, &mut request).await?;
            moved_to = Some(next);
        }
        Ok(response.prepare(moved_to, self.message_limit))
    }
}

impl<'a> Prepared<'a> {
    /// Adds a header field.
    pub(crate) fn header(mut self, name: &HeaderName, value: &HeaderValue) -> Self {
        put_field(&mut self.head, name, value);
        self.names_accepted |= name == ACCEPT;
        self
    }

    /// Adds serialised header fields.
    pub(crate) fn fields(mut self, fields: &[u8]) -> Self {
        self.head.put_slice(fields);
        self
    }

    /// Adds serialised header fields that include `Accept`.
    pub(crate) fn accepting(mut self, fields: &[u8]) -> Self {
        self.names_accepted = true;
        self.fields(fields)
    }

    /// Sends the request with an optional body, and waits for the head of its response.
    pub(crate) fn send(mut self, body: Pieces) -> impl Future<Output = Result<Response, DialError>> + use<'a> {
        if !self.names_accepted {
            put_field(&mut self.head, &ACCEPT, &HeaderValue::from_static("*/*"));
        }
        let length = body.len();
        if length > 0 {
            put_length(&mut self.head, length);
        }
        self.head.put_slice(b"\r\n");
        self.target.send(Written::new(self.head, body.into()))
    }
}

/// Builds the value of `Authorization` from the user and password of a URL.
fn credentials(url: &Url) -> Option<String> {
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy();
    let (name, password) = (url.username(), url.password());
    let named = !name.is_empty() || password.is_some();
    let pair = named.then(|| format!("{}:{}", decoded(name), decoded(password.unwrap_or_default())));
    pair.map(|pair| format!("Basic {}", STANDARD.encode(pair)))
}

/// Returns the target of a redirect if the request may be repeated there: same origin, method and body kept.
fn redirect(response: &Response, from: &Url) -> Option<Url> {
    if !matches!(response.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
        return None;
    }
    let location = std::str::from_utf8(response.field(&LOCATION)?).ok()?;
    from.join(location).ok().filter(|to| to.origin() == from.origin())
}

#[cfg(test)]
mod tests;
