//! `/admin/generations`: changes of several registrations, made all or none.
//!
//! Every change is checked before the first one is made, under the lock that each change of a registration takes.

use std::collections::HashSet;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemas::admin::{
    Change, Changed, Generation, GenerationAnswer, GenerationRefused, Obstacle, RefusedChange, Revision,
};
use schemas::{Definition, ServerName};
use tracing::info;

use crate::admin::definitions::{is_process, keep_redacted, nothing_redacted, start_changed};
use crate::admin::problem::{bad_request, denied, failed};
use crate::admin::{Admin, Shared, body};
use crate::error::Chain;
use crate::policy::Starter;
use crate::registry::{Registration, RegistryError, Tenure};

/// A checked change, ready to be made.
enum Step {
    /// An earlier request has made the change; holds the answer to repeat.
    InPlace(Changed),
    Create(Definition),
    Update {
        definition: Definition,
        before: Box<Definition>,
    },
    Delete(ServerName),
}

/// `POST /admin/generations`.
pub(super) async fn apply(State(admin): Shared, request: Request) -> Response {
    let starter = admin.policy.starter(&(admin.credentials)(&request));
    let Generation { changes } = match body::document(&admin, request).await {
        Ok(generation) => generation,
        Err(refusal) => return refusal,
    };
    let mut names = HashSet::new();
    if let Some(twice) = changes.iter().map(Change::name).find(|name| !names.insert(*name)) {
        return bad_request(format!("`{twice}` is changed twice"));
    }
    let _turn = admin.changes.acquire().await;
    let steps = match check_all(&admin, &changes, starter).await {
        Ok(steps) => steps,
        Err(refusal) => return refusal,
    };
    match apply_in_order(&admin, steps).await {
        Ok(changed) => Json(GenerationAnswer { changed }).into_response(),
        Err(error) => failed("Failed to change MCPs", &error),
    }
}

/// Checks every change. Returns the steps, or one refusal that lists all obstacles.
async fn check_all(admin: &Admin, changes: &[Change], starter: Starter) -> Result<Vec<Step>, Response> {
    let (mut steps, mut refused) = (Vec::with_capacity(changes.len()), Vec::new());
    let mut may_start = None;
    for change in changes {
        let stored = admin.registry.get(change.name().as_str()).await;
        let stored = stored.map_err(|error| failed("Storage error", &error))?;
        match check(admin, change, stored) {
            Ok((step, starts)) => {
                if starts && let Err(reason) = *may_start.get_or_insert_with(|| starter.may_start()) {
                    return Err(denied(reason));
                }
                steps.push(step);
            }
            Err((why, details)) => {
                refused.push(RefusedChange { name: change.name().to_string(), why, details });
            }
        }
    }
    let created = steps.iter().filter(|step| matches!(step, Step::Create(_)));
    let removed = steps.iter().filter(|step| matches!(step, Step::Delete(_))).count();
    let room = admin.registry.room() + removed;
    refused.extend(created.skip(room).map(|step| RefusedChange {
        name: step.name().to_owned(),
        why: Obstacle::Full,
        details: format!("there is room for {room} more registrations"),
    }));
    if refused.is_empty() {
        return Ok(steps);
    }
    Err((StatusCode::CONFLICT, Json(GenerationRefused::new(refused))).into_response())
}

/// Turns one change into a step. The flag is true if the step starts or ends a process.
fn check(admin: &Admin, change: &Change, stored: Option<Registration>) -> Result<(Step, bool), (Obstacle, String)> {
    let unusable = |error: &(dyn std::error::Error + 'static)| (Obstacle::Unusable, Chain(error).to_string());
    let is_current = |stored: &Registration, wanted: Option<Revision>| match wanted {
        Some(wanted) if wanted != stored.revision => {
            Err((Obstacle::Stale, format!("it is at revision {}, and {wanted} is meant", stored.revision)))
        }
        Some(_) | None => Ok(()),
    };
    match (change, stored) {
        (Change::Create { definition } | Change::Update { definition, .. }, _) if !body::fits(admin, definition) => {
            let limit = admin.max_definition_bytes;
            Err((Obstacle::Unusable, format!("the definition is larger than {limit} bytes (--max-definition-bytes)")))
        }
        (Change::Create { definition }, stored) => {
            let definition = nothing_redacted(definition.clone()).map_err(|error| unusable(&error))?;
            match stored {
                Some(stored) if is_in_place(&stored, &definition) => Ok((repeat_answer(&stored), false)),
                Some(_) => Err((Obstacle::Exists, "there is a registration of that name".to_owned())),
                None => {
                    admin.upstreams.check(&definition).map_err(|error| unusable(&error))?;
                    let starts = is_process(&definition);
                    Ok((Step::Create(definition), starts))
                }
            }
        }
        (Change::Update { definition, revision }, Some(stored)) => {
            let current = is_current(&stored, *revision);
            let starts = is_process(&stored.definition) || is_process(definition);
            match keep_redacted(definition.clone(), &stored) {
                Ok(definition) if is_in_place(&stored, &definition) => Ok((repeat_answer(&stored), false)),
                Ok(definition) => {
                    let before = Box::new(stored.definition);
                    current.map(|()| (Step::Update { definition, before }, starts))
                }
                // The value that a placeholder refers to may exist in the revision that the caller expects, so report
                // the conflict.
                Err(error) => Err(current.err().unwrap_or_else(|| unusable(&error))),
            }
        }
        (Change::Update { .. }, None) => Err((Obstacle::Missing, "there is no registration of that name".to_owned())),
        (Change::Delete { name, .. }, None) => {
            Ok((Step::InPlace(Changed { name: name.clone(), revision: None, warning: None }), false))
        }
        (Change::Delete { name, revision }, Some(stored)) => {
            is_current(&stored, *revision).map(|()| (Step::Delete(name.clone()), false))
        }
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

/// Makes the changes. Deletions come first, because they make room for others.
async fn apply_in_order(admin: &Admin, steps: Vec<Step>) -> Result<Vec<Changed>, RegistryError> {
    let mut changed: Vec<Option<Changed>> = vec![None; steps.len()];
    let mut order: Vec<(usize, Step)> = steps.into_iter().enumerate().collect();
    order.sort_by_key(|(_, step)| !matches!(step, Step::Delete(_)));
    for (place, step) in order {
        let done = step.apply(admin).await?;
        if let Some(slot) = changed.get_mut(place) {
            *slot = Some(done);
        }
    }
    Ok(changed.into_iter().flatten().collect())
}

impl Step {
    fn name(&self) -> &str {
        match self {
            Self::InPlace(Changed { name, .. }) | Self::Delete(name) => name.as_str(),
            Self::Create(definition) | Self::Update { definition, .. } => definition.name.as_str(),
        }
    }

    async fn apply(self, admin: &Admin) -> Result<Changed, RegistryError> {
        let (name, revision, warning) = match self {
            Self::InPlace(changed) => return Ok(changed),
            Self::Delete(name) => {
                admin.registry.delete(name.as_str()).await?;
                admin.upstreams.retire(name.as_str());
                admin.leases().forget(name.as_str());
                info!(upstream = %name, "deregistered");
                (name, None, None)
            }
            Self::Create(definition) => {
                let name = definition.name.clone();
                let registration = admin.registry.create(definition.clone(), Tenure::Permanent).await?;
                admin.upstreams.start(definition);
                info!(upstream = %name, "registered");
                (name, Some(registration.revision), None)
            }
            Self::Update { definition, before } => {
                let name = definition.name.clone();
                let updated = admin.registry.update(definition.clone(), Tenure::Permanent).await?;
                let warning = admin.upstreams.check(&definition).err().map(|error| Chain(&error).to_string());
                start_changed(admin, definition, &before);
                (name, updated.map(|registration| registration.revision), warning)
            }
        };
        Ok(Changed { name, revision, warning })
    }
}
