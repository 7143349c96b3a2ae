//! HTTP/1.1 (RFC 9112) as both sides of the gateway need it: serialised messages, and header field values.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::AsyncWrite;

/// Largest body that is copied behind its head, because one write of both is cheaper than a vectored write.
const SMALL: usize = 1024;

/// A serialised message that is being written: a complete head, and a body.
pub(crate) struct Written {
    head: Vec<u8>,
    body: [Bytes; 3],
    /// Number of bytes written so far.
    gone: usize,
}

impl Written {
    pub(crate) fn new(mut head: Vec<u8>, body: [Bytes; 3]) -> Self {
        if body.iter().map(Bytes::len).sum::<usize>() > SMALL {
            return Self { head, body, gone: 0 };
        }
        body.iter().for_each(|piece| head.put_slice(piece));
        Self { head, body: Default::default(), gone: 0 }
    }

    /// Returns the request rewound to its first byte, with another target, and with this field instead of those of its
    /// name.
    pub(crate) fn redirected(self, target: &str, name: &HeaderName, value: Option<&str>) -> Self {
        const END: &[u8] = b"\r\n\r\n";
        let end = self.head.windows(END.len()).position(|window| window == END).unwrap_or(self.head.len());
        let (fields, behind) = self.head.split_at(end);
        let mut lines = fields.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let mut head = Vec::with_capacity(self.head.len() + target.len());
        head.extend(lines.next().unwrap_or_default().iter().take_while(|byte| **byte != b' '));
        for part in [" ", target, " HTTP/1.1\r\n"] {
            head.put_slice(part.as_bytes());
        }
        let is_named = |line: &[u8]| {
            let found = line.split(|byte| *byte == b':').next().unwrap_or_default();
            found.eq_ignore_ascii_case(name.as_str().as_bytes())
        };
        for line in lines.filter(|line| !is_named(line)) {
            head.put_slice(line);
            head.put_slice(b"\r\n");
        }
        if let Some(value) = value {
            put_text(&mut head, name, value);
        }
        head.put_slice(behind.get(2..).unwrap_or_default());
        Self { head, body: self.body, gone: 0 }
    }

    /// Returns the number of bytes written so far.
    pub(crate) fn gone(&self) -> usize {
        self.gone
    }

    /// True if all bytes are written.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone == self.len()
    }

    /// Writes the remaining bytes.
    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        mut stream: Pin<&mut impl AsyncWrite>,
    ) -> Poll<io::Result<()>> {
        while !self.is_gone() {
            let stream = stream.as_mut();
            let written = match self.only() {
                Some(left) => stream.poll_write(context, left),
                None => stream.poll_write_vectored(context, &self.left()),
            };
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.gone += written,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Returns the head's buffer for reuse.
    pub(crate) fn into_room(self) -> Vec<u8> {
        self.head
    }

    fn len(&self) -> usize {
        self.head.len() + self.body.iter().map(Bytes::len).sum::<usize>()
    }

    /// Returns the remaining bytes if they are contiguous.
    fn only(&self) -> Option<&[u8]> {
        if self.body.iter().all(Bytes::is_empty) { self.head.get(self.gone..) } else { None }
    }

    fn left(&self) -> [IoSlice<'_>; 4] {
        let [first, second, third] = &self.body;
        let mut gone = self.gone;
        [&self.head, &**first, second, third].map(|piece| {
            let (of_this, left) = piece.split_at(gone.min(piece.len()));
            gone -= of_this.len();
            IoSlice::new(left)
        })
    }
}

/// Parses a number of bytes from a header field.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    // `str::parse` would accept a sign.
    let is_number = digits.first().is_some_and(u8::is_ascii_digit);
    if is_number { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// Returns a media type without its parameters.
pub(crate) fn essence(kind: &[u8]) -> &[u8] {
    kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

pub(crate) fn put_field(head: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    head.put_slice(name.as_str().as_bytes());
    head.put_slice(b": ");
    head.put_slice(value.as_bytes());
    head.put_slice(b"\r\n");
}

pub(crate) fn put_fields(head: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        put_field(head, name, value);
    }
}

/// Writes a header field if the text is valid as its value; otherwise writes nothing.
pub(crate) fn put_text(head: &mut Vec<u8>, name: &HeaderName, text: &str) {
    if text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        for part in [name.as_str(), ": ", text, "\r\n"] {
            head.put_slice(part.as_bytes());
        }
    }
}

/// Writes `content-length`.
pub(crate) fn put_length(head: &mut Vec<u8>, length: usize) {
    // Writing to memory does not fail.
    write!(head, "content-length: {length}\r\n").ok();
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    /// Returns the bytes read when at most `step` bytes are written at once.
    async fn read(body: [Bytes; 3], step: usize) -> Vec<u8> {
        let (stream, mut other) = duplex(step);
        let write = async move {
            let mut written = Written::new(b"head ".to_vec(), body);
            let mut stream = pin!(stream);
            poll_fn(|context| written.poll_write(context, stream.as_mut())).await.expect("a reader");
            assert!(written.is_gone());
        };
        let mut all = Vec::new();
        tokio::join!(write, async { other.read_to_end(&mut all).await.expect("a writer") });
        all
    }

    #[tokio::test]
    async fn all_pieces_are_written_in_order_however_little_is_taken_at_once() {
        for length in [1, SMALL] {
            let body = [Bytes::from("a".repeat(length)), Bytes::new(), Bytes::from("bc")];
            let expected = format!("head {}bc", "a".repeat(length)).into_bytes();
            for step in [1, 3, 7, 10_000] {
                assert_eq!(read(body.clone(), step).await, expected, "{length} bytes by {step}");
            }
        }
    }

    #[test]
    fn a_text_that_could_end_a_field_is_not_written() {
        let mut head = Vec::new();
        for text in ["a b", "a\r\nx: y", "a\0", "\u{7f}", "é", "\n"] {
            put_text(&mut head, &HeaderName::from_static("n"), text);
        }
        assert_eq!(head, b"n: a b\r\n");
    }

    #[test]
    fn a_length_is_digits() {
        assert_eq!(decimal(b"15"), Some(15));
        for wrong in ["", "+5", "-5", "5 ", "5,5", "0x5", "99999999999999999999"] {
            assert_eq!(decimal(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_request_is_written_anew_for_where_it_is_redirected_to() {
        let check = |body: &str, value: Option<&str>| {
            let head = b"POST /mcp?a=b HTTP/1.1\r\nhost: x\r\nCookie: a=1\r\ncookies: no\r\n\r\n".to_vec();
            let written = Written::new(head, [Bytes::copy_from_slice(body.as_bytes()), Bytes::new(), Bytes::new()]);
            let again = written.redirected("/mcp/", &http::header::COOKIE, value);
            let all: Vec<u8> = again.left().iter().flat_map(|piece| piece.to_vec()).collect();
            let field = value.map_or_else(String::new, |value| format!("cookie: {value}\r\n"));
            let expected = format!("POST /mcp/ HTTP/1.1\r\nhost: x\r\ncookies: no\r\n{field}\r\n{body}");
            assert_eq!(String::from_utf8_lossy(&all), expected);
            assert_eq!(again.gone(), 0);
        };
        check("{}\r\n\r\n", Some("a=2; b=3"));
        check("", None);
        check(&"x".repeat(2 * SMALL), Some("a=2"));
    }
}
