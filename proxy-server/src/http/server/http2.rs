//! Serves connections that speak HTTP/2 (RFC 9113), by hyper.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as AxumBody;
use axum::http::{HeaderValue, Request, header};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

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
/// Time for the client to agree to the end of a connection without open streams.
const FAREWELL: Duration = Duration::from_secs(2);

/// Bounds for the rest of a body that nobody needs.
const LATE_BYTES: usize = STREAM_WINDOW as usize;
const LATE_TIME: Duration = Duration::from_secs(1);

/// Runs the streams of connections as tasks.
#[derive(Clone)]
struct Streams(Tasks);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, future: F) {
        self.0.spawn("stream", future);
    }
}

/// Serves a connection to its end. When the gateway stops, streams that are open go on.
pub(crate) async fn serve<S: Service>(
    stream: impl Stream,
    (peer, service): (Peer, Arc<S>),
    (drain, unanswered): (&Drain, Unanswered),
    tasks: &Tasks,
) -> Result<(), hyper::Error> {
    let limits = service.limits();
    let (activity, leave) = (Arc::<Activity>::default(), Arc::new(Notify::new()));
    let first = Arc::new(Mutex::new(Some(unanswered)));
    let shared = (service, Arc::clone(&activity), Arc::clone(&first), (Arc::clone(&leave), drain.clone()));
    let streams = tasks.clone();
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, activity, first, (leave, drain)) = shared.clone();
        let is_open = Open::new(&activity);
        let request = with_host(request).map(|body| Received { inner: Some(body), tasks: streams.clone() });
        async move {
            let response = service.answer(peer, request).await;
            drop(lock(&first).take());
            if drain.is_announced() {
                leave.notify_one();
            }
            Ok::<_, Infallible>(response.map(|inner| Sending::new(inner, is_open)))
        }
    });
    let mut server = http2::Builder::new(Streams(tasks.clone()));
    server.timer(LaneTimer).keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT);
    server.max_concurrent_streams(MAX_STREAMS).max_header_list_size(MAX_HEADER_BYTES);
    server.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    let stream = TokioIo::new(WriteTimeout::new(stream, limits.write_timeout));
    let mut connection = pin!(server.serve_connection(stream, answer));
    tokio::select! {
        biased;
        ended = &mut connection => return ended,
        () = drain.closed() => {}
        () = leave.notified() => {}
        () = activity.idle(limits.idle_timeout) => {}
        () = activity.stalled(limits.write_timeout) => return Ok(()),
    }
    // The connection may have been opened just before.
    let is_new = lock(&first).is_some();
    if is_new && let Ok(ended) = timeout(FIRST_REQUEST, &mut connection).await {
        return ended;
    }
    connection.as_mut().graceful_shutdown();
    // The client has to agree to the end, and may never do so.
    loop {
        if let Ok(ended) = timeout(FAREWELL, &mut connection).await {
            return ended;
        }
        if activity.open.load(Ordering::Relaxed) == 0 || activity.is_stalled(limits.write_timeout) {
            return Ok(());
        }
    }
}

/// Streams of a connection.
#[derive(Default)]
struct Activity {
    /// Number of open streams.
    open: AtomicUsize,
    /// True if a stream was opened since this was last looked at.
    is_used: AtomicBool,
    /// Number of the next stream.
    next: AtomicU64,
    /// Streams whose client has to take what was sent before more is asked for, with the time since when.
    waiting: Mutex<BTreeMap<u64, Instant>>,
}

impl Activity {
    /// Completes after a whole period without a request.
    async fn idle(&self, period: Duration) {
        loop {
            sleep(period).await;
            if !self.is_used.swap(false, Ordering::Relaxed) && self.open.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }

    /// Completes once a client has not taken anything of a response for this time, because it opens no window for it.
    async fn stalled(&self, patience: Duration) {
        while !self.is_stalled(patience) {
            sleep(patience / 2).await;
        }
    }

    fn is_stalled(&self, patience: Duration) -> bool {
        lock(&self.waiting).values().any(|since| since.elapsed() >= patience)
    }
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
struct Open {
    activity: Arc<Activity>,
    number: u64,
}

impl Open {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.open.fetch_add(1, Ordering::Relaxed);
        activity.is_used.store(true, Ordering::Relaxed);
        Self { activity: Arc::clone(activity), number: activity.next.fetch_add(1, Ordering::Relaxed) }
    }

    fn note(&self, is_waiting: bool) {
        let mut waiting = lock(&self.activity.waiting);
        if is_waiting {
            waiting.insert(self.number, Instant::now());
        } else {
            waiting.remove(&self.number);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.note(false);
        self.activity.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Body of a request. What the response did not wait for is read and discarded.
///
/// Otherwise hyper would reset the stream right behind the response (RFC 9113, 8.1). Clients must not discard the response
/// then, but curl 7.88 does while it still sends, and reports error 92 instead of a refusal.
struct Received {
    inner: Option<Incoming>,
    tasks: Tasks,
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Some(body) = self.inner.take().filter(|body| !body.is_end_stream()) {
            self.tasks.spawn("late body", async move {
                timeout(LATE_TIME, discard(body)).await.ok();
            });
        }
    }
}

async fn discard(mut body: Incoming) {
    let mut left = LATE_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.inner {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

/// Body of a response, whose stream is open until it ends.
struct Sending {
    inner: AxumBody,
    is_open: Open,
}

impl Sending {
    fn new(inner: AxumBody, is_open: Open) -> Self {
        // hyper asks for the first part once the client lets it send.
        is_open.note(!inner.is_end_stream());
        Self { inner, is_open }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        self.is_open.note(matches!(frame, Poll::Ready(Some(_))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
