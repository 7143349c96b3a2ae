//! `/admin/mcps`: register, show, change and deregister.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::admin::{
    Acknowledgement, DefinitionView, Fingerprints, OWNER_TAG, RegistrationList, Revision, StaleRevision, Status,
};
use schemas::dialect::compozy::DeclaredDocument;
use schemas::{Definition, Inert, InvalidDefinition, Problem, ServerName, Transport};
use serde::Serialize;
use tracing::info;

use crate::admin::body::{definition, object, without_values};
use crate::admin::leases::{self, Wish};
use crate::admin::precondition::Precondition;
use crate::admin::problem::{bad_request, denied, failed, problem, unknown};
use crate::admin::{Admin, Shared};
use crate::error::Chain;
use crate::policy::Starter;
use crate::registry::{Registration, RegistryError, Tenure};

/// `POST /admin/mcps`. The answer is 201 exactly: Go clients take any other success for a failure. With
/// `?lease=HOLDER&ttl=TIME` the registration goes with the last lease on it, and this is the first.
pub(super) async fn register(State(admin): Shared, request: Request) -> Response {
    let starter = admin.policy.starter(&(admin.credentials)(&request));
    let wish = match Wish::read(request.uri()) {
        Ok(wish) => wish,
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
    create(&admin, definition, wish, warnings).await
}

async fn create(admin: &Admin, definition: Definition, wish: Option<Wish>, warnings: Vec<String>) -> Response {
    if let Err(refusal) = Wish::check(wish.as_ref(), admin) {
        return refusal;
    }
    let tenure = if wish.is_some() { Tenure::Leased } else { Tenure::Permanent };
    match admin.registry.create(definition.clone(), tenure).await {
        Ok(registration) => {
            let name = definition.name.clone();
            let expires_at = Wish::grant(wish, admin, &name);
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

/// `GET /admin/mcps`. Entries hold `definition` and `status` and nothing flat: Go clients that find a name at the top
/// of an entry deregister it when they stop.
pub(super) async fn list(State(admin): Shared) -> Response {
    match admin.registry.list().await {
        Ok(registrations) => {
            let mcps: Vec<_> = registrations.into_iter().map(|one| view(&admin, one)).collect();
            let count = mcps.len();
            Json(RegistrationList { mcps, count }).into_response()
        }
        Err(error) => failed("Failed to retrieve MCP definitions", &error),
    }
}

/// `GET /admin/mcps/{name}`.
pub(super) async fn show(State(admin): Shared, Path(name): Path<String>) -> Response {
    match admin.registry.get(&name).await {
        Ok(Some(registration)) => tagged(StatusCode::OK, registration.revision, view(&admin, registration)),
        Ok(None) => unknown(&name),
        Err(error) => failed("Storage error", &error),
    }
}

/// What a change is made with, besides the definition.
struct Terms {
    warnings: Vec<String>,
    condition: Precondition,
    wish: Option<Wish>,
    starter: Starter,
}

/// `PUT /admin/mcps/{name}`: replaces the whole definition; the name in the path counts. Never creates. What was leased
/// becomes permanent, unless a lease is asked for as in [`register`].
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
        wish: Wish::read(request.uri())?,
        starter: admin.policy.starter(&(admin.credentials)(request)),
    })
}

async fn change(admin: &Admin, definition: Definition, stored: &Registration, terms: Terms) -> Response {
    let is_current = terms.condition.holds(stored.revision);
    let starts = is_process(&stored.definition) || is_process(&definition);
    let definition = match keep_redacted(definition, stored) {
        Ok(definition) => definition,
        // What is to be kept may have been there in the state that was meant.
        Err(_) if !is_current => return stale(stored),
        Err(error) => return invalid(&error),
    };
    if starts && let Err(reason) = terms.starter.may_start() {
        return denied(reason);
    }
    let tenure = if terms.wish.is_some() { stored.tenure } else { Tenure::Permanent };
    if let Err(refusal) = Wish::check(terms.wish.as_ref(), admin) {
        return refusal;
    }
    let revision = if is_current {
        match admin.registry.update(definition.clone(), tenure).await {
            Ok(Some(registration)) => registration.revision,
            Ok(None) => return unknown(definition.name.as_str()),
            Err(error) => return failed("Failed to update MCP", &error),
        }
    } else if (&definition, tenure) == (&stored.definition, stored.tenure) {
        // The request came before, and was carried out: this is its answer once more.
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
    let expires_at = Wish::grant(terms.wish, admin, &name);
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

/// True for a definition that uses this machine: it starts a program, or has files read.
pub(super) fn is_process(definition: &Definition) -> bool {
    matches!(definition.transport, Transport::Stdio(_)) || definition.network.uses_files()
}

/// Starts an upstream anew where what runs has changed.
pub(super) fn start_changed(admin: &Admin, definition: Definition, before: &Definition) {
    let name = definition.name.clone();
    if is_only_relabelled(&definition, before) && admin.upstreams.get(name.as_str()).is_some() {
        info!(upstream = %name, "tags changed");
        return;
    }
    // Started even if it cannot be: the program may appear later, and the status says what is wrong until then.
    admin.upstreams.start(definition);
    info!(upstream = %name, "definition changed");
}

/// Whether nothing differs but tags, which only people read: what runs need not be started again for another owner.
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

/// A placeholder means "keep what is stored", and a new registration has nothing stored.
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

fn view(admin: &Admin, registration: Registration) -> schemas::admin::Registration {
    let Registration { definition, created_at, updated_at, revision, tenure } = registration;
    let name = definition.name.as_str();
    let status = admin.upstreams.get(name).map_or_else(|| Status::new(name), |upstream| upstream.status());
    let values = definition.fingerprints(&admin.salt);
    let leases = leases::on(admin, name);
    let view = DefinitionView::new(definition, created_at.to_string(), updated_at.to_string());
    let mut shown = schemas::admin::Registration::new(view, status);
    shown.fingerprints = Some(Fingerprints { salt: admin.salt.clone(), values });
    shown.revision = Some(revision);
    shown.leased = tenure == Tenure::Leased;
    shown.leases = leases;
    shown
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

/// An answer about a registration in this state.
fn tagged(status: StatusCode, revision: Revision, body: impl Serialize) -> Response {
    (status, [(header::ETAG, revision.etag())], Json(body)).into_response()
}
