//! Streamable HTTP towards clients of the legacy era (2025-11-25, transports, "Streamable HTTP"): POST carries a
//! message, GET the session's own stream, DELETE ends the session.
//!
//! An answer that comes soon is plain JSON. One that takes longer, or that is preceded by progress or a question,
//! becomes an event stream that outlives its connection: a lost stream cancels nothing, and `Last-Event-ID` takes it up
//! again.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt, Limited};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use crate::call::call;
use crate::downstream::event_log::{EventLog, Reader};
use crate::downstream::session::Session;
use crate::downstream::{Edge, Shared, admit, respond};
use crate::error::{Error, Kind};
use crate::policy::Principal;
use crate::protocol::{self, Message, Object};
use crate::upstream::{Attachment, Call, EVENT_QUEUE, OpenError, Upstream, one_line};

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: &str = "mcp-protocol-version";
const LAST_EVENT_ID: &str = "last-event-id";
/// The first revision whose clients expect a stream to begin with an event that only names itself.
const PRIMED_SINCE: &str = "2025-11-25";

/// Every method of the endpoint.
pub(super) async fn serve(State(edge): Shared, path: RawPathParams, request: Request) -> Response {
    let name = upstream_name(&path).to_owned();
    let (upstream, principal) = match admit(&edge, &name, &request) {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal,
    };
    let caller = Caller { edge, upstream, principal };
    match *request.method() {
        Method::POST => caller.post(request).await,
        Method::GET => caller.get(request.headers()),
        Method::DELETE => caller.delete(request.headers()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, POST, DELETE")]).into_response(),
    }
}

pub(super) fn upstream_name(path: &RawPathParams) -> &str {
    path.iter().find(|(name, _)| *name == "name").map_or("", |(_, value)| value)
}

struct Caller {
    edge: Arc<Edge>,
    upstream: Arc<Upstream>,
    principal: Principal,
}

impl Caller {
    async fn post(self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        if !is_json(&head.headers) {
            return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json").into_response();
        }
        let body = match read_body(&self.edge, body).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let message = match Message::parse(body) {
            Ok(message) => message,
            Err(invalid) => return respond::invalid(&invalid),
        };
        if message.method() == "initialize" && message.kind() == protocol::Kind::Request {
            return self.initialize(&message).await;
        }
        let session = match self.session(&head.headers) {
            Ok(session) => session,
            Err(refusal) => return refusal,
        };
        match message.kind() {
            protocol::Kind::Request => {
                let streams = accepts(&head.headers, "text/event-stream");
                let tasks = self.edge.tasks.clone();
                tasks.finish_anyway("call", answer(self.edge, session, message, streams)).await
            }
            protocol::Kind::Notification => notify(&session, message).await,
            protocol::Kind::Result | protocol::Kind::Error => {
                session.answer(&message);
                StatusCode::ACCEPTED.into_response()
            }
        }
    }

    /// Opens a session with the upstream and answers with what the upstream said.
    async fn initialize(self, message: &Message) -> Response {
        let session = match self.edge.sessions.create(&self.upstream, self.principal) {
            Ok(session) => session,
            Err(error) => return respond::failure(message.id(), &error),
        };
        match introduce(&self.edge, &session, message).await {
            Ok(answer) => {
                let mut response = respond::json(StatusCode::OK, answer);
                if let Ok(id) = HeaderValue::from_str(&session.id) {
                    response.headers_mut().insert(SESSION_ID, id);
                }
                response
            }
            Err(error) => {
                self.edge.sessions.end(&session);
                match error {
                    OpenError::Refused(answer) => respond::json(StatusCode::OK, answer.with_id(message.id(), &[])),
                    OpenError::Failed(error) => respond::failure(message.id(), &error),
                }
            }
        }
    }

    /// The session's own stream, or one that the client lost.
    fn get(self, headers: &HeaderMap) -> Response {
        if !accepts(headers, "text/event-stream") {
            return (StatusCode::NOT_ACCEPTABLE, "Accept must list text/event-stream").into_response();
        }
        let session = match self.session(headers) {
            Ok(session) => session,
            Err(refusal) => return refusal,
        };
        let last = headers.get(LAST_EVENT_ID).map(|value| value.to_str().ok().and_then(parse_event_id));
        let (number, seen) = match last {
            None => (0, 0),
            Some(Some(place)) => place,
            Some(None) => return respond::bad_request("Last-Event-ID is not one that this endpoint gave"),
        };
        match session.stream(number) {
            Some(log) => event_stream(&self.edge, session, &Resumable { number, log, seen, prime: false }),
            None => respond::bad_request("the stream that Last-Event-ID names is no longer kept"),
        }
    }

    fn delete(self, headers: &HeaderMap) -> Response {
        match self.session(headers) {
            Ok(session) => {
                self.edge.sessions.end(&session);
                info!(session = &*session.id, upstream = %self.upstream.definition().name, "session ended by its client");
                StatusCode::OK.into_response()
            }
            Err(refusal) => refusal,
        }
    }

    fn session(&self, headers: &HeaderMap) -> Result<Arc<Session>, Response> {
        let version = headers.get(PROTOCOL_VERSION).and_then(|value| value.to_str().ok());
        if version.is_some_and(|version| !protocol::is_known(version)) {
            return Err(respond::bad_request("MCP-Protocol-Version names a revision this endpoint does not speak"));
        }
        let id = headers.get(SESSION_ID).ok_or_else(|| respond::bad_request("Mcp-Session-Id is required"))?;
        let id = id.to_str().unwrap_or_default();
        let session = self.edge.sessions.find(id, &self.upstream, self.principal);
        let session = session.ok_or_else(respond::unknown_session)?;
        session.touch();
        Ok(session)
    }
}

/// Attaches a session to its upstream with the client's own introduction. Gives the answer for the client.
pub(super) async fn introduce(edge: &Edge, session: &Arc<Session>, message: &Message) -> Result<Bytes, OpenError> {
    let hello = Object::read(message.params()).ok();
    let Some(requested) = hello.as_ref().and_then(|hello| hello.text("protocolVersion")) else {
        let why = "`params.protocolVersion` is required";
        return Err(OpenError::Failed(Kind::InvalidParams(why).into()));
    };
    let deadline = Instant::now() + edge.config.initialize_timeout;
    let opened = Attachment::open(Arc::clone(&session.upstream), message.params(), deadline).await;
    let (attachment, handshake, events) = opened.map_err(|error| match error {
        OpenError::Failed(error) => OpenError::Failed(error.at(&session.upstream.definition().name)),
        OpenError::Refused(answer) => OpenError::Refused(answer),
    })?;
    let result = Object::read(handshake.body()).ok();
    let agreed = result.as_ref().and_then(|result| result.get("protocolVersion")).unwrap_or_default();
    let (answer, version) = if attachment.is_shared() {
        // The shared session was agreed with the gateway; each client agrees with the gateway in turn.
        let version = protocol::negotiate(&requested);
        (handshake.with_id(message.id(), &[(agreed, &format!("\"{version}\""))]), version)
    } else {
        (handshake.with_id(message.id(), &[]), agreed.trim_matches('"'))
    };
    session.link(attachment, version, events, &edge.tasks);
    info!(session = &*session.id, upstream = %session.upstream.definition().name, version, "session opened");
    Ok(answer)
}

/// A notification of the client: a cancellation is the gateway's to carry out, all else is passed on.
pub(super) async fn notify(session: &Session, message: Message) -> Response {
    if message.method() == "notifications/cancelled" {
        session.cancel(message);
        return StatusCode::ACCEPTED.into_response();
    }
    let sent = match session.attachment() {
        Ok(attachment) => attachment.notify(&message).await,
        Err(error) => Err(error),
    };
    match sent {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(error) => respond::failure("", &error),
    }
}

/// Answers a request: at once where that is possible, else as a stream that a task goes on to fill.
async fn answer(edge: Arc<Edge>, session: Arc<Session>, message: Message, streams: bool) -> Response {
    let (events, mut queue) = mpsc::channel(EVENT_QUEUE);
    let mut outcome = Box::pin(run(Arc::clone(&edge), Arc::clone(&session), message, events));
    let early = loop {
        tokio::select! {
            biased;
            event = queue.recv(), if !queue.is_closed() || !queue.is_empty() => match event {
                Some(event) if streams => break Some(event),
                Some(event) => session.put(&session.own_stream(), event),
                None => {}
            },
            bytes = &mut outcome => return finished(bytes),
            () = sleep(edge.config.patience), if streams => break None,
        }
    };
    let (number, log) = session.new_stream();
    if let Some(event) = early {
        session.put(&log, event);
    }
    let (filler, filled) = (Arc::clone(&session), Arc::clone(&log));
    edge.tasks.spawn("call", async move {
        let bytes = fill(&filler, &filled, &mut queue, outcome).await;
        if let Some(bytes) = bytes {
            filled.push(bytes);
        }
        filled.complete();
    });
    let prime = session.version() >= PRIMED_SINCE;
    event_stream(&edge, session, &Resumable { number, log, seen: 0, prime })
}

/// Puts what comes before the answer on the stream, then gives the answer.
pub(super) async fn fill(
    session: &Session,
    log: &EventLog,
    queue: &mut mpsc::Receiver<crate::upstream::Event>,
    outcome: impl Future<Output = Option<Bytes>>,
) -> Option<Bytes> {
    tokio::pin!(outcome);
    let bytes = loop {
        tokio::select! {
            biased;
            Some(event) = queue.recv() => session.put(log, event),
            bytes = &mut outcome => break bytes,
        }
    };
    while let Ok(event) = queue.try_recv() {
        session.put(log, event);
    }
    bytes
}

/// The response to a request, or nothing when the client has withdrawn it.
pub(super) async fn run(
    edge: Arc<Edge>,
    session: Arc<Session>,
    message: Message,
    events: mpsc::Sender<crate::upstream::Event>,
) -> Option<Bytes> {
    if message.method() == "ping" {
        return Some(protocol::result_response(message.id(), "{}"));
    }
    let outcome = async {
        let attachment = session.attachment()?;
        let (_running, cancelled) = session.begin(&message)?;
        let deadline = Instant::now() + edge.config.call_timeout;
        call(attachment, Call { message: &message, events, cancelled, deadline }).await
    };
    let outcome: Result<Message, Error> = outcome.await;
    session.touch();
    match outcome {
        Ok(answer) => Some(answer.with_id(message.id(), &[])),
        Err(error) if error.kind() == Kind::Cancelled => None,
        Err(error) => Some(respond::error(message.id(), &error)),
    }
}

/// A withdrawn request has no response (2025-11-25, cancellation), but its POST must end: with a stream of nothing.
fn finished(bytes: Option<Bytes>) -> Response {
    match bytes {
        Some(bytes) => respond::json(StatusCode::OK, bytes),
        None => ([(header::CONTENT_TYPE, "text/event-stream")], Body::empty()).into_response(),
    }
}

/// A stream of one session, and from where it is read.
struct Resumable {
    number: u32,
    log: Arc<EventLog>,
    seen: u64,
    prime: bool,
}

fn event_stream(edge: &Arc<Edge>, session: Arc<Session>, resumable: &Resumable) -> Response {
    let Resumable { number, seen, prime, .. } = *resumable;
    let first = prime.then(|| Bytes::from(format!("id: {number}-{seen}\ndata:\n\n")));
    let follower = Follower::new(edge, session, Arc::clone(&resumable.log), seen, Some(number));
    stream_response(follower, first)
}

/// The body of an event stream: what a log holds and will hold, with comments while nothing comes.
pub(super) struct Follower {
    edge: Arc<Edge>,
    session: Arc<Session>,
    log: Arc<EventLog>,
    reader: Reader,
    /// The stream's number, where events are numbered.
    number: Option<u32>,
    /// Whether the session ends with this stream.
    owns_session: bool,
}

impl Follower {
    pub(super) fn new(
        edge: &Arc<Edge>,
        session: Arc<Session>,
        log: Arc<EventLog>,
        seen: u64,
        number: Option<u32>,
    ) -> Self {
        session.reader_opened();
        let reader = log.read_after(seen);
        Self { edge: Arc::clone(edge), session, log, reader, number, owns_session: number.is_none() }
    }

    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            () = self.session.closed().cancelled() => None,
            next = timeout(self.edge.config.keep_alive, self.log.next(&mut self.reader)) => match next {
                Ok(Some((event, message))) => Some(frame(self.number, event, message)),
                Ok(None) => None,
                Err(_) => Some(Bytes::from_static(b": keep-alive\n\n")),
            },
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.session.reader_closed();
        if self.owns_session {
            self.edge.sessions.end(&self.session);
        }
    }
}

pub(super) fn stream_response(follower: Follower, first: Option<Bytes>) -> Response {
    let events = stream::unfold((follower, first), |(mut follower, first)| async move {
        let chunk = match first {
            Some(first) => first,
            None => follower.next().await?,
        };
        Some((Ok::<_, Infallible>(chunk), (follower, None)))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(events)).into_response()
}

fn frame(number: Option<u32>, event: u64, message: Bytes) -> Bytes {
    let message = one_line(message);
    let mut out = BytesMut::with_capacity(message.len() + 48);
    if let Some(number) = number {
        out.put_slice(format!("id: {number}-{event}\n").as_bytes());
    }
    out.put_slice(b"event: message\ndata: ");
    out.put_slice(&message);
    out.put_slice(b"\n\n");
    out.freeze()
}

fn parse_event_id(id: &str) -> Option<(u32, u64)> {
    let (stream, event) = id.split_once('-')?;
    Some((stream.parse().ok()?, event.parse().ok()?))
}

pub(super) async fn read_body(edge: &Edge, body: Body) -> Result<Bytes, Response> {
    let limit = edge.config.max_body_bytes;
    match timeout(edge.config.body_timeout, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err((StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes")).into_response())
        }
        Ok(Err(_)) => Err(respond::bad_request("the body ended early")),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT.into_response()),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Whether a client takes this type. One that does not say takes anything.
fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let mut accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    let group = kind.split('/').next().unwrap_or_default();
    let matches = |range: &str| {
        let range = range.split(';').next().unwrap_or_default().trim();
        range == "*/*" || range.eq_ignore_ascii_case(kind) || range.strip_suffix("/*") == Some(group)
    };
    accept.peek().is_none() || accept.any(|value| value.split(',').any(matches))
}
