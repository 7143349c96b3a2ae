//! Plans: the changes that bring the gateway to the state declared in the files, guards of removals, plans that are
//! saved for later, and the application of a plan.
//!
//! [`plan`](fn@plan) is pure: no I/O, no clock, no randomness. [`apply`](fn@apply) sends the requests, and decides
//! nothing.
//!
//! The tags `owner` and `source` of a registration name its owner and the place of its declaration. The owner
//! determines which registrations may be changed; neither tag counts as a difference, so that moving a declaration
//! within its file changes nothing. Reasons name the differing members and never contain a secret: secrets are
//! compared by the gateway's salted fingerprints, or in clear text with other proxies, which show them.

pub(crate) mod change;
mod difference;
mod guard;
mod placeholder;
pub(crate) mod policy;
mod saved;
mod shared;
pub(crate) mod tags;

use schemas::admin::Registration;
use schemas::{Definition, ServerName};

pub use schemas::admin::{ACTOR_TAG, COMMIT_TAG, OWNER_TAG, RUN_TAG, SOURCE_TAG};
pub use schemas::plan::{Adopt, Prune, Reason, SavedChange, SavedPlan};

pub use crate::apply::{ApplyError, Done, Outcome, apply, apply_together};
pub use crate::plan::change::{Change, Plan, Refusal};
use crate::plan::difference::{differences, unknown_secrets};
pub use crate::plan::guard::{Guard, Guards, InvalidLimit, Limit};
use crate::plan::placeholder::filled;
pub use crate::plan::policy::Policy;
pub use crate::plan::saved::{Moved, moved, saved, saved_policy};
pub use crate::plan::shared::sharers;
pub use crate::plan::tags::{PROTECTED_TAG, SHARED_TAG};

/// Plans the changes from the observed to the declared definitions.
///
/// ```
/// use register_service::plan::{Change, Policy, plan};
///
/// let declared = serde_json::from_str(r#"{"name":"time","transport":"stdio","command":"mcp-server-time"}"#)?;
/// let plan = plan(&[declared], &[], &Policy::new("team-a".parse()?));
/// assert!(matches!(plan.changes[..], [Change::Create { .. }]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan(desired: &[Definition], observed: &[Registration], policy: &Policy) -> Plan {
    let find = |name: &ServerName| observed.iter().find(|it| it.definition.name() == name.as_str());
    let settled = |it: &Definition| {
        let observed = find(&it.name);
        let change = plan_one(it, observed, policy);
        match (&change, observed) {
            (Change::Keep { .. }, Some(observed)) => shared::join(observed, policy).unwrap_or(change),
            _ => change,
        }
    };
    let mut changes: Vec<Change> = desired.iter().map(settled).collect();
    if policy.prune == Prune::Owned {
        let declared = |name: &str| desired.iter().any(|it| it.name.as_str() == name);
        let undeclared = observed.iter().filter(|it| !declared(it.definition.name()));
        let mut gone: Vec<Change> = undeclared.filter_map(|it| removal(it, policy)).collect();
        gone.sort_by(|one, other| one.name().cmp(other.name()));
        changes.extend(gone);
    }
    Plan { changes }
}

/// Plans the change of a registration that is no longer declared here: none, unless this owner made or shares it.
fn removal(observed: &Registration, policy: &Policy) -> Option<Change> {
    if observed.definition.owner() != Some(policy.owner.as_str()) {
        return shared::leave(observed, policy);
    }
    if let Some(handed_over) = shared::hand_over(observed, policy) {
        return Some(handed_over);
    }
    // Accept any stored name: older gateways allowed more characters.
    let name = ServerName::stored(observed.definition.name()).ok()?;
    let tags = &observed.definition.document().tags;
    let source = tags.get(SOURCE_TAG).cloned();
    let is_protected = tags.get(PROTECTED_TAG).is_some_and(|value| value == "true");
    Some(match is_protected {
        true => Change::Refuse { name, why: Refusal::Protected, source, reasons: Vec::new() },
        false => Change::Delete { name, revision: observed.revision, source },
    })
}

/// Plans the change for one declaration.
pub(crate) fn plan_one(desired: &Definition, observed: Option<&Registration>, policy: &Policy) -> Change {
    let stamped = || Box::new(stamp(desired, policy));
    let (name, source) = (desired.name.clone(), desired.tags.get(SOURCE_TAG).cloned());
    let Some(observed) = observed else {
        let reasons = unknown_secrets(desired);
        return match reasons.is_empty() {
            true => Change::Create { definition: stamped() },
            false => Change::Refuse { name, why: Refusal::Redacted, source, reasons },
        };
    };
    let mut reasons = differences(desired, observed);
    let holder = observed.definition.owner();
    let is_mine = match policy.restore {
        true => holder == desired.tags.get(OWNER_TAG).map(String::as_str),
        false => holder == Some(policy.owner.as_str()),
    };
    let may_change = match (holder, policy.adopt) {
        _ if is_mine => true,
        (_, Adopt::Anything) | (None, Adopt::Unowned) => true,
        (Some(_), Adopt::Unowned) | (_, Adopt::Nothing) => false,
    };
    if may_change && !is_mine && policy.claim {
        reasons.push(Reason::new(OWNER_TAG, Some(format!("{} -> {}", holder.unwrap_or("nobody"), policy.owner))));
    }
    match (reasons.is_empty(), may_change) {
        (true, _) => Change::Keep { name },
        (false, true) => match filled(desired, observed) {
            Ok(definition) => {
                let mut definition = Box::new(stamp(&definition, policy));
                if !policy.restore {
                    shared::carry(observed, &mut definition, &mut reasons, &policy.owner);
                }
                Change::Update { definition, revision: observed.revision, reasons }
            }
            Err(reasons) => Change::Refuse { name, why: Refusal::Unknown, source, reasons },
        },
        (false, false) => {
            let why = Refusal::Foreign { holder: holder.map(str::to_owned) };
            Change::Refuse { name, why, source, reasons }
        }
    }
}

fn stamp(definition: &Definition, policy: &Policy) -> Definition {
    let mut definition = definition.clone();
    if policy.restore {
        return definition;
    }
    definition.tags.insert(OWNER_TAG.to_owned(), policy.owner.to_string());
    let job = [(COMMIT_TAG, &policy.commit), (ACTOR_TAG, &policy.actor), (RUN_TAG, &policy.run)];
    for (tag, value) in job {
        if let Some(value) = value {
            definition.tags.insert(tag.to_owned(), value.clone());
        }
    }
    definition
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
