//! `/admin/mcps`: registers, lists, updates and deregisters definitions.

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemas::admin::{Acknowledgement, OWNER_TAG, RegistrationList, Revision, StaleRevision};
use schemas::dialect::compozy::DeclaredDocument;
use schemas::{Definition, Inert, InvalidDefinition, Problem, ServerName, Transport};
use serde::Serialize;

use crate::admin::body::{definition, object, without_values};
use crate::admin::leases::{requested, too_many};
use crate::admin::precondition::Precondition;
use crate::admin::problem::{bad_request, denied, failed, not_applied, problem, unknown};
use crate::admin::state::{Admin, Shared};
use crate::admin::view::{Shown, reveal, uncached, view};
use crate::control::Decided;
use crate::error::Chain;
use crate::policy::{Denied, Starter};
use crate::registry::{Expected, Registration, RequestedLease, Tenure, TransactError, Write, Written};
use crate::telemetry::Actor;

/// `POST /admin/mcps`. The status must be 201, because Go clients treat any other success as a failure. With
/// `?lease=HOLDER&ttl=TIME` the registration is leased, and removed when its last lease ends.
pub(super) async fn register(State(admin): Shared, Extension(by): Extension<Actor>, request: Request) -> Response {
    let starter = admin.policy.starter(&(admin.credentials)(&request));
    let lease = match requested(request.uri()) {
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
        return denied((&admin, &by), "/admin/mcps", reason);
    }
    if admin.control.snapshot().get(definition.name.as_str()).is_some() {
        return exists(&definition.name);
    }
    if let Err(error) = admin.upstreams.check(&definition) {
        return failed("Failed to create MCP", &error);
    }
    create((&admin, &by), definition, lease, warnings).await
}

async fn create(
    (admin, by): (&Admin, &Actor),
    definition: Definition,
    lease: Option<RequestedLease>,
    warnings: Vec<String>,
) -> Response {
    let name = String::from(definition.name.clone());
    let writes = vec![Write::Create { definition, lease }];
    match admin.control.commit(by, writes, &Expected::new()).await {
        Ok(written) => {
            let (revision, expires_at) = first(&written);
            let message = "MCP definition added successfully".to_owned();
            tagged(
                StatusCode::CREATED,
                revision,
                Acknowledgement { message, name, warning: None, warnings, expires_at },
            )
        }
        Err(TransactError::Exists(name)) => exists(&name),
        Err(error) => not_applied("Failed to create MCP", &error),
    }
}

/// `GET /admin/mcps`. Entries hold `definition` and `status` and no flat members, because Go clients that find a name
/// at the top of an entry deregister it when they stop. With `?secrets=true` definitions are whole, for callers who may [`reveal`] them.
pub(super) async fn list(State(admin): Shared, request: Request) -> Response {
    let shown = match reveal(&admin, &request).await {
        Ok(shown) => shown,
        Err(refusal) => return refusal,
    };
    let mcps: Vec<_> = admin.control.snapshot().all().map(|one| view(&admin, one, shown)).collect();
    let count = mcps.len();
    uncached(Json(RegistrationList { mcps, count, secrets: shown == Shown::Whole }).into_response())
}

/// `GET /admin/mcps/{name}`, with `?secrets=true` as for [`list`].
pub(super) async fn show(State(admin): Shared, Path(name): Path<String>, request: Request) -> Response {
    let shown = match reveal(&admin, &request).await {
        Ok(shown) => shown,
        Err(refusal) => return refusal,
    };
    match admin.control.snapshot().get(&name) {
        Some(stored) => uncached(tagged(StatusCode::OK, Some(stored.revision), view(&admin, stored, shown))),
        None => unknown(&name),
    }
}

/// Parameters of an update besides the definition.
struct Terms {
    condition: Precondition,
    lease: Option<RequestedLease>,
    starter: Starter,
    may_start: Option<Result<(), Denied>>,
}

/// An update that has been decided on: the definition as it is to be stored, and the revision that it replaces.
struct Update {
    definition: Definition,
    before: Revision,
}

/// `PUT /admin/mcps/{name}`: replaces the whole definition; the name in the path wins. Never creates a registration. A
/// leased registration becomes permanent, unless the request asks for a lease as in [`register`].
pub(super) async fn update(
    State(admin): Shared,
    Path(name): Path<String>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Response {
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
    let (definition, warnings) = match declared.into_definition() {
        Ok(parsed) => parsed,
        Err(error) => return invalid(&error),
    };
    let outcome = admin.control.decide(&by, |snapshot| {
        let stored = snapshot.get(&name).ok_or_else(|| unknown(&name))?;
        decide_update((&admin, &by), definition.clone(), stored, &mut terms)
    });
    match outcome.await {
        Ok(Ok((written, update))) => answer_update(&admin, update, &written, warnings),
        Ok(Err(error)) => not_applied("Failed to update MCP", &error),
        Err(refusal) => refusal,
    }
}

fn terms(admin: &Admin, request: &Request) -> Result<Terms, Response> {
    Ok(Terms {
        condition: Precondition::read(request.headers()).map_err(|error| bad_request(error.to_string()))?,
        lease: requested(request.uri())?,
        starter: admin.policy.starter(&(admin.credentials)(request)),
        may_start: None,
    })
}

fn decide_update(
    (admin, by): (&Admin, &Actor),
    definition: Definition,
    stored: &Registration,
    terms: &mut Terms,
) -> Result<Decided<Update>, Response> {
    let is_current = terms.condition.holds(stored.revision);
    let starts = is_process(&stored.definition) || is_process(&definition);
    let definition = match keep_redacted(definition, stored) {
        Ok(definition) => definition,
        // The value that a placeholder refers to may exist in the revision that the caller expects, so report the
        // conflict.
        Err(_) if !is_current => return Err(stale(stored)),
        Err(error) => return Err(invalid(&error)),
    };
    if starts {
        terms.may_start().map_err(|why| denied((admin, by), &format!("/admin/mcps/{}", definition.name), why))?;
    }
    if let Some(lease) = &terms.lease {
        admin.control.admits(&lease.holder).map_err(|error| too_many(&error))?;
    }
    let tenure = if terms.lease.is_some() { stored.tenure } else { Tenure::Permanent };
    let (name, lease) = (definition.name.clone(), terms.lease.clone());
    let write = if is_current {
        Some(Write::Update { definition: definition.clone(), tenure, lease })
    } else if (&definition, tenure) == (&stored.definition, stored.tenure) {
        // A repeated request whose change is already made gets the same answer again.
        lease.map(|lease| Write::Lease { name: name.clone(), lease })
    } else {
        return Err(stale(stored));
    };
    let context = Update { definition, before: stored.revision };
    Ok(Decided { writes: write.into_iter().collect(), expected: [(name, Some(stored.revision))].into(), context })
}

fn answer_update(admin: &Admin, update: Update, written: &[Written], warnings: Vec<String>) -> Response {
    let Update { definition, before } = update;
    let (revision, expires_at) = first(written);
    let (status, message, warning) = match admin.upstreams.check(&definition) {
        Ok(()) => (StatusCode::OK, "MCP definition updated successfully", None),
        Err(error) => {
            let warning = Some(Chain(&error).to_string());
            (StatusCode::ACCEPTED, "MCP definition updated but connection failed", warning)
        }
    };
    let (message, name) = (message.to_owned(), definition.name.into());
    let answer = Acknowledgement { message, name, warning, warnings, expires_at };
    tagged(status, revision.or(Some(before)), answer)
}

/// `DELETE /admin/mcps/{name}`.
pub(super) async fn remove(
    State(admin): Shared,
    Path(name): Path<String>,
    Extension(by): Extension<Actor>,
    headers: HeaderMap,
) -> Response {
    let condition = match Precondition::read(&headers) {
        Ok(condition) => condition,
        Err(error) => return bad_request(error.to_string()),
    };
    let outcome = admin.control.decide(&by, |snapshot| match snapshot.get(&name) {
        Some(stored) if condition.holds(stored.revision) => {
            let (name, revision) = (stored.definition.name.clone(), stored.revision);
            let expected = [(name.clone(), Some(revision))].into();
            Ok(Decided { writes: vec![Write::Delete { name }], expected, context: () })
        }
        Some(stored) => Err(stale(stored)),
        None => Err(unknown(&name)),
    });
    match outcome.await {
        Ok(Ok(_)) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(error)) => not_applied("Failed to delete MCP", &error),
        Err(refusal) => refusal,
    }
}

impl Terms {
    /// Decides once whether the caller may start processes, although the update may be decided on several times.
    fn may_start(&mut self) -> Result<(), Denied> {
        *self.may_start.get_or_insert_with(|| self.starter.may_start())
    }
}

/// Returns the revision and the end of the lease that the first write of a commit has led to.
fn first(written: &[Written]) -> (Option<Revision>, Option<String>) {
    let first = written.first();
    let revision = first.and_then(|written| Some(written.registration.as_ref()?.revision));
    (revision, first.and_then(|written| Some(written.lease_ends_at?.to_string())))
}

/// True if a definition uses this machine: it starts a program, or makes the gateway read files.
pub(super) fn is_process(definition: &Definition) -> bool {
    matches!(definition.transport, Transport::Stdio(_)) || definition.network.uses_files()
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
    tagged(StatusCode::PRECONDITION_FAILED, Some(stored.revision), refusal)
}

/// Builds a response that carries the registration's revision as its `ETag`.
fn tagged(status: StatusCode, revision: Option<Revision>, body: impl Serialize) -> Response {
    let tag = revision.map(|revision| [(header::ETAG, revision.etag())]);
    (status, tag, Json(body)).into_response()
}
