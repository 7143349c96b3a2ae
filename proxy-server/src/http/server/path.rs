//! Paths of requests.

use http::Request;

/// True for a path and everything below it.
pub(crate) fn is_under(parent: &str, path: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Removes trailing slashes from the path, as clients of the predecessor expect, which redirected `/healthz/`.
pub(crate) fn without_trailing_slash<B>(mut request: Request<B>) -> Request<B> {
    let uri = request.uri();
    let path = uri.path();
    if path.len() > 1 && path.ends_with('/') {
        let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
        let shorter = format!("{}{query}", path.trim_end_matches('/'));
        if let Ok(uri) = shorter.parse() {
            *request.uri_mut() = uri;
        }
    }
    request
}
