//! `POST /admin/mcps/{name}/refresh`: reads an upstream's lists again, for servers that announce no changes.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::Problem;
use schemas::admin::Refreshed;
use tracing::info;

use crate::admin::problem::{problem, unknown};
use crate::admin::state::Shared;
use crate::error::{Chain, Error, Kind};

/// Answers after every list was read. Reading has no effect at the upstream, so a client may retry after any failure.
pub(super) async fn refresh(State(admin): Shared, Path(name): Path<String>) -> Response {
    let Some(upstream) = admin.upstreams.get(&name) else { return unknown(&name) };
    match admin.catalog.refresh(&upstream).await {
        Ok([tools, prompts, resources, templates, skills]) => {
            info!(upstream = name, tools, prompts, resources, templates, skills, "lists refreshed");
            let mut refreshed = Refreshed::default();
            (refreshed.name, refreshed.tools, refreshed.prompts) = (name, tools, prompts);
            (refreshed.resources, refreshed.resource_templates) = (resources, templates);
            refreshed.skills = skills;
            Json(refreshed).into_response()
        }
        Err(error) => failure(&error),
    }
}

fn failure(error: &Error) -> Response {
    let status = match error.kind() {
        Kind::NotReady => StatusCode::SERVICE_UNAVAILABLE,
        Kind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    let body = Problem::new("Failed to refresh MCP").details(Chain(error).to_string()).code(error.kind().word());
    let mut response = problem(status, body);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
