//! Tags of registrations that plans read and set.

use schemas::Definition;
use schemas::admin::{ACTOR_TAG, COMMIT_TAG, OWNER_TAG, RUN_TAG, SOURCE_TAG};

/// Tag that protects a registration from removal if its value is `true`.
///
/// ```
/// use register_service::plan::{PROTECTED_TAG, Policy, Prune, plan};
/// use serde_json::json;
///
/// let tags = json!({ "owner": "team-a", PROTECTED_TAG: "true" });
/// let definition = json!({ "name": "db", "transport": "stdio", "command": "mcp-db", "tags": tags });
/// let observed = serde_json::from_value(json!({ "definition": definition }))?;
/// let policy = Policy { prune: Prune::Owned, ..Policy::new("team-a".parse()?) };
/// assert_eq!(plan(&[], &[observed], &policy).changes[0].verb(), "refuse");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const PROTECTED_TAG: &str = "prevent_destroy";

/// Tag that lists the other owners who declare a registration alike: a JSON list of strings.
///
/// ```
/// use register_service::plan::{Policy, SHARED_TAG, plan};
/// use serde_json::{from_value, json};
///
/// let definition = json!({ "name": "db", "transport": "stdio", "command": "mcp-db" });
/// let mut registered = definition.clone();
/// registered["tags"] = json!({ "owner": "team-a" });
/// let observed = from_value(json!({ "definition": registered, "revision": 7 }))?;
/// let plan = plan(&[from_value(definition)?], &[observed], &Policy::new("team-b".parse()?));
/// let reason = plan.changes[0].reasons()[0].to_string();
/// assert!(reason.starts_with(SHARED_TAG) && reason.contains("registered by `team-a`"), "{reason}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const SHARED_TAG: &str = "shared_with";

/// Tags that describe the origin of a registration and are not compared.
pub(crate) const PROVENANCE: [&str; 6] = [OWNER_TAG, SOURCE_TAG, COMMIT_TAG, ACTOR_TAG, RUN_TAG, SHARED_TAG];

/// Returns the definition without the tags that describe its origin.
pub(crate) fn without_provenance(definition: &Definition) -> Definition {
    let mut definition = definition.clone();
    definition.tags.retain(|tag, _| !PROVENANCE.contains(&tag.as_str()));
    definition
}
