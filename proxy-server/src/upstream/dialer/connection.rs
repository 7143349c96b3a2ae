//! One HTTP/1.1 connection, driven by the call that uses it: there is no task between a call and its socket.
//!
//! A request is written as one prepared piece. The head and the body of a response are slices of the receive buffer,
//! without copies.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::BytesMut;
use http::header::{CONTENT_ENCODING, SET_COOKIE};
use http::{HeaderName, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::runtime::{Handle, Id};
use url::Url;

use super::DialError;
use super::body::{BadBody, Body, Part};
use super::coding::Decoder;
use super::connect::Stream;
use super::head::{BadHead, Content, Head};
use super::origin::Origin;
use crate::http1::Written;

/// How many parts of an unread body are skipped before the connection is closed instead.
const LONGEST_TAIL: usize = 64;
/// The least free space in the buffer for a read.
const LEAST_ROOM: usize = 2 * 1024;
/// The initial size of the receive buffer.
const FIRST_ROOM: usize = 8 * 1024;
/// The largest receive buffer; larger responses are received in several.
const MOST_ROOM: usize = 256 * 1024;

/// A connection, idle or with a request under way. Boxed, because it is large and moved often.
pub(super) struct Connection(Box<Parts>);

struct Parts {
    stream: Stream,
    /// Received bytes that are not parsed yet.
    received: BytesMut,
    /// Bytes received for the last request, and for the largest one.
    count: usize,
    usual: usize,
    /// The unread rest of the last response's body.
    body: Option<Body>,
    /// Whether the connection is persistent.
    keeps_open: bool,
    /// The idle time that the upstream announced.
    idle: Option<Duration>,
    /// The runtime that the socket is registered with; the connection cannot be used in another.
    runtime: Id,
}

/// An error of a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the connection was closed before the response had ended")]
    Closed,
    #[error(transparent)]
    Head(#[from] BadHead),
    #[error(transparent)]
    Body(#[from] BadBody),
}

/// Whether a connection can carry a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    /// The last response has not come to its end.
    Later,
    Never,
}

/// A response whose body is still to be read. Dropped before its end, it ends the connection.
pub(crate) struct Response {
    head: Head,
    /// Nothing once the body has come to its end.
    connection: Option<Connection>,
    origin: Arc<Origin>,
    /// Decodes the body, if it came compressed.
    decoder: Option<Box<Decoder>>,
    /// Where redirects led to, if there were any.
    moved_to: Option<Box<Url>>,
}

impl Connection {
    pub(super) fn open(stream: Stream) -> Self {
        Self(Box::new(Parts {
            stream,
            received: BytesMut::new(),
            count: 0,
            usual: FIRST_ROOM,
            body: None,
            keeps_open: true,
            idle: None,
            runtime: Handle::current().id(),
        }))
    }

    /// The idle time that the upstream announced.
    pub(super) fn idle(&self) -> Option<Duration> {
        self.0.idle
    }

    pub(super) fn runtime(&self) -> Id {
        self.0.runtime
    }

    /// Sends a request and waits for the head of its response. If that fails, `request` tells how much was written.
    pub(super) async fn send(mut self, request: &mut Written, origin: &Arc<Origin>) -> Result<Response, Fault> {
        self.0.count = 0;
        let head = poll_fn(|context| self.0.poll_head(context, request)).await?;
        Ok(Response { head, connection: Some(self), origin: Arc::clone(origin), decoder: None, moved_to: None })
    }

    /// Checks whether the connection can be used, after it has skipped the received rest of the last body.
    pub(super) fn settle(&mut self) -> Readiness {
        if self.0.received.is_empty() {
            self.0.make_room();
        }
        let mut parts = 0..LONGEST_TAIL;
        let unheard = &mut Context::from_waker(Waker::noop());
        while self.0.body.is_some() {
            match self.0.poll_part(unheard) {
                Poll::Ready(Ok(Some(_))) if parts.next().is_some() => {}
                Poll::Ready(Ok(None)) => break,
                Poll::Ready(Ok(Some(_)) | Err(_)) => return Readiness::Never,
                Poll::Pending => return Readiness::Later,
            }
        }
        // Anything that arrives between two requests, be it the end, makes the connection unusable.
        let is_quiet = self.0.keeps_open && self.0.received.is_empty() && self.0.poll_fill(unheard).is_pending();
        if is_quiet { Readiness::Ready } else { Readiness::Never }
    }
}

impl Parts {
    /// Writes what is left of a request, and reads the head of the response, which may come before all is written.
    fn poll_head(&mut self, context: &mut Context<'_>, left: &mut Written) -> Poll<Result<Head, Fault>> {
        let writing = self.poll_write(context, left);
        if let Poll::Ready(Err(error)) = writing
            && self.poll_fill(context).is_pending()
        {
            return Poll::Ready(Err(error.into()));
        }
        loop {
            if !self.received.is_empty()
                && let Some(mut head) = Head::take(&mut self.received)?
            {
                self.keeps_open = head.keeps_open && left.is_gone();
                self.idle = head.idle;
                self.body = Some(std::mem::replace(&mut head.body, Body::empty()));
                return Poll::Ready(Ok(head));
            }
            if ready!(self.poll_fill(context))? == 0 {
                return Poll::Ready(Err(Fault::Closed));
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, left: &mut Written) -> Poll<io::Result<()>> {
        ready!(left.poll_write(context, Pin::new(&mut self.stream)))?;
        // Over TLS, what was written may still be on its way.
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// The next part of the body; nothing at its end.
    fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<BytesMut>, Fault>> {
        while let Some(body) = &mut self.body {
            match body.take(&mut self.received)? {
                Part::Data(part) => return Poll::Ready(Ok(Some(part))),
                Part::End => self.body = None,
                Part::Missing => {
                    let ends = body.ends_with_connection();
                    match ready!(self.poll_fill(context))? {
                        0 if ends => self.body = None,
                        0 => return Poll::Ready(Err(Fault::Closed)),
                        _ => {}
                    }
                }
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Receives what has come; nothing at the end of the connection.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.received.capacity() - self.received.len() < LEAST_ROOM {
            let expected = self.body.as_ref().map_or(0, Body::expected);
            let expected = usize::try_from(expected).unwrap_or(MOST_ROOM);
            self.received.reserve(expected.max(self.usual).min(MOST_ROOM));
        }
        let count = ready!(pin!(self.stream.read_buf(&mut self.received)).poll(context))?;
        self.count += count;
        Poll::Ready(Ok(count))
    }

    /// Makes room for what comes next, in the same place where nobody uses what is there any more.
    fn make_room(&mut self) {
        let most = self.count.next_power_of_two().min(MOST_ROOM);
        self.usual = self.usual.max(most);
        self.received.reserve(self.usual);
    }
}

impl Response {
    pub(crate) fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Whether the body is a stream of events.
    pub(crate) fn has_events(&self) -> bool {
        self.head.content == Content::Events
    }

    /// Whether the body says that it is JSON.
    pub(crate) fn has_json(&self) -> bool {
        self.head.content == Content::Json
    }

    /// The value of a header field.
    pub(crate) fn field(&self, name: &HeaderName) -> Option<&[u8]> {
        self.head.field(name)
    }

    /// Returns whether the response needs no further treatment: no redirect, no cookies, no coding.
    pub(super) fn is_usual(&self) -> bool {
        !(self.head.sets_cookies || self.head.is_coded || self.head.status.is_redirection())
    }

    /// The values of its `Set-Cookie` fields.
    pub(super) fn cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.head.fields(&SET_COOKIE)
    }

    /// Sets up decoding if the body is coded, and records the address that redirects led to.
    pub(super) fn prepare(mut self, moved_to: Option<Url>, limit: usize) -> Self {
        if self.head.is_coded {
            let codings: Vec<_> = self.head.fields(&CONTENT_ENCODING).map(String::from_utf8_lossy).collect();
            self.decoder = Some(Box::new(Decoder::new(&codings.join(", "), self.has_events(), limit)));
        }
        self.moved_to = moved_to.map(Box::new);
        self
    }

    /// The address that redirects led to.
    pub(crate) fn moved_to(&self) -> Option<&Url> {
        self.moved_to.as_deref()
    }

    /// The next part of the body; nothing at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<BytesMut>, DialError> {
        if self.decoder.is_some() { Box::pin(self.decoded_chunk()).await } else { self.plain_chunk().await }
    }

    async fn plain_chunk(&mut self) -> Result<Option<BytesMut>, DialError> {
        let Some(connection) = &mut self.connection else { return Ok(None) };
        let part = poll_fn(|context| connection.0.poll_part(context)).await.map_err(DialError::Broken)?;
        if part.is_none() {
            self.keep();
        }
        Ok(part)
    }

    async fn decoded_chunk(&mut self) -> Result<Option<BytesMut>, DialError> {
        while let Some(chunk) = self.plain_chunk().await? {
            let Some(decoder) = &mut self.decoder else { return Ok(Some(chunk)) };
            let decoded = decoder.decode(&chunk).map_err(DialError::Undecodable)?;
            if !decoded.is_empty() {
                return Ok(Some(decoded));
            }
        }
        Ok(None)
    }

    /// Reads no further, and leaves the connection to other requests.
    pub(crate) fn finish(mut self) {
        self.keep();
    }

    fn keep(&mut self) {
        if let Some(connection) = self.connection.take_if(|connection| connection.0.keeps_open) {
            self.origin.keep(connection);
        }
    }
}
