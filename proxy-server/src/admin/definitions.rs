//! `/admin/mcps`: register, show, change and deregister.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use schemas::admin::{Acknowledgement, DefinitionView, Fingerprints, RegistrationList, Status};
use schemas::dialect::compozy::DefinitionDocument;
use schemas::{Definition, Inert, InvalidDefinition, Problem, ServerName, Transport};
use tokio::time::timeout;
use tracing::info;

use crate::admin::problem::{denied, problem, unknown};
use crate::admin::{Admin, Shared, object};
use crate::error::Chain;
use crate::registry::{Registration, RegistryError};

const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// `POST /admin/mcps`. The answer is 201 exactly: Go clients take any other success for a failure.
pub(super) async fn register(State(admin): Shared, request: Request) -> Response {
    let may_start = admin.policy.may_start_processes(&(admin.credentials)(&request));
    let body = match read(&admin, request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let definition = match parse(&body) {
        Ok(definition) => definition,
        Err(details) => return problem(StatusCode::BAD_REQUEST, Problem::new("Invalid request").details(details)),
    };
    if let (true, Err(reason)) = (is_process(&definition), may_start) {
        return denied(reason);
    }
    let name = definition.name.clone();
    let _turn = admin.changes.acquire().await;
    match admin.registry.get(name.as_str()).await {
        Ok(None) => {}
        Ok(Some(_)) => return exists(&name),
        Err(error) => return failed("Failed to create MCP", &error),
    }
    if let Err(error) = admin.upstreams.check(&definition) {
        return failed("Failed to create MCP", &error);
    }
    match admin.registry.create(definition.clone()).await {
        Ok(_) => {
            admin.upstreams.start(definition);
            info!(upstream = %name, "registered");
            let message = "MCP definition added successfully".to_owned();
            let answer = Acknowledgement { message, name: name.into(), warning: None, expires_at: None };
            (StatusCode::CREATED, Json(answer)).into_response()
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
        Ok(Some(registration)) => Json(view(&admin, registration)).into_response(),
        Ok(None) => unknown(&name),
        Err(error) => failed("Storage error", &error),
    }
}

/// `PUT /admin/mcps/{name}`: replaces the whole definition; the name in the path counts. Never creates.
pub(super) async fn update(State(admin): Shared, Path(name): Path<String>, request: Request) -> Response {
    let may_start = admin.policy.may_start_processes(&(admin.credentials)(&request));
    let body = match read(&admin, request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let mut document: DefinitionDocument = match object(&body) {
        Ok(document) => document,
        Err(error) => {
            let problem = Problem::new("Invalid JSON payload").details(error.to_string());
            return self::problem(StatusCode::BAD_REQUEST, problem);
        }
    };
    document.name.clone_from(&name);
    let _turn = admin.changes.acquire().await;
    let stored = match admin.registry.get(&name).await {
        Ok(stored) => stored,
        Err(error) => return failed("Failed to update MCP", &error),
    };
    let definition = match (Definition::try_from(document), &stored) {
        (Ok(definition), Some(stored)) => keep_redacted(definition, stored),
        (Ok(_), None) => return unknown(&name),
        (Err(error), _) => Err(error),
    };
    let definition = match definition {
        Ok(definition) => definition,
        Err(error) => {
            let details = format!("invalid MCP definition: {error}");
            return problem(StatusCode::BAD_REQUEST, Problem::new("Invalid MCP definition").details(details));
        }
    };
    let was_process = stored.is_some_and(|stored| is_process(&stored.definition));
    if let (true, Err(reason)) = (was_process || is_process(&definition), may_start) {
        return denied(reason);
    }
    replace(&admin, definition).await
}

async fn replace(admin: &Admin, definition: Definition) -> Response {
    let name = definition.name.clone();
    let startable = admin.upstreams.check(&definition);
    match admin.registry.update(definition.clone()).await {
        Ok(Some(_)) => {}
        Ok(None) => return unknown(name.as_str()),
        Err(error) => return failed("Failed to update MCP", &error),
    }
    // Started even so: the program may appear later, and the status says what is wrong until then.
    admin.upstreams.start(definition);
    info!(upstream = %name, "definition changed");
    let (status, message, warning) = match startable {
        Ok(()) => (StatusCode::OK, "MCP definition updated successfully", None),
        Err(error) => {
            let warning = Some(Chain(&error).to_string());
            (StatusCode::ACCEPTED, "MCP definition updated but connection failed", warning)
        }
    };
    let answer = Acknowledgement { message: message.to_owned(), name: name.into(), warning, expires_at: None };
    (status, Json(answer)).into_response()
}

/// `DELETE /admin/mcps/{name}`.
pub(super) async fn remove(State(admin): Shared, Path(name): Path<String>) -> Response {
    let _turn = admin.changes.acquire().await;
    match admin.registry.delete(&name).await {
        Ok(true) => {
            admin.upstreams.retire(&name);
            info!(upstream = name, "deregistered");
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(false) => unknown(&name),
        Err(error) => failed("Failed to delete MCP", &error),
    }
}

/// No Content-Type is asked for, as no version of the ancestor did; foreign pages are stopped by their `Origin`.
pub(super) async fn read(admin: &Arc<Admin>, request: Request) -> Result<Bytes, Response> {
    let limit = admin.max_body_bytes;
    match timeout(BODY_TIMEOUT, Limited::new(request.into_body(), limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let details = format!("the body is larger than {limit} bytes");
            Err(problem(StatusCode::PAYLOAD_TOO_LARGE, Problem::new("Invalid request").details(details)))
        }
        Ok(Err(_)) => {
            Err(problem(StatusCode::BAD_REQUEST, Problem::new("Invalid request").details("the body ended early")))
        }
        Err(_) => Err(problem(
            StatusCode::REQUEST_TIMEOUT,
            Problem::new("Invalid request").details("the body came too slowly"),
        )),
    }
}

fn is_process(definition: &Definition) -> bool {
    matches!(definition.transport, Transport::Stdio(_))
}

fn parse(body: &[u8]) -> Result<Definition, String> {
    let document: DefinitionDocument = object(body).map_err(|error| format!("invalid JSON payload: {error}"))?;
    let definition = Definition::try_from(document);
    definition.and_then(nothing_redacted).map_err(|error| format!("invalid MCP definition: {error}"))
}

/// A placeholder means "keep what is stored", and a new registration has nothing stored.
fn nothing_redacted(mut definition: Definition) -> Result<Definition, InvalidDefinition> {
    let mut nothing = Definition::new(definition.name.clone(), definition.transport.clone());
    nothing.inert = Inert::default();
    if let Transport::Sse(remote) | Transport::StreamableHttp(remote) = &mut nothing.transport {
        remote.headers.clear();
    }
    definition.keep_redacted(&nothing).map(|()| definition)
}

fn keep_redacted(mut definition: Definition, stored: &Registration) -> Result<Definition, InvalidDefinition> {
    definition.keep_redacted(&stored.definition).map(|()| definition)
}

fn view(admin: &Admin, registration: Registration) -> schemas::admin::Registration {
    let Registration { definition, created_at, updated_at } = registration;
    let name = definition.name.as_str();
    let status = admin.upstreams.get(name).map_or_else(|| Status::new(name), |upstream| upstream.status());
    let values = definition.fingerprints(&admin.salt);
    let view = DefinitionView::new(definition, created_at.to_string(), updated_at.to_string());
    let mut shown = schemas::admin::Registration::new(view, status);
    shown.fingerprints = Some(Fingerprints { salt: admin.salt.clone(), values });
    shown
}

fn exists(name: &ServerName) -> Response {
    let details = format!("MCP already exists: {name}");
    problem(StatusCode::CONFLICT, Problem::new("MCP already exists").details(details))
}

fn failed(what: &str, error: &(dyn std::error::Error + 'static)) -> Response {
    problem(StatusCode::INTERNAL_SERVER_ERROR, Problem::new(what).details(Chain(error).to_string()))
}
