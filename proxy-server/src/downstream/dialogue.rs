//! Handles the messages of legacy clients, independent of the transport.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use bytes::Bytes;
use tracing::info;

use crate::call::call;
use crate::downstream::edge::Edge;
use crate::downstream::event_log::EventLog;
use crate::downstream::session::{Scope, Session};
use crate::downstream::{aggregate, respond};
use crate::error::{Error, Kind};
use crate::http::server::Reply;
use crate::pieces::Pieces;
use crate::protocol::{self, Message, Object};
use crate::sync::lock;
use crate::upstream::{Call, EventQueue, Events, OpenError};

const INITIALIZED: &str = "notifications/initialized";

/// Attaches a session to its upstream with the client's `initialize`. Returns the answer for the client.
pub(super) async fn introduce(edge: &Arc<Edge>, session: &Arc<Session>, message: &Message) -> Result<Bytes, OpenError> {
    let hello = Object::read(message.params()).ok();
    let Some(requested) = hello.as_ref().and_then(|hello| hello.text("protocolVersion")) else {
        let why = "`params.protocolVersion` is required";
        return Err(OpenError::Failed(Kind::InvalidParams(why).into()));
    };
    let upstream = match &session.scope {
        Scope::One(upstream) => upstream,
        Scope::All(_) => return Ok(aggregate::introduce(edge, session, message, protocol::negotiate(&requested))),
    };
    let opened = edge.attach(upstream, message.params()).await;
    let (attachment, handshake, events) = opened.map_err(|error| match error {
        OpenError::Failed(error) => OpenError::Failed(error.at(&upstream.definition().name)),
        OpenError::Refused(answer) => OpenError::Refused(answer),
    })?;
    let result = Object::read(handshake.body()).ok();
    let agreed = result.as_ref().and_then(|result| result.get("protocolVersion")).unwrap_or_default();
    let (answer, version) = if attachment.is_shared() {
        // The gateway negotiated the version of the shared session; each client negotiates with the gateway in turn.
        let version = protocol::negotiate(&requested);
        (handshake.with_id(message.id(), &[(agreed, &format!("\"{version}\""))]), version)
    } else {
        (handshake.with_id(message.id(), &[]), agreed.trim_matches('"'))
    };
    session.link(attachment, version, events, &edge.tasks);
    info!(session = &*session.id, upstream = session.scope.name(), version, "session opened");
    Ok(answer)
}

/// Handles a client's notification: carries out a cancellation, and forwards all others.
pub(super) async fn notify(session: &Session, message: Message) -> Reply {
    // Some servers would carry out a request that lacks its id, without the checks that requests pass here.
    if !message.method().starts_with("notifications/") {
        return respond::failure("", &Kind::InvalidRequest("a request needs an `id`").into());
    }
    if message.method() == "notifications/cancelled" {
        session.cancel(message);
        return StatusCode::ACCEPTED.into_response().into();
    }
    let sent = match &session.scope {
        Scope::One(_) => match session.attachment() {
            Ok(attachment) if message.method() == INITIALIZED => {
                attachment.initialized(&message, session.has_reader()).await
            }
            Ok(attachment) => attachment.notify(&message).await,
            Err(error) => Err(error),
        },
        Scope::All(_) => aggregate::notify(session, &message).await,
    };
    match sent {
        Ok(()) => StatusCode::ACCEPTED.into_response().into(),
        Err(error) => respond::failure("", &error),
    }
}

/// Returns the response to a request, or `None` if the client has cancelled it.
pub(super) async fn run(edge: Arc<Edge>, session: Arc<Session>, message: Message, events: Events) -> Option<Pieces> {
    if message.method() == "ping" {
        return Some(protocol::result_response(message.id(), "{}").into());
    }
    if let Scope::All(caller) = &session.scope {
        let caller = lock(caller).clone();
        return aggregate::run(&edge, &session, &caller, &message, events).await;
    }
    let outcome = async {
        let attachment = session.attachment()?;
        let (_running, cancelled) = session.begin(&message)?;
        let deadline = attachment.upstream().call_deadline();
        call(attachment, Call { message: &message, events, cancelled, deadline }).await
    };
    let outcome: Result<Message, Error> = outcome.await;
    session.touch();
    match outcome {
        Ok(answer) => Some(answer.pieces_with_id(message.id())),
        Err(error) if error.kind() == Kind::Cancelled => None,
        Err(error) => Some(respond::error(message.id(), &error).into()),
    }
}

/// Puts the events of a call on its stream until the answer, then returns the answer.
pub(super) async fn fill(
    session: &Session,
    log: &EventLog,
    queue: &mut EventQueue,
    outcome: impl Future<Output = Option<Pieces>>,
) -> Option<Pieces> {
    tokio::pin!(outcome);
    let bytes = loop {
        tokio::select! {
            biased;
            // Back-pressure: a client that does not keep up makes its upstream wait. The call itself goes on.
            Some(event) = queue.recv(), if log.has_room() => session.put(log, event),
            bytes = &mut outcome => break bytes,
            () = log.room(), if !log.has_room() => {}
        }
    };
    while let Some(event) = queue.try_recv() {
        session.put(log, event);
    }
    bytes
}
