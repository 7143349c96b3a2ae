//! Reads and checks request bodies of the admin API.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};
use schemas::{Definition, Problem, WireDuration, format_duration};
use serde::de::{DeserializeOwned, Error as _};
use tokio::time::timeout;

use crate::admin::problem::{bad_request, foreign, problem};
use crate::admin::state::Admin;
use crate::http::write::essence;
use crate::policy::Page;

const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Refuses requests that a foreign web page makes a browser send. Browsers send some content types without a preflight
/// (Fetch standard, "CORS-safelisted request-header"), JSON is none of them. A missing Content-Type is accepted,
/// because clients of the ancestor leave it out, unless a browser sends neither `Origin` nor `Sec-Fetch-Site`.
pub(super) fn refusal(request: &Request) -> Option<Response> {
    if !request.extensions().get::<Page>().is_some_and(|page| page.may_administer()) {
        return Some(foreign(
            "the admin API serves pages of the gateway's own origin; add others with --allowed-origins",
        ));
    }
    let headers = request.headers();
    if request.method().is_safe() {
        return None;
    }
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter().peekable();
    let is_named = kinds.peek().is_some();
    if !kinds.all(|kind| essence(kind.as_bytes()).eq_ignore_ascii_case(b"application/json")) {
        let details = "Content-Type must be application/json; with curl, send --json instead of -d";
        return Some(problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Problem::new("Unsupported media type").details(details),
        ));
    }
    let is_browser = || {
        let agent = headers.get(header::USER_AGENT);
        headers.contains_key(header::REFERER) || agent.is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"))
    };
    let is_checked = is_named || headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    (!is_checked && is_browser()).then(|| foreign("a browser must send Origin, or Content-Type: application/json"))
}

pub(super) async fn read(admin: &Arc<Admin>, request: Request) -> Result<Bytes, Response> {
    within(request, admin.max_body_bytes, "--max-body-bytes").await
}

/// Reads a body that is one definition. It has a smaller limit, because a definition stays in memory while it is
/// registered.
pub(super) async fn definition(admin: &Arc<Admin>, request: Request) -> Result<Bytes, Response> {
    within(request, admin.max_definition_bytes, "--max-definition-bytes").await
}

/// True if a definition that is part of a larger body is within the size limit.
pub(super) fn fits(admin: &Admin, definition: &Definition) -> bool {
    serde_json::to_vec(definition).is_ok_and(|written| written.len() <= admin.max_definition_bytes)
}

async fn within(request: Request, limit: usize, setting: &str) -> Result<Bytes, Response> {
    let too_large = || {
        let details = format!("the body is larger than {limit} bytes ({setting})");
        problem(StatusCode::PAYLOAD_TOO_LARGE, Problem::new("Invalid request").details(details))
    };
    // Refuse a body by its announced length, before it is sent.
    if request.body().size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match timeout(BODY_TIMEOUT, Limited::new(request.into_body(), limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(bad_request("the body ended early")),
        Err(_) => Err(problem(
            StatusCode::REQUEST_TIMEOUT,
            Problem::new("Invalid request").details("the body came too slowly"),
        )),
    }
}

/// Reads a JSON object. Serde would also accept an array as the members in order, hence the check of the first byte.
pub(super) fn object<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(serde_json::Error::custom("expected an object"));
    }
    serde_json::from_slice(body)
}

/// Reads a request body of this gateway's own format; errors name the wrong member.
pub(super) async fn document<T: DeserializeOwned>(admin: &Arc<Admin>, request: Request) -> Result<T, Response> {
    let body = read(admin, request).await?;
    // Check for an object first: an error about another type has no member to name.
    object::<serde::de::IgnoredAny>(&body)
        .map_err(|error| bad_request(format!("invalid JSON payload: {}", without_values(error))))?;
    let mut json = serde_json::Deserializer::from_slice(&body);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, cause) = (error.path().to_string(), error.inner());
        let place = if path == "." { String::new() } else { format!("`{path}`: ") };
        bad_request(format!("invalid JSON payload: {place}{}", without_values(cause)))
    })
}

/// Removes quoted values from a parser's error message, because a misplaced value may be a secret.
pub(super) fn without_values(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    let (mut told, mut rest) = (String::new(), text.as_str());
    while let Some((before, more)) = rest.split_once("string \"") {
        told = told + before + "a string";
        let end = more.find("\", expected").or_else(|| more.rfind('"'));
        rest = end.and_then(|end| more.get(end + 1..)).unwrap_or_default();
    }
    told + rest
}

/// Checks that a time to live is within its bounds.
pub(super) fn ttl(wanted: WireDuration, longest: Duration) -> Result<Duration, Response> {
    let shortest = schemas::admin::MIN_TTL;
    wanted.get().filter(|ttl| (shortest..=longest).contains(ttl)).ok_or_else(|| {
        let (shortest, longest) = (format_duration(shortest), format_duration(longest));
        bad_request(format!("`ttl` must be from {shortest} to {longest}"))
    })
}

#[cfg(test)]
mod tests {
    use schemas::dialect::compozy::DeclaredDocument;

    use super::*;

    #[test]
    fn what_stands_in_a_wrong_place_is_not_repeated() {
        for (text, expected) in [
            (r#"{"env":"hush \" x"}"#, "invalid type: a string, expected a map at line 1 column 18"),
            (r#"{"args":["a"],"headers":"hush"}"#, "invalid type: a string, expected a map at line 1 column 30"),
            (r#"{"maxReconnects":"hush"}"#, "invalid type: a string, expected i64 at line 1 column 23"),
            (r#"{"name":1}"#, "invalid type: integer `1`, expected a string at line 1 column 9"),
        ] {
            let error = object::<DeclaredDocument>(text.as_bytes()).expect_err(text);
            assert_eq!(without_values(error), expected);
        }
    }
}
