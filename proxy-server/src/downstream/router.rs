//! Paths of the endpoints: one table for the router, and for requests on the fast path.

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get, post};

use crate::downstream::edge::Edge;
use crate::downstream::error_response::not_found;
use crate::downstream::{sse, streamable_http};
use crate::http::server::{Audience, Route, Routes};

/// Path of the endpoint of all upstreams.
const ALL: &str = "mcp";
/// Last segments of the path of a single upstream's Streamable HTTP endpoint.
const ENDPOINTS: [&str; 2] = ["stream", "mcp"];
/// Prefix under which every endpoint exists as well.
const PREFIX: &str = "mcp-proxy";

/// Builds the routes of the endpoint of all upstreams, and of the endpoints of single upstreams. Each also exists under
/// `/mcp-proxy`, except `/`. After `mcp`, `stream` and `sse` of a single
/// upstream, further path segments are ignored.
pub(crate) fn router(edge: Arc<Edge>) -> (Router, Vec<Route>) {
    let mut routes = Routes::of(Audience::Clients).route("/", post(streamable_http::serve).fallback(not_found));
    for prefix in ["".to_owned(), format!("/{PREFIX}")] {
        routes = routes
            .route(&format!("{prefix}/{ALL}"), any(streamable_http::serve))
            .route(&format!("{prefix}/sse"), get(sse::open))
            .route(&format!("{prefix}/message"), any(sse::message));
        for path in ENDPOINTS {
            routes = routes
                .route(&format!("{prefix}/{{name}}/{path}"), any(streamable_http::serve))
                .route(&format!("{prefix}/{{name}}/{path}/{{*extra}}"), any(streamable_http::serve));
        }
        routes = routes
            .route(&format!("{prefix}/{{name}}/sse"), get(sse::open))
            .route(&format!("{prefix}/{{name}}/sse/{{*extra}}"), get(sse::open))
            .route(&format!("{prefix}/{{name}}/message"), any(sse::message));
    }
    let (router, declared) = routes.finish();
    (router.with_state(edge), declared)
}

/// Returns the upstream of the shortest form of a Streamable HTTP endpoint's path, `None` inside for all upstreams. Leaves
/// every other path to the router, also names with escapes, and the prefix, which is not a name.
pub(super) fn endpoint(path: &str) -> Option<Option<&str>> {
    let path = path.strip_prefix('/')?;
    if path == ALL {
        return Some(None);
    }
    let (name, last) = path.split_once('/')?;
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let is_one = ENDPOINTS.contains(&last) && is_plain && !name.is_empty() && name != PREFIX;
    is_one.then_some(Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_forms_of_endpoints_are_known_without_the_router() {
        assert_eq!(endpoint("/mcp"), Some(None));
        for (path, name) in [("/a/mcp", "a"), ("/a.b-C_1/stream", "a.b-C_1"), ("/mcp/mcp", "mcp")] {
            assert_eq!(endpoint(path), Some(Some(name)), "{path}");
        }
        for path in [
            "",
            "/",
            "mcp",
            "/mcp/",
            "/mcp?x",
            "/a/b/mcp",
            "//mcp",
            "/mcp-proxy/mcp",
            "/a%20b/mcp",
            "/a?b/mcp",
            "http://x/a/mcp",
            "*",
            "/é/mcp",
            "/a/sse",
            "/a/mcp/",
        ] {
            assert_eq!(endpoint(path), None, "{path}");
        }
    }
}
