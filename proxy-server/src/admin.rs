//! Admin API (`/admin/...`) in the exact wire form of Compozy's engine, and the health endpoints.

mod audit;
mod body;
mod definitions;
mod events;
mod generations;
mod import;
mod leases;
mod locks;
mod log_levels;
mod logs;
mod metrics;
mod path;
mod precondition;
mod problem;
mod refresh;
mod state;
mod status;
mod stream;
mod tokens;
mod tools;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post, put};
use schemas::admin::Right;

use self::state::Shared;
pub(crate) use self::state::{Admin, Connections};
use crate::http::server::{Audience, Route, Routes};

const METRICS: &str = "/metrics";

/// Builds the router of the health endpoints, which ask for nothing, and of the metrics if they do neither.
pub(crate) fn health(admin: Arc<Admin>) -> (Router, Vec<Route>) {
    let routes = Routes::of(Audience::Everyone)
        .route("/healthz", get(status::health))
        .route("/readyz", get(status::ready))
        .route("/api/v1/ping", get(status::ping));
    let routes = if admin.has_public_metrics { routes.route(METRICS, get(metrics::metrics)) } else { routes };
    let (router, declared) = routes.finish();
    (router.with_state(admin), declared)
}

/// Builds the router of the admin API.
pub(crate) fn router(admin: Arc<Admin>) -> (Router, Vec<Route>) {
    let one = get(definitions::show).put(definitions::update).delete(definitions::remove);
    // An empty name in `DELETE /admin/mcps/` must answer 404 and remove nothing.
    let all = get(definitions::list).post(definitions::register).delete(problem::not_found);
    let routes = Routes::of(Audience::Admins);
    let routes = if admin.has_public_metrics { routes } else { routes.route(METRICS, get(metrics::metrics)) };
    let (protected, declared) = routes
        .route("/admin/mcps", all)
        .route("/admin/mcps/{name}", one)
        .route("/admin/mcps/{name}/refresh", post(refresh::refresh))
        .route("/admin/mcps/{name}/logs", get(logs::logs))
        .route("/admin/audit", get(audit::audit))
        .route("/admin/events", get(events::events))
        .route("/admin/generations", post(generations::apply))
        .route("/admin/import", post(import::import))
        .route("/admin/leases", get(leases::list))
        .route("/admin/leases/{holder}", put(leases::hold).delete(leases::release))
        .route("/admin/locks/{owner}", put(locks::take).delete(locks::release))
        .route("/admin/log-levels", get(log_levels::show).put(log_levels::change).delete(log_levels::reset))
        .route("/admin/tokens", get(tokens::list).post(tokens::issue))
        .route("/admin/tokens/{name}", get(tokens::show).put(tokens::update).delete(tokens::revoke))
        .route("/admin/tokens/{name}/rotate", post(tokens::rotate))
        .route("/admin/tools", get(tools::list))
        .route("/admin/tools/call", post(tools::call))
        .route("/admin/metrics", get(status::metrics))
        .route("/admin/status", get(status::status))
        .finish();
    let protected = protected
        .layer(from_fn_with_state(Arc::clone(&admin), authorize))
        .layer(DefaultBodyLimit::max(admin.max_body_bytes));
    (protected.with_state(admin), declared)
}

async fn authorize(State(admin): Shared, mut request: Request, next: Next) -> Response {
    if let Some(refusal) = body::refusal(&request) {
        return refusal;
    }
    let needed = if request.method().is_safe() { Right::Read } else { Right::Write };
    let credentials = (admin.credentials)(&request);
    match admin.policy.admin(&credentials, needed) {
        Ok(principal) => {
            let by = admin.policy.actor_of(principal, &credentials);
            request.extensions_mut().insert(principal);
            request.extensions_mut().insert(by);
            next.run(request).await
        }
        Err(denied) => problem::denied((&admin, &admin.policy.actor(&credentials)), request.uri().path(), denied),
    }
}
