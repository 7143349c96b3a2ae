//! One HTTP/1.1 connection, which whoever uses it also drives: no task stands between a call and its socket.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1;

use super::DialError;
use super::connect::Stream;
use super::origin::Origin;

/// Frames after an answer that are passed over before the connection is given up.
const LONGEST_TAIL: usize = 64;

/// A connection between two requests, or with one under way.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Driver,
    /// What has not been read yet of the body of the last response.
    body: Option<Incoming>,
}

/// A request that failed.
pub(super) struct Unsent {
    pub(super) error: hyper::Error,
    /// The request where nothing of it left, so that it can be sent again.
    pub(super) request: Option<Request<Full<Bytes>>>,
}

/// Whether a connection can take the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    /// The last response has not come to its end.
    Later,
    Never,
}

/// A response whose body is still to be read. Dropped before its end, it ends the connection.
pub(crate) struct Response {
    head: Parts,
    /// Nothing once the body has come to its end.
    connection: Option<Connection>,
    origin: Arc<Origin>,
}

impl Connection {
    pub(super) async fn open(stream: Stream) -> Result<Self, hyper::Error> {
        let (sender, connection) = http1::handshake(stream).await?;
        Ok(Self { sender, driver: Driver(Some(connection)), body: None })
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(
        mut self,
        request: Request<Full<Bytes>>,
        origin: &Arc<Origin>,
    ) -> Result<Response, Unsent> {
        let head = {
            let mut response = pin!(self.sender.try_send_request(request));
            poll_fn(|context| {
                self.driver.poll(context);
                response.as_mut().poll(&mut unheard())
            })
            .await
        };
        match head {
            Ok(response) => {
                let (head, body) = response.into_parts();
                self.body = Some(body);
                Ok(Response { head, connection: Some(self), origin: Arc::clone(origin) })
            }
            Err(mut unsent) => Err(Unsent { request: unsent.take_message(), error: unsent.into_error() }),
        }
    }

    /// Looks whether the connection can be used. What is left of the last body is read as far as it has come.
    pub(super) fn settle(&mut self) -> Readiness {
        for _ in 0..LONGEST_TAIL {
            match self.poll_frame(&mut unheard()) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_))) => return Readiness::Never,
                Poll::Ready(None) => {
                    let usable = self.driver.0.is_some() && self.sender.is_ready();
                    return if usable { Readiness::Ready } else { Readiness::Never };
                }
                Poll::Pending => return Readiness::Later,
            }
        }
        Readiness::Never
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let mut polled = Pin::new(&mut *body).poll_frame(&mut unheard());
        if polled.is_pending() {
            self.driver.poll(context);
            polled = Pin::new(body).poll_frame(&mut unheard());
        }
        let frame = ready!(polled);
        if frame.is_none() {
            self.body = None;
            // It takes note of the end, and can take the next request.
            self.driver.poll(context);
        }
        Poll::Ready(frame)
    }
}

impl Response {
    pub(crate) fn status(&self) -> StatusCode {
        self.head.status
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The next part of the body; nothing at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, DialError> {
        while let Some(connection) = &mut self.connection {
            match poll_fn(|context| connection.poll_frame(context)).await {
                // Trailers say nothing here.
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data() {
                        return Ok(Some(chunk));
                    }
                }
                Some(Err(error)) => return Err(DialError::Broken(error)),
                None => self.keep(),
            }
        }
        Ok(None)
    }

    /// How much of the body is still to come, where that is known.
    pub(crate) fn expected(&self) -> Option<u64> {
        let body = self.connection.as_ref().and_then(|connection| connection.body.as_ref());
        body.and_then(|body| body.size_hint().exact())
    }

    /// Reads no further, and leaves the connection to other requests.
    pub(crate) fn finish(mut self) {
        self.keep();
    }

    fn keep(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.origin.keep(connection);
        }
    }
}

/// Reads and writes for a connection, when polled. What goes wrong is told to whoever waits for a response or a body.
struct Driver(Option<http1::Connection<Stream, Full<Bytes>>>);

impl Driver {
    fn poll(&mut self, context: &mut Context<'_>) {
        if self.0.as_mut().is_some_and(|connection| Pin::new(connection).poll(context).is_ready()) {
            self.0 = None;
        }
    }
}

/// For what only the driver can bring forward: it is looked at after the driver was, so nothing needs to wake for it.
fn unheard() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
