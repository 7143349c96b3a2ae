//! hyper, on connections in memory and without a runtime.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};

/// Maximum number of times a connection is polled. It makes progress with each.
const TURNS: usize = 64;

/// Request as hyper reads it.
#[derive(Debug)]
pub struct SeenRequest {
    pub method: Method,
    pub target: String,
    pub fields: HeaderMap,
    /// Announced length of the body.
    pub body_bytes: Option<u64>,
    /// Received part of the body.
    pub body: Vec<u8>,
}

/// Response as hyper reads it.
#[derive(Debug)]
pub struct SeenResponse {
    pub status: u16,
    pub fields: HeaderMap,
    pub body: Vec<u8>,
    /// True if the body is complete.
    pub is_complete: bool,
}

/// Reads the first request of a connection that stays open.
pub fn request(text: &[u8]) -> Option<SeenRequest> {
    let seen: Arc<Mutex<Option<Request<Incoming>>>> = Arc::default();
    let service = hyper::service::service_fn(|request| {
        *seen.lock().expect("one thread") = Some(request);
        pending::<Result<Response<NoBody>, Infallible>>()
    });
    let wire = Wire { text: text.to_vec(), at: 0, ends: false, is_asked: true };
    let mut connection = pin!(hyper::server::conn::http1::Builder::new().serve_connection(wire, service));
    let mut context = Context::from_waker(Waker::noop());
    let _ = connection.as_mut().poll(&mut context);
    let (head, mut body) = seen.lock().expect("one thread").take()?.into_parts();
    let body_bytes = body.size_hint().exact();
    let mut data = Vec::new();
    for _ in 0..TURNS {
        let _ = take(&mut body, &mut data, &mut context);
        if connection.as_mut().poll(&mut context).is_ready() {
            break;
        }
    }
    let target = head.uri.to_string();
    Some(SeenRequest { method: head.method, target, fields: head.headers, body_bytes, body: data })
}

/// Reads the response to a GET on a connection that ends behind it.
pub fn response(text: &[u8]) -> Option<SeenResponse> {
    let mut context = Context::from_waker(Waker::noop());
    let wire = Wire { text: text.to_vec(), at: 0, ends: true, is_asked: false };
    let Poll::Ready(Ok((mut sender, connection))) =
        pin!(hyper::client::conn::http1::handshake::<_, NoBody>(wire)).poll(&mut context)
    else {
        return None;
    };
    let mut connection = pin!(connection);
    let mut answer = pin!(sender.send_request(Request::new(NoBody)));
    let mut is_over = false;
    for _ in 0..TURNS {
        is_over = is_over || connection.as_mut().poll(&mut context).is_ready();
        if let Poll::Ready(response) = answer.as_mut().poll(&mut context) {
            let (head, mut body) = response.ok()?.into_parts();
            let (mut data, mut is_complete) = (Vec::new(), false);
            for _ in 0..TURNS {
                match take(&mut body, &mut data, &mut context) {
                    Poll::Ready(whole) => {
                        is_complete = whole;
                        break;
                    }
                    Poll::Pending => is_over = is_over || connection.as_mut().poll(&mut context).is_ready(),
                }
            }
            return Some(SeenResponse { status: head.status.as_u16(), fields: head.headers, body: data, is_complete });
        }
    }
    None
}

/// Takes what there is of a body. Returns true at its end, and false at an error.
fn take(body: &mut Incoming, data: &mut Vec<u8>, context: &mut Context<'_>) -> Poll<bool> {
    loop {
        match Pin::new(&mut *body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => data.extend(frame.into_data().into_iter().flatten()),
            Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
            Poll::Ready(None) => return Poll::Ready(true),
            Poll::Pending => return Poll::Pending,
        }
    }
}

/// Connection from which a text can be read.
struct Wire {
    text: Vec<u8>,
    at: usize,
    /// True if the connection ends behind the text.
    ends: bool,
    /// True once there was a request: hyper does not accept a response before it.
    is_asked: bool,
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut room: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let rest = &self.text[self.at..];
        if !self.is_asked || (rest.is_empty() && !self.ends) {
            return Poll::Pending;
        }
        let count = rest.len().min(room.remaining());
        room.put_slice(&rest[..count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, text: &[u8]) -> Poll<io::Result<usize>> {
        self.is_asked = true;
        Poll::Ready(Ok(text.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Body of the messages that are sent.
struct NoBody;

impl Body for NoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}
