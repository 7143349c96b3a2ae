//! One connection of a client.
//!
//! Nearly every request is a POST with `Content-Length` to the shortest form of an endpoint's path. The fast path reads
//! and answers those requests and the DELETEs of their sessions, with little overhead between the socket and the
//! service. The first other request hands the connection over to hyper for good, and so does a response of unknown
//! length.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::body::{BodyError, MAX_RESERVED};
use super::drain::{Drain, Unanswered};
use super::handover::{HandedOver, hand_over};
use super::idle::IdleWatch;
use super::linger::{self, HALF_CLOSED, MAX_BUFFER_BYTES};
use super::request_head::{self, MAX_FIELDS, MAX_HEAD_BYTES, NotFast};
use super::response_head::{Persistence, put_head};
use super::service::{Admission, Admitted, Peer, Reply, Service};
use super::stream::Stream;
use super::write_timeout::WriteTimeout;
use crate::http::write::Written;
use crate::tasks::{Wait, wait_until};

/// Maximum rest of a refused request, in bytes, after which the connection continues.
const SHORT_REST: usize = 64 * 1024;
/// Initial size of the receive buffer.
const FIRST_ROOM: usize = MAX_HEAD_BYTES;
/// Minimum free space in the receive buffer for a read.
const LEAST_ROOM: usize = 2 * 1024;

/// Timeout for closing the gateway's direction of a connection.
const FAREWELL: Duration = Duration::from_secs(1);

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Connection with its buffers. At least one of `ahead` and `received` is empty.
pub(crate) struct Connection<S, T> {
    stream: T,
    peer: Peer,
    service: Arc<S>,
    /// Bytes received together with the last request, behind it.
    ahead: Bytes,
    /// Bytes received and not yet parsed.
    received: BytesMut,
    /// Length of the last request in bytes.
    last: usize,
    /// Buffer for the heads of responses.
    head_room: Vec<u8>,
}

/// Continuation of the connection after a request.
enum Next {
    Request,
    /// Hand-over to hyper: of a request that is still to be read, or of a response.
    HandOver(Option<Response>),
    End,
}

impl<S: Service, T: Stream> Connection<S, T> {
    pub(crate) fn new(stream: T, peer: Peer, service: Arc<S>) -> Self {
        let (ahead, received, head_room) = (Bytes::new(), BytesMut::new(), Vec::new());
        Self { stream, peer, service, ahead, received, last: FIRST_ROOM, head_room }
    }

    /// Answers requests until the connection ends. While the gateway drains, the next response is the last.
    pub(crate) async fn serve(mut self, drain: &Drain, unanswered: Unanswered) {
        let peer = self.peer.peer;
        let limits = self.service.limits();
        let mut idle = IdleWatch::new(drain, unanswered, limits.idle_timeout);
        // Both futures are boxed, so that this one stays small.
        let next = match limits.has_fast_path {
            true => Box::pin(self.serve_fast(&mut idle)).await,
            false => Ok(Next::HandOver(None)),
        };
        let ended = match next {
            Ok(Next::HandOver(answer)) => Box::pin(hand_over(self.handed_over(answer), idle)).await,
            Ok(Next::Request | Next::End) => {
                // Over TLS this says that nothing was cut off (RFC 8446, 6.1).
                drop(timeout(FAREWELL, self.stream.shutdown()).await);
                Ok(())
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = ended {
            debug!(%error, %peer, "connection ended");
        }
    }

    fn handed_over(self, answer: Option<Response>) -> HandedOver<S, T> {
        let Self { stream, peer, service, ahead, received, .. } = self;
        HandedOver { stream, peer, service, received: [ahead, received.freeze()], answer }
    }

    /// Answers requests up to the first one that is not for the fast path.
    async fn serve_fast(&mut self, idle: &mut IdleWatch<'_>) -> io::Result<Next> {
        loop {
            match self.exchange(idle).await? {
                Next::Request => {}
                next => return Ok(next),
            }
        }
    }

    /// Reads a request and answers it.
    async fn exchange(&mut self, idle: &mut IdleWatch<'_>) -> io::Result<Next> {
        let text = match std::mem::take(&mut self.ahead) {
            ahead if !ahead.is_empty() => ahead,
            _ if self.received.is_empty() && !self.receive(idle).await? => return Ok(Next::End),
            _ => self.received.split().freeze(),
        };
        let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let (head, head_bytes) = match request_head::read(&text, &mut slots) {
            Ok(read) => read,
            Err(NotFast::Incomplete) => {
                self.put_back(text);
                return Ok(if self.receive(idle).await? { Next::Request } else { Next::End });
            }
            Err(NotFast::Other) => {
                self.put_back(text);
                return Ok(Next::HandOver(None));
            }
        };
        let end = head_bytes.saturating_add(head.length);
        let admission = self.service.admit(self.peer, head);
        if matches!(admission, Admission::NotFast) {
            drop(admission);
            self.put_back(text);
            return Ok(Next::HandOver(None));
        }
        if text.len() < end {
            return match admission {
                Admission::Refused(refusal) => self.refuse(refusal, end - text.len(), idle.persistence()).await,
                admission => {
                    drop(admission);
                    self.read_on(text, end).await
                }
            };
        }
        idle.request_received();
        self.consume(&text, end);
        let reply = match admission {
            Admission::Accepted(admitted) => self.run(admitted.answer(text.slice(head_bytes..end))).await,
            Admission::Refused(refusal) => Some(refusal),
            Admission::NotFast => None,
        };
        self.finish(reply, idle).await
    }

    /// Keeps the bytes behind a complete request, which ends at `end`.
    fn consume(&mut self, text: &Bytes, end: usize) {
        self.last = end;
        self.ahead = text.slice(end..);
        if text.len() > MAX_BUFFER_BYTES {
            // Do not keep such a large buffer for the next request.
            self.received = BytesMut::new();
        }
    }

    /// Waits for the response. Returns `None` if the client disconnects, and so needs none.
    async fn run(&mut self, answering: impl Future<Output = Reply>) -> Option<Reply> {
        let (stream, received, is_last) = (&mut self.stream, &mut self.received, self.ahead.is_empty());
        let (mut answering, mut grace) = (pin!(answering), None);
        poll_fn(|context| match answering.as_mut().poll(context) {
            Poll::Ready(reply) => Poll::Ready(Some(reply)),
            Poll::Pending if is_last => poll_end((stream, received), &mut grace, context).map(|()| None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Writes the response to a complete request.
    async fn finish(&mut self, reply: Option<Reply>, idle: &mut IdleWatch<'_>) -> io::Result<Next> {
        let Some(reply) = reply else { return Ok(Next::End) };
        let next = self.answer(reply, idle.persistence()).await?;
        if !matches!(next, Next::HandOver(_)) {
            drop(idle.take_unanswered());
        }
        Ok(next)
    }

    /// Moves parsed bytes back to `received`. Copies them only if something else refers to them.
    fn put_back(&mut self, text: Bytes) {
        self.received = BytesMut::new();
        self.received = text.into();
    }

    /// Waits for bytes from the client. Returns true if any came.
    async fn receive(&mut self, idle: &mut IdleWatch<'_>) -> io::Result<bool> {
        let is_first = self.received.is_empty();
        let room = self.last.next_power_of_two().clamp(FIRST_ROOM, MAX_BUFFER_BYTES);
        self.received.reserve(if is_first { room } else { LEAST_ROOM });
        poll_fn(|context| {
            if let Poll::Ready(count) = pin!(self.stream.read_buf(&mut self.received)).poll(context)? {
                if is_first {
                    idle.request_began();
                }
                return Poll::Ready(Ok(count > 0));
            }
            // Empty lines may precede a request (RFC 9112, 2.2).
            let is_quiet = self.received.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            idle.poll_end(context, is_quiet).map(|()| Ok(false))
        })
        .await
    }

    /// Receives the rest of a request that begins with `text` and has `end` bytes. It is then parsed again.
    async fn read_on(&mut self, text: Bytes, end: usize) -> io::Result<Next> {
        self.put_back(text);
        let reading = async {
            while self.received.len() < end {
                let left = end - self.received.len();
                self.received.reserve(left.min(MAX_RESERVED));
                if self.stream.read_buf(&mut (&mut self.received).limit(left)).await? == 0 {
                    return io::Result::Ok(Some(BodyError::EndedEarly));
                }
            }
            Ok(None)
        };
        let read = timeout(self.service.limits().body_timeout, reading).await;
        match read.unwrap_or(Ok(Some(BodyError::TimedOut)))? {
            Some(error) => self.refuse(self.service.unread(error), usize::MAX, Persistence::Close).await,
            None => Ok(Next::Request),
        }
    }

    /// Refuses a request of which `left` bytes are still to come.
    async fn refuse(&mut self, refusal: Reply, left: usize, persistence: Persistence) -> io::Result<Next> {
        if left <= SHORT_REST && persistence == Persistence::KeepAlive {
            let next = self.answer(refusal, persistence).await?;
            let time = self.service.limits().body_timeout;
            let discarded = timeout(time, linger::discard(&mut self.stream, left)).await;
            let is_over = discarded.is_ok_and(|read| read.is_ok_and(|read| read == left));
            return Ok(if is_over { next } else { Next::End });
        }
        self.answer(refusal, Persistence::Close).await?;
        linger::close(&mut self.stream, left).await?;
        Ok(Next::End)
    }

    async fn answer(&mut self, reply: Reply, persistence: Persistence) -> io::Result<Next> {
        let mut head = std::mem::take(&mut self.head_room);
        head.clear();
        let body = match reply {
            Reply::Json(status, body) => {
                put_head(&mut head, status, None, body.len(), persistence);
                body
            }
            Reply::Other(mut response) if response.body().size_hint().exact().is_none() => {
                response.headers_mut().entry(header::CACHE_CONTROL).or_insert(NO_STORE);
                return Ok(Next::HandOver(Some(response)));
            }
            Reply::Other(response) => {
                let (parts, body) = response.into_parts();
                let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
                put_head(&mut head, parts.status, Some(&parts.headers), body.len(), persistence);
                body.into()
            }
        };
        let mut written = Written::new(head, body.into());
        self.write(&mut written).await?;
        self.head_room = written.into_room();
        Ok(match persistence {
            Persistence::KeepAlive => Next::Request,
            Persistence::Close => Next::End,
        })
    }

    async fn write(&mut self, written: &mut Written) -> io::Result<()> {
        let mut stream = WriteTimeout::new(&mut self.stream, self.service.limits().write_timeout);
        poll_fn(|context| written.poll_write(context, Pin::new(&mut stream))).await?;
        // TLS accepts bytes before the socket does. Nothing happens on TCP.
        stream.flush().await
    }
}

/// Completes when the client has left: its connection failed, or it closed its direction and the grace period passed
/// without a response, because it may have closed one direction only (RFC 9112, 9.6). Received bytes are kept up to a
/// limit.
fn poll_end(
    (stream, received): (&mut impl Stream, &mut BytesMut),
    grace: &mut Option<Wait>,
    context: &mut Context<'_>,
) -> Poll<()> {
    while received.len() < FIRST_ROOM {
        if let Some(grace) = grace {
            return Pin::new(grace).poll(context);
        }
        received.reserve(LEAST_ROOM);
        match ready!(pin!(stream.read_buf(received)).poll(context)) {
            Ok(0) if received.is_empty() => *grace = Some(wait_until(Instant::now() + HALF_CLOSED)),
            // A request that precedes the end is still to be answered.
            Ok(0) => return Poll::Pending,
            Err(_) => return Poll::Ready(()),
            Ok(_) => {}
        }
    }
    Poll::Pending
}
