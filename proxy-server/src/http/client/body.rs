//! Frames the body of a response (RFC 9112, 6 and 7).

use bytes::{Buf, BytesMut};
use httparse::Status;

/// Maximum length of a chunk's first line; only chunk extensions make it long.
const MAX_CHUNK_LINE: usize = 4 * 1024;
const MAX_TRAILERS: usize = 16 * 1024;
const MAX_TRAILER_FIELDS: usize = 32;

/// The remaining part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Body(Rest);

#[derive(Debug, PartialEq, Eq)]
enum Rest {
    /// A number of bytes.
    Bytes(u64),
    /// Chunks, starting with a size line.
    Chunks,
    /// The rest of a chunk, then further chunks.
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// The trailer section.
    Trailers,
    /// Everything until the connection is closed.
    All,
}

/// The next part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Data(BytesMut),
    /// No bytes have arrived yet.
    Missing,
    /// The body is complete.
    End,
}

/// The body does not match its framing.
#[derive(Debug, thiserror::Error)]
#[error("the body of the response is not valid")]
pub(crate) struct BadBody;

impl Body {
    pub(crate) fn empty() -> Self {
        Self::of(0)
    }

    pub(crate) fn of(length: u64) -> Self {
        Self(Rest::Bytes(length))
    }

    pub(crate) fn in_chunks() -> Self {
        Self(Rest::Chunks)
    }

    pub(crate) fn to_the_end() -> Self {
        Self(Rest::All)
    }

    /// Returns the number of bytes that are certain to follow.
    pub(crate) fn expected(&self) -> u64 {
        match self.0 {
            Rest::Bytes(left) | Rest::Chunk(left) => left,
            Rest::Chunks | Rest::ChunkEnd | Rest::Trailers | Rest::All => 0,
        }
    }

    /// True if the end of the connection ends the body.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.0 == Rest::All
    }

    /// Takes bytes of the body from the front of the receive buffer.
    pub(crate) fn take(&mut self, received: &mut BytesMut) -> Result<Part, BadBody> {
        loop {
            match &mut self.0 {
                Rest::Bytes(0) => return Ok(Part::End),
                Rest::Chunk(0) => self.0 = Rest::ChunkEnd,
                _ if received.is_empty() => return Ok(Part::Missing),
                Rest::All => return Ok(Part::Data(received.split())),
                Rest::Bytes(left) | Rest::Chunk(left) => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(received.len());
                    *left -= length as u64;
                    return Ok(Part::Data(received.split_to(length)));
                }
                Rest::ChunkEnd if received.starts_with(b"\r\n") => {
                    received.advance(2);
                    self.0 = Rest::Chunks;
                }
                Rest::ChunkEnd if **received == *b"\r" => return Ok(Part::Missing),
                Rest::ChunkEnd => return Err(BadBody),
                Rest::Chunks => match httparse::parse_chunk_size(received).map_err(|_| BadBody)? {
                    Status::Complete((line, size)) => {
                        received.advance(line);
                        self.0 = if size == 0 { Rest::Trailers } else { Rest::Chunk(size) };
                    }
                    Status::Partial if received.len() > MAX_CHUNK_LINE => return Err(BadBody),
                    Status::Partial => return Ok(Part::Missing),
                },
                Rest::Trailers => {
                    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
                    match httparse::parse_headers(received, &mut fields).map_err(|_| BadBody)? {
                        Status::Complete((length, _)) => {
                            received.advance(length);
                            self.0 = Rest::Bytes(0);
                        }
                        Status::Partial if received.len() > MAX_TRAILERS => return Err(BadBody),
                        Status::Partial => return Ok(Part::Missing),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a body that arrives in pieces of this size. Returns it with the bytes that follow it.
    fn read(mut body: Body, text: &str, size: usize) -> Result<(String, String), String> {
        let (mut received, mut data) = (BytesMut::new(), Vec::new());
        let mut pieces = text.as_bytes().chunks(size);
        loop {
            match body.take(&mut received).map_err(|error| error.to_string())? {
                Part::Data(part) => data.extend_from_slice(&part),
                Part::Missing => match pieces.next() {
                    Some(piece) => received.extend_from_slice(piece),
                    None => return Err("more is to come".into()),
                },
                Part::End => break,
            }
        }
        received.extend(pieces.flatten());
        Ok((String::from_utf8_lossy(&data).into(), String::from_utf8_lossy(&received).into()))
    }

    fn check(body: fn() -> Body, text: &str, expected: Option<(&str, &str)>) {
        for size in 1..=text.len() {
            let found = read(body(), text, size).ok();
            let expected = expected.map(|(data, rest)| (data.to_owned(), rest.to_owned()));
            assert_eq!(found, expected, "{text:?} in pieces of {size}");
        }
    }

    #[test]
    fn what_comes_in_any_pieces_is_put_together() {
        check(|| Body::of(3), "abcd", Some(("abc", "d")));
        check(|| Body::of(3), "ab", None);
        check(Body::empty, "ab", Some(("", "ab")));
        check(Body::in_chunks, "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\nrest", Some(("abc0123456789", "rest")));
        check(Body::in_chunks, "1\r\na\r\n0\r\nx: y\r\nz: 1\r\n\r\n", Some(("a", "")));
        check(Body::in_chunks, "0\r\n\r\n", Some(("", "")));
    }

    #[test]
    fn what_is_not_as_announced_is_refused() {
        for text in ["3\r\nabcd\r\n0\r\n\r\n", "x\r\n", "-1\r\n", "3\r\nabc", "fffffffffffffffff\r\n", "0\r\nx\r\n\r\n"]
        {
            check(Body::in_chunks, text, None);
        }
        assert!(read(Body::in_chunks(), &format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(5000)), 100).is_err());
    }

    #[test]
    fn a_body_without_length_is_all_there_is() {
        let mut body = Body::to_the_end();
        assert_eq!(body.take(&mut BytesMut::from("ab")).expect("data"), Part::Data(BytesMut::from("ab")));
        assert!(body.ends_with_connection());
    }
}
