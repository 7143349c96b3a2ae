//! The admin API, in the exact form that Compozy's engine speaks (`/admin/...`), and the health endpoints.

mod definitions;
mod problem;
mod status;
mod tools;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use schemas::FingerprintSalt;
use serde::de::{DeserializeOwned, Error as _};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::catalog::Catalog;
use crate::policy::{Credentials, Policy};
use crate::registry::Registry;
use crate::upstream::Upstreams;

/// What the admin API works with.
pub(crate) struct Admin {
    pub(crate) registry: Registry,
    pub(crate) upstreams: Upstreams,
    pub(crate) catalog: Catalog,
    pub(crate) policy: Arc<Policy>,
    pub(crate) salt: FingerprintSalt,
    pub(crate) started: Instant,
    pub(crate) connections: Arc<Connections>,
    pub(crate) call_timeout: Duration,
    pub(crate) max_body_bytes: usize,
    /// Held while a registration and its upstream change, so that the two cannot part.
    pub(crate) changes: Semaphore,
    /// How the gateway finds out who sent a request.
    pub(crate) credentials: for<'a> fn(&'a Request) -> Credentials<'a>,
}

/// Downstream connections, counted by the accept loop.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    pub(crate) active: AtomicU64,
    pub(crate) total: AtomicU64,
}

type Shared = State<Arc<Admin>>;

/// Every path of the admin API behind its checks, and the health endpoints in front of them.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    let one = get(definitions::show).put(definitions::update).delete(definitions::remove);
    // Deregistering an empty name must find nothing, and remove nothing.
    let all = get(definitions::list).post(definitions::register).delete(problem::not_found);
    let protected = Router::new()
        .route("/admin/mcps", all)
        .route("/admin/mcps/{name}", one)
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
    match admin.policy.admin(&(admin.credentials)(&request)) {
        Ok(()) => next.run(request).await,
        Err(denied) => problem::denied(denied),
    }
}

/// Reads a JSON object. A list would pass for one, member by member, were it not for the look at the first byte.
fn object<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(serde_json::Error::custom("expected an object"));
    }
    serde_json::from_slice(body)
}
