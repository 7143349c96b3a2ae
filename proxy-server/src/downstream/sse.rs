//! HTTP+SSE towards clients (2024-11-05): GET opens the session and carries every message of the gateway; the client
//! posts its messages to the address in the first event.

use std::sync::Arc;

use axum::extract::{RawPathParams, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;

use crate::call::Exchange;
use crate::downstream::admit::{Shared, admit, read_body, shown, upstream_name};
use crate::downstream::edge::Edge;
use crate::downstream::error_response;
use crate::downstream::legacy::dialogue::{fill, introduce, notify, run};
use crate::downstream::legacy::session::Session;
use crate::downstream::legacy::{batch, event_body};
use crate::http::server::Reply;
use crate::protocol::{self, INVALID_PARAMS, INVALID_REQUEST, Kind, Message, PARSE_ERROR};
use crate::upstream::OpenError;

/// Opens a session, which ends with the stream.
pub(super) async fn open(State(edge): Shared, path: RawPathParams, request: Request) -> Reply {
    let credentials = shown(&request);
    let (scope, sender) = match admit(&edge, upstream_name(&path), &credentials) {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal,
    };
    let session = match edge.sessions.create(scope, sender) {
        Ok(session) => session,
        Err(error) => return error_response::failure("", &error),
    };
    let address = message_address(edge.config.base_url.as_deref(), request.uri().path());
    // Clients send to this address, which none of them completes with the parameters of the stream's own.
    let credential = edge.services.policy.query_credential(&credentials);
    let credential = credential.map(|credential| format!("&{credential}")).unwrap_or_default();
    let endpoint = format!("event: endpoint\ndata: {address}?sessionId={}{credential}\r\n\r\n", session.id);
    event_body::own(&edge, session, Bytes::from(endpoint)).into()
}

/// Returns the address for the client's POST requests. Without a configured base URL it is only a path, which is valid
/// under any host name of the gateway.
fn message_address(base_url: Option<&str>, path: &str) -> String {
    let (prefix, rest) = path.strip_prefix("/mcp-proxy/").map_or(("", path), |rest| ("/mcp-proxy", rest));
    let base = base_url.map_or(prefix, |base| base.trim_end_matches('/'));
    match rest.trim_start_matches('/').split_once('/') {
        Some((name, _)) => format!("{base}/{name}/message"),
        None => format!("{base}/message"),
    }
}

/// Accepts one message of a session with 202. The response comes on the session's stream.
pub(super) async fn message(State(edge): Shared, path: RawPathParams, request: Request) -> Reply {
    let (scope, sender) = match admit(&edge, upstream_name(&path), &shown(&request)) {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal,
    };
    if *request.method() != Method::POST {
        return refuse(INVALID_REQUEST, "Method not allowed");
    }
    let Some(id) = session_id(request.uri().query().unwrap_or_default()) else {
        return refuse(INVALID_PARAMS, "Missing sessionId");
    };
    let Some(session) = edge.sessions.find(id, &scope, sender.principal) else {
        return refuse(INVALID_PARAMS, "Invalid session ID");
    };
    session.touch();
    let body = match read_body(&edge, request.into_body()).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    match Message::parse(body.clone()) {
        Ok(message) => take(edge, session, message).await,
        Err(protocol::Invalid::Batch) => match batch::read(&session, &body) {
            Ok(messages) => {
                for message in messages {
                    take(Arc::clone(&edge), Arc::clone(&session), message).await;
                }
                StatusCode::ACCEPTED.into_response().into()
            }
            Err(invalid) => error_response::invalid(&invalid),
        },
        Err(protocol::Invalid::Json(_)) => refuse(PARSE_ERROR, "Parse error"),
        Err(invalid) => error_response::invalid(&invalid),
    }
}

/// Handles a message of a client whose only stream is the session's own.
pub(super) async fn take(edge: Arc<Edge>, session: Arc<Session>, message: Message) -> Reply {
    match message.kind() {
        // Forwarded before the 202, so that it stays ahead of the client's next message.
        Kind::Notification => return notify(&session, message).await,
        Kind::Result | Kind::Error => session.answer(&message),
        Kind::Request => {
            let tasks = edge.services.tasks.clone();
            tasks.spawn("call", run_to_stream(edge, session, message));
        }
    }
    StatusCode::ACCEPTED.into_response().into()
}

/// Executes a request and puts the response on the session's own stream.
pub(super) async fn run_to_stream(edge: Arc<Edge>, session: Arc<Session>, message: Message) {
    let own = session.own_stream();
    let answer = if message.method() == "initialize" {
        initialize(&edge, &session, &message).await
    } else {
        let of_call = Arc::clone(&session);
        let exchange = Exchange::new(|events| Box::pin(run(edge, of_call, message, events)));
        fill(&session, &own, exchange).await.map(Bytes::from)
    };
    if let Some(answer) = answer {
        own.push(answer);
    }
}

/// Returns the response to `initialize`.
async fn initialize(edge: &Arc<Edge>, session: &Arc<Session>, message: &Message) -> Option<Bytes> {
    if session.is_initialized() {
        return Some(protocol::error_response(message.id(), INVALID_REQUEST, "the session is already initialized", ""));
    }
    Some(match introduce(edge, session, message).await {
        Ok(answer) => answer,
        Err(OpenError::Refused(answer)) => answer.with_id(message.id(), &[]),
        Err(OpenError::Failed(error)) => error_response::error(message.id(), &error),
    })
}

fn session_id(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("sessionId=")).filter(|id| !id.is_empty())
}

fn refuse(code: i32, words: &str) -> Reply {
    error_response::json(StatusCode::BAD_REQUEST, protocol::error_response("", code, words, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base_url: Option<&str>, path: &str, expected: &str) {
        assert_eq!(message_address(base_url, path), expected, "{path}");
    }

    #[test]
    fn the_address_keeps_the_prefix_and_drops_what_follows_the_endpoint() {
        check(None, "/fs/sse", "/fs/message");
        check(None, "/mcp-proxy/fs/sse/extra", "/mcp-proxy/fs/message");
        check(None, "/sse-server/sse/sse", "/sse-server/message");
        check(None, "/sse", "/message");
        check(None, "/mcp-proxy/sse", "/mcp-proxy/message");
        check(Some("https://gateway.example/base"), "/sse", "https://gateway.example/base/message");
        check(Some("https://gateway.example/base/"), "/mcp-proxy/fs/sse", "https://gateway.example/base/fs/message");
    }
}
