//! `/admin/tokens`: access tokens with a name, rights and an expiry. Whoever may issue them could give itself any right, so
//! that is for callers with a token of the settings, or who run the gateway.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use schemas::admin::{
    AccessToken, IssuedToken, MAX_TOKEN_TTL, NO_SUCH_TOKEN, NewToken, Right, TokenList, TokenName, TokenRotation,
    TokenUpdate,
};
use schemas::{Problem, Secret, ServerName, WireDuration, format_duration};
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::admin::body::{document, ttl};
use crate::admin::path::segment;
use crate::admin::problem::{bad_request, denied, full, problem, unavailable};
use crate::admin::state::{Admin, Shared};
use crate::admin::view::uncached;
use crate::registry::{self, TokenError, TokenGrant};
use crate::telemetry::Actor;

/// Time for which the secret before a rotation stays valid, unless the request says it.
const OVERLAP: Duration = Duration::from_secs(3600);

/// `GET /admin/tokens`.
pub(super) async fn list(State(admin): Shared) -> Response {
    let tokens: Vec<AccessToken> =
        admin.control.tokens().all().iter().map(|(name, token)| view(&admin, *name, token)).collect();
    let count = tokens.len();
    Json(TokenList { tokens, count }).into_response()
}

/// `GET /admin/tokens/{name}`.
pub(super) async fn show(State(admin): Shared, name: Result<Path<String>, PathRejection>) -> Response {
    let name: TokenName = match segment("name", name) {
        Ok(name) => name,
        Err(refusal) => return refusal,
    };
    match admin.control.tokens().get(&name) {
        Some(token) => Json(view(&admin, name, token)).into_response(),
        None => unknown(name),
    }
}

/// `POST /admin/tokens`.
pub(super) async fn issue(State(admin): Shared, Extension(by): Extension<Actor>, request: Request) -> Response {
    if let Some(refusal) = not_issuer(&admin, &request) {
        return refusal;
    }
    let NewToken { name, rights, servers, ttl } = match document(&admin, request).await {
        Ok(wanted) => wanted,
        Err(refusal) => return refusal,
    };
    let grant = match grant(rights, servers, ttl) {
        Ok(grant) => grant,
        Err(refusal) => return refusal,
    };
    match admin.control.issue_token(&by, name, grant).await {
        Ok(issued) => issued_as(&admin, StatusCode::CREATED, name, issued),
        Err(error) => not_changed(name, error),
    }
}

/// `PUT /admin/tokens/{name}`.
pub(super) async fn update(
    State(admin): Shared,
    name: Result<Path<String>, PathRejection>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Response {
    let (name, TokenUpdate { rights, servers, ttl }) = match asked(&admin, name, request).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let grant = match grant(rights, servers, ttl) {
        Ok(grant) => grant,
        Err(refusal) => return refusal,
    };
    match admin.control.update_token(&by, name, grant).await {
        Ok(token) => Json(view(&admin, name, &token)).into_response(),
        Err(error) => not_changed(name, error),
    }
}

/// `POST /admin/tokens/{name}/rotate`.
pub(super) async fn rotate(
    State(admin): Shared,
    name: Result<Path<String>, PathRejection>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Response {
    let (name, TokenRotation { overlap }) = match asked(&admin, name, request).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let overlap = match overlap.map_or(Some(OVERLAP), WireDuration::get) {
        Some(overlap) if overlap <= MAX_TOKEN_TTL => overlap,
        _ => return bad_request(format!("`overlap` must be from 0s to {}", format_duration(MAX_TOKEN_TTL))),
    };
    match admin.control.rotate_token(&by, name, overlap).await {
        Ok(issued) => issued_as(&admin, StatusCode::OK, name, issued),
        Err(error) => not_changed(name, error),
    }
}

/// `DELETE /admin/tokens/{name}`.
pub(super) async fn revoke(
    State(admin): Shared,
    name: Result<Path<String>, PathRejection>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Response {
    if let Some(refusal) = not_issuer(&admin, &request) {
        return refusal;
    }
    let name: TokenName = match segment("name", name) {
        Ok(name) => name,
        Err(refusal) => return refusal,
    };
    match admin.control.revoke_token(&by, name).await {
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
        Ok(false) => unknown(name),
        Err(error) => unavailable(&error),
    }
}

/// Reads a request to change the token of this name, from a caller who may issue tokens.
async fn asked<T: DeserializeOwned>(
    admin: &Arc<Admin>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(TokenName, T), Response> {
    not_issuer(admin, &request).map_or(Ok(()), Err)?;
    Ok((segment("name", name)?, document(admin, request).await?))
}

/// Refuses callers who may not issue access tokens, and logs their attempts.
fn not_issuer(admin: &Admin, request: &Request) -> Option<Response> {
    let credentials = (admin.credentials)(request);
    let why = admin.policy.issuer(&credentials).err()?;
    let (peer, path) = (credentials.from.peer.ip(), request.uri().path());
    warn!(%peer, path, "change of access tokens refused");
    Some(denied((admin, &admin.policy.actor(&credentials)), path, why))
}

fn grant(
    rights: BTreeSet<Right>,
    servers: BTreeSet<ServerName>,
    lifetime: Option<WireDuration>,
) -> Result<TokenGrant, Response> {
    if rights.is_empty() {
        return Err(bad_request("`rights` is empty; revoke a token that is for nothing"));
    }
    if rights.contains(&Right::Start) && !rights.contains(&Right::Write) {
        return Err(bad_request("`rights`: `start` has no effect without `write`"));
    }
    if !servers.is_empty() && !rights.contains(&Right::Call) {
        return Err(bad_request("`servers` limits the right `call`, which `rights` does not have"));
    }
    let lifetime = lifetime.map(|lifetime| ttl(lifetime, MAX_TOKEN_TTL)).transpose()?;
    Ok(TokenGrant { rights, servers, lifetime })
}

fn view(admin: &Admin, name: TokenName, token: &registry::AccessToken) -> AccessToken {
    let registry::AccessToken { grant, former, created_at, expires_at, last_used_at, .. } = token;
    let now = Timestamp::now();
    let pending = admin.policy.access_tokens().pending_use(&name).filter(|used_at| used_at >= created_at);
    let used_at = pending.max(*last_used_at);
    let mut view = AccessToken::new(name, grant.rights.clone(), created_at.to_string());
    view.servers = grant.servers.clone();
    view.ttl = grant.lifetime.map(format_duration);
    view.expires_at = expires_at.map(|end| end.to_string());
    view.is_expired = token.is_expired(now);
    view.former_until = former.filter(|(_, until)| now < *until).map(|(_, until)| until.to_string());
    view.last_used_at = used_at.map(|used_at| used_at.to_string());
    view
}

fn issued_as(
    admin: &Admin,
    status: StatusCode,
    name: TokenName,
    (secret, token): (Secret, Arc<registry::AccessToken>),
) -> Response {
    let token = view(admin, name, &token);
    uncached((status, Json(IssuedToken { secret, token })).into_response())
}

fn not_changed(name: TokenName, error: TokenError) -> Response {
    match error {
        TokenError::Exists => {
            let details = format!("there is an access token `{name}`; rotate or revoke it, or choose another name");
            problem(
                StatusCode::CONFLICT,
                Problem::new("Access token already exists").details(details).code("token_exists"),
            )
        }
        TokenError::Missing => unknown(name),
        TokenError::TooMany(most) => {
            full("too_many_tokens", format!("there are {most} access tokens, the most there may be; revoke some"))
        }
        TokenError::Random(error) => {
            let problem = Problem::new("Cannot draw a secret").details(error.to_string());
            self::problem(StatusCode::INTERNAL_SERVER_ERROR, problem)
        }
        TokenError::Storage(error) => unavailable(&error),
    }
}

fn unknown(name: TokenName) -> Response {
    let details = format!("there is no access token `{name}`");
    problem(StatusCode::NOT_FOUND, Problem::new("Access token not found").details(details).code(NO_SUCH_TOKEN))
}
