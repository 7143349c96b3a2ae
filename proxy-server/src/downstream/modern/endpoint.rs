//! Endpoints for clients of the modern era (2026-07-28, transports, "Streamable HTTP"): every POST is an independent
//! request, and its response carries everything that belongs to it.
//!
//! Closing the response cancels the request. Only a call that awaits the answer to a question outlives its response.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use tokio::time::Instant;

use crate::call::{self, Call, Client, ModernClient, from_memory, listen, route};
use crate::downstream::edge::Edge;
use crate::downstream::error_response;
use crate::downstream::fields::{Fields, text};
use crate::downstream::legacy::session::Scope;
use crate::downstream::modern::headers::{self, Mismatch};
use crate::downstream::modern::response;
use crate::http::server::Reply;
use crate::policy::Principal;
use crate::protocol::{
    self, Claims, Era, HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, Kind, LATEST_MODERN, METHOD_NOT_FOUND,
    MISSING_CAPABILITY, Message, TASKS_EXTENSION, UNSUPPORTED_VERSION,
};
use crate::sync::lock;

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
        (_, _) => protocol::claims_a_version(message),
    };
    if is_modern { Era::Modern } else { Era::Legacy }
}

/// Responds to a message of a modern client.
pub(in crate::downstream) async fn serve(
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
            return error_response::modern_error(
                "",
                StatusCode::BAD_REQUEST,
                INVALID_REQUEST,
                "nothing was asked by this id",
            );
        }
    }
    if !fields.accepts_both() {
        return (StatusCode::NOT_ACCEPTABLE, "Accept must list application/json and text/event-stream")
            .into_response()
            .into();
    }
    answer(edge, scope, principal, message, Some(fields)).await
}

/// Responds to a request regardless of the transport. Headers are checked if there are any.
pub(in crate::downstream) async fn answer(
    edge: &Arc<Edge>,
    scope: &Scope,
    principal: Principal,
    message: Message,
    fields: Option<&Fields<'_>>,
) -> Reply {
    let refuse = |code, why: &str| error_response::modern_error(message.id(), StatusCode::BAD_REQUEST, code, why);
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
        let why = format!("`{}` is not a method of {LATEST_MODERN} here", message.method());
        return error_response::modern_error(message.id(), StatusCode::NOT_FOUND, METHOD_NOT_FOUND, &why);
    }
    let client = ModernClient {
        capabilities: claims.capabilities.into(),
        log_level: claims.log_level.as_deref().map(Into::into),
    };
    if let Some(refusal) = refuse_undeclared(&message, &client, scope) {
        return refusal;
    }
    let services = &edge.services;
    let scope = match scope {
        Scope::One(upstream) => call::Scope::One(Arc::clone(upstream)),
        Scope::All(caller) => {
            let caller = lock(caller).clone();
            let view = services.view_of(&caller, principal, &client);
            call::Scope::All { caller, view }
        }
    };
    let deadline = Instant::now() + services.limits.initialize_timeout;
    let call = Call { principal, scope, client: Client::Modern(client), message: message.clone(), deadline };
    // Boxed, so that answers from memory do not carry the size of this future.
    match from_memory(services, &call) {
        Some(answer) => response::outcome(&message, answer),
        None => Box::pin(carry_out(edge, call, message, fields)).await,
    }
}

/// Responds to a request that goes to an upstream.
async fn carry_out(edge: &Edge, call: Call, message: Message, fields: Option<&Fields<'_>>) -> Reply {
    if message.method() == "subscriptions/listen" {
        return response::respond_with(listen(&edge.services, call), message, &edge.config).await;
    }
    let call = match route(&edge.services, call) {
        Ok(call) => call,
        Err(error) => return error_response::modern_failure(&message, &error),
    };
    if let Some(fields) = fields
        && let Some(Err(Mismatch(why))) = call.tool(|tool| headers::check_arguments(fields, &message, tool)).await
    {
        return error_response::modern_error(message.id(), StatusCode::BAD_REQUEST, HEADER_MISMATCH, &why);
    }
    response::respond_with(call.start(), message, &edge.config).await
}

/// Refuses a request about a task at the endpoint of all upstreams from a client that did not declare the tasks
/// extension ("Capability").
fn refuse_undeclared(message: &Message, client: &ModernClient, scope: &Scope) -> Option<Reply> {
    let is_one = matches!(scope, Scope::One(_));
    if is_one || !TASKS.contains(&message.method()) || protocol::declares_tasks(&client.capabilities) {
        return None;
    }
    let data = format!(r#"{{"requiredCapabilities":{{"extensions":{{"{TASKS_EXTENSION}":{{}}}}}}}}"#);
    let words = "The client must declare that it supports tasks";
    let body = protocol::error_response(message.id(), MISSING_CAPABILITY, words, &data);
    Some(error_response::json(StatusCode::BAD_REQUEST, body))
}

fn unsupported(message: &Message, requested: &str) -> Reply {
    let requested = serde_json::Value::from(requested);
    let data = format!(r#"{{"supported":["{LATEST_MODERN}"],"requested":{requested}}}"#);
    let words = "Unsupported protocol version";
    let body = protocol::error_response(message.id(), UNSUPPORTED_VERSION, words, &data);
    error_response::json(StatusCode::BAD_REQUEST, body)
}
