//! `/admin/locks`: lets one run at a time change the registrations of an owner.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemas::admin::{LockGrant, LockHeld, LockRequest, MAX_LOCK_TTL, NO_SUCH_LOCK};
use schemas::{Owner, Problem, Secret};
use serde::Deserialize;
use tracing::debug;

use crate::admin::body::{document, ttl};
use crate::admin::path::segment;
use crate::admin::problem::{bad_request, full, problem, unavailable};
use crate::admin::state::Shared;
use crate::control::RequestedLock;
use crate::registry::{Lock, NotTaken};
use crate::telemetry::Actor;

const MAX_TOKEN_CHARS: usize = 128;

#[derive(Deserialize)]
struct Release {
    token: String,
}

/// `PUT /admin/locks/{owner}`: takes the lock, or renews it if the request carries the lock's token.
pub(super) async fn take(
    State(admin): Shared,
    owner: Result<Path<String>, PathRejection>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Response {
    let owner: Owner = match segment("owner", owner) {
        Ok(owner) => owner,
        Err(refusal) => return refusal,
    };
    let asked: LockRequest = match document(&admin, request).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let renew = asked.renew;
    let wanted = match wanted(asked) {
        Ok(wanted) => wanted,
        Err(refusal) => return refusal,
    };
    let taken = match renew {
        true => admin.control.renew_lock(&by, &owner, wanted).await,
        false => admin.control.take_lock(&by, &owner, wanted).await,
    };
    match taken {
        Ok(Lock { holder, token, since, ends_at }) => {
            debug!(%owner, %holder, "owner locked");
            let (since, expires_at) = (since.to_string(), ends_at.to_string());
            Json(LockGrant { token, holder, since, expires_at }).into_response()
        }
        Err(NotTaken::Held(Lock { holder, since, ends_at, .. })) => {
            let (error, code) = ("Owner is locked".to_owned(), LockHeld::CODE.to_owned());
            let (since, expires_at) = (since.to_string(), ends_at.to_string());
            (StatusCode::CONFLICT, Json(LockHeld { error, code, holder, since, expires_at })).into_response()
        }
        Err(NotTaken::Nothing) => nothing(&owner),
        Err(NotTaken::Storage(error)) => unavailable(&error),
        Err(NotTaken::TooMany(most)) => {
            full("too_many_locks", format!("{most} owners are locked, the most there may be"))
        }
    }
}

/// `DELETE /admin/locks/{owner}?token=...`.
pub(super) async fn release(
    State(admin): Shared,
    owner: Result<Path<String>, PathRejection>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Response {
    let owner: Owner = match segment("owner", owner) {
        Ok(owner) => owner,
        Err(refusal) => return refusal,
    };
    let token = match Query::<Release>::try_from_uri(request.uri()) {
        Ok(Query(Release { token })) => Secret::new(token),
        Err(_) => return bad_request("`token` is required, once, in the query"),
    };
    match admin.control.release_lock(&by, &owner, &token).await {
        Ok(true) => {
            debug!(%owner, "owner unlocked");
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(false) => nothing(&owner),
        Err(error) => unavailable(&error),
    }
}

fn wanted(asked: LockRequest) -> Result<RequestedLock, Response> {
    let LockRequest { holder, ttl: wanted, token, renew } = asked;
    let ttl = ttl(wanted, MAX_LOCK_TTL)?;
    let token = match token {
        Some(token) if is_token(token.expose()) => token,
        Some(_) => return Err(bad_request("`token` must be 1 to 128 printable characters")),
        None if renew => return Err(bad_request("`token` is required to renew a lock")),
        None => draw()?,
    };
    Ok(RequestedLock { holder, token, ttl })
}

fn is_token(text: &str) -> bool {
    (1..=MAX_TOKEN_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn draw() -> Result<Secret, Response> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| {
        let details = error.to_string();
        problem(StatusCode::INTERNAL_SERVER_ERROR, Problem::new("Cannot draw a token").details(details))
    })?;
    Ok(Secret::new(format!("{:032x}", u128::from_be_bytes(random))))
}

fn nothing(owner: &Owner) -> Response {
    let details = format!("{owner} is not locked with this token");
    problem(StatusCode::NOT_FOUND, Problem::new("Lock not found").details(details).code(NO_SUCH_LOCK))
}
