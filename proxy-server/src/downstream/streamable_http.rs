//! Streamable HTTP towards clients of the legacy era (2025-11-25, transports, "Streamable HTTP"): POST carries a
//! message, GET opens the session's own stream, DELETE ends the session.
//!
//! A fast response is plain JSON. A response that takes longer, or that follows progress or a question, becomes an
//! event stream that outlives its connection: a lost stream cancels nothing, and `Last-Event-ID` resumes it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{self, RawPathParams, State};
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use tokio::time::Instant;
use tracing::info;

use crate::call::{Attached, Exchange, Output};
use crate::downstream::admit::{Shared, admit, peer, read_body, upstream_name};
use crate::downstream::edge::Edge;
use crate::downstream::error_response;
use crate::downstream::fields::{Fields, SESSION_ID, text};
use crate::downstream::legacy::batch;
use crate::downstream::legacy::dialogue::{fill, introduce, notify, reintroduce, run};
use crate::downstream::legacy::event_body::{Resumable, parse_event_id, resumable};
use crate::downstream::legacy::session::{Scope, Session};
use crate::downstream::modern::endpoint;
use crate::http::server::Reply;
use crate::pieces::Pieces;
use crate::policy::{Credentials, Sender};
use crate::protocol::{self, Era, Invalid, Message};
use crate::tasks::wait_until;
use crate::upstream::OpenError;

/// First revision whose clients expect a stream to begin with an event that carries only an id.
const PRIMED_SINCE: &str = "2025-11-25";

/// Handles every request from the router.
pub(super) async fn serve(State(edge): Shared, path: RawPathParams, request: extract::Request) -> Reply {
    let (head, body) = request.into_parts();
    let fields = Fields::of_head(head.version, &head.uri, (&head.headers, &head.extensions));
    let credentials = fields.credentials(peer(&head.extensions));
    let admitted = Authorized::admit(edge, upstream_name(&path), &credentials);
    let caller = match admitted.and_then(|caller| caller.takes(&head.method, &fields, 0)) {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let body = match head.method {
        Method::POST => read_body(&caller.edge, body).await,
        _ => Ok(Bytes::new()),
    };
    match body {
        Ok(body) => caller.answer(Request { method: head.method, fields: &fields, body }).await,
        Err(refusal) => refusal,
    }
}

/// A request with its complete body.
pub(super) struct Request<'a, 'f> {
    pub(super) method: Method,
    pub(super) fields: &'a Fields<'f>,
    pub(super) body: Bytes,
}

/// Authenticated sender of a request, and the endpoint it is for.
pub(super) struct Authorized {
    edge: Arc<Edge>,
    scope: Scope,
    sender: Sender,
}

/// Ends a new session on drop, unless it is kept.
struct Provisional<'a> {
    edge: &'a Edge,
    session: Option<&'a Session>,
}

impl Provisional<'_> {
    fn keep(mut self) {
        self.session = None;
    }
}

impl Drop for Provisional<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session {
            self.edge.sessions.end(session);
        }
    }
}

impl Authorized {
    /// Authorizes a caller for the endpoint of this upstream, or of all upstreams.
    pub(super) fn admit(edge: Arc<Edge>, name: Option<&str>, credentials: &Credentials<'_>) -> Result<Self, Reply> {
        let (scope, sender) = admit(&edge, name, credentials)?;
        Ok(Self { edge, scope, sender })
    }

    /// Refuses a request that can be refused before its body is read.
    pub(super) fn takes(self, method: &Method, fields: &Fields<'_>, length: usize) -> Result<Self, Reply> {
        let limit = self.edge.config.max_body_bytes;
        if *method == Method::POST && !fields.is_json() {
            let why = "Content-Type must be application/json";
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, why).into_response().into());
        }
        if length > limit { Err(error_response::too_large(limit)) } else { Ok(self) }
    }

    /// Responds to a request that passed `admit` and `takes`.
    pub(super) async fn answer(self, request: Request<'_, '_>) -> Reply {
        let Request { method, fields, body } = request;
        match method {
            // The modern era uses only POST.
            Method::GET | Method::DELETE if self.names_modern(fields) => {
                (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")]).into_response().into()
            }
            Method::POST => self.post(fields, body).await,
            Method::GET => Box::pin(self.get(fields)).await,
            Method::DELETE => self.delete(fields).await,
            _ => (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, POST, DELETE")]).into_response().into(),
        }
    }

    /// Returns true if the headers are those of a modern client and the endpoint speaks the modern era.
    fn names_modern(&self, fields: &Fields<'_>) -> bool {
        endpoint::names_modern(fields) && self.edge.speaks_modern(&self.scope)
    }

    async fn post(self, fields: &Fields<'_>, body: Bytes) -> Reply {
        let message = match Message::parse(body.clone()) {
            Ok(message) => message,
            Err(Invalid::Batch) if !self.names_modern(fields) => {
                return Box::pin(self.batch(fields, &body)).await;
            }
            Err(invalid) if self.names_modern(fields) => return error_response::modern_invalid(&invalid),
            Err(invalid) => return error_response::invalid(&invalid),
        };
        if self.edge.speaks_modern(&self.scope) && endpoint::era(fields, &message) == Era::Modern {
            return Box::pin(endpoint::serve(&self.edge, &self.scope, self.sender, fields, message)).await;
        }
        if message.method() == "initialize" && message.kind() == protocol::Kind::Request {
            return Box::pin(self.initialize(&message)).await;
        }
        let request = if message.kind() == protocol::Kind::Request { message.id() } else { "" };
        let session = match self.session(fields, request).await {
            Ok(session) => session,
            Err(refusal) => return refusal,
        };
        match message.kind() {
            protocol::Kind::Request => {
                let (edge, own) = (Arc::clone(&self.edge), Arc::clone(&session));
                let exchange = Exchange::new(|events| Box::pin(run(edge, own, message, events)));
                self.respond(session, fields.accepts_events(), exchange).await
            }
            protocol::Kind::Notification => Box::pin(notify(&session, message)).await,
            protocol::Kind::Result | protocol::Kind::Error => {
                session.answer(&message);
                StatusCode::ACCEPTED.into_response().into()
            }
        }
    }

    /// Handles a batch of messages.
    async fn batch(self, fields: &Fields<'_>, body: &Bytes) -> Reply {
        let session = match self.session(fields, "").await {
            Ok(session) => session,
            Err(refusal) => return refusal,
        };
        let messages = match batch::read(&session, body) {
            Ok(messages) => messages,
            Err(invalid) => return error_response::invalid(&invalid),
        };
        let requests = batch::take(&session, messages).await;
        if requests.is_empty() {
            return StatusCode::ACCEPTED.into_response().into();
        }
        let (edge, own) = (Arc::clone(&self.edge), Arc::clone(&session));
        let exchange = Exchange::new(|events| Box::pin(batch::run_all(edge, own, requests, events)));
        self.respond(session, fields.accepts_events(), exchange).await
    }

    async fn respond(self, session: Arc<Session>, streams: bool, exchange: Exchange<Option<Pieces>>) -> Reply {
        let edge = Arc::clone(&self.edge);
        edge.services.tasks.finish_anyway("call", respond_with(self.edge, session, exchange, streams)).await
    }

    /// Opens a session with the upstream and returns the upstream's response to `initialize`.
    async fn initialize(self, message: &Message) -> Reply {
        let session = match self.edge.sessions.create(self.scope, self.sender) {
            Ok(session) => session,
            Err(error) => return error_response::failure(message.id(), &error),
        };
        // Ends the session if the client disconnects before the upstream responds.
        let provisional = Provisional { edge: &self.edge, session: Some(&session) };
        match introduce(&self.edge, &session, message).await {
            Ok(answer) => {
                provisional.keep();
                let reply = error_response::json(StatusCode::OK, answer);
                let id = self.edge.sessions.id(&session, message.params());
                ([(SESSION_ID, id)], reply).into_response().into()
            }
            Err(OpenError::Refused(answer)) => error_response::json(StatusCode::OK, answer.with_id(message.id(), &[])),
            Err(OpenError::Failed(error)) => error_response::failure(message.id(), &error),
        }
    }

    /// Opens the session's own stream, or resumes the stream that `Last-Event-ID` names.
    async fn get(self, fields: &Fields<'_>) -> Reply {
        if !fields.accepts_events() {
            return (StatusCode::NOT_ACCEPTABLE, "Accept must list text/event-stream").into_response().into();
        }
        let session = match self.session(fields, "").await {
            Ok(session) => session,
            Err(refusal) => return refusal,
        };
        if let Ok(Attached::One(attachment)) = session.attached() {
            attachment.listen().await;
        }
        let last = fields.last_event.map(|value| text(value).and_then(parse_event_id));
        let (number, seen) = match last {
            None => (0, None),
            Some(Some((number, seen))) => (number, Some(seen)),
            Some(None) => return error_response::bad_request("Last-Event-ID is not one that this endpoint gave"),
        };
        match session.stream(number) {
            Some(log) => {
                // Without an id, events that were read are not repeated, least of all questions.
                // A position that another process gave may be ahead of all events here.
                let seen = seen.unwrap_or(u64::MAX).min(log.newest_read());
                resumable(&self.edge, session, Resumable { number, log, seen, prime: false }).into()
            }
            None => error_response::bad_request("the stream that Last-Event-ID names is no longer kept"),
        }
    }

    async fn delete(self, fields: &Fields<'_>) -> Reply {
        let id = fields.session.and_then(text).unwrap_or_default();
        let is_live = self.edge.sessions.find(id, &self.scope, self.sender.principal).is_some();
        // One that would be opened again only to be ended.
        if !is_live && self.edge.sessions.forget(id, &self.scope, self.sender.principal) {
            return StatusCode::OK.into_response().into();
        }
        match self.session(fields, "").await {
            Ok(session) => {
                self.edge.sessions.end(&session);
                info!(session = &*session.id, upstream = session.endpoint.name(), "session ended by its client");
                StatusCode::OK.into_response().into()
            }
            Err(refusal) => refusal,
        }
    }

    /// Returns the session of a message. `request` is the id of a request, which is answered if the session cannot be
    /// opened again.
    async fn session(&self, fields: &Fields<'_>, request: &str) -> Result<Arc<Session>, Reply> {
        let version = fields.version.and_then(text);
        if version.is_some_and(|version| !protocol::is_known(version)) {
            return Err(error_response::bad_request(
                "MCP-Protocol-Version names a revision this endpoint does not speak",
            ));
        }
        let id = fields.session.ok_or_else(|| error_response::bad_request("Mcp-Session-Id is required"))?;
        let id = text(id).unwrap_or_default();
        let session = match self.edge.sessions.find(id, &self.scope, self.sender.principal) {
            Some(session) => session,
            None => Box::pin(self.restored(id, request)).await?,
        };
        session.touch();
        Ok(session)
    }

    /// Returns the session of an earlier process with this id.
    async fn restored(&self, id: &str, request: &str) -> Result<Arc<Session>, Reply> {
        let (edge, owner) = (&self.edge, (self.scope.clone(), self.sender));
        let open = |session, earlier| async move { reintroduce(edge, &session, &earlier).await };
        match edge.sessions.restore(id, owner, open).await {
            Ok(Some(session)) => Ok(session),
            Ok(None) => Err(error_response::unknown_session()),
            Err(error) if request.is_empty() => Err(error_response::failure("", &error)),
            // As in a session that is open: some libraries give up at any other status.
            Err(error) => Err(error_response::json(StatusCode::OK, error_response::error(request, &error))),
        }
    }
}

/// Responds with JSON if the response comes first and within the patience, else with a stream that a task fills.
async fn respond_with(
    edge: Arc<Edge>,
    session: Arc<Session>,
    mut exchange: Exchange<Option<Pieces>>,
    streams: bool,
) -> Reply {
    let patience = Instant::now() + edge.config.patience;
    // If the client accepts no event stream, events before the response go to the session's own stream.
    let own = (!streams).then(|| session.own_stream());
    let early = loop {
        let has_room = own.as_ref().is_none_or(|own| own.has_room());
        tokio::select! {
            biased;
            output = exchange.next(has_room) => match (output, &own) {
                (Output::Outcome(answer), _) => return finished(answer),
                (Output::Event(event), Some(own)) => session.put(own, event),
                (Output::Event(event), None) => break Some(event),
            },
            () = async { if let Some(own) = &own { own.room().await } }, if !has_room => {}
            () = wait_until(patience), if streams => break None,
        }
    };
    let (number, log) = session.new_stream();
    if let Some(event) = early {
        session.put(&log, event);
    }
    let (filler, filled) = (Arc::clone(&session), Arc::clone(&log));
    edge.services.tasks.spawn("call", async move {
        if let Some(answer) = fill(&filler, &filled, exchange).await {
            filled.push(answer.into());
        }
        filled.complete();
    });
    let prime = session.version() >= PRIMED_SINCE;
    resumable(&edge, session, Resumable { number, log, seen: 0, prime }).into()
}

/// Responds to the POST; for a cancelled request with an empty event stream (2025-11-25, cancellation).
fn finished(answer: Option<Pieces>) -> Reply {
    match answer {
        Some(answer) => error_response::json(StatusCode::OK, answer),
        None => ([(header::CONTENT_TYPE, "text/event-stream")], Body::empty()).into_response().into(),
    }
}
