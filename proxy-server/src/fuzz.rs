//! Entry points to parsers for the fuzz targets in `tests/fuzz/`. Compiled with `--cfg fuzzing` only.

use std::mem::MaybeUninit;
use std::time::Duration;

use bytes::BytesMut;
use http::HeaderName;

use crate::http::client::body::Part;
use crate::http::client::head::Head;
use crate::http::event_stream::Decoder;
use crate::http::server::request_head::{self, NotFast};

/// Head of a request that the fast path of the server accepts.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// Method in upper case.
    pub method: String,
    /// Target as it was sent.
    pub path: String,
    /// Names and values in the order in which they were sent.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Length of the head.
    pub head_bytes: usize,
    /// Length of the body.
    pub body_bytes: usize,
}

/// Reason why the fast path does not accept the head of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum NotAccepted {
    /// It waits for more bytes.
    Incomplete,
    /// It leaves the request to hyper.
    LeftToHyper,
}

/// Response of an upstream, as far as it was received.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Values of the header fields that were asked for.
    pub fields: Vec<Vec<Vec<u8>>>,
    /// Body without its framing.
    pub body: Vec<u8>,
    /// End of the body.
    pub end: End,
}

/// End of a response.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The body is complete, and this many bytes follow it.
    Complete(usize),
    /// The body is complete because the connection has ended.
    WithConnection,
    /// The connection ended within the body.
    Early,
    /// The body is not framed as announced.
    Invalid,
}

/// Event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Type of the event; empty for `message`.
    pub name: String,
    /// Data with its lines joined.
    pub data: Vec<u8>,
    /// Time to wait before the stream is opened again.
    pub retry: Option<Duration>,
    /// Last id when the event was dispatched.
    pub last_id: Option<String>,
}

/// Reads the head of a request as the fast path of the server does.
pub fn request_head(text: &[u8]) -> Result<RequestHead, NotAccepted> {
    let mut slots = [const { MaybeUninit::uninit() }; request_head::MAX_FIELDS];
    let (head, head_bytes) = request_head::read(text, &mut slots).map_err(|reason| match reason {
        NotFast::Incomplete => NotAccepted::Incomplete,
        NotFast::Other => NotAccepted::LeftToHyper,
    })?;
    let fields = head.fields.iter().map(|field| (field.name.to_owned(), field.value.to_vec()));
    let (method, path) = (head.method.to_string(), head.path.to_owned());
    Ok(RequestHead { method, path, fields: fields.collect(), head_bytes, body_bytes: head.length })
}

/// Reads a response that arrives in pieces, then the end of the connection. Returns `None` if its head is invalid or
/// incomplete.
pub fn response<'a>(mut pieces: impl Iterator<Item = &'a [u8]>, names: &[HeaderName]) -> Option<Response> {
    let mut received = BytesMut::new();
    let mut head = loop {
        match Head::take(&mut received).ok()? {
            Some(head) => break head,
            None => received.extend_from_slice(pieces.next()?),
        }
    };
    let mut data = Vec::new();
    let end = loop {
        match head.body.take(&mut received) {
            Ok(Part::Data(part)) => data.extend_from_slice(&part),
            Ok(Part::End) => break End::Complete(received.len() + pieces.map(<[u8]>::len).sum::<usize>()),
            Ok(Part::Missing) => match pieces.next() {
                Some(piece) => received.extend_from_slice(piece),
                None if head.body.ends_with_connection() => break End::WithConnection,
                None => break End::Early,
            },
            Err(_) => break End::Invalid,
        }
    };
    let fields = names.iter().map(|name| head.fields(name).map(<[u8]>::to_vec).collect());
    Some(Response { status: head.status.as_u16(), fields: fields.collect(), body: data, end })
}

/// Reads the events of a stream that arrives in pieces; `None` stands for an event over the limit.
pub fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: usize) -> Vec<Option<Event>> {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece.into());
        loop {
            let last_id = |decoder: &Decoder| decoder.last_id().map(str::to_owned);
            match decoder.next_event() {
                Ok(Some(event)) => events.push(Some(Event {
                    name: event.name,
                    data: event.data.to_vec(),
                    retry: event.retry,
                    last_id: last_id(&decoder),
                })),
                Ok(None) => break,
                Err(_) => events.push(None),
            }
        }
    }
    events
}
