//! Serves connections that speak HTTP/2 (RFC 9113), by hyper.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as AxumBody;
use axum::http::{HeaderValue, Request, header};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::drain::{Drain, Unanswered};
use super::idle::FIRST_REQUEST;
use super::service::{Peer, Service};
use super::stream::Stream;
use super::timer::LaneTimer;
use super::write_timeout::WriteTimeout;
use crate::sync::lock;
use crate::tasks::Tasks;

/// Maximum number of requests that a client may have open on a connection.
const MAX_STREAMS: u32 = 250;
const MAX_HEADER_BYTES: u32 = 64 * 1024;
/// Bytes that a client may send ahead, on one stream and on the connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Interval of pings, and timeout for their answers: a client that is gone is noticed.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs the streams of connections as tasks.
#[derive(Clone)]
struct Streams(Tasks);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, future: F) {
        self.0.spawn("stream", future);
    }
}

/// Serves a connection to its end. While the gateway drains, streams that are open go on, and no more are accepted.
pub(crate) async fn serve<S: Service>(
    stream: impl Stream,
    (peer, service): (Peer, Arc<S>),
    (drain, unanswered): (&Drain, Unanswered),
    tasks: &Tasks,
) -> Result<(), hyper::Error> {
    let limits = service.limits();
    let open = Arc::<AtomicUsize>::default();
    let first = Arc::new(Mutex::new(Some(unanswered)));
    let leave = Arc::new(Notify::new());
    let (counted, is_first, leaving, draining) =
        (Arc::clone(&open), Arc::clone(&first), Arc::clone(&leave), drain.clone());
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, is_open, is_first) = (Arc::clone(&service), Open::new(&counted), Arc::clone(&is_first));
        let (leaving, draining) = (Arc::clone(&leaving), draining.clone());
        async move {
            let response = service.answer(peer, with_host(request)).await;
            drop(lock(&is_first).take());
            if draining.is_announced() {
                leaving.notify_one();
            }
            Ok::<_, Infallible>(response.map(|inner| Sending { inner, _is_open: is_open }))
        }
    });
    let mut server = http2::Builder::new(Streams(tasks.clone()));
    server.timer(LaneTimer).keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT);
    server.max_concurrent_streams(MAX_STREAMS).max_header_list_size(MAX_HEADER_BYTES);
    server.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    let stream = TokioIo::new(WriteTimeout::new(stream, limits.write_timeout));
    let mut connection = pin!(server.serve_connection(stream, answer));
    let idle = async {
        loop {
            sleep(limits.idle_timeout).await;
            if open.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        ended = &mut connection => return ended,
        () = drain.closed() => {}
        () = leave.notified() => {}
        () = idle => {}
    }
    // The connection may have been opened just before.
    let is_new = lock(&first).is_some();
    if is_new && let Ok(ended) = timeout(FIRST_REQUEST, &mut connection).await {
        return ended;
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

/// Adds `Host`, which the pseudo-header `:authority` replaces in HTTP/2 (RFC 9113, 8.3.1).
fn with_host(mut request: Request<Incoming>) -> Request<Incoming> {
    let authority = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(authority) = authority {
        // One that differs from the authority would be read by some and not by others.
        request.headers_mut().insert(header::HOST, authority);
    }
    let path = request.uri().path_and_query().cloned().map(Into::into);
    *request.uri_mut() = path.unwrap_or_default();
    request
}

/// Counts a stream as open.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Body of a response, whose stream is open until it ends.
struct Sending {
    inner: AxumBody,
    _is_open: Open,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
