//! Parses the heads of responses (RFC 9112).

use std::mem::MaybeUninit;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, StatusCode};
use httparse::{Header, ParserConfig, Status};

use super::body::Body;
use crate::http::write::{decimal, essence};

/// Maximum size of a head in bytes.
const MAX_BYTES: usize = 64 * 1024;
const MAX_FIELDS: usize = 100;

/// The head of a response.
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// The whole head as it arrived.
    text: Bytes,
    pub(crate) body: Body,
    /// True if the connection is persistent.
    pub(crate) keeps_open: bool,
    /// The idle time that `Keep-Alive` announces.
    pub(crate) idle: Option<Duration>,
    pub(crate) content: Content,
    /// True if the body has a coding other than `identity`.
    pub(crate) is_coded: bool,
    pub(crate) sets_cookies: bool,
}

/// The kind of a body, from `Content-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Json,
    Events,
    Other,
}

/// The reason why a head is invalid.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadHead {
    #[error("the head of the response is not valid")]
    Syntax(#[source] httparse::Error),
    #[error("the head of the response is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the response does not say where it ends")]
    Length,
    #[error("the status of the response is {0}")]
    Status(u16),
}

impl Head {
    /// Takes a head from the front of the receive buffer; `None` while it is incomplete. Skips interim responses (1xx).
    pub(crate) fn take(received: &mut BytesMut) -> Result<Option<Self>, BadHead> {
        loop {
            let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_FIELDS];
            let mut response = httparse::Response::new(&mut []);
            let parsed =
                ParserConfig::default().parse_response_with_uninit_headers(&mut response, received, &mut fields);
            let length = match parsed.map_err(BadHead::Syntax)? {
                Status::Complete(length) => length,
                Status::Partial if received.len() > MAX_BYTES => return Err(BadHead::TooLarge),
                Status::Partial => return Ok(None),
            };
            let code = response.code.unwrap_or_default();
            let status = StatusCode::from_u16(code).map_err(|_| BadHead::Status(code))?;
            if status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(BadHead::Status(code));
            }
            let is_first_version = response.version == Some(1);
            let seen = Seen::of(response.headers)?;
            let (body, keeps_open) = seen.framing(status, is_first_version);
            let Seen { idle, content, is_coded, sets_cookies, .. } = seen;
            let text = received.split_to(length).freeze();
            if !status.is_informational() {
                let content = content.unwrap_or(Content::Other);
                return Ok(Some(Self { status, text, body, keeps_open, idle, content, is_coded, sets_cookies }));
            }
        }
    }

    /// Copies the head into memory of its own, so that it does not keep the receive buffer.
    pub(crate) fn compact(&mut self) {
        self.text = Bytes::copy_from_slice(&self.text);
    }

    /// Returns the first value of a field.
    pub(crate) fn field(&self, name: &HeaderName) -> Option<&[u8]> {
        self.fields(name).next()
    }

    /// Returns the values of all fields of a name.
    pub(crate) fn fields<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.text.split(|byte| *byte == b'\n');
        lines.filter_map(move |line| {
            let (found, value) = line.split_at_checked(name.as_str().len())?;
            let value = value.strip_prefix(b":")?;
            found.eq_ignore_ascii_case(name.as_str().as_bytes()).then(|| value.trim_ascii())
        })
    }
}

/// The fields of a head that concern the framing, the connection and the body's form.
#[derive(Default)]
struct Seen {
    length: Option<u64>,
    /// True if the last transfer coding is `chunked`; `None` without a transfer coding.
    is_chunked: Option<bool>,
    closes: bool,
    idle: Option<Duration>,
    content: Option<Content>,
    is_coded: bool,
    sets_cookies: bool,
}

impl Seen {
    fn of(fields: &[Header<'_>]) -> Result<Self, BadHead> {
        let mut seen = Self::default();
        for Header { name, value } in fields {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            // Compare lengths first, because most fields are irrelevant here.
            match name.len() {
                10 if is("connection") => {
                    let mut options = value.split(|byte| *byte == b',');
                    seen.closes |= options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
                }
                10 if is("keep-alive") => seen.keep_alive(value),
                10 if is("set-cookie") => seen.sets_cookies = true,
                12 if is("content-type") && seen.content.is_none() => seen.content = Some(Content::of(value)),
                14 if is("content-length") => {
                    for length in value.split(|byte| *byte == b',') {
                        let length = decimal(length.trim_ascii()).ok_or(BadHead::Length)?;
                        if seen.length.replace(length).is_some_and(|before| before != length) {
                            return Err(BadHead::Length);
                        }
                    }
                }
                16 if is("content-encoding") => {
                    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                    seen.is_coded |=
                        codings.any(|coding| !(coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")));
                }
                17 if is("transfer-encoding") => {
                    let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
                    seen.is_chunked = Some(last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
                }
                _ => {}
            }
        }
        Ok(seen)
    }

    /// Reads `Keep-Alive: timeout=5, max=100`.
    fn keep_alive(&mut self, value: &[u8]) {
        for parameter in value.split(|byte| *byte == b',') {
            let mut parts = parameter.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
            let (name, number) = (parts.next().unwrap_or_default(), parts.next().and_then(decimal));
            match number {
                Some(0) if name.eq_ignore_ascii_case(b"max") => self.closes = true,
                Some(seconds) if name.eq_ignore_ascii_case(b"timeout") => {
                    self.idle = Some(Duration::from_secs(seconds));
                }
                _ => {}
            }
        }
    }

    /// Determines the framing of the body, and whether the connection is persistent (RFC 9112, 6.3 and 9.3).
    fn framing(&self, status: StatusCode, is_current: bool) -> (Body, bool) {
        let keeps_open = is_current && !self.closes;
        if status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
            return (Body::empty(), keeps_open);
        }
        match (self.is_chunked, self.length) {
            // Both `Transfer-Encoding` and `Content-Length`: possible request smuggling (RFC 9112, 6.3). Trust the
            // chunks, then close.
            (Some(true), length) => (Body::in_chunks(), keeps_open && length.is_none()),
            (None, Some(length)) => (Body::of(length), keeps_open),
            (Some(false), _) | (None, None) => (Body::to_the_end(), false),
        }
    }
}

impl Content {
    fn of(kind: &[u8]) -> Self {
        match essence(kind) {
            kind if kind.eq_ignore_ascii_case(b"application/json") => Self::Json,
            kind if kind.eq_ignore_ascii_case(b"text/event-stream") => Self::Events,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    fn take(text: &str) -> Result<Option<Head>, BadHead> {
        Head::take(&mut BytesMut::from(text))
    }

    fn check(fields: &str, expected: Option<(Body, bool)>) {
        let found = take(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
        let found = found.ok().map(|head| head.map(|head| (head.body, head.keeps_open)).expect("a whole head"));
        assert_eq!(found, expected, "{fields}");
    }

    #[test]
    fn a_body_ends_where_the_head_says() {
        check("content-length: 5\r\n", Some((Body::of(5), true)));
        check("Content-Length: 5, 5\r\ncontent-length:5\r\n", Some((Body::of(5), true)));
        check("content-length: 5\r\ncontent-length: 6\r\n", None);
        check("content-length: +5\r\n", None);
        check("content-length: \r\n", None);
        check("content-length: 99999999999999999999\r\n", None);
        check("Transfer-Encoding: gzip, Chunked\r\n", Some((Body::in_chunks(), true)));
        check("transfer-encoding: chunked\r\ncontent-length: 5\r\n", Some((Body::in_chunks(), false)));
        check("transfer-encoding: gzip\r\n", Some((Body::to_the_end(), false)));
        check("", Some((Body::to_the_end(), false)));
        check("content-length: 5\r\nconnection: x, Close\r\n", Some((Body::of(5), false)));
    }

    #[test]
    fn some_responses_have_no_body() {
        let head = take("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n").expect("valid").expect("whole");
        assert_eq!(head.body, Body::empty());
        let old = take("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n").expect("valid").expect("whole");
        assert_eq!((old.body, old.keeps_open), (Body::of(5), false));
    }

    #[test]
    fn what_comes_before_a_response_is_passed_over() {
        let mut received =
            BytesMut::from("HTTP/1.1 103 x\r\nlink: y\r\n\r\nHTTP/1.1 100 z\r\n\r\nHTTP/1.1 202 A\r\n\r\nrest");
        let head = Head::take(&mut received).expect("valid").expect("whole");
        assert_eq!((head.status, &received[..]), (StatusCode::ACCEPTED, b"rest".as_slice()));
        assert!(take("HTTP/1.1 101 Switching Protocols\r\n\r\n").is_err());
    }

    #[test]
    fn a_stream_of_events_is_known_by_its_type() {
        let has_events = |kind: &str| {
            let fields = format!("x: text/event-stream\r\nContent-Type:{kind}\r\ncontent-type: text/event-stream");
            let head = take(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"));
            head.expect("valid").expect("whole").content == Content::Events
        };
        assert!(has_events(" text/event-stream") && has_events("Text/Event-Stream ; charset=utf-8"));
        assert!(!has_events(" application/json") && !has_events("") && !has_events("text/event-streams"));
    }

    #[test]
    fn a_head_that_does_not_end_is_given_up() {
        assert!(matches!(take("HTTP/1.1 200 OK\r\na: b\r\n"), Ok(None)));
        assert!(take(&format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(MAX_BYTES))).is_err());
        assert!(take("SSH-2.0-x\r\n").is_err());
        assert!(take("HTTP/1.1 200 OK\r\na: b\r\n c: d\r\n\r\n").is_err(), "a folded line");
    }

    #[test]
    fn fields_are_found_whatever_their_case() {
        let head = take("HTTP/1.1 200 OK\r\nx-content-type: a\r\nContent-TYPE:\t b/c \r\nContent-Type: d\r\n\r\n");
        let head = head.expect("valid").expect("whole");
        assert_eq!(head.field(&CONTENT_TYPE), Some(b"b/c".as_slice()));
        assert_eq!(head.field(&http::header::ACCEPT), None);
        assert_eq!(head.fields(&CONTENT_TYPE).collect::<Vec<_>>(), [b"b/c".as_slice(), b"d"]);
    }

    #[test]
    fn what_concerns_the_connection_and_the_body_is_seen() {
        let seen = |fields: &str| {
            let head = take(&format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{fields}\r\n\r\n"));
            let head = head.expect("valid").expect("whole");
            (head.idle.map(|idle| idle.as_secs()), head.keeps_open, head.is_coded, head.sets_cookies)
        };
        assert_eq!(seen("a: b"), (None, true, false, false));
        assert_eq!(seen("Keep-Alive: timeout=5"), (Some(5), true, false, false));
        assert_eq!(seen("keep-alive: max=100, Timeout = 60"), (Some(60), true, false, false));
        assert_eq!(seen("keep-alive: timeout=5, max=0"), (Some(5), false, false, false));
        assert_eq!(seen("keep-alive: timeout=-5, x"), (None, true, false, false));
        assert_eq!(seen("Content-Encoding: gzip\r\nSet-Cookie: a=b"), (None, true, true, true));
        assert_eq!(seen("content-encoding: identity, "), (None, true, false, false));
    }
}
