//! Health and status of the gateway and its upstreams: `/healthz`, `/readyz`, `/admin/status`, `/admin/metrics`.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use schemas::admin::{
    ConfigurationStatus, ConnectionCounts, GatewayStatus, Health, Metrics, MetricsSnapshot, State as UpstreamState,
    StorageHealth,
};
use schemas::{Problem, format_duration};
use serde_json::json;

use crate::admin::problem::problem;
use crate::admin::state::{Admin, Shared};
use crate::control::FileReport;

/// `GET` and `HEAD /healthz`: healthy while the process answers, whatever the state of its dependencies.
pub(super) async fn health(State(admin): Shared) -> Response {
    let mut health = Health::healthy(now(), env!("CARGO_PKG_VERSION"));
    let seconds = admin.started.elapsed().as_secs();
    health.uptime = Some(format_duration(std::time::Duration::from_secs(seconds)));
    health.connections = Some(ConnectionCounts {
        active: admin.connections.active.load(Ordering::Relaxed),
        total: admin.connections.total.load(Ordering::Relaxed),
    });
    let (kind, status) = (admin.control.storage().to_owned(), storage_status(&admin).to_owned());
    health.storage = Some(StorageHealth { kind, status });
    Json(health).into_response()
}

/// `GET /readyz`: ready while no shutdown is announced. A failed upstream does not make the gateway unready, and neither
/// does a lost storage, because calls are answered without it; the answer tells its failure.
pub(super) async fn ready(State(admin): Shared) -> Response {
    if (admin.is_draining)() {
        let details = "the gateway is about to stop; requests are still taken for the time of --drain-delay";
        return problem(StatusCode::SERVICE_UNAVAILABLE, Problem::new("Draining").details(details));
    }
    let mut storage = json!({ "type": admin.control.storage(), "status": storage_status(&admin) });
    if let (Some(failure), Some(storage)) = (admin.control.storage_failure(), storage.as_object_mut()) {
        storage.insert("error".to_owned(), failure.fault.to_string().into());
    }
    let registrations = admin.control.snapshot().len();
    Json(json!({ "status": "ready", "registrations": registrations, "storage": storage })).into_response()
}

fn storage_status(admin: &Admin) -> &'static str {
    if admin.control.storage_failure().is_some() { "lost" } else { "connected" }
}

/// `GET /api/v1/ping`.
pub(super) async fn ping() -> Response {
    Json(json!({ "message": "pong" })).into_response()
}

/// `GET /admin/metrics`.
pub(super) async fn metrics(State(admin): Shared) -> Response {
    let mut metrics = Metrics::default();
    for upstream in admin.upstreams.all().values() {
        let status = upstream.status();
        metrics.total_clients += 1;
        metrics.total_requests += status.total_requests;
        metrics.total_errors += status.total_errors;
        let count = match status.status {
            UpstreamState::Connected => &mut metrics.connected,
            UpstreamState::Connecting => &mut metrics.connecting,
            UpstreamState::Error => &mut metrics.errored,
            UpstreamState::Disconnected => &mut metrics.disconnected,
        };
        *count += 1;
    }
    metrics.max_connections = admin.upstreams.capacity() as u64;
    let file = admin.control.file_report();
    metrics.configuration_generation = file.generation;
    metrics.configuration_rejected = u64::from(file.rejected.is_some());
    Json(MetricsSnapshot { timestamp: now(), metrics }).into_response()
}

/// `GET /admin/status`.
pub(super) async fn status(State(admin): Shared) -> Response {
    let mut status = GatewayStatus::default();
    status.admin_api = "healthy".to_owned();
    status.registered_servers = admin.control.snapshot().len() as u64;
    status.active_sessions = (admin.sessions)() as u64;
    for (name, upstream) in admin.upstreams.all().iter() {
        let observed = upstream.status();
        let word = match (observed.status, observed.last_connected.is_some()) {
            (UpstreamState::Connected, _) => "healthy",
            (UpstreamState::Connecting, false) => "connecting",
            (UpstreamState::Connecting, true) => "reconnecting",
            (UpstreamState::Error | UpstreamState::Disconnected, _) => "unhealthy",
        };
        status.server_health.insert(name.to_string(), word.to_owned());
    }
    status.configuration = configuration(admin.control.file_report());
    Json(status).into_response()
}

fn configuration(report: FileReport) -> Option<ConfigurationStatus> {
    let mut shown = ConfigurationStatus::default();
    shown.file = report.file?;
    shown.generation = report.generation;
    shown.loaded_at = report.loaded_at.map(|time| time.to_string()).unwrap_or_default();
    shown.servers = report.servers as u64;
    shown.refused = report.refused;
    shown.pending = report.pending;
    shown.rejected = report.rejected;
    Some(shown)
}

fn now() -> String {
    Timestamp::now().to_string()
}
