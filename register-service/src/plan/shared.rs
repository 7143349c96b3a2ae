//! Registrations that several owners declare alike. One owner has it; a tag lists the others, so that the registration
//! stays when its owner no longer declares it.

use schemas::admin::{ACTOR_TAG, COMMIT_TAG, OWNER_TAG, RUN_TAG, Registration, SOURCE_TAG};
use schemas::plan::Reason;
use schemas::{Definition, Owner};

use crate::plan::change::Change;
use crate::plan::policy::Policy;
use crate::plan::tags::SHARED_TAG;

/// Returns the owners besides its own who declare a registration, as listed in its tag.
///
/// ```
/// use register_service::plan::sharers;
///
/// let registration = serde_json::from_str(
///     r#"{"definition": {"name": "db", "tags": {"owner": "team-a", "shared_with": "[\"team-b\"]"}}}"#,
/// )?;
/// assert_eq!(sharers(&registration), ["team-b".parse()?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sharers(observed: &Registration) -> Vec<Owner> {
    let tag = observed.definition.document().tags.get(SHARED_TAG);
    tag.and_then(|tag| serde_json::from_str(tag).ok()).unwrap_or_default()
}

/// Adds this owner to the tag of a registration that another owner has and both declare alike. `None` if it is listed
/// already, or if the gateway has no revisions, so that concurrent changes would go unnoticed.
pub(super) fn join(observed: &Registration, policy: &Policy) -> Option<Change> {
    let holder = observed.definition.owner().filter(|holder| *holder != policy.owner.as_str())?;
    let mut owners = sharers(observed);
    if policy.restore || observed.revision.is_none() || owners.contains(&policy.owner) {
        return None;
    }
    owners.push(policy.owner.clone());
    let words = format!("registered by `{holder}` as it is declared here, and stays when `{holder}` removes it");
    relabel(observed, Reason::new(SHARED_TAG, Some(words)), |definition| write(definition, &owners))
}

/// Hands a registration that its owner no longer declares to the next owner who does. `None` if there is none.
pub(super) fn hand_over(observed: &Registration, policy: &Policy) -> Option<Change> {
    let mut others = sharers(observed);
    others.retain(|owner| *owner != policy.owner);
    let heir = (!others.is_empty()).then(|| others.remove(0))?;
    let words = format!("{} -> {heir}, who declares it too", policy.owner);
    relabel(observed, Reason::new(OWNER_TAG, Some(words)), |definition| {
        definition.tags.retain(|tag, _| ![SOURCE_TAG, COMMIT_TAG, ACTOR_TAG, RUN_TAG].contains(&tag.as_str()));
        definition.tags.insert(OWNER_TAG.to_owned(), heir.to_string());
        write(definition, &others);
    })
}

/// Removes this owner from the tag of another owner's registration that it no longer declares. `None` if it is not
/// listed.
pub(super) fn leave(observed: &Registration, policy: &Policy) -> Option<Change> {
    let mut owners = sharers(observed);
    let before = owners.len();
    owners.retain(|owner| *owner != policy.owner);
    if owners.len() == before || observed.definition.owner() == Some(policy.owner.as_str()) {
        return None;
    }
    let holder = observed.definition.owner().unwrap_or("nobody");
    let words = format!("declared here no more; it stays with `{holder}`");
    relabel(observed, Reason::new(SHARED_TAG, Some(words)), |definition| write(definition, &owners))
}

/// Copies the tag to the definition that replaces a registration, and adds a reason that names the owners affected.
pub(super) fn carry(observed: &Registration, definition: &mut Definition, reasons: &mut Vec<Reason>, owner: &Owner) {
    let mut owners = sharers(observed);
    owners.retain(|other| other != owner);
    if !owners.is_empty() {
        let names: Vec<String> = owners.iter().map(|owner| format!("`{owner}`")).collect();
        reasons.push(Reason::new(SHARED_TAG, Some(format!("also declared by {}", names.join(", ")))));
    }
    write(definition, &owners);
}

fn write(definition: &mut Definition, owners: &[Owner]) {
    definition.tags.remove(SHARED_TAG);
    if !owners.is_empty() {
        // Serialisation cannot fail: a list of strings has a JSON form.
        definition.tags.insert(SHARED_TAG.to_owned(), serde_json::to_string(owners).unwrap_or_default());
    }
}

/// Replaces only the tags of a registration; for hidden secrets, the gateway keeps its own.
fn relabel(observed: &Registration, reason: Reason, edit: impl FnOnce(&mut Definition)) -> Option<Change> {
    let mut definition = Definition::try_from(observed.definition.document().clone()).ok()?;
    edit(&mut definition);
    Some(Change::Update { definition: Box::new(definition), revision: observed.revision, reasons: vec![reason] })
}
