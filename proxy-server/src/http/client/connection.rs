//! One HTTP/1.1 connection, driven by the call that uses it: there is no task between a call and its socket.
//!
//! A request is written as one prepared piece. The head and the body of a response are slices of the receive buffer,
//! without copies.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::runtime::{Handle, Id};

use super::body::{BadBody, Body, Part};
use super::connect::Stream;
use super::head::{BadHead, Head};
use crate::http::write::Written;

/// Maximum number of body parts that are skipped to reuse a connection; beyond that it is closed.
const LONGEST_TAIL: usize = 64;
/// Minimum free space in the buffer for a read.
const LEAST_ROOM: usize = 2 * 1024;
/// Initial size of the receive buffer.
const FIRST_ROOM: usize = 8 * 1024;
/// Maximum size of the receive buffer.
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
    /// True if the connection is persistent.
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

/// The state of a connection for the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    /// The last response is incomplete.
    Later,
    Never,
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

    /// Sends a request and waits for the head of its response. On failure, `request` holds the number of bytes written.
    pub(super) async fn send(&mut self, request: &mut Written) -> Result<Head, Fault> {
        self.0.count = 0;
        poll_fn(|context| self.0.poll_head(context, request)).await
    }

    /// Returns the next part of the body; `None` at its end. If `is_mostly_silent`, no receive buffer is kept while it has
    /// to be waited for.
    pub(super) async fn part(&mut self, is_mostly_silent: bool) -> Result<Option<BytesMut>, Fault> {
        poll_fn(|context| {
            let part = self.0.poll_part(context);
            if part.is_pending() && is_mostly_silent {
                self.0.release();
            }
            part
        })
        .await
    }

    /// True if the connection is persistent.
    pub(super) fn keeps_open(&self) -> bool {
        self.0.keeps_open
    }

    /// Size of the receive buffer.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.0.received.capacity()
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
        // Data or an end of stream between two requests makes the connection unusable.
        let is_quiet = self.0.keeps_open && self.0.received.is_empty() && self.0.poll_fill(unheard).is_pending();
        if is_quiet { Readiness::Ready } else { Readiness::Never }
    }
}

impl Parts {
    /// Writes the rest of a request and reads the head of the response, which may arrive before everything is written.
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
        // Over TLS, written data may still be buffered.
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Returns the next part of the body; `None` at its end.
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

    /// Receives available bytes; 0 at the end of the connection.
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

    /// Frees the receive buffer if it is empty.
    fn release(&mut self) {
        if self.received.is_empty() {
            self.received = BytesMut::new();
        }
    }

    /// Reserves buffer space for the next response; reuses the allocation if no slice of it is alive.
    fn make_room(&mut self) {
        let most = self.count.next_power_of_two().min(MOST_ROOM);
        self.usual = self.usual.max(most);
        self.received.reserve(self.usual);
    }
}
