//! `/metrics`: every metric of the gateway, in the text formats of Prometheus (0.0.4) and OpenMetrics (1.0.0).
//!
//! Everything is read when it is asked for. The values of all labels come from closed sets, or are names of registered
//! upstreams.

mod families;
mod family;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;
use schemas::Problem;
use tokio::task::spawn_blocking;

use self::family::Scrape;
use crate::admin::problem::problem;
use crate::admin::state::{Admin, Shared};

const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const OPENMETRICS: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// `GET /metrics`.
pub(super) async fn metrics(State(admin): Shared, headers: HeaderMap) -> Response {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let is_openmetrics = accept.into_iter().any(|accept| accept.contains("application/openmetrics-text"));
    // Reads the kernel's table of processes.
    let written = spawn_blocking(move || write(&admin, is_openmetrics)).await.ok().and_then(Result::ok);
    match written {
        Some(text) => {
            let format = if is_openmetrics { OPENMETRICS } else { PROMETHEUS };
            ([(header::CONTENT_TYPE, format)], text).into_response()
        }
        None => problem(StatusCode::INTERNAL_SERVER_ERROR, Problem::new("Cannot write the metrics")),
    }
}

fn write(admin: &Arc<Admin>, is_openmetrics: bool) -> Result<String, std::fmt::Error> {
    let upstreams = admin.upstreams.all();
    let trees = admin.trees.read(upstreams.values().flat_map(|upstream| upstream.processes()));
    let scrape = Scrape(families::all(admin, &trees));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut written = String::new();
    if is_openmetrics {
        text::encode(&mut written, &registry)?;
    } else {
        prometheus_text::encode(&mut written, &registry)?;
    }
    Ok(written)
}
