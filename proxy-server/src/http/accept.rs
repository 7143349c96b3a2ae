//! `Accept` of a request (RFC 9110, 12.5.1), as far as it decides between JSON and event streams.

use crate::http::write::essence;

/// `Accept` of nearly all clients, which needs no parsing.
const USUAL_ACCEPT: &[u8] = b"application/json, text/event-stream";

/// Media types that a client accepts in a response.
#[derive(Default)]
pub(crate) struct Accepted {
    pub(crate) json: bool,
    pub(crate) events: bool,
}

impl Accepted {
    /// Adds the media types of one value of the field.
    pub(crate) fn add(&mut self, value: &[u8]) {
        if value == USUAL_ACCEPT {
            *self = Self { json: true, events: true };
            return;
        }
        for range in value.split(|byte| *byte == b',').filter(|range| !is_refused(range)).map(essence) {
            self.json |= matches(range, b"application/json", b"application/*");
            self.events |= matches(range, b"text/event-stream", b"text/*");
        }
    }
}

/// True if a range of `Accept` has the weight 0, which refuses it (RFC 9110, 12.4.2).
fn is_refused(range: &[u8]) -> bool {
    let mut parameters = range.split(|byte| *byte == b';').skip(1).map(<[u8]>::trim_ascii);
    parameters
        .any(|it| matches!(it, [b'q' | b'Q', b'=', b'0', rest @ ..] if rest.iter().all(|byte| b".0".contains(byte))))
}

fn matches(range: &[u8], kind: &[u8], group: &[u8]) -> bool {
    range == b"*/*" || range.eq_ignore_ascii_case(group) || range.eq_ignore_ascii_case(kind)
}
