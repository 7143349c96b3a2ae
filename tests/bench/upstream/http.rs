//! The upstream on Streamable HTTP. `/json/N` answers with JSON, `/events/N` with event streams, `/modern/N` with JSON
//! and without sessions; N is the number of tools.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::answer::{Message, answer, tools};

const SESSION_ID: &str = "mcp-session-id";

type Body = Either<Full<Bytes>, StreamBody<Events>>;
type Events = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

#[derive(Default)]
struct Server {
    sessions: Mutex<Sessions>,
    /// Lists requested so far, by number of tools.
    lists: Mutex<HashMap<usize, Arc<str>>>,
}

#[derive(Default)]
struct Sessions {
    last: u64,
    /// Senders that end the open streams, by session id.
    open: HashMap<String, Option<oneshot::Sender<()>>>,
}

/// Prints the address, then serves until killed.
pub(crate) async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let server = Arc::<Server>::default();
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let server = Arc::clone(&server);
        let service = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.respond(request).await) }
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}

impl Server {
    async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let session = head.headers.get(SESSION_ID).and_then(|id| id.to_str().ok());
        match head.method {
            Method::POST => {
                let Ok(body) = body.collect().await else { return status(StatusCode::BAD_REQUEST) };
                self.take(head.uri.path(), session, &body.to_bytes())
            }
            Method::GET => session.and_then(|id| self.stream(id)).unwrap_or_else(|| status(StatusCode::NOT_FOUND)),
            Method::DELETE => {
                let ended = session.and_then(|id| lock(&self.sessions).open.remove(id));
                status(if ended.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND })
            }
            _ => status(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    fn take(&self, path: &str, session: Option<&str>, body: &[u8]) -> Response<Body> {
        let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else { return status(StatusCode::BAD_REQUEST) };
        let mut opened = None;
        if message.method == "initialize" {
            opened = Some(self.open());
        } else if !path.starts_with("/modern") && session.is_none_or(|id| !lock(&self.sessions).open.contains_key(id)) {
            return status(StatusCode::NOT_FOUND);
        }
        let mut response = match answer(&message, &self.tools(path)) {
            Some(answer) if path.starts_with("/events") => event(&answer),
            Some(answer) => typed("application/json", Either::Left(Full::from(answer))),
            None => status(StatusCode::ACCEPTED),
        };
        if let Some(id) = opened.and_then(|id| HeaderValue::from_str(&id).ok()) {
            response.headers_mut().insert(SESSION_ID, id);
        }
        response
    }

    fn open(&self) -> String {
        let mut sessions = lock(&self.sessions);
        sessions.last += 1;
        let id = format!("{:032x}", sessions.last);
        sessions.open.insert(id.clone(), None);
        id
    }

    /// Returns the stream of a session: empty until the session ends.
    fn stream(&self, id: &str) -> Option<Response<Body>> {
        let (end, ended) = oneshot::channel();
        lock(&self.sessions).open.get_mut(id)?.replace(end);
        let nothing: Events = Box::pin(stream::unfold(Some(ended), async |ended| {
            ended?.await.ok();
            None
        }));
        Some(typed("text/event-stream", Either::Right(StreamBody::new(nothing))))
    }

    fn tools(&self, path: &str) -> Arc<str> {
        let count = path.rsplit('/').next().and_then(|count| count.parse().ok()).unwrap_or(1);
        Arc::clone(lock(&self.lists).entry(count).or_insert_with(|| tools(count).into()))
    }
}

/// Returns an answer as a stream of unknown length, as servers do that may send messages before it.
fn event(answer: &str) -> Response<Body> {
    let frame = Frame::data(Bytes::from(format!("event: message\ndata: {answer}\n\n")));
    typed("text/event-stream", Either::Right(StreamBody::new(Box::pin(stream::iter([Ok(frame)])))))
}

fn typed(kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
