//! Cross-origin resource sharing (Fetch Standard, "HTTP extensions"): lets accepted pages send requests and read
//! responses.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Request headers that every preflight response allows.
const ALLOWED_HEADERS: &str = "accept, authorization, content-type, if-match, last-event-id, mcp-method, mcp-name, \
                               mcp-protocol-version, mcp-session-id, traceparent, tracestate, x-api-key";
const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");
/// Response headers that a page may read.
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("etag, location, mcp-protocol-version, mcp-session-id, retry-after, www-authenticate");
/// Time for which a browser caches a preflight response, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// Maximum length in bytes of `Access-Control-Request-Headers`. A longer value is ignored.
const MAX_ASKED: usize = 1024;
const ASKS_FOR_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOWS_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");
const YES: HeaderValue = HeaderValue::from_static("true");

/// True for a CORS preflight request.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Allows all methods and the requested headers in a preflight response, because the request itself is checked again.
pub(crate) fn allow_page(headers: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let allowed = response.headers_mut();
    allowed.insert(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
    allowed.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers(headers));
    allowed.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    if headers.get(&ASKS_FOR_NETWORK) == Some(&YES) {
        allowed.insert(ALLOWS_NETWORK, YES);
    }
    response
}

/// Returns the fixed headers plus those that the browser asks for: `Mcp-Param-*` headers have arbitrary names.
fn allowed_headers(headers: &HeaderMap) -> HeaderValue {
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).and_then(|value| value.to_str().ok());
    let usual: Vec<&str> = ALLOWED_HEADERS.split(", ").collect();
    let more = asked.filter(|asked| asked.len() <= MAX_ASKED).into_iter().flat_map(|asked| asked.split(','));
    let more = more.map(str::trim).filter(|name| !usual.iter().any(|known| known.eq_ignore_ascii_case(name)));
    let more = more.filter(|name| HeaderName::from_bytes(name.as_bytes()).is_ok());
    let all: Vec<&str> = usual.iter().copied().chain(more).collect();
    HeaderValue::from_str(&all.join(", ")).unwrap_or(HeaderValue::from_static(ALLOWED_HEADERS))
}

/// Allows the page of this origin to read a response.
pub(crate) fn show_to(origin: HeaderValue, response: &mut Response) {
    let headers = response.headers_mut();
    // A response that already allows every page stays so.
    headers.entry(header::ACCESS_CONTROL_ALLOW_ORIGIN).or_insert(origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_send_what_its_browser_asks_for() {
        let mut headers = HeaderMap::new();
        assert_eq!(allowed_headers(&headers), ALLOWED_HEADERS);
        let asked = "content-type,Mcp-Param-Region, b@d, mcp-session-id";
        headers.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static(asked));
        assert_eq!(allowed_headers(&headers), format!("{ALLOWED_HEADERS}, Mcp-Param-Region"));
        for name in ["mcp-session-id", "mcp-protocol-version", "last-event-id", "authorization", "content-type"] {
            assert!(ALLOWED_HEADERS.split(", ").any(|allowed| allowed == name), "{name}");
        }
    }
}
