//! Admin API (`/admin/...`) in the exact wire form of Compozy's engine, and the health endpoints.

mod body;
mod definitions;
mod generations;
mod leases;
mod locks;
mod precondition;
mod problem;
mod refresh;
mod status;
mod tools;
mod view;

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post, put};
use schemas::FingerprintSalt;
use tokio::time::Instant;

use crate::catalog::Catalog;
use crate::control::Control;
use crate::policy::{Credentials, Policy};
use crate::upstream::Upstreams;

/// State shared by the handlers of the admin API.
pub(crate) struct Admin {
    pub(crate) control: Arc<Control>,
    pub(crate) upstreams: Upstreams,
    pub(crate) catalog: Catalog,
    pub(crate) policy: Arc<Policy>,
    pub(crate) salt: FingerprintSalt,
    pub(crate) started: Instant,
    pub(crate) connections: Arc<Connections>,
    pub(crate) max_definition_bytes: usize,
    pub(crate) max_body_bytes: usize,
    /// True once the gateway has announced its shutdown.
    pub(crate) is_draining: Box<dyn Fn() -> bool + Send + Sync>,
    /// Extracts the caller's credentials from a request.
    pub(crate) credentials: for<'a> fn(&'a Request) -> Credentials<'a>,
}

/// Counters of downstream connections, kept by the accept loop.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    pub(crate) active: AtomicU64,
    pub(crate) total: AtomicU64,
}

type Shared = State<Arc<Admin>>;

/// Builds the router: health endpoints without checks, and every path of the admin API behind them.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    let one = get(definitions::show).put(definitions::update).delete(definitions::remove);
    // An empty name in `DELETE /admin/mcps/` must answer 404 and remove nothing.
    let all = get(definitions::list).post(definitions::register).delete(problem::not_found);
    let protected = Router::new()
        .route("/admin/mcps", all)
        .route("/admin/mcps/{name}", one)
        .route("/admin/mcps/{name}/refresh", post(refresh::refresh))
        .route("/admin/generations", post(generations::apply))
        .route("/admin/leases", get(leases::list))
        .route("/admin/leases/{holder}", put(leases::hold).delete(leases::release))
        .route("/admin/locks/{owner}", put(locks::take).delete(locks::release))
        .route("/admin/tools", get(tools::list))
        .route("/admin/tools/call", post(tools::call))
        .route("/admin/metrics", get(status::metrics))
        .layer(from_fn_with_state(Arc::clone(&admin), authorize))
        .layer(DefaultBodyLimit::max(admin.max_body_bytes));
    Router::new()
        .route("/healthz", get(status::health))
        .route("/readyz", get(status::ready))
        .route("/api/v1/ping", get(status::ping))
        .merge(protected)
        .with_state(admin)
}

async fn authorize(State(admin): Shared, request: Request, next: Next) -> Response {
    if let Some(refusal) = body::refusal(&request) {
        return refusal;
    }
    match admin.policy.admin(&(admin.credentials)(&request)) {
        Ok(()) => next.run(request).await,
        Err(denied) => problem::denied(denied),
    }
}

/// Parses a segment of the path.
fn segment<T>(member: &str, path: Result<Path<String>, PathRejection>) -> Result<T, Response>
where
    T: FromStr<Err: Display>,
{
    let Path(text) = path.map_err(|rejection| problem::bad_request(format!("`{member}`: {rejection}")))?;
    text.parse().map_err(|error| problem::bad_request(format!("`{member}`: {error}")))
}
