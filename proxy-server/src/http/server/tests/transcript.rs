//! Responses of a connection, in a form that can be compared.

use std::mem::MaybeUninit;

use bytes::BytesMut;

/// Maximum length of a text in a message about a failure.
const SHOWN: usize = 300;

/// All that a client received.
#[derive(Debug, Clone)]
pub(super) struct Transcript {
    pub(super) responses: Vec<Response>,
    /// Response that is cut off.
    pub(super) rest: Text,
    /// True if the connection was reset, which can discard responses that were sent.
    pub(super) is_reset: bool,
}

/// Received text.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Text(String);

/// Response without its date.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) version: u8,
    pub(super) status: u16,
    reason: String,
    /// Sorted by name: only fields of one name have an order (RFC 9110, 5.3).
    fields: Vec<(String, String)>,
    body: Text,
}

impl Transcript {
    pub(super) fn parse(mut text: &[u8], is_reset: bool) -> Self {
        let mut responses = Vec::new();
        while let Some((response, length)) = Response::parse(text) {
            responses.push(response);
            text = &text[length..];
        }
        Self { responses, rest: Text::of(text), is_reset }
    }

    /// True if no response is cut off.
    pub(super) fn is_whole(&self) -> bool {
        self.rest.0.is_empty()
    }

    /// True if both consist of the same bytes, but for the dates.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.responses == other.responses && self.rest == other.rest
    }
}

impl Response {
    /// Returns a complete response with its length, if there is one.
    fn parse(text: &[u8]) -> Option<(Self, usize)> {
        let mut slots = [const { MaybeUninit::uninit() }; 64];
        let mut head = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut head, text, &mut slots);
        let Ok(httparse::Status::Complete(start)) = parsed else { return None };
        let fields = head.headers.iter().map(|field| (field.name.to_ascii_lowercase(), Text::of(field.value).0));
        let mut fields: Vec<_> = fields.filter(|(name, _)| name != "date").collect();
        fields.sort_by(|one, other| one.0.cmp(&other.0));
        let status = head.code.expect("a status");
        let mut response = Self {
            version: head.version.expect("a version"),
            status,
            reason: head.reason.unwrap_or_default().to_owned(),
            fields,
            body: Text(String::new()),
        };
        let (body, length) = response.framed(&text[start..])?;
        response.body = Text::of(&body);
        Some((response, start + length))
    }

    /// Returns the body with its length as it was sent.
    fn framed(&self, text: &[u8]) -> Option<(Vec<u8>, usize)> {
        if self.status < 200 || self.status == 204 {
            return Some((Vec::new(), 0));
        }
        if self.field("transfer-encoding") == Some("chunked") {
            return unchunked(text);
        }
        let length = match self.field("content-length") {
            Some(length) => length.parse().expect("a length"),
            None => text.len(),
        };
        text.get(..length).map(|body| (body.to_vec(), length))
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.0 == name).map(|field| field.1.as_str())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.body.0.is_empty()
    }

    pub(super) fn closes(&self) -> bool {
        self.field("connection") == Some("close")
    }

    /// Returns the response as it would be on a connection that stays open.
    pub(super) fn kept_open(mut self) -> Self {
        self.fields.retain(|(name, _)| name != "connection");
        self
    }
}

impl Text {
    fn of(text: &[u8]) -> Self {
        Self(String::from_utf8_lossy(text).into_owned())
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown: String = self.0.chars().take(SHOWN).collect();
        write!(formatter, "{} bytes: {shown:?}", self.0.len())
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { version, status, reason, fields, body } = self;
        write!(formatter, "HTTP/1.{version} {status} {reason} {fields:?} {body:?}")
    }
}

fn unchunked(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (BytesMut::new(), 0);
    loop {
        let parsed = httparse::parse_chunk_size(&text[at..]).expect("a chunk");
        let httparse::Status::Complete((line, size)) = parsed else { return None };
        let start = at + line;
        let end = start + usize::try_from(size).expect("a size");
        body.extend_from_slice(text.get(start..end)?);
        at = end + 2;
        if text.len() < at {
            return None;
        }
        if size == 0 {
            return Some((body.to_vec(), at));
        }
    }
}
