//! A plan on disk: what `register-service plan -o` writes and `sync --plan` reads.
//!
//! It holds no secret and nothing that one could be guessed from offline: what is declared and what was found are there
//! as keyed digests.
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

/// A plan as it is written down. `sync --plan` carries it out only if files and gateway are as they were when it was made.
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
    /// The form of the file: 1.
    #[schemars(example = 1)]
    pub version: u32,
    /// The gateway that it is for.
    #[schemars(example = &"http://127.0.0.1:6001")]
    pub gateway: String,
    /// That gateway's version when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"0.1.0")]
    pub gateway_version: Option<String>,
    /// In whose name.
    #[schemars(example = &"team-a")]
    pub owner: String,
    /// Which registrations of others may be changed.
    #[serde(default)]
    pub adopt: Adopt,
    /// Which registrations are removed because nothing declares them.
    #[serde(default)]
    pub prune: Prune,
    /// Keys the digests.
    pub salt: FingerprintSalt,
    /// In the plan's order.
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
    /// The name it is about.
    #[schemars(example = &"search")]
    pub name: String,
    /// `create`, `update`, `keep`, `delete` or `refuse`.
    #[schemars(extend("enum" = ["create", "update", "keep", "delete", "refuse"]))]
    pub change: String,
    /// What is declared, as a digest; absent if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
    /// What the gateway had, as a digest; absent if nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Where it is declared, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"workflows/chat.yaml:12")]
    pub source: Option<String>,
    /// What differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// Which registrations may be changed, and so taken over, besides the owner's.
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
    /// None.
    #[default]
    Nothing,
    /// Those without an owner, such as a Go engine leaves behind.
    Unowned,
    /// All.
    Anything,
}

/// Which registrations are removed because nothing declares them.
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
    /// None.
    #[default]
    Nothing,
    /// The owner's.
    Owned,
}

/// One thing that differs.
///
/// ```
/// use schemas::plan::Reason;
///
/// // Of a secret only that it differs is told.
/// let reason: Reason = serde_json::from_str(r#"{"field":"headers.Authorization"}"#)?;
/// assert_eq!(reason.to_string(), "headers.Authorization");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Difference")]
pub struct Reason {
    /// What: a field, or a header, variable or tag such as `headers.Authorization`.
    #[schemars(example = &"headers.Authorization")]
    pub field: String,
    /// How, where that can be told without a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"changed")]
    pub detail: Option<String>,
}

impl Reason {
    /// That a field differs, and how.
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
