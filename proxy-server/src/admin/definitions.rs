//! `/admin/mcps`: registers, lists, updates and deregisters definitions.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::admin::{Acknowledgement, OWNER_TAG, RegistrationList, Revision, StaleRevision};
use schemas::dialect::compozy::DeclaredDocument;
use schemas::{Definition, Inert, InvalidDefinition, Problem, ServerName, Transport};
use serde::Serialize;
use tracing::info;

use crate::admin::body::{definition, object, without_values};
use crate::admin::leases::RequestedLease;
use crate::admin::precondition::Precondition;
use crate::admin::problem::{bad_request, denied, failed, problem, unknown};
use crate::admin::view::{Shown, reveal, uncached, view};
use crate::admin::{Admin, Shared};
use crate::error::Chain;
use crate::policy::Starter;
use crate::registry::{Registration, RegistryError, Tenure};

/// `POST /admin/mcps`. The status must be 201, because Go clients treat any other success as a failure. With
/// `?lease=HOLDER&ttl=TIME` the registration is leased, and removed when its last lease ends.
pub(super) async fn register(State(admin): Shared, request: Request) -> Response {
    let starter = admin.policy.starter(&(admin.credentials)(&request));
    let lease = match RequestedLease::read(request.uri()) {
        Ok(lease) => lease,
        Err(refusal) => return refusal,
    };
    let body = match definition(&admin, request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let (definition, warnings) = match parse(&body) {
        Ok(parsed) => parsed,
        Err(details) => return bad_request(details),
    };
    if is_process(&definition)
        && let Err(reason) = starter.may_start()
    {
        return denied(reason);
    }
    let _turn = admin.changes.acquire().await;
    match admin.registry.get(definition.name.as_str()).await {
        Ok(None) => {}
        Ok(Some(_)) => return exists(&definition.name),
        Err(error) => return failed("Failed to create MCP", &error),
    }
    if let Err(error) = admin.upstreams.check(&definition) {
        return failed("Failed to create MCP", &error);
    }
    create(&admin, definition, lease, warnings).await
}

async fn create(
    admin: &Admin,
    definition: Definition,
    lease: Option<RequestedLease>,
    warnings: Vec<String>,
) -> Response {
    if let Err(refusal) = RequestedLease::check(lease.as_ref(), admin) {
        return refusal;
    }
    let tenure = if lease.is_some() { Tenure::Leased } else { Tenure::Permanent };
    match admin.registry.create(definition.clone(), tenure).await {
        Ok(registration) => {
            let name = definition.name.clone();
            let expires_at = RequestedLease::grant(lease, admin, &name);
            admin.upstreams.start(definition);
            info!(upstream = %name, "registered");
            let message = "MCP definition added successfully".to_owned();
            let answer = Acknowledgement { message, name: name.into(), warning: None, warnings, expires_at };
            tagged(StatusCode::CREATED, registration.revision, answer)
        }
        Err(RegistryError::Exists(name)) => exists(&name),
        Err(error @ RegistryError::Full(_)) => failed("Failed to create MCP", &error),
    }
}

/// `GET /admin/mcps`. Entries hold `definition` and `status` and no flat members, because Go clients that find a name
/// at the top of an entry deregister it when they stop. With `?secrets=true` definitions are whole, for callers who may [`reveal`] them.
pub(super) async fn list(State(admin): Shared, request: Request) -> Response {
    let shown = match reveal(&admin, &request) {
        Ok(shown) => shown,
        Err(refusal) => return refusal,
    };
    match admin.registry.list().await {
        Ok(registrations) => {
            let mcps: Vec<_> = registrations.into_iter().map(|one| view(&admin, one, shown)).collect();
            let count = mcps.len();
            uncached(Json(RegistrationList { mcps, count, secrets: shown == Shown::Whole }).into_response())
        }
        Err(error) => failed("Failed to retrieve MCP definitions", &error),
    }
}

/// `GET /admin/mcps/{name}`, with `?secrets=true` as for [`list`].
pub(super) async fn show(State(admin): Shared, Path(name): Path<String>, request: Request) -> Response {
    let shown = match reveal(&admin, &request) {
        Ok(shown) => shown,
        Err(refusal) => return refusal,
    };
    match admin.registry.get(&name).await {
        Ok(Some(registration)) => {
            uncached(tagged(StatusCode::OK, registration.revision, view(&admin, registration, shown)))
        }
        Ok(None) => unknown(&name),
        Err(error) => failed("Storage error", &error),
    }
}

/// Parameters of an update besides the definition.
struct Terms {
    warnings: Vec<String>,
    condition: Precondition,
    lease: Option<RequestedLease>,
    starter: Starter,
}

/// `PUT /admin/mcps/{name}`: replaces the whole definition; the name in the path wins. Never creates a registration. A
/// leased registration becomes permanent, unless the request asks for a lease as in [`register`].
pub(super) async fn update(State(admin): Shared, Path(name): Path<String>, request: Request) -> Response {
    let mut terms = match terms(&admin, &request) {
        Ok(terms) => terms,
        Err(refusal) => return refusal,
    };
    let body = match definition(&admin, request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let mut declared: DeclaredDocument = match object(&body) {
        Ok(declared) => declared,
        Err(error) => {
            let problem = Problem::new("Invalid JSON payload").details(without_values(error));
            return self::problem(StatusCode::BAD_REQUEST, problem);
        }
    };
    declared.document.name.clone_from(&name);
    let _turn = admin.changes.acquire().await;
    let stored = match admin.registry.get(&name).await {
        Ok(stored) => stored,
        Err(error) => return failed("Failed to update MCP", &error),
    };
    match (declared.into_definition(), stored) {
        (Ok((definition, warnings)), Some(stored)) => {
            terms.warnings = warnings;
            change(&admin, definition, &stored, terms).await
        }
        (Ok(_), None) => unknown(&name),
        (Err(error), _) => invalid(&error),
    }
}

fn terms(admin: &Admin, request: &Request) -> Result<Terms, Response> {
    Ok(Terms {
        warnings: Vec::new(),
        condition: Precondition::read(request.headers()).map_err(|error| bad_request(error.to_string()))?,
        lease: RequestedLease::read(request.uri())?,
        starter: admin.policy.starter(&(admin.credentials)(request)),
    })
}

async fn change(admin: &Admin, definition: Definition, stored: &Registration, terms: Terms) -> Response {
    let is_current = terms.condition.holds(stored.revision);
    let starts = is_process(&stored.definition) || is_process(&definition);
    let definition = match keep_redacted(definition, stored) {
        Ok(definition) => definition,
        // The value that a placeholder refers to may exist in the revision that the caller expects, so report the
        // conflict.
        Err(_) if !is_current => return stale(stored),
        Err(error) => return invalid(&error),
    };
    if starts && let Err(reason) = terms.starter.may_start() {
        return denied(reason);
    }
    let tenure = if terms.lease.is_some() { stored.tenure } else { Tenure::Permanent };
    if let Err(refusal) = RequestedLease::check(terms.lease.as_ref(), admin) {
        return refusal;
    }
    let revision = if is_current {
        match admin.registry.update(definition.clone(), tenure).await {
            Ok(Some(registration)) => registration.revision,
            Ok(None) => return unknown(definition.name.as_str()),
            Err(error) => return failed("Failed to update MCP", &error),
        }
    } else if (&definition, tenure) == (&stored.definition, stored.tenure) {
        // A repeated request whose change is already made gets the same answer again.
        stored.revision
    } else {
        return stale(stored);
    };
    let (status, message, warning) = match admin.upstreams.check(&definition) {
        Ok(()) => (StatusCode::OK, "MCP definition updated successfully", None),
        Err(error) => {
            let warning = Some(Chain(&error).to_string());
            (StatusCode::ACCEPTED, "MCP definition updated but connection failed", warning)
        }
    };
    let name = definition.name.clone();
    let expires_at = RequestedLease::grant(terms.lease, admin, &name);
    if is_current {
        start_changed(admin, definition, &stored.definition);
    }
    let answer = Acknowledgement {
        message: message.to_owned(),
        name: name.into(),
        warning,
        warnings: terms.warnings,
        expires_at,
    };
    tagged(status, revision, answer)
}

/// `DELETE /admin/mcps/{name}`.
pub(super) async fn remove(State(admin): Shared, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let condition = match Precondition::read(&headers) {
        Ok(condition) => condition,
        Err(error) => return bad_request(error.to_string()),
    };
    let _turn = admin.changes.acquire().await;
    match admin.registry.get(&name).await {
        Ok(Some(stored)) if !condition.holds(stored.revision) => return stale(&stored),
        Ok(_) => {}
        Err(error) => return failed("Failed to delete MCP", &error),
    }
    match admin.registry.delete(&name).await {
        Ok(true) => {
            admin.upstreams.retire(&name);
            admin.leases().forget(&name);
            info!(upstream = name, "deregistered");
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(false) => unknown(&name),
        Err(error) => failed("Failed to delete MCP", &error),
    }
}

/// True if a definition uses this machine: it starts a program, or makes the gateway read files.
pub(super) fn is_process(definition: &Definition) -> bool {
    matches!(definition.transport, Transport::Stdio(_)) || definition.network.uses_files()
}

/// Restarts an upstream if its definition changed in anything but tags.
pub(super) fn start_changed(admin: &Admin, definition: Definition, before: &Definition) {
    let name = definition.name.clone();
    if is_only_relabelled(&definition, before) && admin.upstreams.get(name.as_str()).is_some() {
        info!(upstream = %name, "tags changed");
        return;
    }
    // Start it even if the check fails: the program may be installed later, and the status shows the error until then.
    admin.upstreams.start(definition);
    info!(upstream = %name, "definition changed");
}

/// True if only the tags differ. They are labels for people, so the upstream need not be restarted.
fn is_only_relabelled(definition: &Definition, stored: &Definition) -> bool {
    let same = Definition { tags: stored.tags.clone(), ..definition.clone() };
    definition.tags != stored.tags && same == *stored
}

fn parse(body: &[u8]) -> Result<(Definition, Vec<String>), String> {
    let declared: DeclaredDocument =
        object(body).map_err(|error| format!("invalid JSON payload: {}", without_values(error)))?;
    let parsed = declared.into_definition();
    let parsed = parsed.and_then(|(definition, warnings)| Ok((nothing_redacted(definition)?, warnings)));
    parsed.map_err(|error| format!("invalid MCP definition: {error}"))
}

/// Rejects redaction placeholders in a new registration: a placeholder means "keep the stored value", and none is
/// stored.
pub(super) fn nothing_redacted(mut definition: Definition) -> Result<Definition, InvalidDefinition> {
    let mut nothing = Definition::new(definition.name.clone(), definition.transport.clone());
    nothing.inert = Inert::default();
    if let Transport::Sse(remote) | Transport::StreamableHttp(remote) = &mut nothing.transport {
        remote.headers.clear();
    }
    definition.keep_redacted(&nothing).map(|()| definition)
}

pub(super) fn keep_redacted(
    mut definition: Definition,
    stored: &Registration,
) -> Result<Definition, InvalidDefinition> {
    definition.keep_redacted(&stored.definition).map(|()| definition)
}

fn exists(name: &ServerName) -> Response {
    let details = format!("MCP already exists: {name}");
    problem(StatusCode::CONFLICT, Problem::new("MCP already exists").details(details))
}

fn invalid(error: &InvalidDefinition) -> Response {
    let details = format!("invalid MCP definition: {error}");
    problem(StatusCode::BAD_REQUEST, Problem::new("Invalid MCP definition").details(details))
}

fn stale(stored: &Registration) -> Response {
    let owner = stored.definition.tags.get(OWNER_TAG).map(String::as_str).filter(|owner| !owner.is_empty());
    let refusal = StaleRevision::new(stored.definition.name.as_str(), stored.revision, owner);
    tagged(StatusCode::PRECONDITION_FAILED, stored.revision, refusal)
}

/// Builds a response that carries the registration's revision as its `ETag`.
fn tagged(status: StatusCode, revision: Revision, body: impl Serialize) -> Response {
    (status, [(header::ETAG, revision.etag())], Json(body)).into_response()
}
