//! One connection of a client.
//!
//! Nearly every request is a POST with `Content-Length` to the shortest form of an endpoint's path. This module reads
//! and answers those requests and the DELETEs of their sessions itself, with little overhead between the socket and the
//! call. The first other request hands the connection over to hyper for good, and so does a response of unknown length.
//! Parsing is strict: a request that two parsers could read differently does not count as usual.

mod handover;
mod overflow;
mod silence;
mod standstill;
mod timer;
mod usual;

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tracing::debug;

pub(crate) use self::overflow::serve as serve_overflow;
use self::silence::Silence;
pub(crate) use self::silence::{Drain, Unanswered};
use self::standstill::Standstill;
use self::usual::{MAX_FIELDS, MAX_HEAD_BYTES, Persistence, Unusual, Usual, put_head};
use crate::downstream::mcp::Request;
use crate::downstream::respond::{self, Reply};
use crate::downstream::{Front, MOST_FORESEEN, Peer};
use crate::http::write::Written;
use crate::tasks::{Wait, wait_until};

/// Timeout for the response once the client has closed its direction of the connection; then the client counts as gone.
const HALF_CLOSED: Duration = Duration::from_secs(2);
/// Limits of time and bytes for reading the rest of a refused request before the socket is closed: closing a socket
/// with unread data would discard the response (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 << 20;
/// Maximum rest of a refused request, in bytes, after which the connection continues.
const SHORT_REST: usize = 64 * 1024;
/// Initial size of the receive buffer.
const FIRST_ROOM: usize = MAX_HEAD_BYTES;
/// Minimum free space in the receive buffer for a read.
const LEAST_ROOM: usize = 2 * 1024;
/// Maximum size of a receive buffer that is reserved for a request or kept for the next one. Messages up to this size
/// are not split.
const MAX_BUFFER_BYTES: usize = 256 * 1024;
/// Connection with its buffers. At least one of `ahead` and `received` is empty.
pub(crate) struct Connection {
    stream: TcpStream,
    peer: Peer,
    front: Arc<Front>,
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
    Unusual(Option<Response>),
    End,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, peer: Peer, front: Arc<Front>) -> Self {
        let (ahead, received, head_room) = (Bytes::new(), BytesMut::new(), Vec::new());
        Self { stream, peer, front, ahead, received, last: FIRST_ROOM, head_room }
    }

    /// Answers requests until the connection ends. While the gateway drains, the next response is the last.
    pub(crate) async fn serve(mut self, drain: &Drain, unanswered: Unanswered) {
        let peer = self.peer.peer;
        let mut silence = Silence::new(drain, unanswered, self.front.edge.config.connection_idle_timeout);
        // Both futures are boxed, so that this one stays small.
        let ended = match Box::pin(self.serve_usual(&mut silence)).await {
            Ok(Next::Unusual(answer)) => Box::pin(self.hand_over(answer, silence)).await,
            Ok(Next::Request | Next::End) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = ended {
            debug!(%error, %peer, "connection ended");
        }
    }

    /// Answers requests up to the first unusual one.
    async fn serve_usual(&mut self, silence: &mut Silence<'_>) -> io::Result<Next> {
        loop {
            match self.exchange(silence).await? {
                Next::Request => {}
                next => return Ok(next),
            }
        }
    }

    /// Reads a request and answers it.
    async fn exchange(&mut self, silence: &mut Silence<'_>) -> io::Result<Next> {
        let text = match std::mem::take(&mut self.ahead) {
            ahead if !ahead.is_empty() => ahead,
            _ if self.received.is_empty() && !self.receive(silence).await? => return Ok(Next::End),
            _ => self.received.split().freeze(),
        };
        let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let Usual { method, name, fields, head, length } = match usual::read(&text, &mut slots) {
            Ok(usual) => usual,
            Err(Unusual::Unfinished) => {
                self.put_back(text);
                return Ok(if self.receive(silence).await? { Next::Request } else { Next::End });
            }
            Err(Unusual::Other) => {
                self.put_back(text);
                return Ok(Next::Unusual(None));
            }
        };
        if fields.origin.is_some() && self.front.admits_page(self.peer, &fields) {
            // Responses to pages have additional header fields.
            drop(fields);
            self.put_back(text);
            return Ok(Next::Unusual(None));
        }
        let admitted = self.front.admit(self.peer, name, &fields);
        let admitted = admitted.and_then(|caller| caller.takes(&method, &fields, length));
        let end = head.saturating_add(length);
        if text.len() < end {
            drop(fields);
            return match admitted {
                Ok(_) => self.read_on(text, end).await,
                Err(refusal) => self.refuse(refusal, end - text.len(), silence.persistence()).await,
            };
        }
        silence.break_off();
        self.last = end;
        self.ahead = text.slice(end..);
        if text.len() > MAX_BUFFER_BYTES {
            // Do not keep such a large buffer for the next request.
            self.received = BytesMut::new();
        }
        let reply = match admitted {
            Ok(caller) => {
                let request = Request { method, fields: &fields, body: text.slice(head..end) };
                let (stream, received, is_last) = (&mut self.stream, &mut self.received, self.ahead.is_empty());
                let (mut answering, mut grace) = (pin!(caller.answer(request)), None);
                poll_fn(|context| match answering.as_mut().poll(context) {
                    Poll::Ready(reply) => Poll::Ready(Some(reply)),
                    // A client that has disconnected needs no response.
                    Poll::Pending if is_last => poll_end((stream, received), &mut grace, context).map(|()| None),
                    Poll::Pending => Poll::Pending,
                })
                .await
            }
            Err(refusal) => Some(refusal),
        };
        match reply {
            Some(reply) => {
                let next = self.answer(reply, silence.persistence()).await?;
                if !matches!(next, Next::Unusual(_)) {
                    drop(silence.take_unanswered());
                }
                Ok(next)
            }
            None => Ok(Next::End),
        }
    }

    /// Moves parsed bytes back to `received`. Copies them only if something else refers to them.
    fn put_back(&mut self, text: Bytes) {
        self.received = BytesMut::new();
        self.received = text.into();
    }

    /// Waits for bytes from the client. Returns true if any came.
    async fn receive(&mut self, silence: &mut Silence<'_>) -> io::Result<bool> {
        let is_first = self.received.is_empty();
        let room = self.last.next_power_of_two().clamp(FIRST_ROOM, MAX_BUFFER_BYTES);
        self.received.reserve(if is_first { room } else { LEAST_ROOM });
        poll_fn(|context| {
            if let Poll::Ready(count) = pin!(self.stream.read_buf(&mut self.received)).poll(context)? {
                if is_first {
                    silence.begin();
                }
                return Poll::Ready(Ok(count > 0));
            }
            // Empty lines may precede a request (RFC 9112, 2.2).
            let is_quiet = self.received.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            silence.poll_end(context, is_quiet).map(|()| Ok(false))
        })
        .await
    }

    /// Receives the rest of a request that begins with `text` and has `end` bytes. It is then parsed again.
    async fn read_on(&mut self, text: Bytes, end: usize) -> io::Result<Next> {
        self.put_back(text);
        let reading = async {
            while self.received.len() < end {
                let left = end - self.received.len();
                self.received.reserve(left.min(MOST_FORESEEN));
                if self.stream.read_buf(&mut (&mut self.received).limit(left)).await? == 0 {
                    return io::Result::Ok(Some(respond::bad_request("the body ended early")));
                }
            }
            Ok(None)
        };
        let read = timeout(self.front.edge.config.body_timeout, reading).await;
        match read.unwrap_or_else(|_| Ok(Some(StatusCode::REQUEST_TIMEOUT.into_response().into())))? {
            Some(refusal) => self.refuse(refusal, usize::MAX, Persistence::Close).await,
            None => Ok(Next::Request),
        }
    }

    /// Refuses a request of which `left` bytes are still to come.
    async fn refuse(&mut self, refusal: Reply, left: usize, persistence: Persistence) -> io::Result<Next> {
        if left <= SHORT_REST && persistence == Persistence::KeepAlive {
            let next = self.answer(refusal, persistence).await?;
            let time = self.front.edge.config.body_timeout;
            let is_over = timeout(time, self.discard(left)).await.is_ok_and(|read| read.is_ok_and(|read| read == left));
            return Ok(if is_over { next } else { Next::End });
        }
        self.answer(refusal, Persistence::Close).await?;
        self.stream.shutdown().await?;
        drop(timeout(LINGER, self.discard(left.min(LINGER_BYTES))).await);
        Ok(Next::End)
    }

    /// Reads and discards `count` bytes, or fewer if the client sends no more. Returns their number.
    async fn discard(&mut self, count: usize) -> io::Result<usize> {
        let mut rest = (&mut self.stream).take(count as u64);
        Ok(usize::try_from(tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?).unwrap_or(usize::MAX))
    }

    async fn answer(&mut self, reply: Reply, persistence: Persistence) -> io::Result<Next> {
        let mut head = std::mem::take(&mut self.head_room);
        head.clear();
        let body = match reply {
            Reply::Json(status, body) => {
                put_head(&mut head, status, None, body.len(), persistence);
                body
            }
            Reply::Other(response) if response.body().size_hint().exact().is_none() => {
                return Ok(Next::Unusual(Some(response)));
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
        let mut stream = Standstill::new(&mut self.stream, self.front.edge.config.write_timeout);
        poll_fn(|context| written.poll_write(context, Pin::new(&mut stream))).await
    }
}

/// Completes when the client has left: its connection failed, or it closed its direction and the grace period passed
/// without a response, because it may have closed one direction only (RFC 9112, 9.6). Received bytes are kept up to a
/// limit.
fn poll_end(
    (stream, received): (&mut TcpStream, &mut BytesMut),
    grace: &mut Option<Wait>,
    context: &mut Context<'_>,
) -> Poll<()> {
    while received.len() < FIRST_ROOM {
        if let Some(grace) = grace {
            return Pin::new(grace).poll(context);
        }
        if ready!(stream.poll_read_ready(context)).is_err() {
            return Poll::Ready(());
        }
        received.reserve(LEAST_ROOM);
        match stream.try_read_buf(received) {
            Ok(0) if received.is_empty() => *grace = Some(wait_until(Instant::now() + HALF_CLOSED)),
            // A request that precedes the end is still to be answered.
            Ok(0) => return Poll::Pending,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(()),
            Ok(_) | Err(_) => {}
        }
    }
    Poll::Pending
}
