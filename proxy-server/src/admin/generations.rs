//! `/admin/generations`: changes of several registrations, made all or none.
//!
//! Every change is checked against one state of the registry, and committed only to that state.

use std::collections::HashSet;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemas::admin::{
    Change, Changed, Generation, GenerationAnswer, GenerationRefused, Obstacle, RefusedChange, Revision,
};
use schemas::{Definition, ServerName};

use crate::admin::body;
use crate::admin::definitions::{is_process, keep_redacted, nothing_redacted};
use crate::admin::problem::{bad_request, denied, not_applied};
use crate::admin::state::{Admin, Shared};
use crate::control::Decided;
use crate::error::Chain;
use crate::policy::Denied;
use crate::registry::{Effect, Registration, Snapshot, Tenure, Write, Written};
use crate::telemetry::Actor;

/// A checked change.
enum Step {
    /// An earlier request has made the change; holds the answer to repeat.
    InPlace(Changed),
    Write(Box<Write>),
}

/// A change as a step, or the obstacle to it. The flag is true if the step starts a process, or replaces one.
type Checked = Result<(Step, bool), (Obstacle, String)>;

/// `POST /admin/generations`.
pub(super) async fn apply(State(admin): Shared, Extension(by): Extension<Actor>, request: Request) -> Response {
    let starter = admin.policy.starter(&(admin.credentials)(&request));
    let Generation { changes } = match body::document(&admin, request).await {
        Ok(generation) => generation,
        Err(refusal) => return refusal,
    };
    let mut names = HashSet::new();
    if let Some(twice) = changes.iter().map(Change::name).find(|name| !names.insert(*name)) {
        return bad_request(format!("`{twice}` is changed twice"));
    }
    let mut decided = None;
    let mut may_start = || *decided.get_or_insert_with(|| starter.may_start());
    let outcome = admin.control.decide(&by, |snapshot| {
        let steps = check_all((&admin, &by), snapshot, &changes, &mut may_start)?;
        let state = |name: &ServerName| snapshot.get(name.as_str()).map(|stored| stored.revision);
        let expected = changes.iter().map(|change| (change.name().clone(), state(change.name()))).collect();
        let (mut writes, mut context) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::InPlace(changed) => context.push(Some(changed)),
                Step::Write(write) => {
                    writes.push(*write);
                    context.push(None);
                }
            }
        }
        Ok(Decided { writes, expected, context })
    });
    match outcome.await {
        Ok(Ok((written, in_place))) => answer(&admin, written, in_place),
        Ok(Err(error)) => not_applied("Failed to change MCPs", &error),
        Err(refusal) => refusal,
    }
}

/// Checks every change. Returns the steps, or one refusal that lists all obstacles.
fn check_all(
    (admin, by): (&Admin, &Actor),
    snapshot: &Snapshot,
    changes: &[Change],
    may_start: &mut impl FnMut() -> Result<(), Denied>,
) -> Result<Vec<Step>, Response> {
    let (mut steps, mut refused) = (Vec::with_capacity(changes.len()), Vec::new());
    for change in changes {
        match check(admin, change, snapshot.get(change.name().as_str()).map(|stored| &**stored)) {
            Ok((step, starts)) => {
                if starts {
                    may_start().map_err(|why| denied((admin, by), "/admin/generations", why))?;
                }
                steps.push(step);
            }
            Err((why, details)) => {
                refused.push(RefusedChange { name: change.name().to_string(), why, details });
            }
        }
    }
    refused.extend(without_room(admin, &steps));
    if refused.is_empty() {
        return Ok(steps);
    }
    Err((StatusCode::CONFLICT, Json(GenerationRefused::new(refused))).into_response())
}

/// Returns the creations for which there is no room, although deletions make room for others.
fn without_room(admin: &Admin, steps: &[Step]) -> Vec<RefusedChange> {
    let writes = || {
        steps.iter().filter_map(|step| match step {
            Step::Write(write) => Some(&**write),
            Step::InPlace(_) => None,
        })
    };
    let room = admin.control.room() + writes().filter(|write| matches!(write, Write::Delete { .. })).count();
    let created = writes().filter_map(|write| match write {
        Write::Create { definition, .. } => Some(&definition.name),
        Write::Update { .. } | Write::Lease { .. } | Write::Delete { .. } => None,
    });
    let refused = created.skip(room).map(|name| RefusedChange {
        name: name.to_string(),
        why: Obstacle::Full,
        details: format!("there is room for {room} more registrations"),
    });
    refused.collect()
}

/// Turns one change into a step.
fn check(admin: &Admin, change: &Change, stored: Option<&Registration>) -> Checked {
    match (change, stored) {
        (Change::Create { definition } | Change::Update { definition, .. }, _) if !body::fits(admin, definition) => {
            let limit = admin.max_definition_bytes;
            Err((Obstacle::Unusable, format!("the definition is larger than {limit} bytes (--max-definition-bytes)")))
        }
        (Change::Create { definition }, stored) => create(admin, definition, stored),
        (Change::Update { definition, revision }, Some(stored)) => update(definition, *revision, stored),
        (Change::Update { .. }, None) => Err((Obstacle::Missing, "there is no registration of that name".to_owned())),
        (Change::Delete { name, .. }, None) => {
            Ok((Step::InPlace(Changed { name: name.clone(), revision: None, warning: None }), false))
        }
        (Change::Delete { name, revision }, Some(stored)) => {
            is_current(stored, *revision).map(|()| (Step::Write(Box::new(Write::Delete { name: name.clone() })), false))
        }
    }
}

fn create(admin: &Admin, definition: &Definition, stored: Option<&Registration>) -> Checked {
    let definition = nothing_redacted(definition.clone()).map_err(|error| unusable(&error))?;
    match stored {
        Some(stored) if is_in_place(stored, &definition) => Ok((repeat_answer(stored), false)),
        Some(_) => Err((Obstacle::Exists, "there is a registration of that name".to_owned())),
        None => {
            admin.upstreams.check(&definition).map_err(|error| unusable(&error))?;
            let starts = is_process(&definition);
            Ok((Step::Write(Box::new(Write::Create { definition, lease: None })), starts))
        }
    }
}

fn update(definition: &Definition, revision: Option<Revision>, stored: &Registration) -> Checked {
    let current = is_current(stored, revision);
    let starts = is_process(&stored.definition) || is_process(definition);
    match keep_redacted(definition.clone(), stored) {
        Ok(definition) if is_in_place(stored, &definition) => Ok((repeat_answer(stored), false)),
        Ok(definition) => {
            let write = Write::Update { definition, tenure: Tenure::Permanent, lease: None };
            current.map(|()| (Step::Write(Box::new(write)), starts))
        }
        // The value that a placeholder refers to may exist in the revision that the caller expects, so report the
        // conflict.
        Err(error) => Err(current.err().unwrap_or_else(|| unusable(&error))),
    }
}

fn unusable(error: &(dyn std::error::Error + 'static)) -> (Obstacle, String) {
    (Obstacle::Unusable, Chain(error).to_string())
}

/// Checks that the registration has the wanted revision, if one is named.
fn is_current(stored: &Registration, wanted: Option<Revision>) -> Result<(), (Obstacle, String)> {
    match wanted {
        Some(wanted) if wanted != stored.revision => {
            Err((Obstacle::Stale, format!("it is at revision {}, and {wanted} is meant", stored.revision)))
        }
        Some(_) | None => Ok(()),
    }
}

/// True if the registration equals the wanted definition and is permanent.
fn is_in_place(stored: &Registration, wanted: &Definition) -> bool {
    (&stored.definition, stored.tenure) == (wanted, Tenure::Permanent)
}

fn repeat_answer(stored: &Registration) -> Step {
    let (name, revision) = (stored.definition.name.clone(), Some(stored.revision));
    Step::InPlace(Changed { name, revision, warning: None })
}

/// Answers each change, in the order of the request.
fn answer(admin: &Admin, written: Vec<Written>, in_place: Vec<Option<Changed>>) -> Response {
    let mut written = written.into_iter().map(|written| changed(admin, written));
    let changed = in_place.into_iter().filter_map(|in_place| in_place.or_else(|| written.next())).collect();
    Json(GenerationAnswer { changed }).into_response()
}

fn changed(admin: &Admin, written: Written) -> Changed {
    let Written { name, effect, registration, .. } = written;
    let warning = match (effect, &registration) {
        (Effect::Redefined | Effect::Retagged, Some(updated)) => admin.upstreams.check(&updated.definition).err(),
        _ => None,
    };
    let revision = registration.map(|registration| registration.revision);
    Changed { name, revision, warning: warning.map(|error| Chain(&error).to_string()) }
}
