//! Computes the changes that bring the gateway to the state declared in the files. Pure: no I/O, no clock, no
//! randomness.
//!
//! The tags `owner` and `source` of a registration name its owner and the place of its declaration. The owner
//! determines which registrations may be changed; neither tag counts as a difference, so that moving a declaration
//! within its file changes nothing. Reasons name the differing members and never contain a secret: secrets are
//! compared by the gateway's salted fingerprints, or in clear text with other proxies, which show them.

mod difference;
mod guard;
mod placeholder;
mod saved;
mod shared;

use std::fmt;

use schemas::admin::{Registration, Revision};
use schemas::{Definition, Owner, ServerName};

pub use schemas::admin::{ACTOR_TAG, COMMIT_TAG, OWNER_TAG, RUN_TAG, SOURCE_TAG};

pub(crate) use crate::plan::difference::{differences, unknown_secrets};
pub use crate::plan::guard::{Guard, Guards, InvalidLimit, Limit};
use crate::plan::placeholder::filled;
pub use crate::plan::saved::{Moved, moved, saved, saved_policy};
pub use crate::plan::shared::{SHARED_TAG, sharers};
pub use schemas::plan::{Adopt, Prune, Reason, SavedChange, SavedPlan};

/// Tag that protects a registration from removal if its value is `true`.
///
/// ```
/// use register_service::{PROTECTED_TAG, Policy, Prune, plan};
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

/// Tags that describe the origin of a registration and are not compared.
pub(crate) const PROVENANCE: [&str; 6] = [OWNER_TAG, SOURCE_TAG, COMMIT_TAG, ACTOR_TAG, RUN_TAG, SHARED_TAG];

/// Rules for making a plan.
///
/// ```
/// use register_service::{COMMIT_TAG, Change, Policy, plan};
///
/// let policy = Policy { commit: Some("4f2a91c".to_owned()), ..Policy::new("team-a".parse()?) };
/// let declared = serde_json::from_str(r#"{"name":"time","transport":"stdio","command":"mcp-server-time"}"#)?;
/// if let [Change::Create { definition }] = &plan(&[declared], &[], &policy).changes[..] {
///     assert_eq!(definition.tags[COMMIT_TAG], "4f2a91c");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Owner on whose behalf the plan is made.
    pub owner: Owner,
    /// Registrations of other owners that may be changed.
    pub adopt: Adopt,
    /// True to take over registrations that may be changed even if only their owner differs.
    pub claim: bool,
    /// Registrations to remove because they are no longer declared.
    pub prune: Prune,
    /// Commit of the declarations, recorded in a tag for people.
    pub commit: Option<String>,
    /// Person on whose behalf an automatic job makes the change, recorded in a tag for people.
    pub actor: Option<String>,
    /// URL of the job run, recorded in a tag for people.
    pub run: Option<String>,
    /// Declarations come from a backup: each keeps the owner and the other tags that it has, see [`restored`](crate::restored).
    pub restore: bool,
}

impl Policy {
    /// Creates the policy of an owner that neither takes over nor removes registrations.
    ///
    /// ```
    /// use register_service::{Adopt, Policy, Prune};
    ///
    /// let policy = Policy::new("team-a".parse()?);
    /// assert_eq!((policy.adopt, policy.prune), (Adopt::Nothing, Prune::Nothing));
    /// # Ok::<(), schemas::InvalidParty>(())
    /// ```
    pub fn new(owner: Owner) -> Self {
        Self { owner, ..Self::default() }
    }
}

/// The planned changes: one for every name that is declared or to be removed, including names that need no change.
///
/// ```
/// use register_service::{Policy, plan};
///
/// let declared = serde_json::from_str(r#"{"name":"time","transport":"stdio","command":"mcp-server-time"}"#)?;
/// for change in plan(&[declared], &[], &Policy::default()).changes {
///     assert_eq!(format!("{} {}", change.verb(), change.name()), "create time");
/// }
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Changes in the order of the declarations, then removals.
    pub changes: Vec<Change>,
}

/// The planned change of one name.
///
/// ```
/// use register_service::Change;
///
/// fn is_destructive(change: &Change) -> bool {
///     match change {
///         Change::Update { .. } | Change::Delete { .. } => true,
///         Change::Create { .. } | Change::Keep { .. } | Change::Refuse { .. } => false,
///     }
/// }
/// assert!(!is_destructive(&Change::Keep { name: "time".parse()? }));
/// # Ok::<(), schemas::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The name is not registered yet.
    Create {
        /// The definition to register.
        definition: Box<Definition>,
    },
    /// The name is registered with a different definition.
    Update {
        /// The new definition.
        definition: Box<Definition>,
        /// The revision that the registration must still have; `None` if the gateway has no revisions.
        revision: Option<Revision>,
        /// The differences.
        reasons: Vec<Reason>,
    },
    /// The name is registered as declared.
    Keep {
        /// Name of the registration.
        name: ServerName,
    },
    /// The registration belongs to this owner and is no longer declared.
    Delete {
        /// Name of the registration.
        name: ServerName,
        /// The revision that the registration must still have; `None` if the gateway has no revisions.
        revision: Option<Revision>,
        /// Place of the former declaration, if the registration names it.
        source: Option<String>,
    },
    /// The change would be necessary but is not permitted.
    Refuse {
        /// Name of the registration.
        name: ServerName,
        /// The reason for the refusal.
        why: Refusal,
        /// Place of the declaration, or of the former one, if known.
        source: Option<String>,
        /// The differences.
        reasons: Vec<Reason>,
    },
}

/// Reason why a change is not permitted.
///
/// ```
/// use register_service::Refusal;
///
/// let why = Refusal::Foreign { holder: Some("team-b".to_owned()) };
/// assert_eq!(format!("`search` {why}"), "`search` is registered by `team-b` with other content");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The name is registered with a different definition that this owner may not change.
    Foreign {
        /// The owner of the registration, if any.
        holder: Option<String>,
    },
    /// The registration is no longer declared, but its tags forbid its removal.
    Protected,
    /// The name is not registered, so there are no stored secrets to use in place of the declaration's `[redacted]`.
    Redacted,
    /// The declaration contains `[redacted]` in place of secrets that the registration does not have.
    Unknown,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { holder: Some(owner) } => write!(f, "is registered by `{owner}` with other content"),
            Self::Foreign { holder: None } => f.write_str("is registered by nobody in particular with other content"),
            Self::Protected => f.write_str("is declared nowhere and must not be removed"),
            Self::Redacted => {
                f.write_str("is not registered, and `[redacted]` stands for secrets that only a gateway has")
            }
            Self::Unknown => f.write_str("has `[redacted]` for secrets that the gateway does not have"),
        }
    }
}

impl Plan {
    /// Returns true if nothing needs to change and no change was refused.
    ///
    /// ```
    /// use register_service::{Change, Plan};
    ///
    /// let plan = Plan { changes: vec![Change::Keep { name: "time".parse()? }] };
    /// assert!(plan.is_empty(), "what is kept is nothing to do");
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(|change| matches!(change, Change::Keep { .. }))
    }

    /// Returns the refused changes.
    ///
    /// ```
    /// use register_service::{Change, Plan, Refusal};
    ///
    /// let (name, why) = ("db".parse()?, Refusal::Protected);
    /// let plan = Plan { changes: vec![Change::Refuse { name, why, source: None, reasons: Vec::new() }] };
    /// assert!(plan.refused().map(|change| change.name().as_str()).eq(["db"]));
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn refused(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| matches!(change, Change::Refuse { .. }))
    }

    /// Returns the names of the registrations to remove.
    ///
    /// ```
    /// use register_service::{Change, Plan};
    ///
    /// let gone = Change::Delete { name: "time".parse()?, revision: None, source: None };
    /// let plan = Plan { changes: vec![Change::Keep { name: "search".parse()? }, gone] };
    /// assert!(plan.deleted().map(|name| name.as_str()).eq(["time"]));
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn deleted(&self) -> impl Iterator<Item = &ServerName> {
        self.changes.iter().filter_map(|change| match change {
            Change::Delete { name, .. } => Some(name),
            _ => None,
        })
    }
}

impl Change {
    /// Returns the name of the registration.
    ///
    /// ```
    /// let change = register_service::Change::Keep { name: "time".parse()? };
    /// assert_eq!(change.name().as_str(), "time");
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn name(&self) -> &ServerName {
        match self {
            Self::Create { definition } | Self::Update { definition, .. } => &definition.name,
            Self::Keep { name } | Self::Delete { name, .. } | Self::Refuse { name, .. } => name,
        }
    }

    /// Returns the differences, for updates and refusals.
    ///
    /// ```
    /// use register_service::{Policy, plan};
    /// use serde_json::{from_value, json};
    ///
    /// let (declared, observed) = (json!("https://b.test/mcp"), json!("https://a.test/mcp"));
    /// let definition = |url| json!({ "name": "search", "transport": "streamable-http", "url": url, "tags": { "owner": "me" } });
    /// let observed = from_value(json!({ "definition": definition(observed) }))?;
    /// let plan = plan(&[from_value(definition(declared))?], &[observed], &Policy::new("me".parse()?));
    /// assert_eq!(plan.changes[0].reasons()[0].field, "url");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Update { reasons, .. } | Self::Refuse { reasons, .. } => reasons,
            Self::Create { .. } | Self::Keep { .. } | Self::Delete { .. } => &[],
        }
    }

    /// Returns the place of the declaration, or of the former one, as `file:line`, if known.
    ///
    /// ```
    /// use register_service::Change;
    ///
    /// let source = Some("workflows/chat.yaml:12".to_owned());
    /// let change = Change::Delete { name: "search".parse()?, revision: None, source };
    /// assert_eq!(change.source(), Some("workflows/chat.yaml:12"));
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn source(&self) -> Option<&str> {
        match self {
            Self::Create { definition } | Self::Update { definition, .. } => {
                definition.tags.get(SOURCE_TAG).map(String::as_str)
            }
            Self::Delete { source, .. } | Self::Refuse { source, .. } => source.as_deref(),
            Self::Keep { .. } => None,
        }
    }

    /// Returns the word for this change in output.
    ///
    /// ```
    /// let change = register_service::Change::Keep { name: "time".parse()? };
    /// assert_eq!(change.verb(), "keep");
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Keep { .. } => "keep",
            Self::Delete { .. } => "delete",
            Self::Refuse { .. } => "refuse",
        }
    }
}

/// Plans the changes from the observed to the declared definitions.
///
/// ```
/// use register_service::{Change, Policy, plan};
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
        let change = change(it, observed, policy);
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
pub(crate) fn change(desired: &Definition, observed: Option<&Registration>, policy: &Policy) -> Change {
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

/// Returns the definition without the tags that describe its origin.
pub(crate) fn without_provenance(definition: &Definition) -> Definition {
    let mut definition = definition.clone();
    definition.tags.retain(|tag, _| !PROVENANCE.contains(&tag.as_str()));
    definition
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
