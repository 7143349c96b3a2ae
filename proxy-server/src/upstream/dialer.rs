//! The one place that opens connections, keeps them for later requests, and refuses to connect to some addresses.
//!
//! An upstream's address comes from whoever may register one; it must not lead to the cloud's metadata service, nor
//! back to the gateway itself.

mod body;
mod connect;
mod connection;
mod head;
mod origin;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BufMut;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::{Host, Position, Url};

use self::connect::Connector;
use self::connection::Fault;
pub(crate) use self::connection::Response;
use self::origin::{LONGEST_IDLE, Origin};
use crate::http1::{Written, put_field, put_fields, put_length};
use crate::protocol::Pieces;

/// Metadata services that are not link-local: Alibaba's, Oracle's, Azure's.
const METADATA: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];
/// Names the gateway's own requests, so that it refuses those that come back to itself.
pub(crate) const OWN_MARK: HeaderName = HeaderName::from_static("x-mcp-proxy-mark");
const OWN_NAME: HeaderValue = HeaderValue::from_static(concat!("mcp-proxy/", env!("CARGO_PKG_VERSION")));

/// Room for the head of a request, and for a small body behind it.
const HEAD_ROOM: usize = 1024;

/// Opens connections to upstreams. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dialer {
    connector: Arc<Connector>,
    /// By scheme, host and port.
    origins: Arc<Mutex<HashMap<String, Arc<Origin>>>>,
    own: Arc<OnceLock<SocketAddr>>,
    mark: HeaderValue,
}

/// An address that is known to be allowed, and what is sent there with every request.
pub(crate) struct Target {
    origin: Arc<Origin>,
    connector: Arc<Connector>,
    path: Uri,
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

/// Why an address is not dialled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("link-local addresses are not dialled")]
    LinkLocal,
    #[error("the address is the gateway's own")]
    Own,
    #[error("the address cannot be written as a request")]
    Unwritable(#[source] http::Error),
}

/// Why there is no response, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("cannot connect")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the connection broke")]
    Broken(#[source] Fault),
}

impl Dialer {
    /// A dialer that gives up connecting after this long, and by whose mark the gateway knows its own requests.
    pub(crate) fn new(connect_timeout: Duration, mark: HeaderValue) -> Self {
        let connector = Arc::new(Connector::new(connect_timeout));
        Self { connector, origins: Arc::default(), own: Arc::default(), mark }
    }

    /// Tells the address the gateway listens on, once it is known.
    pub(crate) fn set_own(&self, address: SocketAddr) {
        self.own.set(address).ok();
    }

    /// An address for requests with these headers, after a look at where they would go. A name that leads back to the
    /// gateway is not known here; there the mark stops it.
    pub(crate) fn target(&self, url: &Url, mut headers: HeaderMap) -> Result<Target, Refused> {
        self.check(url)?;
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
        headers.append(OWN_MARK, self.mark.clone());
        // Where a body ends is for the dialer alone to say.
        headers.remove(CONTENT_LENGTH);
        headers.remove(TRANSFER_ENCODING);
        let mut fields = Vec::new();
        put_fields(&mut fields, &headers);
        let path = Uri::try_from(&url[Position::BeforePath..Position::AfterQuery]);
        let path = path.map_err(|error| Refused::Unwritable(error.into()))?;
        let origin = self.origin(format!("{}://{authority}", url.scheme()))?;
        let (connector, names_accepted) = (Arc::clone(&self.connector), headers.contains_key(ACCEPT));
        Ok(Target { origin, connector, path, fields: fields.into(), names_accepted })
    }

    fn origin(&self, address: String) -> Result<Arc<Origin>, Refused> {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = origins.get(&address) {
            return Ok(Arc::clone(known));
        }
        let uri = Uri::try_from(&address).map_err(|error| Refused::Unwritable(error.into()))?;
        let origin = Arc::new(Origin::new(uri));
        origins.insert(address, Arc::clone(&origin));
        Ok(origin)
    }

    fn check(&self, url: &Url) -> Result<(), Refused> {
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
        if own { Err(Refused::Own) } else { Ok(()) }
    }

    /// Closes connections that nobody uses, until told to end.
    pub(crate) async fn sweep(self, stopping: CancellationToken) {
        while timeout(LONGEST_IDLE / 3, stopping.cancelled()).await.is_err() {
            let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
            origins.retain(|_, origin| origin.sweep() || Arc::strong_count(origin) > 1);
        }
    }
}

impl Target {
    /// A request without a body.
    pub(crate) fn request(&self, method: &Method) -> Prepared<'_> {
        let mut head = Vec::with_capacity(HEAD_ROOM);
        for part in [method.as_str(), " ", self.path.path(), self.path.query().map_or("", |_| "?")] {
            head.put_slice(part.as_bytes());
        }
        head.put_slice(self.path.query().unwrap_or_default().as_bytes());
        head.put_slice(b" HTTP/1.1\r\n");
        head.put_slice(&self.fields);
        Prepared { target: self, head, names_accepted: self.names_accepted }
    }
}

impl<'a> Prepared<'a> {
    /// Adds a header.
    pub(crate) fn header(mut self, name: &HeaderName, value: &HeaderValue) -> Self {
        put_field(&mut self.head, name, value);
        self.names_accepted |= name == ACCEPT;
        self
    }

    /// Adds header fields that are written already.
    pub(crate) fn fields(mut self, fields: &[u8]) -> Self {
        self.head.put_slice(fields);
        self
    }

    /// The same with fields that name what is accepted.
    pub(crate) fn accepting(mut self, fields: &[u8]) -> Self {
        self.names_accepted = true;
        self.fields(fields)
    }

    /// Sends the request, with a body or with none, and waits for the head of its response.
    pub(crate) fn send(mut self, body: Pieces) -> impl Future<Output = Result<Response, DialError>> + use<'a> {
        if !self.names_accepted {
            put_field(&mut self.head, &ACCEPT, &HeaderValue::from_static("*/*"));
        }
        let length = body.len();
        if length > 0 {
            put_length(&mut self.head, length);
        }
        self.head.put_slice(b"\r\n");
        self.target.origin.send(&self.target.connector, Written::new(self.head, body.into()))
    }
}

/// The value of `Authorization` for the user that a URL names.
fn credentials(url: &Url) -> Option<String> {
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy();
    let (name, password) = (url.username(), url.password());
    let named = !name.is_empty() || password.is_some();
    let pair = named.then(|| format!("{}:{}", decoded(name), decoded(password.unwrap_or_default())));
    pair.map(|pair| format!("Basic {}", STANDARD.encode(pair)))
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
mod tests;
