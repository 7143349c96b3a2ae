//! Header fields that endpoints use, found in one pass, because a lookup for each is slower.

use std::borrow::Cow;

use axum::http::HeaderMap;
use httparse::Header;

use crate::downstream::modern::headers::PROTOCOL_VERSION;
use crate::http::client::OWN_MARK;
use crate::http::server::Peer;
use crate::http::write::essence;
use crate::policy::Credentials;

pub(super) const SESSION_ID: &str = "mcp-session-id";
const LAST_EVENT_ID: &str = "last-event-id";
const FETCH_SITE: &str = "sec-fetch-site";
/// Prefixes of the names of header fields that proxies, load balancers and content networks add to forwarded requests,
/// by first letter.
const FORWARDING: [(u8, &[&str]); 13] = [
    (b'b', &["bigip"]),
    (b'c', &["cf-", "cdn-", "client-ip", "cloudfront-"]),
    (b'd', &["do-connecting-ip"]),
    (b'f', &["forwarded", "fastly-", "fly-", "front-end-https"]),
    (b'h', &["http-x-forwarded", "http-via"]),
    (b'i', &["incap-"]),
    (b'm', &["max-forwards"]),
    (b'n', &["ngrok-"]),
    (b'p', &["proxy-"]),
    (b's', &["surrogate-"]),
    (b't', &["true-client", "tailscale-"]),
    (b'v', &["via"]),
    (
        b'x',
        &[
            "x-forward",
            "x-original-",
            "x-real-",
            "x-client-",
            "x-cluster-",
            "x-remote-",
            "x-originating-",
            "x-proxy",
            "x-envoy-",
            "x-varnish",
            "x-arr-",
            "x-azure-",
            "x-amzn-",
            "x-appengine-",
            "x-cloud-",
            "x-vercel-",
            "x-nf-",
            "x-scheme",
            "x-url-scheme",
            "x-host",
            "x-nginx-",
            "x-rewrite-",
            "x-request-start",
            "x-ssl-",
            "x-sent-by",
        ],
    ),
];
/// `Accept` of nearly all clients, which needs no parsing.
const USUAL_ACCEPT: &[u8] = b"application/json, text/event-stream";

/// Header fields of a request. The first value counts if a field is repeated.
#[derive(Default)]
pub(super) struct Fields<'a> {
    all: Cow<'a, [Header<'a>]>,
    pub(super) host: Option<&'a [u8]>,
    pub(super) origin: Option<&'a [u8]>,
    /// Value of `Sec-Fetch-Site`, by which browsers report the site of the page that sends the request.
    pub(super) fetch_site: Option<&'a [u8]>,
    /// True if one of these three is repeated.
    pub(super) is_ambiguous: bool,
    /// True if the request is older than HTTP/1.1.
    pub(super) is_old_http: bool,
    /// True if a header field shows that a proxy forwards the request.
    is_forwarded: bool,
    /// True if the request has the mark of a gateway.
    pub(super) is_marked: bool,
    authorization: Option<&'a [u8]>,
    forwarded_for: Vec<&'a [u8]>,
    pub(super) session: Option<&'a [u8]>,
    pub(super) version: Option<&'a [u8]>,
    pub(super) last_event: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    accept: Option<Accepted>,
}

/// Media types that a client accepts in a response.
#[derive(Default)]
struct Accepted {
    json: bool,
    events: bool,
}

impl<'a> Fields<'a> {
    /// Reads the fields and the HTTP version of a request.
    pub(super) fn of<B>(request: &'a http::Request<B>) -> Self {
        let is_old_http = request.version() < http::Version::HTTP_11;
        Self { is_old_http, ..Self::in_headers(request.headers()) }
    }

    pub(super) fn in_headers(headers: &'a HeaderMap) -> Self {
        let header = |(name, value): (&'a http::HeaderName, &'a http::HeaderValue)| Header {
            name: name.as_str(),
            value: value.as_bytes(),
        };
        Self::among(headers.iter().map(header).collect::<Vec<_>>().into())
    }

    pub(super) fn among(all: Cow<'a, [Header<'a>]>) -> Self {
        let mut fields = Self::default();
        all.iter().for_each(|header| fields.note(*header));
        Self { all, ..fields }
    }

    fn note(&mut self, Header { name, value }: Header<'a>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // Matches by length first, which leaves at most three names to compare.
        let place = match name.len() {
            4 if is("host") => {
                self.is_ambiguous |= self.host.is_some();
                &mut self.host
            }
            6 if is("accept") => return self.accept.get_or_insert_default().add(value),
            6 if is("origin") => {
                self.is_ambiguous |= self.origin.is_some();
                &mut self.origin
            }
            12 if is("content-type") => &mut self.content_type,
            13 if is(LAST_EVENT_ID) => &mut self.last_event,
            13 if is("authorization") => &mut self.authorization,
            14 if is(SESSION_ID) => &mut self.session,
            14 if is("content-length") => return,
            14 if is(FETCH_SITE) => {
                self.is_ambiguous |= self.fetch_site.is_some();
                &mut self.fetch_site
            }
            15 if is("x-forwarded-for") => {
                self.is_forwarded = true;
                return self.forwarded_for.push(value);
            }
            20 if is(PROTOCOL_VERSION) => &mut self.version,
            _ => {
                self.is_marked |= is(OWN_MARK.as_str());
                self.is_forwarded |= tells_of_a_proxy(name);
                return;
            }
        };
        place.get_or_insert(value);
    }

    /// Returns the values of a field, in order.
    pub(super) fn values<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'b> {
        self.all.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }

    /// Returns the credentials that these fields carry.
    pub(super) fn credentials(&self, Peer { peer, local }: Peer) -> Credentials<'a> {
        let forwarded_for = self.forwarded_for.clone();
        let authorization = self.authorization.and_then(text);
        let is_forwarded = self.is_forwarded || self.is_old_http;
        Credentials { peer, local, host: self.host, is_forwarded, forwarded_for, authorization }
    }

    /// True if the body is JSON.
    pub(super) fn is_json(&self) -> bool {
        let kind = self.content_type.unwrap_or_default();
        kind == b"application/json" || essence(kind).eq_ignore_ascii_case(b"application/json")
    }

    /// True if the client accepts event streams, or sends no `Accept`.
    pub(super) fn accepts_events(&self) -> bool {
        self.accept.as_ref().is_none_or(|accepted| accepted.events)
    }

    /// True if the client declares that it accepts JSON and event streams, as every modern client must.
    pub(super) fn accepts_both(&self) -> bool {
        self.accept.as_ref().is_some_and(|accepted| accepted.json && accepted.events)
    }
}

impl Accepted {
    fn add(&mut self, value: &[u8]) {
        if value == USUAL_ACCEPT {
            *self = Self { json: true, events: true };
            return;
        }
        for range in value.split(|byte| *byte == b',').filter(|range| !is_refused(range)).map(essence) {
            self.json |= matches(range, b"application/json", b"application/*");
            self.events |= matches(range, b"text/event-stream", b"text/*");
        }
    }
}

/// Returns a value that is ASCII, as are all values with a meaning here.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    // The HTTP parser has already rejected control characters.
    if value.is_ascii() { std::str::from_utf8(value).ok() } else { None }
}

/// True if only proxies add this header field.
fn tells_of_a_proxy(name: &str) -> bool {
    let name = name.as_bytes();
    let begins =
        |start: &&str| name.get(..start.len()).is_some_and(|first| first.eq_ignore_ascii_case(start.as_bytes()));
    let letter = name.first().map(u8::to_ascii_lowercase);
    FORWARDING.iter().any(|(first, starts)| Some(*first) == letter && starts.iter().any(begins))
}

/// True if a range of `Accept` has the weight 0, which refuses it (RFC 9110, 12.4.2).
fn is_refused(range: &[u8]) -> bool {
    let mut parameters = range.split(|byte| *byte == b';').skip(1).map(<[u8]>::trim_ascii);
    parameters
        .any(|it| matches!(it, [b'q' | b'Q', b'=', b'0', rest @ ..] if rest.iter().all(|byte| b".0".contains(byte))))
}

fn matches(range: &[u8], kind: &[u8], group: &[u8]) -> bool {
    range == b"*/*" || range.eq_ignore_ascii_case(group) || range.eq_ignore_ascii_case(kind)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;

    fn headers(lines: &[(header::HeaderName, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header value"))).collect()
    }

    fn accepts(values: &[&str]) -> bool {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(header::ACCEPT, value.parse().expect("a header value"));
        }
        Fields::in_headers(&map).accepts_events()
    }

    #[test]
    fn event_streams_are_accepted_by_name_by_group_and_by_silence() {
        for values in [
            &[][..],
            &["application/json, text/event-stream"],
            &["application/json,Text/Event-Stream;q=0.5"],
            &["text/*"],
            &["*/*; q=0.1"],
            &["TEXT/*"],
            &["text/event-stream; q=0.001"],
            &["application/json", "text/event-stream"],
            &["text/event-stream", "application/json"],
        ] {
            assert!(accepts(values), "{values:?}");
        }
        for values in
            [&["application/json"][..], &["text/html, text/event-streams"], &[""], &["text/event-stream;q=0, a/b"]]
        {
            assert!(!accepts(values), "{values:?}");
        }
    }

    #[test]
    fn both_kinds_of_answers_are_accepted() {
        let check = |value: &str, expected| {
            let headers = headers(&[(header::ACCEPT, value)]);
            assert_eq!(Fields::in_headers(&headers).accepts_both(), expected, "{value}");
        };
        check("application/json, text/event-stream", true);
        check("text/event-stream;q=0.5,APPLICATION/JSON", true);
        check("*/*", true);
        check("application/*, text/*", true);
        check("application/json", false);
        check("", false);
        assert!(!Fields::in_headers(&HeaderMap::new()).accepts_both());
    }

    #[test]
    fn json_is_json_with_parameters_and_in_any_case() {
        let is_json = |kind: &str| Fields::in_headers(&headers(&[(header::CONTENT_TYPE, kind)])).is_json();
        assert!(is_json("application/json") && is_json("Application/JSON ; charset=utf-8"));
        assert!(!is_json("application/jsonl") && !is_json("text/plain") && !Fields::default().is_json());
    }

    #[test]
    fn a_header_that_a_proxy_adds_shows_that_the_request_is_forwarded() {
        let peer = Peer::of("127.0.0.1:40000".parse().expect("an address"));
        for name in [
            "x-forwarded-for",
            "X-Forwarded-Host",
            "x-forwarded-server",
            "Forwarded",
            "via",
            "X-Real-IP",
            "x-client-ip",
            "True-Client-IP",
            "CF-Connecting-IP",
            "cf-ray",
            "x-original-uri",
            "Max-Forwards",
            "proxy-connection",
            "proxy-authorization",
            "X-Varnish",
            "x-envoy-internal",
            "surrogate-capability",
            "x-cluster-client-ip",
            "fastly-client-ip",
            "x-amzn-trace-id",
            "client-ip",
            "cdn-loop",
            "forwarded-for",
            "x-proxyuser-ip",
        ] {
            let all = [Header { name, value: b"x" }];
            assert!(Fields::among(all.as_slice().into()).credentials(peer).is_forwarded, "{name}");
        }
        for name in ["user-agent", "accept-encoding", "x-api-key", "traceparent", "x", "", "x-request-id", "pragma"] {
            let all = [Header { name, value: b"x" }];
            assert!(!Fields::among(all.as_slice().into()).credentials(peer).is_forwarded, "{name}");
        }
        let request = |version| http::Request::builder().version(version).body(()).expect("a request");
        assert!(Fields::of(&request(http::Version::HTTP_10)).credentials(peer).is_forwarded);
        assert!(!Fields::of(&request(http::Version::HTTP_11)).credentials(peer).is_forwarded);
    }

    #[test]
    fn the_first_of_several_counts() {
        let mut map = HeaderMap::new();
        map.append(SESSION_ID, HeaderValue::from_static("first"));
        map.append(SESSION_ID, HeaderValue::from_static("second"));
        assert_eq!(Fields::in_headers(&map).session, Some(b"first".as_slice()));
    }
}
