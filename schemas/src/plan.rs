//! Format of a saved plan, which `register-service plan -o` writes and `sync --plan` reads.
//!
//! A plan contains no secrets, and no value from which one could be guessed offline: declared and observed definitions
//! are stored as keyed digests.
//!
//! ```
//! use schemas::plan::SavedPlan;
//!
//! let file = r#"{"version":1,"gateway":"http://127.0.0.1:6001","owner":"team-a","salt":"00ff","changes":[
//!     {"name":"time","change":"create","declared":"9d0b","source":"workflows/chat.yaml:12"}
//! ]}"#;
//! let plan: SavedPlan = serde_json::from_str(file)?;
//! assert!(plan.changes.iter().map(|change| format!("{} {}", change.change, change.name)).eq(["create time"]));
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FingerprintSalt;

/// A plan saved to a file. `sync --plan` applies it only if the files and the gateway are unchanged since it was made.
///
/// ```
/// use schemas::FingerprintSalt;
/// use schemas::plan::{Adopt, Prune, SavedPlan};
///
/// let plan = SavedPlan {
///     version: 1,
///     gateway: "http://127.0.0.1:6001".to_owned(),
///     gateway_version: Some("0.1.0".to_owned()),
///     owner: "team-a".to_owned(),
///     adopt: Adopt::Nothing,
///     prune: Prune::Owned,
///     salt: FingerprintSalt::new([7; 16]),
///     changes: Vec::new(),
/// };
/// assert_eq!(serde_json::from_str::<SavedPlan>(&serde_json::to_string(&plan)?)?, plan);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "Plan")]
pub struct SavedPlan {
    /// Version of the file format: 1.
    #[schemars(example = 1)]
    pub version: u32,
    /// URL of the gateway that the plan is for.
    #[schemars(example = &"http://127.0.0.1:6001")]
    pub gateway: String,
    /// Version of that gateway when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"0.1.0")]
    pub gateway_version: Option<String>,
    /// Owner of the registrations in the plan.
    #[schemars(example = &"team-a")]
    pub owner: String,
    /// Registrations of other owners that may be changed.
    #[serde(default)]
    pub adopt: Adopt,
    /// Registrations to remove because they are no longer declared.
    #[serde(default)]
    pub prune: Prune,
    /// Salt that keys the digests.
    pub salt: FingerprintSalt,
    /// The changes, in the order in which they are applied.
    pub changes: Vec<SavedChange>,
}

/// One change of a [`SavedPlan`].
///
/// ```
/// use schemas::plan::SavedChange;
///
/// let text = r#"{"name":"time","change":"update","reasons":[{"field":"timeout","detail":"30s -> 1m"}]}"#;
/// let change: SavedChange = serde_json::from_str(text)?;
/// assert!(change.reasons.iter().map(ToString::to_string).eq(["timeout (30s -> 1m)"]));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "Change")]
pub struct SavedChange {
    /// Name of the registration.
    #[schemars(example = &"search")]
    pub name: String,
    /// Kind of change: `create`, `update`, `keep`, `delete` or `refuse`.
    #[schemars(extend("enum" = ["create", "update", "keep", "delete", "refuse"]))]
    pub change: String,
    /// Digest of the declared definition; absent if none is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
    /// Digest of the definition that the gateway had; absent if it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Place of the declaration, as `file:line`; of the former declaration for a deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"workflows/chat.yaml:12")]
    pub source: Option<String>,
    /// The differences between the declared and the registered definition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// Registrations that may be changed, and thereby taken over, besides the owner's own.
///
/// ```
/// use schemas::plan::Adopt;
///
/// assert_eq!(serde_json::to_string(&Adopt::Unowned)?, r#""unowned""#);
/// assert_eq!(Adopt::default(), Adopt::Nothing);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Adopt {
    /// No other registrations.
    #[default]
    Nothing,
    /// Registrations without an owner, such as those that a Go engine creates.
    Unowned,
    /// All registrations.
    Anything,
}

/// Registrations to remove because they are no longer declared.
///
/// ```
/// use schemas::plan::Prune;
///
/// assert_eq!(serde_json::from_str::<Prune>(r#""owned""#)?, Prune::Owned);
/// assert_eq!(Prune::default(), Prune::Nothing);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Prune {
    /// No registrations.
    #[default]
    Nothing,
    /// Registrations of the plan's owner.
    Owned,
}

/// One difference between the declared and the registered definition.
///
/// ```
/// use schemas::plan::Reason;
///
/// // A secret is reported as different, without its values.
/// let reason: Reason = serde_json::from_str(r#"{"field":"headers.Authorization"}"#)?;
/// assert_eq!(reason.to_string(), "headers.Authorization");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Difference")]
pub struct Reason {
    /// Name of the field, or of a header, variable or tag, such as `headers.Authorization`.
    #[schemars(example = &"headers.Authorization")]
    pub field: String,
    /// Description of the difference, unless it would reveal a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"changed")]
    pub detail: Option<String>,
}

impl Reason {
    /// Creates a difference in `field`.
    ///
    /// ```
    /// use schemas::plan::Reason;
    ///
    /// assert_eq!(Reason::new("timeout", Some("30s -> 1m".to_owned())).to_string(), "timeout (30s -> 1m)");
    /// ```
    pub fn new(field: impl Into<String>, detail: Option<String>) -> Self {
        Self { field: field.into(), detail }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{} ({detail})", self.field),
            None => f.write_str(&self.field),
        }
    }
}
