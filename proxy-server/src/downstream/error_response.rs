//! Maps the kinds of failures of calls to HTTP statuses, JSON-RPC error codes and messages, exhaustively and in one place.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemas::Problem;

use crate::error::{Error, Kind, Unknown};
use crate::http::server::{BodyError, Reply};
use crate::pieces::Pieces;
use crate::policy::Denied;
use crate::protocol::{
    INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Invalid, METHOD_NOT_FOUND, Message, Object, PARSE_ERROR,
    RESOURCE_NOT_FOUND, anonymous_error, error_response,
};
use crate::telemetry::mask_known;

/// Builds a JSON-RPC error response to the request with this raw id.
pub(super) fn error(id: &str, error: &Error) -> Bytes {
    let (_, code, words) = answer(error);
    let data = serde_json::json!({ "kind": error.kind().word(), "upstream": error.upstream() });
    error_response(id, code, &words, &data.to_string())
}

/// Builds an error response. If the requested resource does not exist, the error data names its URI (2025-11-25,
/// resources, "Error Handling").
pub(super) fn error_to(request: &Message, failure: &Error) -> Bytes {
    let uri = Object::read(request.params()).ok().and_then(|params| params.get("uri"));
    match (failure.kind(), uri) {
        (Kind::UnknownResource, Some(uri)) => {
            let (_, code, words) = answer(failure);
            error_response(request.id(), code, &words, &format!(r#"{{"uri":{uri}}}"#))
        }
        _ => error(request.id(), failure),
    }
}

/// A response that every transport can write: over HTTP with its status, on standard output without.
pub(super) struct JsonResponse {
    status: StatusCode,
    body: Pieces,
}

impl JsonResponse {
    pub(super) fn new(status: StatusCode, body: impl Into<Pieces>) -> Self {
        Self { status, body: body.into() }
    }

    /// Returns the JSON-RPC message.
    pub(super) fn into_message(self) -> Bytes {
        self.body.into()
    }
}

impl From<JsonResponse> for Reply {
    fn from(response: JsonResponse) -> Self {
        let JsonResponse { status, body } = response;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return ([(header::RETRY_AFTER, "1")], Self::Json(status, body)).into_response().into();
        }
        Self::Json(status, body)
    }
}

/// Builds the response to a failed modern request. The modern era has no separate code for unknown resources.
pub(super) fn modern_failure(request: &Message, failure: &Error) -> JsonResponse {
    let (status, _, _) = answer(failure);
    match failure.kind() {
        Kind::UnknownMethod => JsonResponse::new(StatusCode::NOT_FOUND, error(request.id(), failure)),
        Kind::UnknownResource => JsonResponse::new(StatusCode::OK, modern_error_to(request, failure)),
        _ => JsonResponse::new(status, error(request.id(), failure)),
    }
}

/// Builds the JSON-RPC error for a modern request, also within a stream (2026-07-28, resources, "Error Handling").
pub(super) fn modern_error_to(request: &Message, failure: &Error) -> Bytes {
    let uri = Object::read(request.params()).ok().and_then(|params| params.get("uri"));
    match failure.kind() {
        Kind::UnknownResource => {
            let (_, _, words) = answer(failure);
            error_response(request.id(), INVALID_PARAMS, &words, &format!(r#"{{"uri":{}}}"#, uri.unwrap_or("null")))
        }
        _ => error(request.id(), failure),
    }
}

/// Builds an error response to a modern request. An empty id is left out.
pub(super) fn modern_error(id: &str, status: StatusCode, code: i32, why: &str) -> JsonResponse {
    let body = if id.is_empty() { anonymous_error(code, why) } else { error_response(id, code, why, "") };
    JsonResponse::new(status, body)
}

/// Builds an HTTP error response for a request that has no session or stream yet.
pub(super) fn failure(id: &str, failure: &Error) -> Reply {
    let (status, _, _) = answer(failure);
    json(status, error(id, failure))
}

/// Returns status, code and message for a failure. A limit that was reached is named with its setting.
fn answer(error: &Error) -> (StatusCode, i32, String) {
    let (status, code, words) = answer_to_kind(error);
    match error.limit() {
        Some(limit) => (status, code, format!("{words}; {limit}")),
        None => (status, code, words),
    }
}

fn answer_to_kind(error: &Error) -> (StatusCode, i32, String) {
    let upstream = error.upstream().map_or_else(|| "the upstream".to_owned(), |name| format!("upstream `{name}`"));
    let near = error.unknown().map(Unknown::hint).unwrap_or_default();
    match error.kind() {
        Kind::Malformed => (StatusCode::BAD_REQUEST, PARSE_ERROR, "Parse error".to_owned()),
        Kind::InvalidRequest(why) => (StatusCode::BAD_REQUEST, INVALID_REQUEST, format!("Invalid request: {why}")),
        Kind::InvalidParams(why) => (StatusCode::OK, INVALID_PARAMS, format!("Invalid params: {why}")),
        Kind::UnknownTool => (StatusCode::OK, INVALID_PARAMS, format!("Unknown tool{near}")),
        Kind::UnknownPrompt => (StatusCode::OK, INVALID_PARAMS, format!("Unknown prompt{near}")),
        Kind::UnknownResource => (StatusCode::OK, RESOURCE_NOT_FOUND, format!("Resource not found{near}")),
        Kind::UnknownUpstream => (StatusCode::OK, INVALID_PARAMS, format!("Unknown upstream{near}")),
        Kind::UnknownMethod => (StatusCode::OK, METHOD_NOT_FOUND, "Method not found".to_owned()),
        Kind::NotReady => unavailable(format!("{upstream} is not connected; nothing was sent")),
        Kind::TooManySessions => unavailable("too many sessions; try again later".to_owned()),
        Kind::Busy => unavailable(format!("{upstream} has too many requests in flight; nothing was sent")),
        Kind::Unreachable => unavailable(format!("cannot connect to {upstream}; nothing was sent")),
        Kind::UpstreamStatus(status @ (401 | 403)) => (
            StatusCode::BAD_GATEWAY,
            INTERNAL_ERROR,
            format!(
                "{upstream} refused the request with status {status}{}: it wants other credentials, which its status names",
                after(", ", error.shown())
            ),
        ),
        Kind::UpstreamStatus(status) => (
            StatusCode::BAD_GATEWAY,
            INTERNAL_ERROR,
            format!("{upstream} refused the request with status {status}{}", after(", ", error.shown())),
        ),
        Kind::SessionLost => unavailable(format!("{upstream} lost its session; the request was not executed")),
        Kind::ConnectionLost => {
            bad_gateway(format!("{upstream} went away before its answer; the request may have been executed"))
        }
        Kind::TimedOut => (
            StatusCode::GATEWAY_TIMEOUT,
            INTERNAL_ERROR,
            format!("{upstream} did not answer in time; the request may have been executed"),
        ),
        Kind::InvalidResponse => bad_gateway(format!("{upstream} gave no valid answer{}", after(": ", error.shown()))),
        Kind::Cancelled => (StatusCode::OK, INTERNAL_ERROR, "the request was cancelled".to_owned()),
    }
}

/// Returns the introduction and the detail, with declared secrets masked; empty if there is no detail.
fn after(introduction: &str, detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!("{introduction}{}", mask_known(detail)) }
}

fn unavailable(words: String) -> (StatusCode, i32, String) {
    (StatusCode::SERVICE_UNAVAILABLE, INTERNAL_ERROR, words)
}

fn bad_gateway(words: String) -> (StatusCode, i32, String) {
    (StatusCode::BAD_GATEWAY, INTERNAL_ERROR, words)
}

/// Refuses a body that is not a valid message.
pub(super) fn invalid(invalid: &Invalid) -> Reply {
    json(StatusCode::BAD_REQUEST, error_response("", invalid_code(invalid), &invalid.to_string(), ""))
}

/// Refuses a body that is not a valid message, from a modern client.
pub(super) fn modern_invalid(invalid: &Invalid) -> Reply {
    modern_error("", StatusCode::BAD_REQUEST, invalid_code(invalid), &invalid.to_string()).into()
}

/// Builds the error for an invalid message on a transport without HTTP. The unknown id is left out.
pub(super) fn invalid_body(invalid: &Invalid) -> Bytes {
    anonymous_error(invalid_code(invalid), &invalid.to_string())
}

/// Builds the error for a line over the limit, which is not read to its end.
pub(super) fn line_too_long(limit: usize) -> Bytes {
    anonymous_error(INVALID_REQUEST, &format!("the line is longer than {limit} bytes (MCP_PROXY_MAX_BODY_BYTES)"))
}

fn invalid_code(invalid: &Invalid) -> i32 {
    match invalid {
        Invalid::Json(_) => PARSE_ERROR,
        Invalid::Depth | Invalid::Batch | Invalid::Envelope(_) => INVALID_REQUEST,
    }
}

/// Refuses a request that violates the transport's rules.
pub(super) fn bad_request(why: &str) -> Reply {
    json(StatusCode::BAD_REQUEST, error_response("", INVALID_REQUEST, why, ""))
}

/// Refuses a body over the limit.
pub(super) fn too_large(limit: usize) -> Reply {
    (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes (--max-body-bytes)"))
        .into_response()
        .into()
}

/// Responds to a request whose body was not read.
pub(super) fn unread(error: BodyError, limit: usize) -> Reply {
    match error {
        BodyError::TooLarge => too_large(limit),
        BodyError::EndedEarly => bad_request("the body ended early"),
        BodyError::TimedOut => StatusCode::REQUEST_TIMEOUT.into_response().into(),
    }
}

/// Refuses a session id that is unknown or belongs to another principal (2025-11-25, transports, "Session Management").
/// The body is no JSON-RPC error: google-adk 2.13 with the Python SDK 2.3 opens a session only after a 404 without one.
pub(super) fn unknown_session() -> Reply {
    (StatusCode::NOT_FOUND, "the session is not known, or not any more: `initialize` opens another")
        .into_response()
        .into()
}

pub(super) fn unknown_upstream(name: &str) -> Reply {
    let problem = Problem::new("MCP server not found").details(format!("name={name}"));
    (StatusCode::NOT_FOUND, Json(problem)).into_response().into()
}

/// Responds to an unknown path.
pub(crate) async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(Problem::new("Not found"))).into_response()
}

/// Refuses a caller. `challenge` says how to get a token that would be accepted.
pub(super) fn denied(denied: Denied, challenge: Option<String>) -> Reply {
    let (status, words) = match denied {
        Denied::NoToken => (StatusCode::UNAUTHORIZED, "Authorization required"),
        Denied::NoBearer => (StatusCode::UNAUTHORIZED, "Invalid authorization format"),
        Denied::WrongToken => (StatusCode::UNAUTHORIZED, "Invalid token"),
        Denied::Scope => (StatusCode::FORBIDDEN, "Insufficient scope"),
        Denied::Right(_) => (StatusCode::FORBIDDEN, "The token is not for calls"),
        Denied::Server => (StatusCode::FORBIDDEN, "The token is for other servers"),
        Denied::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "The authorization server does not answer"),
        Denied::Address | Denied::MayNotStart(_) | Denied::MayNotReveal | Denied::MayNotIssue => {
            (StatusCode::FORBIDDEN, "Access denied: IP not allowed")
        }
    };
    let mut response = (status, Json(Problem::new(words))).into_response();
    if let Some(challenge) = challenge.and_then(|challenge| HeaderValue::from_str(&challenge).ok()) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response.into()
}

/// Builds an HTTP response from serialized JSON.
pub(super) fn json(status: StatusCode, body: impl Into<Pieces>) -> Reply {
    JsonResponse::new(status, body).into()
}
