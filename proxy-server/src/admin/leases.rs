//! `/admin/leases`: registrations that exist for as long as a holder needs them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use schemas::admin::{HeldLeases, Lease, LeaseGrant, LeaseList, LeaseRelease, LeaseRequest, MAX_LEASE_TTL};
use schemas::{Holder, ServerName, parse_duration};
use serde::Deserialize;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::admin::body::{document, ttl};
use crate::admin::problem::{bad_request, failed, full};
use crate::admin::{Admin, Shared, segment};
use crate::error::Chain;
use crate::registry::{RegistryError, Tenure, TooManyHolders, expiry};

/// Longest time between two looks at the wall clock while leases are held.
const CLOCK_CHECK: Duration = Duration::from_secs(30);

/// A lease that a request asks for together with its registration.
pub(super) struct RequestedLease {
    pub(super) holder: Holder,
    ttl: Duration,
}

#[derive(Deserialize)]
struct Parameters {
    lease: Option<String>,
    ttl: Option<String>,
}

/// `PUT /admin/leases/{holder}`: sets the leases of a holder to exactly these names, or renews those it has.
pub(super) async fn hold(
    State(admin): Shared,
    holder: Result<Path<String>, PathRejection>,
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
    let _turn = admin.changes.acquire().await;
    let ends_at = expiry(Timestamp::now(), ttl);
    let (held, missing) = match names {
        None => (admin.leases().renew(&holder, ends_at), Vec::new()),
        Some(names) => match set(&admin, &holder, names, ends_at).await {
            Ok(outcome) => outcome,
            Err(refusal) => return refusal,
        },
    };
    admin.sooner.notify_one();
    let held = held.into_iter().map(String::from).collect();
    Json(LeaseGrant::new(ends_at.to_string(), held, missing)).into_response()
}

async fn set(
    admin: &Admin,
    holder: &Holder,
    wanted: Vec<String>,
    ends_at: Timestamp,
) -> Result<(Vec<ServerName>, Vec<String>), Response> {
    let (mut names, mut missing) = (BTreeSet::new(), BTreeSet::new());
    for name in wanted {
        match admin.registry.get(&name).await {
            Ok(Some(registration)) => drop(names.insert(registration.definition.name)),
            Ok(None) => drop(missing.insert(name)),
            Err(error) => return Err(failed("Storage error", &error)),
        }
    }
    let held: Vec<ServerName> = names.iter().cloned().collect();
    let given_back = admin.leases().set(holder, names, ends_at).map_err(|error| too_many(&error))?;
    if let Err(error) = remove_unheld(admin, given_back).await {
        return Err(failed("Failed to delete MCP", &error));
    }
    debug!(%holder, leases = held.len(), "leases taken");
    Ok((held, missing.into_iter().collect()))
}

/// `DELETE /admin/leases/{holder}`. Succeeds also for a holder without leases.
pub(super) async fn release(State(admin): Shared, holder: Result<Path<String>, PathRejection>) -> Response {
    let holder: Holder = match segment("holder", holder) {
        Ok(holder) => holder,
        Err(refusal) => return refusal,
    };
    let _turn = admin.changes.acquire().await;
    let names = admin.leases().release(&holder);
    debug!(%holder, leases = names.len(), "leases given back");
    match remove_unheld(&admin, names).await {
        Ok(released) => Json(released).into_response(),
        Err(error) => failed("Failed to delete MCP", &error),
    }
}

/// `GET /admin/leases`.
pub(super) async fn list(State(admin): Shared) -> Response {
    let leases: Vec<HeldLeases> = admin
        .leases()
        .all()
        .map(|(holder, held)| HeldLeases {
            holder: holder.clone(),
            expires_at: held.ends_at.to_string(),
            mcps: held.names.iter().map(ServerName::to_string).collect(),
        })
        .collect();
    let count = leases.len();
    Json(LeaseList { leases, count }).into_response()
}

/// Expires leases, and removes registrations whose last lease expired. One task serves all leases.
pub(crate) async fn expire(admin: Arc<Admin>, stopping: CancellationToken) {
    loop {
        let next = admin.leases().next();
        let due = async {
            match next {
                Some(ends_at) => sleep(time_until(ends_at, Timestamp::now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopping.cancelled() => return,
            // Another lease may expire first now.
            () = admin.sooner.notified() => continue,
            () = due => {}
        }
        let _turn = admin.changes.acquire().await;
        let unheld = admin.leases().expire(Timestamp::now());
        if let Err(error) = remove_unheld(&admin, unheld).await {
            error!(error = %Chain(&error), "registrations whose leases have ended cannot be removed");
        }
    }
}

/// Computes the time to sleep until a lease may have ended. It is bounded, so that the task looks at the wall clock
/// again after it was set, or after the machine was suspended.
fn time_until(ends_at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(ends_at.duration_since(now)).unwrap_or_default().min(CLOCK_CHECK)
}

/// Removes those of the registrations that are leased but have no lease left. The caller holds the permit for changes.
async fn remove_unheld(
    admin: &Admin,
    names: impl IntoIterator<Item = ServerName>,
) -> Result<LeaseRelease, RegistryError> {
    let mut released = LeaseRelease::default();
    for name in names {
        let stays = match admin.registry.get(name.as_str()).await? {
            Some(registration) => registration.tenure == Tenure::Permanent || admin.leases().is_held(&name),
            None => continue,
        };
        if stays {
            released.kept.push(name.into());
        } else {
            admin.registry.delete(name.as_str()).await?;
            admin.upstreams.retire(name.as_str());
            info!(upstream = %name, "deregistered with its last lease");
            released.removed.push(name.into());
        }
    }
    Ok(released)
}

impl RequestedLease {
    /// Reads `?lease=HOLDER&ttl=TIME`; `None` if it is absent.
    pub(super) fn read(uri: &Uri) -> Result<Option<Self>, Response> {
        let Query(Parameters { lease, ttl: text }) =
            Query::try_from_uri(uri).map_err(|_| bad_request("`lease` and `ttl` may stand once each in the query"))?;
        let Some(holder) = lease else {
            return if text.is_some() { Err(bad_request("`ttl` needs `lease` beside it")) } else { Ok(None) };
        };
        let holder = holder.parse().map_err(|error| bad_request(format!("`lease`: {error}")))?;
        let text = text.ok_or_else(|| bad_request("`lease` needs `ttl` beside it, such as `30s`"))?;
        let wanted = parse_duration(&text).map_err(|error| bad_request(format!("`ttl`: {error}")))?;
        Ok(Some(Self { holder, ttl: ttl(wanted.into(), MAX_LEASE_TTL)? }))
    }

    /// Checks that the lease can be granted. Called before anything is changed.
    pub(super) fn check(lease: Option<&Self>, admin: &Admin) -> Result<(), Response> {
        lease.map_or(Ok(()), |lease| admin.leases().admits(&lease.holder)).map_err(|error| too_many(&error))
    }

    /// Grants the lease. Returns its expiry as a timestamp.
    pub(super) fn grant(lease: Option<Self>, admin: &Admin, name: &ServerName) -> Option<String> {
        let Self { holder, ttl } = lease?;
        let ends_at = expiry(Timestamp::now(), ttl);
        let ends_at = admin.leases().add(&holder, name.clone(), ends_at).ok()?;
        admin.sooner.notify_one();
        Some(ends_at.to_string())
    }
}

/// Returns the leases on a registration, as the API shows them.
pub(super) fn on(admin: &Admin, name: &str) -> Vec<Lease> {
    let shown =
        |(holder, ends_at): (&Holder, Timestamp)| Lease { holder: holder.clone(), expires_at: ends_at.to_string() };
    admin.leases().on(name).map(shown).collect()
}

fn too_many(error: &TooManyHolders) -> Response {
    full("too_many_holders", error.to_string())
}
