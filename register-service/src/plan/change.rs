//! Plan: the change of each name.

use std::fmt;

use schemas::admin::{Revision, SOURCE_TAG};
use schemas::plan::Reason;
use schemas::{Definition, ServerName};

/// The planned changes: one for every name that is declared or to be removed, including names that need no change.
///
/// ```
/// use register_service::plan::{Policy, plan};
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
/// use register_service::plan::Change;
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
/// use register_service::plan::Refusal;
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
    /// use register_service::plan::{Change, Plan};
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
    /// use register_service::plan::{Change, Plan, Refusal};
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
    /// use register_service::plan::{Change, Plan};
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
    /// let change = register_service::plan::Change::Keep { name: "time".parse()? };
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
    /// use register_service::plan::{Policy, plan};
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
    /// use register_service::plan::Change;
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
    /// let change = register_service::plan::Change::Keep { name: "time".parse()? };
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
