//! The header fields that an endpoint goes by, found in one pass: a lookup for each costs more.

use std::borrow::Cow;

use axum::http::HeaderMap;
use httparse::Header;

use crate::downstream::Peer;
use crate::downstream::headers::PROTOCOL_VERSION;
use crate::http1::essence;
use crate::policy::Credentials;
use crate::upstream::OWN_MARK;

pub(super) const SESSION_ID: &str = "mcp-session-id";
const LAST_EVENT_ID: &str = "last-event-id";
/// What nearly all clients accept, and what need not be taken apart.
const USUAL_ACCEPT: &[u8] = b"application/json, text/event-stream";

/// Header fields of a request; the first one where one comes more than once.
#[derive(Default)]
pub(super) struct Fields<'a> {
    all: Cow<'a, [Header<'a>]>,
    pub(super) host: Option<&'a [u8]>,
    pub(super) origin: Option<&'a [u8]>,
    /// Whether one of these two comes more than once.
    pub(super) is_ambiguous: bool,
    /// Whether there is a mark of some gateway.
    pub(super) is_marked: bool,
    authorization: Option<&'a [u8]>,
    forwarded_for: Vec<&'a [u8]>,
    pub(super) session: Option<&'a [u8]>,
    pub(super) version: Option<&'a [u8]>,
    pub(super) last_event: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    accept: Option<Accepted>,
}

/// What a client takes for an answer.
#[derive(Default)]
struct Accepted {
    json: bool,
    events: bool,
}

impl<'a> Fields<'a> {
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
        let place = if is("host") {
            self.is_ambiguous |= self.host.is_some();
            &mut self.host
        } else if is("origin") {
            self.is_ambiguous |= self.origin.is_some();
            &mut self.origin
        } else if is("accept") {
            return self.accept.get_or_insert_default().add(value);
        } else if is("content-type") {
            &mut self.content_type
        } else if is("authorization") {
            &mut self.authorization
        } else if is(SESSION_ID) {
            &mut self.session
        } else if is(PROTOCOL_VERSION) {
            &mut self.version
        } else if is(LAST_EVENT_ID) {
            &mut self.last_event
        } else if is("x-forwarded-for") {
            return self.forwarded_for.push(value);
        } else {
            self.is_marked |= is(OWN_MARK.as_str());
            return;
        };
        place.get_or_insert(value);
    }

    /// The values of any field, in order.
    pub(super) fn values<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'b> {
        self.all.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }

    /// What these fields show of who sent the request.
    pub(super) fn credentials(&self, Peer(peer): Peer) -> Credentials<'a> {
        let forwarded_for = self.forwarded_for.clone();
        Credentials { peer: peer.ip(), forwarded_for, authorization: self.authorization.and_then(text) }
    }

    /// Whether the body is JSON.
    pub(super) fn is_json(&self) -> bool {
        let kind = self.content_type.unwrap_or_default();
        kind == b"application/json" || essence(kind).eq_ignore_ascii_case(b"application/json")
    }

    /// Whether the client takes event streams. One that does not say takes anything.
    pub(super) fn accepts_events(&self) -> bool {
        self.accept.as_ref().is_none_or(|accepted| accepted.events)
    }

    /// Whether the client says that it takes both kinds of answers, as every modern client has to.
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
        for range in value.split(|byte| *byte == b',').map(essence) {
            self.json |= matches(range, b"application/json", b"application/*");
            self.events |= matches(range, b"text/event-stream", b"text/*");
        }
    }
}

/// A value that is plain text, as all are that mean something here.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    // Controls are no part of any value.
    if value.is_ascii() { std::str::from_utf8(value).ok() } else { None }
}

fn matches(range: &[u8], kind: &[u8], group: &[u8]) -> bool {
    range == b"*/*" || range == group || range.eq_ignore_ascii_case(kind)
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
            &["application/json", "text/event-stream"],
            &["text/event-stream", "application/json"],
        ] {
            assert!(accepts(values), "{values:?}");
        }
        for values in [&["application/json"][..], &["text/html, text/event-streams"], &[""]] {
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
    fn the_first_of_several_counts() {
        let mut map = HeaderMap::new();
        map.append(SESSION_ID, HeaderValue::from_static("first"));
        map.append(SESSION_ID, HeaderValue::from_static("second"));
        assert_eq!(Fields::in_headers(&map).session, Some(b"first".as_slice()));
    }
}
