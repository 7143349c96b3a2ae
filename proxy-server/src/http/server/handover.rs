//! Serves a connection by hyper: requests that are not for the fast path, and responses that are streams.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::Body as AxumBody;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout};

use super::drain::{Drain, Unanswered};
use super::idle::{FIRST_REQUEST, IdleWatch};
use super::linger::{self, HALF_CLOSED, MAX_BUFFER_BYTES};
use super::service::{Peer, Service};
use super::stream::Stream;
use super::timer::LaneTimer;
use super::write_timeout::WriteTimeout;
use crate::sync::lock;
use crate::tasks::{Wait, wait_until};

/// Maximum size of the head of a request.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Dummy request fed to hyper so that it emits a response that we have already computed.
const ANSWERED: &[u8] = b"POST / HTTP/1.1\r\n\r\n";

/// Progress of the connection's last request.
#[derive(Default)]
struct Progress {
    /// True once there was a request.
    is_used: AtomicBool,
    /// True while its response is pending.
    is_under_way: AtomicBool,
    /// True if the client has closed its direction of the connection.
    has_ended: AtomicBool,
    /// Waker of the task that waits for more of its body.
    reader: AtomicWaker,
    /// True while part of its body is unread. The response then ends the connection.
    is_cut: AtomicBool,
    /// True once hyper has all of its response.
    is_answered: AtomicBool,
}

/// Connection that the fast path gives up.
pub(super) struct HandedOver<S, T> {
    pub(super) stream: T,
    pub(super) peer: Peer,
    pub(super) service: Arc<S>,
    /// Bytes received and not answered.
    pub(super) received: [Bytes; 2],
    /// Response to the last request, if that is still to be sent.
    pub(super) answer: Option<Response>,
}

/// Serves a connection by hyper to its end.
pub(super) async fn hand_over<S: Service, T: Stream>(
    connection: HandedOver<S, T>,
    mut idle: IdleWatch<'_>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let HandedOver { mut stream, peer, service, received, answer } = connection;
    let mut start = if answer.is_some() { ANSWERED.to_vec() } else { Vec::new() };
    received.iter().for_each(|bytes| start.extend_from_slice(bytes));
    // The connection may last for hours, and these are slices of large buffers.
    drop(received);
    let progress = Arc::new(Progress::default());
    let limits = service.limits();
    let first = Mutex::new((answer, idle.take_unanswered()));
    let responder = Responder { service, peer, progress: Arc::clone(&progress), drain: idle.drain().clone(), first };
    let responder = Arc::new(responder);
    let serve = service_fn(move |request| responder.respond(request));
    let mut server = http1::Builder::new();
    server.timer(LaneTimer).header_read_timeout(idle.idle());
    server.max_header_size(MAX_HEADER_BYTES).max_buf_size(MAX_BUFFER_BYTES);
    {
        let inner = WriteTimeout::new(&mut stream, limits.write_timeout);
        let patient = Patient { start: start.into(), inner, progress: Arc::clone(&progress), end: None };
        let mut connection = pin!(server.serve_connection(TokioIo::new(patient), serve));
        let ended = tokio::select! {
            biased;
            ended = &mut connection => Some(ended),
            () = idle.drained() => None,
        };
        match ended {
            Some(ended) => ended?,
            None => {
                let has_served = idle.is_used() || progress.is_used.load(Ordering::Relaxed);
                if !has_served && let Ok(ended) = timeout(FIRST_REQUEST, &mut connection).await {
                    ended?;
                } else {
                    connection.as_mut().graceful_shutdown();
                    connection.await?;
                }
            }
        }
    }
    if progress.is_cut.load(Ordering::Relaxed) {
        linger::close(&mut stream, usize::MAX).await?;
    }
    Ok(())
}

/// Answers the requests that hyper reads from one connection.
struct Responder<S> {
    service: Arc<S>,
    peer: Peer,
    progress: Arc<Progress>,
    drain: Drain,
    /// Response to the first request if it exists already, and the guard that counts the connection as unanswered.
    first: Mutex<(Option<Response>, Option<Unanswered>)>,
}

impl<S: Service> Responder<S> {
    fn respond(
        self: &Arc<Self>,
        request: hyper::Request<Incoming>,
    ) -> impl Future<Output = Result<hyper::Response<Sending<AxumBody>>, Infallible>> + use<S> {
        let (answer, unanswered) = std::mem::take(&mut *lock(&self.first));
        // Watched before the future is polled, because hyper checks for the end of the connection first.
        let request = self.progress.watch(request);
        let this = Arc::clone(self);
        async move {
            let mut response = match answer {
                Some(answer) => answer,
                None => this.service.answer(this.peer, request).await,
            };
            let is_last = this.progress.respond() || this.drain.is_announced();
            if is_last {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            drop(unanswered);
            Ok(response.map(|inner| Sending { inner, progress: Arc::clone(&this.progress) }))
        }
    }
}

impl Progress {
    /// Notes that a request is under way, and tracks the reading of its body.
    fn watch(self: &Arc<Self>, request: hyper::Request<Incoming>) -> hyper::Request<Watched> {
        self.is_used.store(true, Ordering::Relaxed);
        self.is_under_way.store(true, Ordering::Relaxed);
        self.is_answered.store(false, Ordering::Relaxed);
        self.is_cut.store(!request.body().is_end_stream(), Ordering::Relaxed);
        request.map(|inner| Watched { inner, progress: Arc::clone(self) })
    }

    /// Notes that the response exists. Returns true if part of the request is unread.
    fn respond(&self) -> bool {
        self.is_under_way.store(false, Ordering::Relaxed);
        self.is_cut.load(Ordering::Relaxed)
    }
}

/// Error for a body within which the client has closed its direction of the connection.
#[derive(Debug, thiserror::Error)]
#[error("the body ended early")]
struct BodyEnded;

/// Request body that notes when it was read to its end.
struct Watched {
    inner: Incoming,
    progress: Arc<Progress>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.progress.reader.register(context.waker());
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) else {
            // All received bytes are read, so the rest of the body is missing.
            let has_ended = self.progress.has_ended.load(Ordering::Relaxed);
            return if has_ended { Poll::Ready(Some(Err(BodyEnded.into()))) } else { Poll::Pending };
        };
        if frame.is_none() || self.inner.is_end_stream() {
            self.progress.is_cut.store(false, Ordering::Relaxed);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Response body that notes when hyper has taken all of it, or has given it up.
struct Sending<B> {
    inner: B,
    progress: Arc<Progress>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Sending<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> Drop for Sending<B> {
    fn drop(&mut self) {
        self.progress.is_answered.store(true, Ordering::Relaxed);
    }
}

/// Stream of the client. Reports the end of its bytes late while a request is being answered: the client may have closed
/// this direction only, and hyper would no longer send the response.
struct Patient<T> {
    /// Bytes that were received before.
    start: Bytes,
    inner: T,
    progress: Arc<Progress>,
    end: Option<Wait>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.start.is_empty() {
            let length = self.start.len().min(buffer.remaining());
            buffer.put_slice(&self.start.split_to(length));
            return Poll::Ready(Ok(()));
        }
        if self.end.is_none() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
            if buffer.filled().len() > before || !self.progress.is_under_way.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            self.progress.has_ended.store(true, Ordering::Relaxed);
            self.progress.reader.wake();
        }
        if self.progress.is_answered.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        let end = self.end.get_or_insert_with(|| wait_until(Instant::now() + HALF_CLOSED));
        Pin::new(end).poll(context).map(Ok)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, text: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, text)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
