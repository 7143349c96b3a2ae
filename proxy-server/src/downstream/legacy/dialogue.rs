//! Handles the messages of legacy clients, independent of the transport.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use bytes::Bytes;
use tokio::time::Instant;
use tracing::info;

use crate::call::{self, Answer, Attached, Call, Client, Earlier, Exchange, Output, from_memory, route};
use crate::downstream::edge::Edge;
use crate::downstream::error_response;
use crate::downstream::legacy::all;
use crate::downstream::legacy::event_log::EventLog;
use crate::downstream::legacy::session::{Endpoint, Session};
use crate::error::{Error, Kind};
use crate::http::server::Reply;
use crate::pieces::Pieces;
use crate::protocol::{self, INITIALIZED, Message, Object};
use crate::sync::lock;
use crate::upstream::{Events, OpenError};

/// Attaches a session to its upstream with the client's `initialize`. Returns the answer for the client.
pub(in crate::downstream) async fn introduce(
    edge: &Arc<Edge>,
    session: &Arc<Session>,
    message: &Message,
) -> Result<Bytes, OpenError> {
    let hello = Object::read(message.params()).ok();
    let Some(requested) = hello.as_ref().and_then(|hello| hello.text("protocolVersion")) else {
        let why = "`params.protocolVersion` is required";
        return Err(OpenError::Failed(Kind::InvalidParams(why).into()));
    };
    let upstream = match &session.endpoint {
        Endpoint::One(upstream) => upstream,
        Endpoint::All(caller) => {
            let (caller, version) = (lock(caller).clone(), protocol::negotiate(&requested));
            return Ok(all::introduce(&edge.services, (session, caller), (message, version)));
        }
    };
    let deadline = Instant::now() + edge.services.limits.initialize_timeout;
    let opened = edge.services.attach(upstream, message.params(), deadline).await;
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
    session.link(attachment, version, events, &edge.services.tasks);
    info!(session = &*session.id, upstream = session.endpoint.name(), version, "session opened");
    Ok(answer)
}

/// Opens a session of an earlier process again: as the client opened it, with its own `initialize`. Returns false if the
/// upstream does not agree to the same once more, so that the client has to begin anew.
pub(in crate::downstream) async fn reintroduce(
    edge: &Arc<Edge>,
    session: &Arc<Session>,
    earlier: &Earlier,
) -> Result<bool, Error> {
    let again = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}}"#, earlier.hello);
    let Ok(message) = Message::parse(again.into()) else { return Ok(false) };
    match introduce(edge, session, &message).await {
        Ok(_) if session.version() == earlier.version => {}
        Ok(_) | Err(OpenError::Refused(_)) => return Ok(false),
        Err(OpenError::Failed(error)) => return Err(error),
    }
    if let Ok(Attached::One(attachment)) = session.attached() {
        attachment.initialized(INITIALIZED.into(), false).await?;
    }
    info!(session = &*session.id, upstream = session.endpoint.name(), "session of an earlier process opened again");
    Ok(true)
}

/// Handles a client's notification: carries out a cancellation, and forwards all others.
pub(in crate::downstream) async fn notify(session: &Session, message: Message) -> Reply {
    // Some servers would carry out a request that lacks its id, without the checks that requests pass here.
    if !message.method().starts_with("notifications/") {
        return error_response::failure("", &Kind::InvalidRequest("a request needs an `id`").into());
    }
    if message.method() == "notifications/cancelled" {
        session.cancel(message);
        return StatusCode::ACCEPTED.into_response().into();
    }
    let sent = match session.attached() {
        Ok(Attached::One(attachment)) if message.method() == "notifications/initialized" => {
            attachment.initialized(message.bytes().clone(), session.has_reader()).await
        }
        Ok(Attached::One(attachment)) => attachment.notify(&message).await,
        Ok(Attached::All(attachments)) => attachments.notify(&message).await,
        Err(error) => Err(error),
    };
    match sent {
        Ok(()) => StatusCode::ACCEPTED.into_response().into(),
        Err(error) => error_response::failure("", &error),
    }
}

/// Returns the response to a request, or `None` if the client has cancelled it.
pub(in crate::downstream) async fn run(
    edge: Arc<Edge>,
    session: Arc<Session>,
    message: Message,
    events: Events,
) -> Option<Pieces> {
    if message.method() == "ping" {
        return Some(protocol::result_response(message.id(), "{}").into());
    }
    let outcome = answer(&edge, &session, &message, events).await;
    session.touch();
    match outcome {
        Ok(answer) => Some(answer.body),
        Err(error) if error.kind() == Kind::Cancelled => None,
        Err(error) => Some(error_response::error_to(&message, &error).into()),
    }
}

async fn answer(edge: &Edge, session: &Session, message: &Message, events: Events) -> Result<Answer, Error> {
    let services = &edge.services;
    let attached = session.attached()?;
    let scope = match (&session.endpoint, attached) {
        (Endpoint::One(upstream), _) => call::Scope::One(Arc::clone(upstream)),
        (Endpoint::All(_), Attached::All(attachments)) if message.method() == "logging/setLevel" => {
            return attachments.set_level(message).await.map(Answer::given);
        }
        (Endpoint::All(caller), Attached::All(attachments)) => {
            let caller = lock(caller).clone();
            let view = attachments.own().view(services, &caller);
            call::Scope::All { caller, view }
        }
        (Endpoint::All(_), Attached::One(_)) => return Err(Kind::NotReady.into()),
    };
    let call = Call {
        principal: session.sender.principal,
        attribution: session.sender.in_session(&session.id).into(),
        scope,
        client: Client::Legacy(attached.clone()),
        message: message.clone(),
        deadline: Instant::now() + services.limits.initialize_timeout,
    };
    if let Some(answer) = from_memory(services, &call) {
        return answer;
    }
    let call = route(services, call)?;
    let (_running, cancelled) = session.begin(message)?;
    call.run(events, cancelled).await
}

/// Puts the events of a call on its stream until the answer, then returns the answer.
pub(in crate::downstream) async fn fill(
    session: &Session,
    log: &EventLog,
    mut exchange: Exchange<Option<Pieces>>,
) -> Option<Pieces> {
    loop {
        let has_room = log.has_room();
        tokio::select! {
            biased;
            // Back-pressure: a client that does not keep up makes its upstream wait. The call itself goes on.
            output = exchange.next(has_room) => match output {
                Output::Event(event) => session.put(log, event),
                Output::Outcome(answer) => return answer,
            },
            () = log.room(), if !has_room => {}
        }
    }
}
