//! One JSON-RPC message: its bytes as they arrived, with the offsets of the envelope's members.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;

use super::envelope::{Envelope, PARAMETERS, PreparedParams};
use super::invalid::Invalid;
use super::keys::OWN_NAMES;
use super::object::{MemberValues, Object};
use super::scan::{Scanner, text};
use crate::pieces::Pieces;

/// Minimum size in bytes for sending a message in pieces; smaller ones are cheaper to copy.
const LARGE: usize = 4 * 1024;

/// A message; cheap to clone. Unknown members stay as they arrived.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    text: ByteString,
    kind: Kind,
    id: Span,
    method: Method,
    params: Span,
    body: Span,
    prepared: Option<ParamSpans>,
}

/// The position of a slice in a message. 32 bits each, because messages are moved often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    start: u32,
    end: u32,
}

/// The positions of a [`PreparedParams`]; empty for absent members.
#[derive(Clone, Copy, Debug)]
struct ParamSpans {
    name: Span,
    meta: Span,
    own: Option<[Span; OWN_NAMES.len()]>,
}

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Notification,
    /// A response with a `result`.
    Result,
    /// A response with an `error`.
    Error,
}

/// The position of the method, or the decoded method if it was written with escapes.
#[derive(Clone, Debug)]
enum Method {
    At(Span),
    Decoded(Box<str>),
}

impl Message {
    /// Parses the envelope. Refuses members that occur twice or differ from a known one by case only.
    pub(crate) fn parse(bytes: Bytes) -> Result<Self, Invalid> {
        let text = utf8(bytes)?;
        if u32::try_from(text.len()).is_err() {
            return Err(Invalid::Envelope("the message is larger than 4 GiB"));
        }
        if Scanner::new(&text).peek() == Some(b'[') {
            return Err(Invalid::Batch);
        }
        let envelope = Envelope::read(&text)?;
        if envelope.has_case_variants {
            return Err(Invalid::Envelope("a member differs from a known one by case only"));
        }
        if envelope.jsonrpc.and_then(self::text).as_deref() != Some("2.0") {
            return Err(Invalid::Envelope("`jsonrpc` must be \"2.0\""));
        }
        let place = |raw: Option<&str>| raw.map_or(Span::default(), |raw| Span::of(&text, raw));
        let id = match envelope.id {
            Some(raw) if is_id(raw) => Span::of(&text, raw),
            Some(null @ "null") if envelope.error.is_some() => Span::of(&text, null),
            Some(_) => return Err(Invalid::Envelope("`id` must be a string or a number")),
            None => Span::default(),
        };
        let (kind, method) = match (envelope.method, envelope.result, envelope.error) {
            (Some(method), None, None) => {
                let kind = if id.is_empty() { Kind::Notification } else { Kind::Request };
                (kind, Method::read(&text, method)?)
            }
            (None, Some(_), None) if !id.is_empty() => (Kind::Result, Method::At(Span::default())),
            (None, None, Some(_)) => (Kind::Error, Method::At(Span::default())),
            _ => return Err(Invalid::Envelope("expected a request, a notification or a response")),
        };
        let params = place(envelope.params);
        let body = place(if kind == Kind::Result { envelope.result } else { envelope.error });
        let prepared = envelope.prepared.map(|seen| ParamSpans {
            name: place(seen.name),
            meta: place(seen.meta),
            own: seen.own.map(|own| own.map(place)),
        });
        Ok(Self { kind, id, method, params, body, prepared, text })
    }

    /// Parses the messages of an array. One invalid message makes the whole batch invalid.
    pub(crate) fn parse_batch(bytes: &Bytes, max: usize) -> Result<Vec<Self>, Invalid> {
        let text = utf8(bytes.clone())?;
        let mut messages = Vec::new();
        let mut scanner = Scanner::new(&text);
        let read = scanner.array(|raw| {
            messages.push(raw);
            Ok(())
        });
        read.and_then(|()| scanner.end())?;
        if messages.is_empty() || messages.len() > max {
            return Err(Invalid::Envelope("a batch must not be empty, nor too long"));
        }
        let read = |raw: &&str| match Self::parse(bytes.slice_ref(raw.as_bytes())) {
            // The array has been read, so the element is valid JSON.
            Err(Invalid::Json(_)) => Err(Invalid::Envelope("a batch must hold messages")),
            outcome => outcome,
        };
        messages.iter().map(read).collect()
    }

    /// Parses each element of an array and passes it to `take`, valid or not. Fails at the first byte that is not JSON;
    /// the elements before it have been passed on by then.
    pub(crate) fn parse_each(bytes: &Bytes, mut take: impl FnMut(Result<Self, Invalid>)) -> Result<(), Invalid> {
        let text = utf8(bytes.clone())?;
        let mut scanner = Scanner::new(&text);
        scanner.array(|raw| {
            take(Self::parse(bytes.slice_ref(raw.as_bytes())));
            Ok(())
        })?;
        Ok(scanner.end()?)
    }

    /// True if the bytes hold an array, which only 2025-03-26 allows instead of a message.
    pub(crate) fn is_batch(bytes: &[u8]) -> bool {
        bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the whole message as it arrived.
    pub(crate) fn bytes(&self) -> &Bytes {
        self.text.as_bytes()
    }

    /// Returns the raw id; empty for a notification, and for an error without an id.
    pub(crate) fn id(&self) -> &str {
        match self.slice(self.id) {
            "null" => "",
            id => id,
        }
    }

    pub(crate) fn method(&self) -> &str {
        match &self.method {
            Method::At(place) => self.slice(*place),
            Method::Decoded(method) => method,
        }
    }

    /// Returns the raw `params`; empty if there are none.
    pub(crate) fn params(&self) -> &str {
        self.slice(self.params)
    }

    /// Returns the members of `params` that were found while the envelope was read. `None` if `params` need a full
    /// parse, because they are not an object, or contain a duplicate or a case variant of a known member.
    pub(crate) fn prepared_params(&self) -> Option<PreparedParams<'_>> {
        let found = |place: Span| (!place.is_empty()).then(|| self.slice(place));
        self.prepared.as_ref().map(|seen| PreparedParams {
            name: found(seen.name),
            meta: found(seen.meta),
            own: seen.own.map(|own| own.map(found)),
        })
    }

    /// True if `params` or its `_meta` contain a case variant of a member that the gateway reads.
    pub(crate) fn has_case_variants(&self) -> bool {
        if self.prepared.as_ref().is_some_and(|seen| seen.meta.is_empty() || seen.own.is_some()) {
            return false;
        }
        let Ok(params) = Object::read(self.params()) else { return false };
        let meta = params.get("_meta").and_then(|meta| Object::read(meta).ok());
        params.has_case_variant_of(&PARAMETERS) || meta.is_some_and(|meta| meta.has_case_variant_of(&OWN_NAMES))
    }

    /// Returns a raw member of `params`.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        match (self.prepared_params(), name) {
            (Some(seen), "name") => seen.name,
            (Some(seen), "_meta") => seen.meta,
            _ => Object::read(self.params()).ok()?.get(name),
        }
    }

    /// Returns the raw `params._meta`.
    pub(crate) fn meta(&self) -> Option<&str> {
        self.parameter("_meta")
    }

    /// Returns the raw members of `params._meta` listed in [`OWN_NAMES`], in that order; `None` if it is not an object,
    /// or contains a member twice.
    pub(super) fn own_meta(&self) -> Option<MemberValues<'_, { OWN_NAMES.len() }>> {
        match self.prepared_params() {
            Some(PreparedParams { own: Some(own), .. }) => Some(own),
            Some(_) | None => Object::pick(self.meta()?, OWN_NAMES).ok(),
        }
    }

    /// Returns the raw `result` or `error` of a response.
    pub(crate) fn body(&self) -> &str {
        self.slice(self.body)
    }

    /// Returns the code of an error response.
    pub(crate) fn error_code(&self) -> Option<i32> {
        if self.kind == Kind::Error { Object::read(self.body()).ok()?.get("code")?.parse().ok() } else { None }
    }

    /// Returns an empty slice of this message at the position for a new first member.
    pub(crate) fn opening(&self) -> &str {
        let start = self.text.find('{').map_or(0, |brace| brace + 1);
        self.text.get(start..start).unwrap_or_default()
    }

    /// Replaces the id. A large message is not copied.
    pub(crate) fn pieces_with_id(&self, id: &str) -> Pieces {
        let bytes = self.bytes();
        if self.id.is_empty() || bytes.len() < LARGE {
            return self.with_id(id, &[]).into();
        }
        let id_place = self.id.range();
        let (before, after) = (bytes.slice(..id_place.start), bytes.slice(id_place.end..));
        Pieces::new([before, Bytes::copy_from_slice(id.as_bytes()), after])
    }

    /// Replaces the id and slices of this message.
    pub(crate) fn with_id(&self, id: &str, more: &[(&str, &str)]) -> Bytes {
        if !self.id.is_empty() && more.is_empty() {
            let (before, after) = (self.before(self.id), self.after(self.id));
            let mut out = String::with_capacity(before.len() + id.len() + after.len());
            [before, id, after].into_iter().for_each(|part| out.push_str(part));
            return out.into();
        }
        let mut edits = Vec::with_capacity(1 + more.len());
        let member;
        if self.id.is_empty() {
            // Only an error may lack an id; insert one before its first member.
            member = format!("\"id\":{id},");
            edits.push((self.locate(self.opening()), member.as_str()));
        } else {
            edits.push((self.id, id));
        }
        edits.extend(more.iter().map(|(old, new)| (self.locate(old), *new)));
        self.splice(edits).into()
    }

    /// Replaces slices of this message.
    pub(crate) fn with(&self, replacements: &[(&str, &str)]) -> Bytes {
        self.splice(replacements.iter().map(|(old, new)| (self.locate(old), *new)).collect()).into()
    }

    /// Like [`Message::with`], but returns a message. Each replacement exchanges one JSON value for another inside
    /// `params`, `result` or `error`, so the envelope is not parsed again.
    pub(crate) fn replaced(&self, replacements: &[(&str, &str)]) -> Self {
        let edits: Vec<(Span, &str)> = replacements.iter().map(|(old, new)| (self.locate(old), *new)).collect();
        let shift = |at: u32| {
            let before = edits.iter().filter(|(place, _)| place.start < at);
            before.fold(at, |at, (place, new)| at + offset(new.len()) - place.len())
        };
        let moved = |place: Span| {
            if place.is_empty() { place } else { Span { start: shift(place.start), end: shift(place.end) } }
        };
        let method = match &self.method {
            Method::At(place) => Method::At(moved(*place)),
            Method::Decoded(method) => Method::Decoded(method.clone()),
        };
        let (id, params, body) = (moved(self.id), moved(self.params), moved(self.body));
        // Edits inside `params` keep its set of members.
        let stays = edits.iter().all(|(place, _)| place.start > self.params.start);
        let prepared = self.prepared.filter(|_| stays);
        let prepared = prepared.map(|seen| {
            let is_beside = |(place, _): &(Span, &str)| place.end <= seen.meta.start || place.start >= seen.meta.end;
            let own = seen.own.filter(|_| edits.iter().all(is_beside)).map(|own| own.map(moved));
            ParamSpans { name: moved(seen.name), meta: moved(seen.meta), own }
        });
        Self { kind: self.kind, id, method, params, body, prepared, text: self.splice(edits).into() }
    }

    /// Copies the message into memory of its own, for a message that is kept: a slice would keep the whole receive
    /// buffer that it arrived in.
    pub(crate) fn compact(self) -> Self {
        Self { text: ByteString::from(&*self.text), ..self }
    }

    fn locate(&self, slice: &str) -> Span {
        Span::of(&self.text, slice)
    }

    fn splice(&self, mut edits: Vec<(Span, &str)>) -> String {
        // An insertion sorts before a replacement at the same position.
        edits.sort_unstable_by_key(|(place, _)| *place);
        let added: usize = edits.iter().map(|(_, new)| new.len()).sum();
        let removed: usize = edits.iter().map(|(place, _)| place.range().len()).sum();
        let mut out = String::with_capacity(self.text.len() + added - removed);
        let mut last = Span::default();
        for (place, new) in edits {
            out.push_str(self.slice(Span { start: last.end, end: place.start }));
            out.push_str(new);
            last = place;
        }
        out.push_str(self.after(last));
        out
    }

    fn slice(&self, place: Span) -> &str {
        self.text.get(place.range()).unwrap_or_default()
    }

    fn before(&self, place: Span) -> &str {
        self.text.get(..place.range().start).unwrap_or_default()
    }

    fn after(&self, place: Span) -> &str {
        self.text.get(place.range().end..).unwrap_or_default()
    }
}

impl Span {
    /// Returns the position of a slice in its text.
    fn of(text: &str, slice: &str) -> Self {
        let start = offset(slice.as_ptr() as usize - text.as_ptr() as usize);
        Self { start, end: start + offset(slice.len()) }
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    fn len(self) -> u32 {
        self.end - self.start
    }

    fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Converts an offset; messages are smaller than 4 GiB.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Method {
    fn read(text: &str, raw: &str) -> Result<Self, Invalid> {
        match self::text(raw) {
            Some(Cow::Borrowed(method)) => Ok(Self::At(Span::of(text, method))),
            Some(Cow::Owned(method)) => Ok(Self::Decoded(method.into())),
            None => Err(Invalid::Envelope("`method` must be a string")),
        }
    }
}

/// Builds a request of the gateway's own. `params` is raw JSON.
pub(crate) fn request(id: u64, method: &str, params: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#))
}

/// Builds a response with a raw `result`.
pub(crate) fn result_response(id: &str, result: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

/// Builds a response from ready bytes without copying them.
pub(crate) fn result_pieces(id: &str, result: &Bytes) -> Pieces {
    let before = Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"#));
    Pieces::new([before, result.clone(), Bytes::from_static(b"}")])
}

/// Builds an error response. An empty id becomes `null`; `data` is raw JSON or empty.
pub(crate) fn error_response(id: &str, code: i32, message: &str, data: &str) -> Bytes {
    let id = if id.is_empty() { "null" } else { id };
    let message = serde_json::Value::from(message);
    let data = if data.is_empty() { String::new() } else { format!(r#","data":{data}"#) };
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}{data}}}}}"#))
}

/// Builds an error response without an id, as later revisions require if the request's id is unknown.
pub(crate) fn anonymous_error(code: i32, message: &str) -> Bytes {
    let message = serde_json::Value::from(message);
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":{message}}}}}"#))
}

fn utf8(bytes: Bytes) -> Result<ByteString, Invalid> {
    ByteString::try_from(bytes).map_err(|_| Invalid::Envelope("the body is not UTF-8"))
}

fn is_id(raw: &str) -> bool {
    raw.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
}

#[cfg(test)]
mod tests;
