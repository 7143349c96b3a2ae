//! One JSON-RPC message: the bytes as they arrived, and where in them the envelope's members lie.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::value::RawValue;

use super::object::{self, Object};

const MAX_DEPTH: usize = 128;
const ENVELOPE: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// One message, cheap to clone. What the gateway does not understand stays as it came.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    bytes: Bytes,
    kind: Kind,
    id: Range<usize>,
    method: Method,
    params: Range<usize>,
    body: Range<usize>,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Notification,
    /// A response with a `result`.
    Result,
    /// A response with an `error`.
    Error,
}

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("the body is not valid JSON")]
    Json(#[source] serde_json::Error),
    #[error("the message is nested deeper than {MAX_DEPTH} levels")]
    Depth,
    #[error("a batch is not accepted")]
    Batch,
    #[error("{0}")]
    Envelope(&'static str),
}

/// Where the method stands, or what it is when it was written with escapes.
#[derive(Clone, Debug)]
enum Method {
    At(Range<usize>),
    Decoded(Box<str>),
}

impl Message {
    /// Reads the envelope. Members that occur twice or differ from a known one by case only are refused.
    pub(crate) fn parse(bytes: Bytes) -> Result<Self, Invalid> {
        check_depth(&bytes)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Invalid::Envelope("the body is not UTF-8"))?;
        if text.trim_start().starts_with('[') {
            return Err(Invalid::Batch);
        }
        let envelope = Object::read(text).map_err(Invalid::Json)?;
        if envelope.has_case_variant_of(&ENVELOPE) {
            return Err(Invalid::Envelope("a member differs from a known one by case only"));
        }
        if envelope.text("jsonrpc").as_deref() != Some("2.0") {
            return Err(Invalid::Envelope("`jsonrpc` must be \"2.0\""));
        }
        let find = |name| envelope.get(name).map_or(0..0, |raw| range(text, raw));
        let id = match envelope.get("id") {
            Some(raw) if is_id(raw) => range(text, raw),
            Some(null @ "null") if envelope.get("error").is_some() => range(text, null),
            Some(_) => return Err(Invalid::Envelope("`id` must be a string or a number")),
            None => 0..0,
        };
        let (kind, method) = match (envelope.get("method"), envelope.get("result"), envelope.get("error")) {
            (Some(method), None, None) => {
                let kind = if id.is_empty() { Kind::Notification } else { Kind::Request };
                (kind, Method::read(text, method)?)
            }
            (None, Some(_), None) if !id.is_empty() => (Kind::Result, Method::At(0..0)),
            (None, None, Some(_)) => (Kind::Error, Method::At(0..0)),
            _ => return Err(Invalid::Envelope("expected a request, a notification or a response")),
        };
        let params = find("params");
        let body = if kind == Kind::Result { find("result") } else { find("error") };
        Ok(Self { kind, id, method, params, body, bytes })
    }

    /// Reads the messages of an array. One that is wrong makes all of them wrong.
    pub(crate) fn parse_batch(bytes: &Bytes, max: usize) -> Result<Vec<Self>, Invalid> {
        check_depth(bytes)?;
        let text = std::str::from_utf8(bytes).map_err(|_| Invalid::Envelope("the body is not UTF-8"))?;
        let messages: Vec<&RawValue> = serde_json::from_str(text).map_err(Invalid::Json)?;
        if messages.is_empty() || messages.len() > max {
            return Err(Invalid::Envelope("a batch must not be empty, nor too long"));
        }
        let read = |raw: &&RawValue| match Self::parse(bytes.slice_ref(raw.get().as_bytes())) {
            // It is JSON, or the array would not have been.
            Err(Invalid::Json(_)) => Err(Invalid::Envelope("a batch must hold messages")),
            outcome => outcome,
        };
        messages.iter().map(read).collect()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The whole message as it came.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The raw id; empty for a notification and for an error that names none.
    pub(crate) fn id(&self) -> &str {
        match self.slice(&self.id) {
            "null" => "",
            id => id,
        }
    }

    pub(crate) fn method(&self) -> &str {
        match &self.method {
            Method::At(range) => self.slice(range),
            Method::Decoded(method) => method,
        }
    }

    /// The raw `params`; empty when there are none.
    pub(crate) fn params(&self) -> &str {
        self.slice(&self.params)
    }

    /// The raw `result` or `error` of a response.
    pub(crate) fn body(&self) -> &str {
        self.slice(&self.body)
    }

    /// The code of an error response.
    pub(crate) fn error_code(&self) -> Option<i32> {
        if self.kind == Kind::Error { Object::read(self.body()).ok()?.get("code")?.parse().ok() } else { None }
    }

    /// Where a first member can be put, as an empty slice of this very message.
    pub(crate) fn opening(&self) -> &str {
        let start = self.bytes.iter().position(|byte| *byte == b'{').map_or(0, |brace| brace + 1);
        self.slice(&(start..start))
    }

    /// The same message with another id, and with other replacements of slices of this very message.
    pub(crate) fn with_id(&self, id: &str, more: &[(&str, &str)]) -> Bytes {
        let mut edits = Vec::with_capacity(1 + more.len());
        let member;
        if self.id.is_empty() {
            // Only an error may lack an id; it gets one in front of its first member.
            member = format!("\"id\":{id},");
            edits.push((self.locate(self.opening()), member.as_str()));
        } else {
            edits.push((self.id.clone(), id));
        }
        edits.extend(more.iter().map(|(old, new)| (self.locate(old), *new)));
        self.splice(edits)
    }

    /// The same message with slices of it replaced.
    pub(crate) fn with(&self, replacements: &[(&str, &str)]) -> Bytes {
        self.splice(replacements.iter().map(|(old, new)| (self.locate(old), *new)).collect())
    }

    /// The same as [`Message::with`], as a message again. The replacements lie inside `params`, `result` or `error`, and
    /// each is one JSON value for another, so that nothing has to be read a second time.
    pub(crate) fn replaced(&self, replacements: &[(&str, &str)]) -> Self {
        let edits: Vec<(Range<usize>, &str)> = replacements.iter().map(|(old, new)| (self.locate(old), *new)).collect();
        let shift = |at: usize| {
            let before = edits.iter().filter(|(range, _)| range.start < at);
            before.fold(at, |at, (range, new)| at + new.len() - range.len())
        };
        let moved =
            |range: &Range<usize>| if range.is_empty() { range.clone() } else { shift(range.start)..shift(range.end) };
        let method = match &self.method {
            Method::At(range) => Method::At(moved(range)),
            Method::Decoded(method) => Method::Decoded(method.clone()),
        };
        let (id, params, body) = (moved(&self.id), moved(&self.params), moved(&self.body));
        Self { kind: self.kind, id, method, params, body, bytes: self.splice(edits) }
    }

    fn locate(&self, slice: &str) -> Range<usize> {
        let start = slice.as_ptr() as usize - self.bytes.as_ptr() as usize;
        start..start + slice.len()
    }

    fn splice(&self, mut edits: Vec<(Range<usize>, &str)>) -> Bytes {
        // An insertion comes before what is replaced at the same place.
        edits.sort_unstable_by_key(|(range, _)| (range.start, range.end));
        let added: usize = edits.iter().map(|(_, new)| new.len()).sum();
        let mut out = BytesMut::with_capacity(self.bytes.len() + added);
        let mut from = 0;
        for (range, new) in edits {
            out.put_slice(self.bytes.get(from..range.start).unwrap_or_default());
            out.put_slice(new.as_bytes());
            from = range.end;
        }
        out.put_slice(self.bytes.get(from..).unwrap_or_default());
        out.freeze()
    }

    fn slice(&self, range: &Range<usize>) -> &str {
        self.bytes.get(range.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl Method {
    fn read(text: &str, raw: &str) -> Result<Self, Invalid> {
        match object::text(raw) {
            Some(Cow::Borrowed(method)) => Ok(Self::At(range(text, method))),
            Some(Cow::Owned(method)) => Ok(Self::Decoded(method.into())),
            None => Err(Invalid::Envelope("`method` must be a string")),
        }
    }
}

/// A request that the gateway itself writes. `params` is raw JSON.
pub(crate) fn request(id: u64, method: &str, params: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#))
}

/// A response with a raw `result`.
pub(crate) fn result_response(id: &str, result: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

/// The same from bytes that are ready, copied once.
pub(crate) fn result_bytes(id: &str, result: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(id.len() + result.len() + 40);
    out.put_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.put_slice(id.as_bytes());
    out.put_slice(br#","result":"#);
    out.put_slice(result);
    out.put_slice(b"}");
    out.freeze()
}

/// A response with an error. An empty id becomes `null`; `data` is raw JSON or empty.
pub(crate) fn error_response(id: &str, code: i32, message: &str, data: &str) -> Bytes {
    let id = if id.is_empty() { "null" } else { id };
    let message = serde_json::Value::from(message);
    let data = if data.is_empty() { String::new() } else { format!(r#","data":{data}"#) };
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}{data}}}}}"#))
}

/// A response with an error to a request whose id is not known: left out, as later revisions want it.
pub(crate) fn anonymous_error(code: i32, message: &str) -> Bytes {
    let message = serde_json::Value::from(message);
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":{message}}}}}"#))
}

fn range(text: &str, slice: &str) -> Range<usize> {
    let start = slice.as_ptr() as usize - text.as_ptr() as usize;
    start..start + slice.len()
}

fn is_id(raw: &str) -> bool {
    raw.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
}

/// Counts open brackets outside texts. The JSON reader skips raw values without recursion and so has no limit.
fn check_depth(bytes: &[u8]) -> Result<(), Invalid> {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Invalid::Depth);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at += text_length(bytes.get(at..).unwrap_or_default()),
            _ => {}
        }
    }
    Ok(())
}

/// Bytes up to and with the closing quote.
fn text_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests;
