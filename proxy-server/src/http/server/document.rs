//! A document that any page may read, and that clients need not fetch again while it is the same.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// True if a method reads the document. The response to other methods does not depend on the name in the path.
pub(crate) fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Responds with a document that any page may read, or with 304 if the client already has it.
pub(crate) fn respond(method: &Method, headers: &HeaderMap, media_type: &'static str, document: &Value) -> Response {
    let mut response = match *method {
        Method::GET | Method::HEAD => {
            let body = document.to_string();
            let mut hasher = DefaultHasher::new();
            body.hash(&mut hasher);
            let etag = format!("\"{:016x}\"", hasher.finish());
            let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| names_tag(value, &etag));
            let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { body.into_response() };
            if let Ok(etag) = HeaderValue::from_str(&etag) {
                response.headers_mut().insert(header::ETAG, etag);
            }
            if !known {
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
            }
            response
        }
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    };
    for (name, value) in [
        (header::ALLOW, "GET, HEAD, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "accept, authorization, content-type, if-none-match"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "etag"),
        // The contents depend on the caller, and registrations change.
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::VARY, "authorization, origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// True if `If-None-Match` names this tag, by weak comparison (RFC 9110, 13.1.2).
fn names_tag(value: &HeaderValue, etag: &str) -> bool {
    let tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
    tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag)).any(|tag| tag == "*" || tag == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_in_every_form() {
        let check = |value: &'static str, known: bool| {
            assert_eq!(names_tag(&HeaderValue::from_static(value), "\"a\""), known, "{value}");
        };
        check("\"a\"", true);
        check("\"b\", W/\"a\"", true);
        check("*", true);
        check("\"ab\"", false);
        check("", false);
    }
}
