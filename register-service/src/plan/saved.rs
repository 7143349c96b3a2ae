//! Saved plans: the changes and digests of their inputs, so that a plan is applied later only if the inputs are
//! unchanged.
//!
//! A saved plan contains no secrets, and none can be guessed offline: declared and observed definitions are stored as
//! keyed digests.

use std::collections::{BTreeMap, BTreeSet};

use schemas::admin::Registration;
use schemas::plan::{SavedChange, SavedPlan};
use schemas::{Definition, FingerprintSalt, InvalidParty, Secret};
use serde::Serialize;

use crate::plan::change::Plan;
use crate::plan::policy::Policy;

/// Version of the file format; other versions are refused.
const VERSION: u32 = 1;

/// Difference between a saved plan and one made now.
///
/// ```
/// use register_service::plan::Moved;
///
/// let moved = Moved::Base("search".to_owned());
/// assert_eq!(moved.to_string(), "`search` was changed at the gateway since the plan was made");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Moved {
    /// The saved plan has another format version.
    #[error("the plan has version {0}, and this program reads {VERSION}")]
    Version(u32),
    /// The saved plan is for another gateway.
    #[error("the plan is for the gateway at {0}")]
    Gateway(String),
    /// The saved plan is for another owner.
    #[error("the plan was made as owner `{0}`")]
    Owner(String),
    /// The gateway has a different registration now.
    #[error("`{0}` was changed at the gateway since the plan was made")]
    Base(String),
    /// The files, or the variables used in them, give a different definition now.
    #[error("`{0}` is declared otherwise than when the plan was made")]
    Declared(String),
    /// The planned change is a different one now.
    #[error("`{name}` would be another change: {now}, where the plan says {then}")]
    Change {
        /// Name of the registration.
        name: String,
        /// The saved change.
        then: String,
        /// The change that would be made now.
        now: String,
    },
}

/// Converts a plan to its saved form. The caller supplies a random `salt`.
///
/// ```
/// use register_service::plan::{Policy, plan, saved};
/// use schemas::FingerprintSalt;
///
/// let (gateway, policy) = ("http://127.0.0.1:6001", Policy::new("team-a".parse()?));
/// let document = r#"{"name":"a","transport":"sse","url":"http://a.test/","headers":{"Authorization":"hunter2"}}"#;
/// let (desired, observed) = ([serde_json::from_str(document)?], []);
/// let plan = plan(&desired, &observed, &policy);
///
/// let file = saved(&plan, (&desired, &observed), &policy, gateway, FingerprintSalt::new([7; 16]));
/// assert_eq!((file.owner.as_str(), file.changes[0].change.as_str()), ("team-a", "create"));
/// assert!(!serde_json::to_string(&file)?.contains("hunter2"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn saved(
    plan: &Plan,
    (desired, observed): (&[Definition], &[Registration]),
    policy: &Policy,
    gateway: &str,
    salt: FingerprintSalt,
) -> SavedPlan {
    let declared: BTreeMap<&str, &Definition> = desired.iter().map(|it| (it.name.as_str(), it)).collect();
    let bases: BTreeMap<&str, &Registration> = observed.iter().map(|it| (it.definition.name(), it)).collect();
    let changes = plan.changes.iter().map(|change| {
        let name = change.name().as_str();
        SavedChange {
            name: name.to_owned(),
            change: change.verb().to_owned(),
            declared: declared.get(name).map(|definition| digest(*definition, &salt)),
            base: bases.get(name).map(|base| digest(&(&base.definition, &base.fingerprints), &salt)),
            source: change.source().map(str::to_owned),
            reasons: change.reasons().to_vec(),
        }
    });
    let changes = changes.collect();
    SavedPlan {
        version: VERSION,
        gateway: gateway.to_owned(),
        gateway_version: None,
        owner: policy.owner.to_string(),
        adopt: policy.adopt,
        prune: policy.prune,
        salt,
        changes,
    }
}

/// Returns the policy under which a saved plan was made.
///
/// # Errors
///
/// If the saved owner is not a valid name.
///
/// ```
/// use register_service::plan::{Prune, SavedPlan, saved_policy};
///
/// # let salt = schemas::FingerprintSalt::new([7; 16]);
/// # let document = serde_json::json!({ "version": 1, "gateway": "http://g", "owner": "team-a", "prune": "owned",
/// #     "salt": salt, "changes": [] });
/// # let text = document.to_string();
/// let plan: SavedPlan = serde_json::from_str(&text)?;
/// let policy = saved_policy(&plan)?;
/// assert_eq!((policy.owner.as_str(), policy.prune), ("team-a", Prune::Owned));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn saved_policy(plan: &SavedPlan) -> Result<Policy, InvalidParty> {
    Ok(Policy { adopt: plan.adopt, prune: plan.prune, ..Policy::new(plan.owner.parse()?) })
}

/// Compares a saved plan with one made now under the same salt. Empty if the saved plan is still valid.
///
/// ```
/// use register_service::plan::{Moved, Policy, moved, plan, saved};
/// # use schemas::FingerprintSalt;
///
/// # let policy = Policy::new("team-a".parse()?);
/// let made_at = |gateway: &str| {
///     let plan = plan(&[], &[], &policy);
///     saved(&plan, (&[], &[]), &policy, gateway, FingerprintSalt::new([7; 16]))
/// };
/// let then = made_at("http://one.test");
/// assert!(moved(&then, &made_at("http://one.test")).is_empty());
/// assert_eq!(moved(&then, &made_at("http://two.test")), [Moved::Gateway("http://one.test".to_owned())]);
/// # Ok::<(), schemas::InvalidParty>(())
/// ```
pub fn moved(then: &SavedPlan, now: &SavedPlan) -> Vec<Moved> {
    if then.version != VERSION {
        return vec![Moved::Version(then.version)];
    }
    if then.gateway != now.gateway {
        return vec![Moved::Gateway(then.gateway.clone())];
    }
    if then.owner != now.owner {
        return vec![Moved::Owner(then.owner.clone())];
    }
    let (then, now) = (by_name(then), by_name(now));
    let names: BTreeSet<&str> = then.keys().chain(now.keys()).copied().collect();
    names.into_iter().filter_map(|name| difference(name, then.get(name).copied(), now.get(name).copied())).collect()
}

fn by_name(plan: &SavedPlan) -> BTreeMap<&str, &SavedChange> {
    plan.changes.iter().map(|change| (change.name.as_str(), change)).collect()
}

fn difference(name: &str, then: Option<&SavedChange>, now: Option<&SavedChange>) -> Option<Moved> {
    let name = name.to_owned();
    let verb = |change: Option<&SavedChange>| change.map_or("nothing", |change| change.change.as_str()).to_owned();
    if then.and_then(|it| it.declared.as_ref()) != now.and_then(|it| it.declared.as_ref()) {
        return Some(Moved::Declared(name));
    }
    if then.and_then(|it| it.base.as_ref()) != now.and_then(|it| it.base.as_ref()) {
        return Some(Moved::Base(name));
    }
    (verb(then) != verb(now)).then(|| Moved::Change { name, then: verb(then), now: verb(now) })
}

fn digest(value: &impl Serialize, salt: &FingerprintSalt) -> String {
    // Serialisation cannot fail: the value was deserialised from JSON.
    let text = serde_json::to_string(value).unwrap_or_default();
    Secret::new(text).fingerprint(salt, "plan")
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use schemas::plan::Prune;
    use serde_json::json;

    use super::*;
    use crate::plan::plan;

    fn definition(name: &str, token: &str) -> Definition {
        let headers = json!({ "Authorization": token });
        let document = json!({ "name": name, "transport": "sse", "url": "http://x.test/", "headers": headers });
        serde_json::from_value(document).expect("a definition")
    }

    fn registration(definition: &Definition, owner: &str) -> Registration {
        let mut definition = definition.clone();
        definition.tags.insert("owner".to_owned(), owner.to_owned());
        serde_json::from_value(json!({ "definition": definition })).expect("a registration")
    }

    fn made(desired: &[Definition], observed: &[Registration], gateway: &str) -> SavedPlan {
        let policy = Policy { prune: Prune::Owned, ..Policy::new("me".parse().expect("an owner")) };
        let plan = plan(desired, observed, &policy);
        saved(&plan, (desired, observed), &policy, gateway, FingerprintSalt::new([7; 16]))
    }

    fn told(then: &SavedPlan, now: &SavedPlan) -> String {
        moved(then, now).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_plan_holds_until_files_or_gateway_change() {
        let (one, other) = (definition("a", "hunter2"), definition("a", "hunter3"));
        let (mine, theirs) = (registration(&one, "me"), registration(&definition("b", "x"), "you"));
        let then = made(from_ref(&other), &[mine.clone(), theirs], "http://g");
        let text = serde_json::to_string(&then).expect("JSON");
        assert!(!text.contains("hunter"), "{text}");
        let read: SavedPlan = serde_json::from_str(&text).expect("a plan");
        assert_eq!(told(&read, &made(from_ref(&other), from_ref(&mine), "http://g")), "", "others' are not its base");
        let check = |desired: &[Definition], observed: &[Registration], expected: &str| {
            assert_eq!(told(&read, &made(desired, observed, "http://g")), expected);
        };
        check(from_ref(&one), from_ref(&mine), "`a` is declared otherwise than when the plan was made");
        check(from_ref(&other), &[], "`a` was changed at the gateway since the plan was made");
        check(
            from_ref(&other),
            &[registration(&other, "me")],
            "`a` was changed at the gateway since the plan was made",
        );
        check(
            &[other.clone(), definition("c", "x")],
            from_ref(&mine),
            "`c` is declared otherwise than when the plan was made",
        );
        assert_eq!(
            told(&read, &made(from_ref(&other), from_ref(&mine), "http://h")),
            "the plan is for the gateway at http://g"
        );
        let newer = SavedPlan { version: 2, ..read.clone() };
        assert_eq!(told(&newer, &read), "the plan has version 2, and this program reads 1");
    }
}
