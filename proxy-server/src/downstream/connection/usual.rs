//! Recognises usual requests, and writes the heads of their responses.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use axum::http::{HeaderMap, Method, StatusCode, header};
use bytes::BufMut;
use httparse::{Header, ParserConfig, Status};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::downstream::fields::Fields;
use crate::http::write::{decimal, put_fields, put_length};

/// Limits of a usual request: number of header fields, and size of its head in bytes.
pub(super) const MAX_FIELDS: usize = 32;
pub(super) const MAX_HEAD_BYTES: usize = 8 * 1024;

thread_local! {
    /// Value of `Date`, with the second that it was formatted for.
    static DATE: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Reason why received bytes are not a usual request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusual {
    /// Beginning of a request head.
    Unfinished,
    /// Any other request, or no request at all.
    Other,
}

/// POST with `Content-Length` to the shortest form of an endpoint's path, or a DELETE without a body.
pub(super) struct Usual<'a> {
    pub(super) method: Method,
    /// Name of the upstream; `None` for all upstreams.
    pub(super) name: Option<&'a str>,
    pub(super) fields: Fields<'a>,
    /// Length of the head in bytes.
    pub(super) head: usize,
    /// Length of the body in bytes.
    pub(super) length: usize,
}

/// Persistence of a connection after a response (RFC 9112, 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    KeepAlive,
    Close,
}

/// Parses the head of a usual request.
pub(super) fn read<'a>(
    text: &'a [u8],
    slots: &'a mut [MaybeUninit<Header<'a>>; MAX_FIELDS],
) -> Result<Usual<'a>, Unusual> {
    let mut request = httparse::Request::new(&mut []);
    let head = match ParserConfig::default().parse_request_with_uninit_headers(&mut request, text, slots) {
        Ok(Status::Complete(head)) if head <= MAX_HEAD_BYTES => head,
        Ok(Status::Partial) if text.len() <= MAX_HEAD_BYTES => return Err(Unusual::Unfinished),
        Ok(_) | Err(_) => return Err(Unusual::Other),
    };
    let (method, path, version) = (request.method, request.path.unwrap_or_default(), request.version);
    let all: &[Header<'_>] = request.headers;
    let name = endpoint(path)?;
    let (method, length) = match (method, length(all)?) {
        (Some("POST"), Some(length)) => (Method::POST, length),
        (Some("DELETE"), None | Some(0)) => (Method::DELETE, 0),
        (_, _) => return Err(Unusual::Other),
    };
    if version != Some(1) {
        return Err(Unusual::Other);
    }
    Ok(Usual { method, name, fields: Fields::among(all.into()), head, length })
}

/// Returns the upstream of a path that the router serves as an endpoint for all methods; `None` for all upstreams.
/// Names with escapes, and the prefix `mcp-proxy`, which is not a name, are left to the router.
fn endpoint(path: &str) -> Result<Option<&str>, Unusual> {
    if path == "/mcp" {
        return Ok(None);
    }
    let name = path.strip_suffix("/mcp").or_else(|| path.strip_suffix("/stream"));
    let name = name.and_then(|name| name.strip_prefix('/')).ok_or(Unusual::Other)?;
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if is_plain && !name.is_empty() && name != "mcp-proxy" { Ok(Some(name)) } else { Err(Unusual::Other) }
}

/// Returns the value of `Content-Length`, if there is one. Fails if the field is invalid or repeated, if the body is
/// framed in another way, or if the request asks for more than a response.
fn length(fields: &[Header<'_>]) -> Result<Option<usize>, Unusual> {
    let mut length = None;
    for Header { name, value } in fields {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let is_usual = if is("content-length") {
            let stated = decimal(value).and_then(|stated| usize::try_from(stated).ok());
            stated.is_some_and(|stated| length.replace(stated).is_none())
        } else if is("connection") {
            value.eq_ignore_ascii_case(b"keep-alive")
        } else {
            !(is("transfer-encoding") || is("expect") || is("upgrade"))
        };
        if !is_usual {
            return Err(Unusual::Other);
        }
    }
    Ok(length)
}

/// Writes the head of a response; without `fields`, that of a JSON response.
pub(super) fn put_head(
    head: &mut Vec<u8>,
    status: StatusCode,
    fields: Option<&HeaderMap>,
    length: usize,
    persistence: Persistence,
) {
    head.put_slice(b"HTTP/1.1 ");
    head.put_slice(status.as_str().as_bytes());
    head.put_slice(b" ");
    head.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    head.put_slice(b"\r\n");
    match fields {
        Some(fields) => put_fields(head, fields),
        None => head.put_slice(b"content-type: application/json\r\n"),
    }
    if !fields.is_some_and(|fields| fields.contains_key(header::CACHE_CONTROL)) {
        head.put_slice(b"cache-control: no-store\r\n");
    }
    // RFC 9110, 8.6: a response that cannot have a body has no `Content-Length`.
    if status != StatusCode::NO_CONTENT {
        put_length(head, length);
    }
    if persistence == Persistence::Close {
        head.put_slice(b"connection: close\r\n");
    }
    put_date(head);
    head.put_slice(b"\r\n");
}

/// Writes the current time as `Date` (RFC 9110, 6.6.1).
fn put_date(head: &mut Vec<u8>) {
    let now = Timestamp::now();
    DATE.with_borrow_mut(|(second, text)| {
        if *second != now.as_second() {
            text.clear();
            // A time without such a form, far in the past, is omitted.
            if DateTimePrinter::new().print_timestamp_rfc9110(&now, &mut *text).is_err() {
                text.clear();
            }
            *second = now.as_second();
        }
        if !text.is_empty() {
            head.put_slice(b"date: ");
            head.put_slice(text.as_bytes());
            head.put_slice(b"\r\n");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the method, the upstream, and the lengths of the head and the body of a usual request.
    fn check(text: &str, expected: Result<(&str, Option<&str>, usize, usize), Unusual>) {
        let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let found = read(text.as_bytes(), &mut slots);
        let found = found.map(|it| (it.method.as_str().to_owned(), it.name, it.head, it.length));
        let expected = expected.map(|(method, name, head, length)| (method.to_owned(), name, head, length));
        assert_eq!(found, expected, "{text:?}");
    }

    fn check_other(text: &str) {
        check(text, Err(Unusual::Other));
    }

    #[test]
    fn a_post_of_stated_length_is_usual_and_so_is_a_delete() {
        check("POST /a/mcp HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", Ok(("POST", Some("a"), 43, 5)));
        check("POST /mcp HTTP/1.1\r\nx: y\r\nCONTENT-LENGTH:0\r\n\r\n", Ok(("POST", None, 46, 0)));
        check("POST /a.b-C_1/stream HTTP/1.1\r\ncontent-length: 007 \r\n\r\n", Ok(("POST", Some("a.b-C_1"), 55, 7)));
        check("DELETE /a/stream HTTP/1.1\r\nConnection: Keep-Alive\r\n\r\n", Ok(("DELETE", Some("a"), 53, 0)));
        check("\r\nDELETE /mcp HTTP/1.1\r\n\r\nDELETE", Ok(("DELETE", None, 26, 0)));
    }

    #[test]
    fn other_methods_paths_and_versions_are_not() {
        for line in ["GET /mcp", "PUT /mcp", "post /mcp", "POST /", "POST /mcp/", "POST /mcp?x", "POST /a/b/mcp"] {
            check_other(&format!("{line} HTTP/1.1\r\ncontent-length: 0\r\n\r\n"));
        }
        for path in ["//mcp", "/mcp-proxy/mcp", "/a%20b/mcp", "/a?b/mcp", "http://x/a/mcp", "*", "/é/mcp", "/a/sse"] {
            check_other(&format!("POST {path} HTTP/1.1\r\ncontent-length: 0\r\n\r\n"));
        }
        check_other("POST /mcp HTTP/1.0\r\ncontent-length: 0\r\n\r\n");
        check_other("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    }

    #[test]
    fn what_two_readers_could_take_differently_is_not() {
        for fields in [
            "",
            "content-length: 1\r\ncontent-length: 1\r\n",
            "content-length: 1, 1\r\n",
            "content-length: +1\r\n",
            "content-length: \r\n",
            "content-length: 99999999999999999999\r\n",
            "content-length : 1\r\n",
            "content-length: 1\r\n x\r\n",
            "content-length: 1\r\nTransfer-Encoding: identity\r\n",
            "content-length: 1\r\nexpect: 100-continue\r\n",
            "content-length: 1\r\nupgrade: h2c\r\n",
            "content-length: 1\r\nconnection: close\r\n",
            "content-length: 1\r\nconnection: keep-alive, x\r\n",
        ] {
            check_other(&format!("POST /mcp HTTP/1.1\r\n{fields}\r\n"));
        }
        check_other("DELETE /mcp HTTP/1.1\r\ncontent-length: 1\r\n\r\n");
    }

    #[test]
    fn a_head_is_waited_for_as_long_as_it_can_be_a_usual_one() {
        check("", Err(Unusual::Unfinished));
        check("POST /mcp HTTP/1.1\r\ncontent-length: 0\r\n", Err(Unusual::Unfinished));
        check_other("SSH-2.0-x\r\n");
        let long = |length: usize| format!("POST /mcp HTTP/1.1\r\nx: {}", "y".repeat(length));
        check(&long(8_000), Err(Unusual::Unfinished));
        check_other(&long(8_200));
        check_other(&format!("{}\r\ncontent-length: 0\r\n\r\n", long(8_200)));
        let many: String = (0..=MAX_FIELDS).map(|number| format!("x-{number}: y\r\n")).collect();
        check_other(&format!("POST /mcp HTTP/1.1\r\n{many}content-length: 0\r\n\r\n"));
    }

    #[test]
    fn a_head_says_what_it_is_of_how_long_and_when() {
        let written = |status, fields: Option<&HeaderMap>, persistence| {
            let mut head = Vec::new();
            put_head(&mut head, status, fields, 7, persistence);
            let text = String::from_utf8(head).expect("a text");
            let (rest, date) = text.split_once("date: ").expect("a date");
            assert!(date.ends_with(" GMT\r\n\r\n") && date.len() == 33, "{date:?}");
            rest.to_owned()
        };
        assert_eq!(
            written(StatusCode::OK, None, Persistence::KeepAlive),
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\ncontent-length: 7\r\n"
        );
        assert_eq!(
            written(StatusCode::NOT_FOUND, Some(&HeaderMap::new()), Persistence::Close),
            "HTTP/1.1 404 Not Found\r\ncache-control: no-store\r\ncontent-length: 7\r\nconnection: close\r\n"
        );
    }
}
