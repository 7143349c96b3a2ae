//! The heads of responses (RFC 9112).

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, StatusCode};
use httparse::{Header, ParserConfig, Status};

use super::body::Body;
use crate::http1::{decimal, essence};

/// The largest head of a response.
const MAX_BYTES: usize = 64 * 1024;
const MAX_FIELDS: usize = 100;

/// The head of a response.
pub(super) struct Head {
    pub(super) status: StatusCode,
    /// All of it, as it came.
    text: Bytes,
    pub(super) body: Body,
    /// Whether another request may follow on the same connection.
    pub(super) keeps_open: bool,
    pub(super) content: Content,
}

/// What a body is, as far as its type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Json,
    Events,
    Other,
}

/// Why a response cannot be read.
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
    /// Takes the head from the front of what was received; nothing while it has not come whole. What is only on the way
    /// to a response (100 and others) is passed over.
    pub(super) fn take(received: &mut BytesMut) -> Result<Option<Self>, BadHead> {
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
            let (body, keeps_open) = framing(status, is_first_version, response.headers)?;
            let content = response.headers.iter().find_map(kind).map_or(Content::Other, Content::of);
            let text = received.split_to(length).freeze();
            if !status.is_informational() {
                return Ok(Some(Self { status, text, body, keeps_open, content }));
            }
        }
    }

    /// The value of a field; the first one where there are several.
    pub(super) fn field(&self, name: &HeaderName) -> Option<&[u8]> {
        let mut rest: &[u8] = &self.text;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let Some((found, value)) = line.split_at_checked(name.as_str().len()) else { continue };
            if let Some(value) = value.strip_prefix(b":")
                && found.eq_ignore_ascii_case(name.as_str().as_bytes())
            {
                return Some(value.trim_ascii());
            }
        }
        None
    }
}

/// The kind of body that a field names, if it is the one that does.
fn kind<'a>(field: &Header<'a>) -> Option<&'a [u8]> {
    field.name.eq_ignore_ascii_case("content-type").then_some(field.value)
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

/// How the body is told from what follows it, and whether anything may (RFC 9112, 6.3 and 9.3).
fn framing(status: StatusCode, is_current: bool, fields: &[Header<'_>]) -> Result<(Body, bool), BadHead> {
    let (mut length, mut coding, mut keeps_open) = (None, None, is_current);
    for field in fields {
        if field.name.eq_ignore_ascii_case("content-length") {
            for value in field.value.split(|byte| *byte == b',') {
                let value = decimal(value.trim_ascii()).ok_or(BadHead::Length)?;
                if length.replace(value).is_some_and(|before| before != value) {
                    return Err(BadHead::Length);
                }
            }
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            coding = field.value.rsplit(|byte| *byte == b',').next();
        } else if field.name.eq_ignore_ascii_case("connection") {
            let mut options = field.value.split(|byte| *byte == b',');
            keeps_open = keeps_open && !options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
        }
    }
    if status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        return Ok((Body::empty(), keeps_open));
    }
    Ok(match (coding, length) {
        // Who says both may be one who was fooled.
        (Some(coding), length) if coding.trim_ascii().eq_ignore_ascii_case(b"chunked") => {
            (Body::in_chunks(), keeps_open && length.is_none())
        }
        (None, Some(length)) => (Body::of(length), keeps_open),
        (Some(_), _) | (None, None) => (Body::to_the_end(), false),
    })
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
    }
}
