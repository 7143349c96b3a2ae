//! One JSON-RPC message: the bytes as they arrived, and where in them the envelope's members lie.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;

use super::envelope::{Envelope, PARAMETERS};
use super::meta::OWN_NAMES;
use super::object::{Object, Picked};
use super::pieces::Pieces;
use super::scan::{MAX_DEPTH, Malformed, Scanner, text};

/// A message that is shorter is copied sooner than it is sent in pieces.
const LARGE: usize = 4 * 1024;

/// One message, cheap to clone. What the gateway does not understand stays as it came.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    text: ByteString,
    kind: Kind,
    id: Place,
    method: Method,
    params: Place,
    body: Place,
    glance: Option<Places>,
}

/// Where a slice of a message lies. Small, because a message is handed through many hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    start: u32,
    end: u32,
}

/// What was seen of `params` when the envelope was read.
pub(crate) struct Glance<'a> {
    /// The raw `name`.
    pub(crate) name: Option<&'a str>,
    /// The raw `_meta`.
    pub(crate) meta: Option<&'a str>,
    /// Its raw members of [`OWN_NAMES`], unless it has to be looked at more closely.
    pub(super) own: Option<Picked<'a, { OWN_NAMES.len() }>>,
}

/// Where that is; empty where it is not.
#[derive(Clone, Copy, Debug)]
struct Places {
    name: Place,
    meta: Place,
    own: Option<[Place; OWN_NAMES.len()]>,
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
    Json(#[source] Malformed),
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
    At(Place),
    Decoded(Box<str>),
}

impl Message {
    /// Reads the envelope. Members that occur twice or differ from a known one by case only are refused.
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
        let place = |raw: Option<&str>| raw.map_or(Place::default(), |raw| Place::of(&text, raw));
        let id = match envelope.id {
            Some(raw) if is_id(raw) => Place::of(&text, raw),
            Some(null @ "null") if envelope.error.is_some() => Place::of(&text, null),
            Some(_) => return Err(Invalid::Envelope("`id` must be a string or a number")),
            None => Place::default(),
        };
        let (kind, method) = match (envelope.method, envelope.result, envelope.error) {
            (Some(method), None, None) => {
                let kind = if id.is_empty() { Kind::Notification } else { Kind::Request };
                (kind, Method::read(&text, method)?)
            }
            (None, Some(_), None) if !id.is_empty() => (Kind::Result, Method::At(Place::default())),
            (None, None, Some(_)) => (Kind::Error, Method::At(Place::default())),
            _ => return Err(Invalid::Envelope("expected a request, a notification or a response")),
        };
        let params = place(envelope.params);
        let body = place(if kind == Kind::Result { envelope.result } else { envelope.error });
        let glance = envelope.glance.map(|seen| Places {
            name: place(seen.name),
            meta: place(seen.meta),
            own: seen.own.map(|own| own.map(place)),
        });
        Ok(Self { kind, id, method, params, body, glance, text })
    }

    /// Reads the messages of an array. One that is wrong makes all of them wrong.
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
            // It is JSON, or the array would not have been.
            Err(Invalid::Json(_)) => Err(Invalid::Envelope("a batch must hold messages")),
            outcome => outcome,
        };
        messages.iter().map(read).collect()
    }

    /// Reads each element of an array as a message and hands it over, valid or not. Fails at the first byte that is no
    /// JSON; what was read before it has been handed over by then.
    pub(crate) fn parse_each(bytes: &Bytes, mut take: impl FnMut(Result<Self, Invalid>)) -> Result<(), Invalid> {
        let text = utf8(bytes.clone())?;
        let mut scanner = Scanner::new(&text);
        scanner.array(|raw| {
            take(Self::parse(bytes.slice_ref(raw.as_bytes())));
            Ok(())
        })?;
        Ok(scanner.end()?)
    }

    /// Whether these bytes hold an array, which only 2025-03-26 allows in place of a message.
    pub(crate) fn is_batch(bytes: &[u8]) -> bool {
        bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The whole message as it came.
    pub(crate) fn bytes(&self) -> &Bytes {
        self.text.as_bytes()
    }

    /// The raw id; empty for a notification and for an error that names none.
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

    /// The raw `params`; empty when there are none.
    pub(crate) fn params(&self) -> &str {
        self.slice(self.params)
    }

    /// What was seen of `params` in passing; nothing where they have to be looked at more closely, because they are no
    /// object, hold a member twice, or hold one that only nearly has a name that matters.
    pub(crate) fn glance(&self) -> Option<Glance<'_>> {
        let found = |place: Place| (!place.is_empty()).then(|| self.slice(place));
        self.glance.as_ref().map(|seen| Glance {
            name: found(seen.name),
            meta: found(seen.meta),
            own: seen.own.map(|own| own.map(found)),
        })
    }

    /// Whether `params`, or the `_meta` in it, hold a member that some reader could take for one that the gateway goes by.
    pub(crate) fn has_case_variants(&self) -> bool {
        if self.glance.as_ref().is_some_and(|seen| seen.meta.is_empty() || seen.own.is_some()) {
            return false;
        }
        let Ok(params) = Object::read(self.params()) else { return false };
        let meta = params.get("_meta").and_then(|meta| Object::read(meta).ok());
        params.has_case_variant_of(&PARAMETERS) || meta.is_some_and(|meta| meta.has_case_variant_of(&OWN_NAMES))
    }

    /// A raw member of `params`.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        match (self.glance(), name) {
            (Some(seen), "name") => seen.name,
            (Some(seen), "_meta") => seen.meta,
            _ => Object::read(self.params()).ok()?.get(name),
        }
    }

    /// The raw `params._meta`.
    pub(crate) fn meta(&self) -> Option<&str> {
        self.parameter("_meta")
    }

    /// The raw members of `params._meta` that are [`OWN_NAMES`], in that order; nothing if it is no object, or holds a member
    /// twice.
    pub(super) fn own_meta(&self) -> Option<Picked<'_, { OWN_NAMES.len() }>> {
        match self.glance() {
            Some(Glance { own: Some(own), .. }) => Some(own),
            Some(_) | None => Object::pick(self.meta()?, OWN_NAMES).ok(),
        }
    }

    /// The raw `result` or `error` of a response.
    pub(crate) fn body(&self) -> &str {
        self.slice(self.body)
    }

    /// The code of an error response.
    pub(crate) fn error_code(&self) -> Option<i32> {
        if self.kind == Kind::Error { Object::read(self.body()).ok()?.get("code")?.parse().ok() } else { None }
    }

    /// Where a first member can be put, as an empty slice of this very message.
    pub(crate) fn opening(&self) -> &str {
        let start = self.text.find('{').map_or(0, |brace| brace + 1);
        self.text.get(start..start).unwrap_or_default()
    }

    /// The same message with another id. A large one is not copied.
    pub(crate) fn pieces_with_id(&self, id: &str) -> Pieces {
        let bytes = self.bytes();
        if self.id.is_empty() || bytes.len() < LARGE {
            return self.with_id(id, &[]).into();
        }
        let id_place = self.id.range();
        let (before, after) = (bytes.slice(..id_place.start), bytes.slice(id_place.end..));
        Pieces::new([before, Bytes::copy_from_slice(id.as_bytes()), after])
    }

    /// The same message with another id, and with other replacements of slices of this very message.
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
            // Only an error may lack an id; it gets one in front of its first member.
            member = format!("\"id\":{id},");
            edits.push((self.locate(self.opening()), member.as_str()));
        } else {
            edits.push((self.id, id));
        }
        edits.extend(more.iter().map(|(old, new)| (self.locate(old), *new)));
        self.splice(edits).into()
    }

    /// The same message with slices of it replaced.
    pub(crate) fn with(&self, replacements: &[(&str, &str)]) -> Bytes {
        self.splice(replacements.iter().map(|(old, new)| (self.locate(old), *new)).collect()).into()
    }

    /// The same as [`Message::with`], as a message again. The replacements lie inside `params`, `result` or `error`, and
    /// each is one JSON value for another, so that nothing has to be read a second time.
    pub(crate) fn replaced(&self, replacements: &[(&str, &str)]) -> Self {
        let edits: Vec<(Place, &str)> = replacements.iter().map(|(old, new)| (self.locate(old), *new)).collect();
        let shift = |at: u32| {
            let before = edits.iter().filter(|(place, _)| place.start < at);
            before.fold(at, |at, (place, new)| at + offset(new.len()) - place.len())
        };
        let moved = |place: Place| {
            if place.is_empty() { place } else { Place { start: shift(place.start), end: shift(place.end) } }
        };
        let method = match &self.method {
            Method::At(place) => Method::At(moved(*place)),
            Method::Decoded(method) => Method::Decoded(method.clone()),
        };
        let (id, params, body) = (moved(self.id), moved(self.params), moved(self.body));
        // Inside of `params`, their members stay what they are.
        let stays = edits.iter().all(|(place, _)| place.start > self.params.start);
        let glance = self.glance.filter(|_| stays);
        let glance = glance.map(|seen| {
            let is_beside = |(place, _): &(Place, &str)| place.end <= seen.meta.start || place.start >= seen.meta.end;
            let own = seen.own.filter(|_| edits.iter().all(is_beside)).map(|own| own.map(moved));
            Places { name: moved(seen.name), meta: moved(seen.meta), own }
        });
        Self { kind: self.kind, id, method, params, body, glance, text: self.splice(edits).into() }
    }

    fn locate(&self, slice: &str) -> Place {
        Place::of(&self.text, slice)
    }

    fn splice(&self, mut edits: Vec<(Place, &str)>) -> String {
        // An insertion comes before what is replaced at the same place.
        edits.sort_unstable_by_key(|(place, _)| *place);
        let added: usize = edits.iter().map(|(_, new)| new.len()).sum();
        let removed: usize = edits.iter().map(|(place, _)| place.range().len()).sum();
        let mut out = String::with_capacity(self.text.len() + added - removed);
        let mut last = Place::default();
        for (place, new) in edits {
            out.push_str(self.slice(Place { start: last.end, end: place.start }));
            out.push_str(new);
            last = place;
        }
        out.push_str(self.after(last));
        out
    }

    fn slice(&self, place: Place) -> &str {
        self.text.get(place.range()).unwrap_or_default()
    }

    fn before(&self, place: Place) -> &str {
        self.text.get(..place.range().start).unwrap_or_default()
    }

    fn after(&self, place: Place) -> &str {
        self.text.get(place.range().end..).unwrap_or_default()
    }
}

impl Place {
    /// Where this slice of a text lies in it.
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

/// A place in a message, none of which is larger.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl From<Malformed> for Invalid {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Depth => Self::Depth,
            Malformed::Syntax(_) | Malformed::Twice | Malformed::TooMany => Self::Json(malformed),
        }
    }
}

impl Method {
    fn read(text: &str, raw: &str) -> Result<Self, Invalid> {
        match self::text(raw) {
            Some(Cow::Borrowed(method)) => Ok(Self::At(Place::of(text, method))),
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

/// The same from bytes that are ready, which are not copied.
pub(crate) fn result_pieces(id: &str, result: &Bytes) -> Pieces {
    let before = Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"#));
    Pieces::new([before, result.clone(), Bytes::from_static(b"}")])
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

fn utf8(bytes: Bytes) -> Result<ByteString, Invalid> {
    ByteString::try_from(bytes).map_err(|_| Invalid::Envelope("the body is not UTF-8"))
}

fn is_id(raw: &str) -> bool {
    raw.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
}

#[cfg(test)]
mod tests;
