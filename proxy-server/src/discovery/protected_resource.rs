//! Metadata of the endpoints as protected resources (RFC 9728): which authorization server issues their tokens.
//!
//! Everybody, including any web page, may read it. It exists for every path that an endpoint could have, with the same
//! scopes, so it tells nobody which upstreams there are.

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::Response;
use serde_json::Value;

use crate::discovery::state::{Shared, not_found};
use crate::http::server::document;
use crate::policy::oauth::METADATA_PATH;

const MEDIA_TYPE: &str = "application/json";

/// Responds with the metadata of the endpoint whose path follows [`METADATA_PATH`].
pub(super) async fn metadata(State(discovery): Shared, request: Request) -> Response {
    if !document::reads(request.method()) {
        return document::respond(request.method(), request.headers(), MEDIA_TYPE, &Value::Null);
    }
    let path = request.uri().path();
    let path = path.strip_prefix("/mcp-proxy").filter(|rest| rest.starts_with(METADATA_PATH)).unwrap_or(path);
    let endpoint = path.strip_prefix(METADATA_PATH).unwrap_or_default();
    let host = request.headers().get(header::HOST).map(|host| host.as_bytes());
    let port = (discovery.credentials)(&request).from.local.port();
    let oauth = discovery.policy.oauth();
    match oauth.and_then(|oauth| oauth.metadata(endpoint, host, port)) {
        Some(metadata) => document::respond(request.method(), request.headers(), MEDIA_TYPE, &metadata),
        None => not_found(),
    }
}
