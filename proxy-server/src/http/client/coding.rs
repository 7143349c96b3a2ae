//! Decodes bodies that an upstream compressed although the request asked for `identity` (RFC 9110, 8.4.1). Decodes
//! incrementally, so that event streams are not delayed, and within a limit, so that a small body cannot fill the memory.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use bytes::BytesMut;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::zstd::Zstd;

const BROTLI_ROOM: usize = 8 * 1024;
/// The compression method in every zlib header (RFC 1950, 2.2). Some servers send raw deflate without the header.
const ZLIB_METHOD: u8 = 8;

/// Decodes one body.
pub(super) struct Decoder {
    name: String,
    kind: Kind,
    limit: usize,
}

enum Kind {
    Gzip(MultiGzDecoder<Sink>),
    /// Undecided: the first byte distinguishes zlib from raw deflate.
    Deflate(Sink),
    Zlib(ZlibDecoder<Sink>),
    RawDeflate(DeflateDecoder<Sink>),
    Brotli(Box<DecompressorWriter<Sink>>),
    Zstd(Box<Zstd<Sink>>),
    Unsupported(Sink),
}

/// The reason why a body cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecodable {
    #[error("the body is coded as `{0}`, which was not asked for and is not supported")]
    Unsupported(String),
    #[error("the body is not valid `{0}`")]
    Damaged(String),
    #[error("the decoded body is larger than {0} bytes")]
    TooLarge(usize),
}

/// Collects decoded bytes up to a limit.
pub(super) struct Sink {
    bytes: Vec<u8>,
    limit: usize,
    is_over: bool,
}

impl Decoder {
    /// Creates a decoder for the value of a `Content-Encoding` field. Fails when one piece decodes to more than the limit.
    pub(super) fn new(coding: &str, is_stream: bool, limit: usize) -> Self {
        let name = coding.trim().to_ascii_lowercase();
        let sink = Sink::new(limit);
        let kind = match name.as_str() {
            "gzip" | "x-gzip" => Kind::Gzip(MultiGzDecoder::new(sink)),
            "deflate" => Kind::Deflate(sink),
            "br" => Kind::Brotli(Box::new(DecompressorWriter::new(sink, BROTLI_ROOM))),
            "zstd" if !is_stream => Kind::Zstd(Box::new(Zstd::new(sink))),
            _ => Kind::Unsupported(sink),
        };
        Self { name, kind, limit }
    }

    /// Decodes a piece of the body. The result may be empty.
    pub(super) fn decode(&mut self, piece: &[u8]) -> Result<BytesMut, Undecodable> {
        if let Kind::Deflate(sink) = &mut self.kind {
            let sink = std::mem::replace(sink, Sink::new(0));
            let is_zlib = piece.first().is_some_and(|first| first & 0x0f == ZLIB_METHOD);
            self.kind =
                if is_zlib { Kind::Zlib(ZlibDecoder::new(sink)) } else { Kind::RawDeflate(DeflateDecoder::new(sink)) };
        }
        let written = match &mut self.kind {
            Kind::Gzip(decoder) => write(decoder, piece),
            Kind::Zlib(decoder) => write(decoder, piece),
            Kind::RawDeflate(decoder) => write(decoder, piece),
            Kind::Brotli(decoder) => write(decoder, piece),
            Kind::Zstd(decoder) => write(decoder.as_mut(), piece),
            Kind::Deflate(_) | Kind::Unsupported(_) => return Err(Undecodable::Unsupported(self.name.clone())),
        };
        let sink = self.sink();
        match written {
            Ok(()) => Ok(BytesMut::from(bytes::Bytes::from(std::mem::take(&mut sink.bytes)))),
            Err(_) if sink.is_over => Err(Undecodable::TooLarge(self.limit)),
            Err(_) => Err(Undecodable::Damaged(self.name.clone())),
        }
    }

    fn sink(&mut self) -> &mut Sink {
        match &mut self.kind {
            Kind::Gzip(decoder) => decoder.get_mut(),
            Kind::Zlib(decoder) => decoder.get_mut(),
            Kind::RawDeflate(decoder) => decoder.get_mut(),
            Kind::Brotli(decoder) => decoder.get_mut(),
            Kind::Zstd(decoder) => decoder.get_mut(),
            Kind::Deflate(sink) | Kind::Unsupported(sink) => sink,
        }
    }
}

impl Sink {
    fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, is_over: false }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            self.is_over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(decoder: &mut impl Write, piece: &[u8]) -> io::Result<()> {
    decoder.write_all(piece)?;
    decoder.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 100_000;

    /// `{"jsonrpc":"2.0","id":1,"result":{}}` in each coding, as the reference programs produce it.
    const TEXT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    const BODIES: [(&str, &str); 7] = [
        (
            "gzip",
            "1f8b0800000000000203ab56ca2acecf2b2a4856b25232d23350d251ca4c51b232d4512a4a2d2ecd2951b2aaaead05006cbd59c024000000",
        ),
        (
            "x-gzip",
            "1f8b0800000000000203ab56ca2acecf2b2a485602009dc7580c0a0000001f8b0800000000000203b35232d23350d251ca4c51b232d4512a4a2d2ecd2951b2aaaead0500873e66f31a000000",
        ),
        ("deflate", "789cab56ca2acecf2b2a4856b25232d23350d251ca4c51b232d4512a4a2d2ecd2951b2aaaead0500ca4c0b33"),
        ("deflate", "ab56ca2acecf2b2a4856b25232d23350d251ca4c51b232d4512a4a2d2ecd2951b2aaaead0500"),
        ("br", "8b11807b226a736f6e727063223a22322e30222c226964223a312c22726573756c74223a7b7d7d03"),
        ("zstd", "28b52ffd20242101007b226a736f6e727063223a22322e30222c226964223a312c22726573756c74223a7b7d7d"),
        (
            "zstd",
            "502a4d180300000061626328b52ffd2414a100007b226a736f6e727063223a22322e30222c2269649903b0ef28b52ffd0000810000223a312c22726573756c74223a7b7d7d",
        ),
    ];
    /// An event after a flush; the body goes on.
    const FLUSHED: [(&str, &str); 4] = [
        ("gzip", "1f8b08000000000002034a492c49b45230e4e202000000ffff"),
        ("deflate", "78da4a492c49b45230e4e202000000ffff"),
        ("deflate", "4a492c49b45230e4e202000000ffff"),
        ("br", "0b0480646174613a20310a0a"),
    ];
    /// A million blanks, truncated after the part that decodes to more than the limit.
    const BOMBS: [(&str, &str); 4] = [
        (
            "gzip",
            "1f8b0800000000000203edc18100000000c32095f9531ee455010000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000af06d70826cb40420f00",
        ),
        (
            "deflate",
            "78daedc18100000000c32095f9531ee455010000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000af069b186499",
        ),
        ("br", "5b3f428f5f02241e0b04f2731e00"),
        (
            "zstd",
            "28b52ffda040420f005400001020200100fbff39c00202001020020010200200102002001020020010200200102003120a20",
        ),
    ];

    fn decode(coding: &str, body: &[u8], size: usize) -> Result<String, Undecodable> {
        let mut decoder = Decoder::new(coding, false, LIMIT);
        let mut text = Vec::new();
        for piece in body.chunks(size) {
            text.extend_from_slice(&decoder.decode(piece)?);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn a_body_is_decoded_in_whatever_pieces_it_comes() {
        for (coding, body) in BODIES {
            let body = hex(body);
            for size in 1..=body.len() {
                assert_eq!(decode(coding, &body, size).expect("a body"), TEXT, "{coding} in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_was_flushed_is_there_before_the_body_ends() {
        for (coding, body) in FLUSHED {
            let mut decoder = Decoder::new(coding, true, LIMIT);
            let decoded = decoder.decode(&hex(body)).expect("a piece");
            assert_eq!(decoded, "data: 1\n\n", "{coding}");
        }
    }

    #[test]
    fn a_small_body_that_grows_beyond_the_limit_is_refused() {
        for (coding, body) in BOMBS {
            let error = decode(coding, &hex(body), usize::MAX).expect_err("a bomb");
            assert!(matches!(error, Undecodable::TooLarge(LIMIT)), "{coding}: {error}");
        }
    }

    #[test]
    fn what_is_damaged_or_not_supported_is_named() {
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let error =
                decode(coding, b"\xff\xff{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", 100).expect_err("damage");
            assert_eq!(error.to_string(), format!("the body is not valid `{coding}`"));
        }
        for coding in ["compress", "gzip, br", "aes128gcm"] {
            let error = decode(coding, b"x", 1).expect_err("a coding that is not supported").to_string();
            assert!(error.contains(&format!("`{coding}`")), "{error}");
        }
        let stream = Decoder::new("zstd", true, LIMIT).decode(b"x").expect_err("not for streams").to_string();
        assert!(stream.contains("`zstd`"), "{stream}");
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        digits.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    }
}
