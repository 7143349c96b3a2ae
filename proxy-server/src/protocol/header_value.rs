//! Encodes text in HTTP headers: plain where HTTP allows it, otherwise Base64 between two markers (2026-07-28,
//! transports, "Header Value Encoding").

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

const BEGIN: &str = "=?base64?";
const END: &str = "?=";

/// Encodes a text as a header value. Text that looks encoded is encoded as well, so that decoding restores it.
pub(crate) fn encode(text: &str) -> Cow<'_, str> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let (first, last) = (text.as_bytes().first(), text.as_bytes().last());
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !is_blank(first) && !is_blank(last);
    if is_plain && !(text.starts_with(BEGIN) && text.ends_with(END)) {
        return text.into();
    }
    format!("{BEGIN}{}{END}", BASE64_STANDARD.encode(text)).into()
}

/// Decodes a header value; `None` if it has the markers but is not valid Base64.
pub(crate) fn decode(value: &str) -> Option<Cow<'_, str>> {
    match value.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)) {
        None => Some(value.into()),
        Some(encoded) => Some(String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_what_a_header_cannot_carry() {
        for (text, expected) in [
            ("us-west 1", "us-west 1"),
            ("", ""),
            ("café", "=?base64?Y2Fmw6k=?="),
            (" a", "=?base64?IGE=?="),
            ("a\r\nEvil: 1", "=?base64?YQ0KRXZpbDogMQ==?="),
            ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="),
        ] {
            assert_eq!(encode(text), expected, "{text:?}");
        }
    }
}
