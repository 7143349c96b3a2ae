//! The endpoint of one upstream for clients of the modern era (2026-07-28, transports, "Streamable HTTP"): every POST is
//! a request of its own, and its response is all there is to it.
//!
//! Closing the response cancels the request: nothing of it is kept for a client that comes back, but a question that it
//! was asked.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use crate::downstream::headers::{self, Mismatch, PROTOCOL_VERSION};
use crate::downstream::{Edge, bridged, forward, listen, respond};
use crate::policy::Principal;
use crate::protocol::{
    self, Claims, Era, HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, Kind, LATEST_MODERN, METHOD_NOT_FOUND,
    Message, UNSUPPORTED_VERSION,
};
use crate::upstream::Upstream;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static(PROTOCOL_VERSION);

/// Requests of the legacy era that mean nothing any more, or something else.
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

/// A request whose form is right.
pub(super) struct Asking {
    pub(super) edge: Arc<Edge>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) principal: Principal,
    pub(super) message: Message,
    /// The raw client capabilities.
    pub(super) capabilities: Box<str>,
    /// The least severe log message it wants, if it wants any.
    pub(super) log_level: Option<Box<str>>,
}

/// Whether the headers of a request are those of a modern client. One with a session is legacy unless it says otherwise
/// in so many words.
pub(super) fn names_modern(headers: &HeaderMap) -> bool {
    let version = headers.get(&VERSION).map(|value| value.to_str().unwrap_or_default());
    let has_session = headers.contains_key(&SESSION_ID);
    version.is_some_and(|version| if has_session { version == LATEST_MODERN } else { !protocol::is_known(version) })
}

/// The era that a message belongs to. Who shakes hands or has a session is legacy.
pub(super) fn era(headers: &HeaderMap, message: &Message) -> Era {
    let names_modern = names_modern(headers);
    let is_modern = match (names_modern, headers.contains_key(&SESSION_ID)) {
        (true, _) if message.method() != "initialize" => true,
        (false, true) => false,
        (_, _) => protocol::claims_a_version(message),
    };
    if is_modern { Era::Modern } else { Era::Legacy }
}

/// Answers a message of a modern client.
pub(super) async fn serve(
    edge: &Arc<Edge>,
    upstream: &Arc<Upstream>,
    principal: Principal,
    headers: &HeaderMap,
    message: Message,
) -> Response {
    match message.kind() {
        Kind::Request => {}
        // A client closes the response instead, so there is nothing that it could tell.
        Kind::Notification => return StatusCode::ACCEPTED.into_response(),
        Kind::Result | Kind::Error => {
            return respond::modern_error("", StatusCode::BAD_REQUEST, INVALID_REQUEST, "nothing was asked by this id");
        }
    }
    if !headers::accepts_both(headers) {
        return (StatusCode::NOT_ACCEPTABLE, "Accept must list application/json and text/event-stream").into_response();
    }
    let refuse = |code, why: &str| respond::modern_error(message.id(), StatusCode::BAD_REQUEST, code, why);
    let claims = match Claims::of(&message) {
        Ok(claims) => claims,
        Err(why) => return refuse(INVALID_PARAMS, why),
    };
    if let Err(Mismatch(why)) = headers::check(headers, &message, &claims.version) {
        return refuse(HEADER_MISMATCH, &why);
    }
    carry_out(edge, upstream, principal, message, Some(headers)).await
}

/// The same without what HTTP adds: headers are checked where there are any.
pub(super) async fn carry_out(
    edge: &Arc<Edge>,
    upstream: &Arc<Upstream>,
    principal: Principal,
    message: Message,
    headers: Option<&HeaderMap>,
) -> Response {
    let claims = match Claims::of(&message) {
        Ok(claims) => claims,
        Err(why) => return respond::modern_error(message.id(), StatusCode::BAD_REQUEST, INVALID_PARAMS, why),
    };
    if claims.version != LATEST_MODERN {
        return unsupported(&message, &claims.version);
    }
    let (capabilities, log_level) = (claims.capabilities.into(), claims.log_level.as_deref().map(Into::into));
    let era = match upstream.era(Instant::now() + edge.config.initialize_timeout).await {
        Ok(era) => era,
        Err(error) => return respond::failure(message.id(), &error),
    };
    let method = message.method();
    if REMOVED.contains(&method) || (era == Era::Legacy && TASKS.contains(&method)) {
        let why = format!("`{method}` is not a method of {LATEST_MODERN} here");
        return respond::modern_error(message.id(), StatusCode::NOT_FOUND, METHOD_NOT_FOUND, &why);
    }
    let (edge, upstream) = (Arc::clone(edge), Arc::clone(upstream));
    if method == "tools/call"
        && let Some(refusal) = check_tool(&edge, (&upstream, era), headers, &message).await
    {
        return refusal;
    }
    let asking = Asking { edge, upstream, principal, message, capabilities, log_level };
    match (era, asking.message.method()) {
        (Era::Modern, _) => forward::answer(asking).await,
        (Era::Legacy, "server/discover") => bridged::discover(&asking).await,
        (Era::Legacy, "subscriptions/listen") => listen::open(asking).await,
        (Era::Legacy, _) => bridged::answer(asking).await,
    }
}

/// Refuses what is known to be wrong about the call of a tool, as far as the upstream tells what its tools are like.
async fn check_tool(
    edge: &Arc<Edge>,
    (upstream, era): (&Arc<Upstream>, Era),
    headers: Option<&HeaderMap>,
    message: &Message,
) -> Option<Response> {
    let name = message.parameter("name").and_then(protocol::text)?;
    let tool = edge.tools.get(upstream, &name).await?;
    if let Some(headers) = headers
        && let Err(Mismatch(why)) = headers::check_arguments(headers, message, &tool)
    {
        return Some(respond::modern_error(message.id(), StatusCode::BAD_REQUEST, HEADER_MISMATCH, &why));
    }
    (tool.needs_task && era == Era::Legacy).then(|| {
        let why = "this tool runs only as a task of 2025-11-25, which clients of this revision cannot ask for";
        respond::modern_error(message.id(), StatusCode::OK, INVALID_PARAMS, why)
    })
}

fn unsupported(message: &Message, requested: &str) -> Response {
    let requested = serde_json::Value::from(requested);
    let data = format!(r#"{{"supported":["{LATEST_MODERN}"],"requested":{requested}}}"#);
    let words = "Unsupported protocol version";
    let body = protocol::error_response(message.id(), UNSUPPORTED_VERSION, words, &data);
    respond::json(StatusCode::BAD_REQUEST, body)
}
