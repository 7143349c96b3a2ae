//! `/admin/leases`: registrations that exist for as long as a holder needs them.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use schemas::admin::{HeldLeases, Lease, LeaseGrant, LeaseList, LeaseRelease, LeaseRequest, MAX_LEASE_TTL};
use schemas::{Holder, ServerName, parse_duration};
use serde::Deserialize;

use crate::admin::body::{document, ttl};
use crate::admin::path::segment;
use crate::admin::problem::{bad_request, full, not_applied, unavailable};
use crate::admin::state::{Admin, Shared};
use crate::registry::{EndedLeases, Grant, Held, RequestedLease, TooManyHolders};
use crate::telemetry::Actor;

#[derive(Deserialize)]
struct Parameters {
    lease: Option<String>,
    ttl: Option<String>,
}

/// `PUT /admin/leases/{holder}`: sets the leases of a holder to exactly these names, or renews those it has.
pub(super) async fn hold(
    State(admin): Shared,
    holder: Result<Path<String>, PathRejection>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Response {
    let holder: Holder = match segment("holder", holder) {
        Ok(holder) => holder,
        Err(refusal) => return refusal,
    };
    let asked: LeaseRequest = match document(&admin, request).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let (ttl, names) = match (ttl(asked.ttl, MAX_LEASE_TTL), asked.mcps) {
        (Err(refusal), _) => return refusal,
        (_, Some(names)) if names.len() > admin.upstreams.capacity() => {
            let most = admin.upstreams.capacity();
            return bad_request(format!("`mcps` holds more than {most} names, the most that can be registered"));
        }
        (Ok(ttl), names) => (ttl, names),
    };
    match admin.control.hold(&by, &holder, names, ttl).await {
        Ok(Grant { ends_at, held, missing, .. }) => {
            let held = held.into_iter().map(String::from).collect();
            Json(LeaseGrant::new(ends_at.to_string(), held, missing)).into_response()
        }
        Err(error) => not_applied("Failed to take leases", &error),
    }
}

/// `DELETE /admin/leases/{holder}`. Succeeds also for a holder without leases.
pub(super) async fn release(
    State(admin): Shared,
    holder: Result<Path<String>, PathRejection>,
    Extension(by): Extension<Actor>,
) -> Response {
    let holder: Holder = match segment("holder", holder) {
        Ok(holder) => holder,
        Err(refusal) => return refusal,
    };
    let EndedLeases { removed, kept } = match admin.control.release(&by, &holder).await {
        Ok(ended) => ended,
        Err(error) => return unavailable(&error),
    };
    let names = |names: Vec<ServerName>| names.into_iter().map(String::from).collect();
    Json(LeaseRelease { removed: names(removed), kept: names(kept) }).into_response()
}

/// `GET /admin/leases`.
pub(super) async fn list(State(admin): Shared) -> Response {
    let shown = |(holder, held): (Holder, Held)| HeldLeases {
        holder,
        expires_at: held.ends_at.to_string(),
        mcps: held.names.into_iter().map(String::from).collect(),
    };
    let leases: Vec<HeldLeases> = admin.control.leases().into_iter().map(shown).collect();
    let count = leases.len();
    Json(LeaseList { leases, count }).into_response()
}

/// Reads `?lease=HOLDER&ttl=TIME`; `None` if it is absent.
pub(super) fn requested(uri: &Uri) -> Result<Option<RequestedLease>, Response> {
    let Query(Parameters { lease, ttl: text }) =
        Query::try_from_uri(uri).map_err(|_| bad_request("`lease` and `ttl` may stand once each in the query"))?;
    let Some(holder) = lease else {
        return if text.is_some() { Err(bad_request("`ttl` needs `lease` beside it")) } else { Ok(None) };
    };
    let holder = holder.parse().map_err(|error| bad_request(format!("`lease`: {error}")))?;
    let text = text.ok_or_else(|| bad_request("`lease` needs `ttl` beside it, such as `30s`"))?;
    let wanted = parse_duration(&text).map_err(|error| bad_request(format!("`ttl`: {error}")))?;
    Ok(Some(RequestedLease { holder, ttl: ttl(wanted.into(), MAX_LEASE_TTL)? }))
}

/// Returns the leases on a registration, as the API shows them.
pub(super) fn on(admin: &Admin, name: &str) -> Vec<Lease> {
    let shown = |(holder, ends_at): (Holder, Timestamp)| Lease { holder, expires_at: ends_at.to_string() };
    admin.control.leases_on(name).into_iter().map(shown).collect()
}

pub(super) fn too_many(error: &TooManyHolders) -> Response {
    full("too_many_holders", error.to_string())
}
