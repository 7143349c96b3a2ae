//! Parses the heads of requests for the fast path. Strict: leaves every request to hyper that two parsers could read
//! differently.

use std::mem::MaybeUninit;

use axum::http::Method;
use httparse::{Header, ParserConfig, Status};

use super::service::Head;
use crate::http::write::decimal;

/// Limits of a request on the fast path: number of header fields, and size of its head in bytes.
pub(crate) const MAX_FIELDS: usize = 32;
pub(crate) const MAX_HEAD_BYTES: usize = 8 * 1024;

/// Reason why received bytes are not the head of a request for the fast path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotFast {
    /// Beginning of a request head.
    Incomplete,
    /// Any other request, or no request at all.
    Other,
}

/// Parses the head of a POST with `Content-Length`, or of a DELETE without a body. Returns it with its length in bytes.
pub(crate) fn read<'a>(
    text: &'a [u8],
    slots: &'a mut [MaybeUninit<Header<'a>>; MAX_FIELDS],
) -> Result<(Head<'a>, usize), NotFast> {
    let mut request = httparse::Request::new(&mut []);
    let head = match ParserConfig::default().parse_request_with_uninit_headers(&mut request, text, slots) {
        Ok(Status::Complete(head)) if head <= MAX_HEAD_BYTES => head,
        Ok(Status::Partial) if text.len() <= MAX_HEAD_BYTES => return Err(NotFast::Incomplete),
        Ok(_) | Err(_) => return Err(NotFast::Other),
    };
    let (method, path, version) = (request.method, request.path.unwrap_or_default(), request.version);
    let all: &'a [Header<'a>] = request.headers;
    let (method, length) = match (method, length(all)?) {
        (Some("POST"), Some(length)) => (Method::POST, length),
        (Some("DELETE"), None | Some(0)) => (Method::DELETE, 0),
        (_, _) => return Err(NotFast::Other),
    };
    if version != Some(1) {
        return Err(NotFast::Other);
    }
    Ok((Head { method, path, fields: all, length }, head))
}

/// Returns the value of `Content-Length`, if there is one. Fails if the field is invalid or repeated, if the body is
/// framed in another way, or if the request asks for more than a response.
fn length(fields: &[Header<'_>]) -> Result<Option<usize>, NotFast> {
    let mut length = None;
    for Header { name, value } in fields {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let is_fast = if is("content-length") {
            // hyper reserves the two largest lengths. No body is even half as long.
            let stated = decimal(value).and_then(|stated| isize::try_from(stated).ok()?.try_into().ok());
            stated.is_some_and(|stated| length.replace(stated).is_none())
        } else if is("connection") {
            value.eq_ignore_ascii_case(b"keep-alive")
        } else {
            !(is("transfer-encoding") || is("expect") || is("upgrade"))
        };
        if !is_fast {
            return Err(NotFast::Other);
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the method, the path, and the lengths of the head and the body.
    fn check(text: &str, expected: Result<(&str, &str, usize, usize), NotFast>) {
        let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let found = read(text.as_bytes(), &mut slots);
        let found = found.map(|(it, head)| (it.method.as_str().to_owned(), it.path, head, it.length));
        let expected = expected.map(|(method, path, head, length)| (method.to_owned(), path, head, length));
        assert_eq!(found, expected, "{text:?}");
    }

    fn check_other(text: &str) {
        check(text, Err(NotFast::Other));
    }

    #[test]
    fn a_post_of_stated_length_is_for_the_fast_path_and_so_is_a_delete() {
        check("POST /a/mcp HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", Ok(("POST", "/a/mcp", 43, 5)));
        check("POST /mcp HTTP/1.1\r\nx: y\r\nCONTENT-LENGTH:0\r\n\r\n", Ok(("POST", "/mcp", 46, 0)));
        check("POST /a.b-C_1/stream HTTP/1.1\r\ncontent-length: 007 \r\n\r\n", Ok(("POST", "/a.b-C_1/stream", 55, 7)));
        check("DELETE /a/stream HTTP/1.1\r\nConnection: Keep-Alive\r\n\r\n", Ok(("DELETE", "/a/stream", 53, 0)));
        check("\r\nDELETE /mcp HTTP/1.1\r\n\r\nDELETE", Ok(("DELETE", "/mcp", 26, 0)));
    }

    #[test]
    fn other_methods_and_versions_are_not() {
        for line in ["GET /mcp", "PUT /mcp", "post /mcp"] {
            check_other(&format!("{line} HTTP/1.1\r\ncontent-length: 0\r\n\r\n"));
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
            "content-length: 18446744073709551615\r\n",
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
    fn a_head_is_waited_for_as_long_as_it_can_be_one_for_the_fast_path() {
        check("", Err(NotFast::Incomplete));
        check("POST /mcp HTTP/1.1\r\ncontent-length: 0\r\n", Err(NotFast::Incomplete));
        check_other("SSH-2.0-x\r\n");
        let long = |length: usize| format!("POST /mcp HTTP/1.1\r\nx: {}", "y".repeat(length));
        check(&long(8_000), Err(NotFast::Incomplete));
        check_other(&long(8_200));
        check_other(&format!("{}\r\ncontent-length: 0\r\n\r\n", long(8_200)));
        let many: String = (0..=MAX_FIELDS).map(|number| format!("x-{number}: y\r\n")).collect();
        check_other(&format!("POST /mcp HTTP/1.1\r\n{many}content-length: 0\r\n\r\n"));
    }
}
