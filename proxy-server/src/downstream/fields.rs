//! Header fields that endpoints use, found in one pass, because a lookup for each is slower.

use std::borrow::Cow;

use axum::http::HeaderMap;
use httparse::Header;

use crate::http::accept::Accepted;
use crate::http::client::OWN_MARK;
use crate::http::server::Peer;
use crate::http::write::essence;
use crate::policy::oauth::Verdict;
use crate::policy::{Credentials, is_of_a_proxy};

pub(super) const PROTOCOL_VERSION: &str = "mcp-protocol-version";
pub(super) const SESSION_ID: &str = "mcp-session-id";
const LAST_EVENT_ID: &str = "last-event-id";
const FETCH_SITE: &str = "sec-fetch-site";
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
    /// Query of the URL; `None` also on the fast path, which takes no URL with a query.
    query: Option<&'a str>,
    /// Path of the URL; empty on the fast path.
    path: &'a str,
    /// Outcome of the verification of the token.
    verdict: Option<Verdict>,
    authorization: Option<&'a [u8]>,
    api_key: Option<&'a [u8]>,
    forwarded_for: Vec<&'a [u8]>,
    pub(super) session: Option<&'a [u8]>,
    pub(super) version: Option<&'a [u8]>,
    pub(super) last_event: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    accept: Option<Accepted>,
}

impl<'a> Fields<'a> {
    /// Reads the fields and the HTTP version of a request.
    pub(super) fn of<B>(request: &'a http::Request<B>) -> Self {
        Self::of_head(request.version(), request.uri(), (request.headers(), request.extensions()))
    }

    /// Reads the parts of a request's head.
    pub(super) fn of_head(
        version: http::Version,
        uri: &'a http::Uri,
        (headers, extensions): (&'a HeaderMap, &http::Extensions),
    ) -> Self {
        Self {
            is_old_http: version < http::Version::HTTP_11,
            query: uri.query(),
            path: uri.path(),
            verdict: extensions.get().cloned(),
            ..Self::in_headers(headers)
        }
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
            9 if is("x-api-key") => &mut self.api_key,
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
                self.is_forwarded |= is_of_a_proxy(name);
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
    pub(super) fn credentials(&self, from: Peer) -> Credentials<'a> {
        let forwarded_for = self.forwarded_for.clone();
        let api_key = || self.api_key.and_then(text).map(|key| format!("Bearer {key}").into());
        let authorization = self.authorization.and_then(text).map(Cow::from).or_else(api_key);
        let is_forwarded = self.is_forwarded || self.is_old_http;
        let (host, query, path, verdict) = (self.host, self.query, self.path, self.verdict.clone());
        Credentials { from, host, is_forwarded, forwarded_for, authorization, query, path, verdict }
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

/// Returns a value that is ASCII, as are all values with a meaning here.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    // The HTTP parser has already rejected control characters.
    if value.is_ascii() { std::str::from_utf8(value).ok() } else { None }
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
    fn a_request_is_forwarded_if_a_proxy_has_marked_it_or_it_is_of_http_1_0() {
        let peer = Peer::of("127.0.0.1:40000".parse().expect("an address"));
        for (name, expected) in [("X-Forwarded-Host", true), ("x-forwarded-for", true), ("user-agent", false)] {
            let all = [Header { name, value: b"x" }];
            assert_eq!(Fields::among(all.as_slice().into()).credentials(peer).is_forwarded, expected, "{name}");
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
