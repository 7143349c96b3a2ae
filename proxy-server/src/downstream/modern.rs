//! Endpoints for clients of the modern era (2026-07-28, transports, "Streamable HTTP"): every POST is an independent
//! request, and its response carries everything that belongs to it.
//!
//! Closing the response cancels the request. Only a call that awaits the answer to a question outlives its response.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use bytes::Bytes;
use tokio::time::Instant;

use crate::catalog::{View, qualified_id};
use crate::downstream::edge::Edge;
use crate::downstream::fields::{Fields, text};
use crate::downstream::headers::{self, Mismatch};
use crate::downstream::pool::Pool;
use crate::downstream::reply::respond_with;
use crate::downstream::session::Scope;
use crate::downstream::{bridged, forward, listen, merged, respond};
use crate::error::{self, Error};
use crate::http::server::Reply;
use crate::policy::{Caller, Principal};
use crate::protocol::{
    self, Claims, Era, HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, Kind, LATEST_MODERN, METHOD_NOT_FOUND,
    MISSING_CAPABILITY, Message, TASKS_EXTENSION, UNSUPPORTED_VERSION,
};
use crate::route::{self, answer_edits, state_edit};
use crate::sync::lock;
use crate::upstream::Upstream;

/// Legacy requests that are removed from the modern era, or have another meaning there.
const REMOVED: [&str; 7] = [
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/list",
    "tasks/result",
];
/// Requests of an extension that has no counterpart in the legacy era.
const TASKS: [&str; 3] = ["tasks/get", "tasks/update", "tasks/cancel"];

/// Error for a tool of a legacy upstream that modern clients cannot call.
pub(super) const NEEDS_TASK: error::Kind = error::Kind::InvalidParams(
    "this tool runs only as a task of 2025-11-25, which clients of this revision cannot ask for",
);

/// A validated request with its caller.
pub(super) struct Asking {
    pub(super) edge: Arc<Edge>,
    pub(super) principal: Principal,
    /// Request as received from the client.
    pub(super) message: Message,
    /// Raw client capabilities.
    pub(super) capabilities: Box<str>,
    /// Minimum severity of log messages that the client requested, if any.
    pub(super) log_level: Option<Box<str>>,
    /// Deadline for everything that precedes the call itself.
    pub(super) deadline: Instant,
}

impl Asking {
    /// Returns the client's view of all upstreams.
    pub(super) fn view(&self, caller: &Caller) -> Arc<View> {
        Pool::view(&self.edge, caller, self.principal, &self.capabilities)
    }
}

/// A request with the upstream it goes to. Cheap to clone.
#[derive(Clone)]
pub(super) struct Addressed {
    pub(super) asking: Arc<Asking>,
    pub(super) upstream: Arc<Upstream>,
    /// Request with the upstream's own names.
    pub(super) request: Message,
    /// Client's view of all upstreams, if the request came to their common endpoint.
    pub(super) view: Option<Arc<View>>,
}

impl Addressed {
    /// Returns slices of the upstream's response, each with the text that replaces it for the client.
    pub(super) fn edits<'a>(&self, answer: &'a Message) -> Vec<(&'a str, String)> {
        let name = self.upstream.definition().name.as_str();
        let Some(view) = &self.view else { return Vec::new() };
        let mut edits = answer_edits(view, name, self.request.method(), answer);
        edits.extend(state_edit(name, answer));
        edits
    }

    /// Returns the `requestState` in the form that the client sends back.
    pub(super) fn state<'a>(&self, own: &'a str) -> Cow<'a, str> {
        match &self.view {
            Some(_) => qualified_id(self.upstream.definition().name.as_str(), own).into(),
            None => own.into(),
        }
    }

    /// Returns the upstream's era. Waits until the deadline while it is being detected.
    pub(super) async fn era(&self) -> Result<Era, Error> {
        self.upstream.era(self.asking.deadline).await
    }

    /// Translates a notification for the client; `None` if the client must not receive it.
    pub(super) fn told(&self, notification: Bytes) -> Option<Bytes> {
        match &self.view {
            Some(view) => route::notification(view, self.upstream.definition().name.as_str(), notification),
            None => Some(notification),
        }
    }
}

/// Returns true if the headers are those of a modern client: the version header names the modern revision, or, without
/// a session, any revision but a known legacy one.
pub(super) fn names_modern(fields: &Fields<'_>) -> bool {
    let version = fields.version.map(|value| text(value).unwrap_or_default());
    version.is_some_and(|version| match fields.session {
        Some(_) => version == LATEST_MODERN,
        None => !protocol::is_known(version),
    })
}

/// Returns the era of a message. Modern headers mean modern, except for `initialize`; otherwise a session means legacy,
/// and without one the version claim in the body decides.
pub(super) fn era(fields: &Fields<'_>, message: &Message) -> Era {
    let is_modern = match (names_modern(fields), fields.session) {
        (true, _) if message.method() != "initialize" => true,
        (false, Some(_)) => false,
        (_, _) => protocol::claims_a_version(message),
    };
    if is_modern { Era::Modern } else { Era::Legacy }
}

/// Responds to a message of a modern client.
pub(super) async fn serve(
    edge: &Arc<Edge>,
    scope: &Scope,
    principal: Principal,
    fields: &Fields<'_>,
    message: Message,
) -> Reply {
    match message.kind() {
        Kind::Request => {}
        // A client cancels by closing the response, so no notification has a meaning here.
        Kind::Notification => return StatusCode::ACCEPTED.into_response().into(),
        Kind::Result | Kind::Error => {
            return respond::modern_error("", StatusCode::BAD_REQUEST, INVALID_REQUEST, "nothing was asked by this id");
        }
    }
    if !fields.accepts_both() {
        return (StatusCode::NOT_ACCEPTABLE, "Accept must list application/json and text/event-stream")
            .into_response()
            .into();
    }
    carry_out(edge, scope, principal, message, Some(fields)).await
}

/// Responds to a request regardless of the transport. Headers are checked if there are any.
pub(super) async fn carry_out(
    edge: &Arc<Edge>,
    scope: &Scope,
    principal: Principal,
    message: Message,
    fields: Option<&Fields<'_>>,
) -> Reply {
    let refuse = |code, why: &str| respond::modern_error(message.id(), StatusCode::BAD_REQUEST, code, why);
    let claims = match Claims::of(&message) {
        Ok(claims) => claims,
        Err(why) => return refuse(INVALID_PARAMS, why),
    };
    if let Some(fields) = fields
        && let Err(Mismatch(why)) = headers::check(fields, &message, &claims.version)
    {
        return refuse(HEADER_MISMATCH, &why);
    }
    if claims.version != LATEST_MODERN {
        return unsupported(&message, &claims.version);
    }
    if REMOVED.contains(&message.method()) {
        return unknown_method(&message);
    }
    let (capabilities, log_level) = (claims.capabilities.into(), claims.log_level.as_deref().map(Into::into));
    let deadline = Instant::now() + edge.config.initialize_timeout;
    let asking = Asking { edge: Arc::clone(edge), principal, message, capabilities, log_level, deadline };
    let asking = Arc::new(asking);
    match scope {
        Scope::One(upstream) => serve_one(asking, upstream, fields).await,
        Scope::All(caller) => {
            let caller = lock(caller).clone();
            Box::pin(merged::serve(asking, caller, fields)).await
        }
    }
}

/// Responds to a request for one upstream.
async fn serve_one(asking: Arc<Asking>, upstream: &Arc<Upstream>, fields: Option<&Fields<'_>>) -> Reply {
    let message = &asking.message;
    let (upstream, request) = (Arc::clone(upstream), message.clone());
    let to = Addressed { asking: Arc::clone(&asking), upstream, request, view: None };
    let era = match to.era().await {
        Ok(era) => era,
        Err(error) => return respond::modern_failure(message, &error),
    };
    if is_foreign(era, message) {
        return unknown_method(message);
    }
    if let Some(refusal) = check_tool(&to, era, fields).await {
        return refusal;
    }
    match (era, message.method()) {
        (Era::Modern, "subscriptions/listen") => Box::pin(listen::relay(to)).await,
        (Era::Modern, _) => respond_with(forward::begin(to), &asking.edge.config).await,
        // Boxed, so that a request that is forwarded unchanged does not carry the size of these futures.
        (Era::Legacy, "server/discover") => Box::pin(bridged::discover(&to)).await,
        (Era::Legacy, "subscriptions/listen") => Box::pin(listen::open(to)).await,
        (Era::Legacy, _) => Box::pin(bridged::answer(to)).await,
    }
}

/// Returns true if an upstream of this era does not know the method.
pub(super) fn is_foreign(era: Era, message: &Message) -> bool {
    era == Era::Legacy && TASKS.contains(&message.method())
}

/// Refuses a request about a task from a client that did not declare the tasks extension ("Capability").
pub(super) fn refuse_undeclared(asking: &Asking) -> Option<Reply> {
    if !TASKS.contains(&asking.message.method()) || protocol::declares_tasks(&asking.capabilities) {
        return None;
    }
    let data = format!(r#"{{"requiredCapabilities":{{"extensions":{{"{TASKS_EXTENSION}":{{}}}}}}}}"#);
    let words = "The client must declare that it supports tasks";
    let body = protocol::error_response(asking.message.id(), MISSING_CAPABILITY, words, &data);
    Some(respond::json(StatusCode::BAD_REQUEST, body))
}

/// Refuses a method that does not exist in the modern era, or no longer does.
pub(super) fn unknown_method(message: &Message) -> Reply {
    let why = format!("`{}` is not a method of {LATEST_MODERN} here", message.method());
    respond::modern_error(message.id(), StatusCode::NOT_FOUND, METHOD_NOT_FOUND, &why)
}

/// Refuses a `tools/call` that contradicts the tool's known definition: mismatched headers, or a legacy tool that runs
/// only as a task.
pub(super) async fn check_tool(to: &Addressed, era: Era, fields: Option<&Fields<'_>>) -> Option<Reply> {
    let Addressed { asking, upstream, request, .. } = to;
    if request.method() != "tools/call" {
        return None;
    }
    let name = request.parameter("name").and_then(protocol::text)?;
    let checked = asking.edge.catalog.tool(upstream, &name, |tool| {
        let checked = fields.map_or(Ok(()), |fields| headers::check_arguments(fields, request, tool));
        (checked, tool.needs_task)
    });
    match checked.await? {
        (Err(Mismatch(why)), _) => {
            Some(respond::modern_error(request.id(), StatusCode::BAD_REQUEST, HEADER_MISMATCH, &why))
        }
        (Ok(()), true) if era == Era::Legacy => Some(respond::modern_failure(request, &NEEDS_TASK.into())),
        (Ok(()), _) => None,
    }
}

fn unsupported(message: &Message, requested: &str) -> Reply {
    let requested = serde_json::Value::from(requested);
    let data = format!(r#"{{"supported":["{LATEST_MODERN}"],"requested":{requested}}}"#);
    let words = "Unsupported protocol version";
    let body = protocol::error_response(message.id(), UNSUPPORTED_VERSION, words, &data);
    respond::json(StatusCode::BAD_REQUEST, body)
}
