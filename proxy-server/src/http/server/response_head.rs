//! Writes the heads of responses.

use std::cell::RefCell;

use axum::http::{HeaderMap, StatusCode, header};
use bytes::BufMut;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::http::write::{put_fields, put_length};

thread_local! {
    /// Value of `Date`, with the second that it was formatted for.
    static DATE: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Persistence of a connection after a response (RFC 9112, 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    KeepAlive,
    Close,
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
