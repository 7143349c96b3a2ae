//! Endpoints for clients of the modern era (2026-07-28, transports, "Streamable HTTP"): every POST is an independent
//! request, and its response carries everything that belongs to it.
//!
//! Closing the response cancels the request. Only a call that awaits the answer to a question outlives its response.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use tokio::time::Instant;

use crate::call::{self, Call, Client, Exchange, ModernClient, from_memory, listen, route};
use crate::downstream::edge::Edge;
use crate::downstream::error_response::{self, JsonResponse};
use crate::downstream::fields::{Fields, text};
use crate::downstream::legacy::session::Scope;
use crate::downstream::modern::headers::{self, Mismatch};
use crate::downstream::modern::response::{self, Outcome};
use crate::http::server::Reply;
use crate::policy::Sender;
use crate::protocol::{
    self, Era, HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, Kind, LATEST_MODERN, METHOD_NOT_FOUND,
    MISSING_CAPABILITY, Message, RequestMeta, TASKS_EXTENSION, UNSUPPORTED_VERSION,
};

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
/// Requests of the tasks extension.
const TASKS: [&str; 3] = ["tasks/get", "tasks/update", "tasks/cancel"];

/// Returns true if the headers are those of a modern client: the version header names the modern revision, or, without
/// a session, any revision but a known legacy one.
pub(in crate::downstream) fn names_modern(fields: &Fields<'_>) -> bool {
    let version = fields.version.map(|value| text(value).unwrap_or_default());
    version.is_some_and(|version| match fields.session {
        Some(_) => version == LATEST_MODERN,
        None => !protocol::is_known(version),
    })
}

/// Returns the era of a message. Modern headers mean modern, except for `initialize`; otherwise a session means legacy,
/// and without one the version claim in the body decides.
pub(in crate::downstream) fn era(fields: &Fields<'_>, message: &Message) -> Era {
    let is_modern = match (names_modern(fields), fields.session) {
        (true, _) if message.method() != "initialize" => true,
        (false, Some(_)) => false,
        (_, _) => protocol::names_a_version(message),
    };
    if is_modern { Era::Modern } else { Era::Legacy }
}

/// Responds to a message of a modern client.
pub(in crate::downstream) async fn serve(
    edge: &Arc<Edge>,
    scope: &Scope,
    sender: Sender,
    fields: &Fields<'_>,
    message: Message,
) -> Reply {
    match message.kind() {
        Kind::Request => {}
        // A client cancels by closing the response, so no notification has a meaning here.
        Kind::Notification => return StatusCode::ACCEPTED.into_response().into(),
        Kind::Result | Kind::Error => {
            return error_response::modern_error(
                "",
                StatusCode::BAD_REQUEST,
                INVALID_REQUEST,
                "nothing was asked by this id",
            )
            .into();
        }
    }
    if !fields.accepts_both() {
        return (StatusCode::NOT_ACCEPTABLE, "Accept must list application/json and text/event-stream")
            .into_response()
            .into();
    }
    match open(edge, scope, sender, &message, Some(fields)).await {
        Ok(exchange) => response::respond_with(exchange, message, &edge.config).await,
        Err(response) => response.into(),
    }
}

/// Begins to carry out a request, regardless of the transport. Headers are checked if there are any. Returns the response
/// instead if there is one at once.
pub(in crate::downstream) async fn open(
    edge: &Arc<Edge>,
    scope: &Scope,
    sender: Sender,
    message: &Message,
    fields: Option<&Fields<'_>>,
) -> Result<Exchange<Outcome>, JsonResponse> {
    let client = client(message, fields)?;
    refuse_undeclared(message, &client, scope)?;
    let services = &edge.services;
    let scope = match scope {
        Scope::One(upstream) => call::Scope::One(Arc::clone(upstream)),
        Scope::All(caller) => {
            let view = services.view_of(caller, sender.principal, &client);
            call::Scope::All { caller: caller.clone(), view }
        }
    };
    let deadline = Instant::now() + services.limits.initialize_timeout;
    let (principal, attribution) = (sender.principal, sender.tenant.into());
    let (client, request) = (Client::Modern(client), message.clone());
    let call = Call { principal, attribution, scope, client, message: request, deadline };
    if let Some(answer) = from_memory(services, &call) {
        return Err(response::outcome(message, answer));
    }
    if message.method() == "subscriptions/listen" {
        return Ok(listen(services, call));
    }
    let call = route(services, call).map_err(|error| error_response::modern_failure(message, &error))?;
    if let Some(fields) = fields
        && let Some(Err(Mismatch(why))) = call.tool(|tool| headers::check_arguments(fields, message, tool)).await
    {
        return Err(error_response::modern_error(message.id(), StatusCode::BAD_REQUEST, HEADER_MISMATCH, &why));
    }
    Ok(call.start())
}

/// Returns the client's properties, or the refusal of a request that violates the protocol.
fn client(message: &Message, fields: Option<&Fields<'_>>) -> Result<ModernClient, JsonResponse> {
    let refuse = |code, why: &str| error_response::modern_error(message.id(), StatusCode::BAD_REQUEST, code, why);
    let meta = RequestMeta::of(message).map_err(|why| refuse(INVALID_PARAMS, why))?;
    if let Some(fields) = fields {
        headers::check(fields, message, &meta.version).map_err(|Mismatch(why)| refuse(HEADER_MISMATCH, &why))?;
    }
    if meta.version != LATEST_MODERN {
        return Err(unsupported(message, &meta.version));
    }
    if REMOVED.contains(&message.method()) {
        let why = format!("`{}` is not a method of {LATEST_MODERN} here", message.method());
        return Err(error_response::modern_error(message.id(), StatusCode::NOT_FOUND, METHOD_NOT_FOUND, &why));
    }
    let log_level = meta.log_level.as_deref().map(Into::into);
    Ok(ModernClient { capabilities: meta.capabilities.into(), log_level })
}

/// Refuses a request about a task, at the endpoint of all upstreams, if the client did not declare the tasks extension.
fn refuse_undeclared(message: &Message, client: &ModernClient, scope: &Scope) -> Result<(), JsonResponse> {
    let is_one = matches!(scope, Scope::One(_));
    if is_one || !TASKS.contains(&message.method()) || protocol::declares_tasks(&client.capabilities) {
        return Ok(());
    }
    let data = format!(r#"{{"requiredCapabilities":{{"extensions":{{"{TASKS_EXTENSION}":{{}}}}}}}}"#);
    let words = "The client must declare that it supports tasks";
    let body = protocol::error_response(message.id(), MISSING_CAPABILITY, words, &data);
    Err(JsonResponse::new(StatusCode::BAD_REQUEST, body))
}

fn unsupported(message: &Message, requested: &str) -> JsonResponse {
    let requested = serde_json::Value::from(requested);
    let data = format!(r#"{{"supported":["{LATEST_MODERN}"],"requested":{requested}}}"#);
    let words = "Unsupported protocol version";
    let body = protocol::error_response(message.id(), UNSUPPORTED_VERSION, words, &data);
    JsonResponse::new(StatusCode::BAD_REQUEST, body)
}
