//! Header validation: the request's origin and, in the modern era, agreement with the body.

use axum::extract::Request as HttpRequest;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::catalog::Catalog;
use crate::message::{Fault, HEADER_MISMATCH, Request};

/// Refuses requests that a web page of another origin made a browser send.
pub(crate) async fn local_only(request: HttpRequest, next: Next) -> Response {
    let headers = request.headers();
    let is_local = |authority: &str| {
        let host = authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        ["localhost", "127.0.0.1", "[::1]"].contains(&host.map_or(authority, |(host, _)| host))
    };
    let host = text(headers, "host").unwrap_or_default();
    let origin = text(headers, "origin").map(|origin| origin.split_once("://").map_or(origin, |(_, rest)| rest));
    if is_local(host) && origin.is_none_or(is_local) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "this server is for local clients").into_response()
    }
}

/// Checks that the headers of a modern request agree with its body.
pub(crate) fn check(request: &Request, headers: &HeaderMap, catalog: &Catalog) -> Result<(), Fault> {
    let params = &request.params;
    let is_same = |header: &str, value: &str| match text(headers, header) {
        Some(found) if found == value => Ok(()),
        found => Err(mismatch(header, found)),
    };
    is_same("mcp-protocol-version", params.meta.version.as_deref().unwrap_or_default())?;
    is_same("mcp-method", &request.method)?;
    let name = match request.method.as_str() {
        "tools/call" | "prompts/get" => &params.name,
        "resources/read" => &params.uri,
        "tasks/get" | "tasks/update" | "tasks/cancel" => &params.task_id,
        _ => &None,
    };
    if let Some(name) = name {
        let found = text(headers, "mcp-name");
        if !found.is_some_and(|found| says(found, name)) {
            return Err(mismatch("mcp-name", found));
        }
    }
    let tool =
        params.name.as_deref().filter(|_| request.method == "tools/call").and_then(|name| catalog.tools.get(name));
    let parameters = tool.map_or(&[][..], |tool| &tool.header_parameters);
    if parameters.is_empty() {
        return Ok(());
    }
    let arguments = params.arguments.as_ref().and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    for (parameter, suffix) in parameters {
        let header = format!("mcp-param-{suffix}");
        let found = text(headers, &header);
        let value = arguments.as_ref().and_then(|all| all.get(parameter)).filter(|value| !value.is_null());
        let is_same = match (value, found) {
            (None, None) => true,
            (Some(Value::String(value)), Some(found)) => says(found, value),
            (Some(Value::Number(value)), Some(found)) => value.as_f64() == found.parse().ok(),
            (Some(value), Some(found)) => says(found, &value.to_string()),
            _ => false,
        };
        if !is_same {
            return Err(mismatch(&header, found));
        }
    }
    Ok(())
}

pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn mismatch(header: &str, found: Option<&str>) -> Fault {
    let what = if found.is_some() { "does not say what the body says" } else { "is missing" };
    Fault::new(HEADER_MISMATCH, format!("the header `{header}` {what}"))
}

/// Returns true if a header has this value. A value that is not a valid header, or looks encoded, is encoded in
/// base64.
fn says(header: &str, value: &str) -> bool {
    match header.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        // Compare encoded texts: base64 is unique, and decoding would have to handle invalid input.
        Some(encoded) => encoded == BASE64_STANDARD.encode(value),
        None => header == value,
    }
}
