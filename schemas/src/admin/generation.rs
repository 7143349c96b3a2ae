//! Body types of `POST /admin/generations`: several changes applied as one transaction. An extension: other proxies do
//! not have this endpoint.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admin::Revision;
use crate::dialect::compozy::DefinitionDocument;
use crate::{Definition, ServerName};

/// Body of `POST /admin/generations`: the changes to apply, at most one per name. If one change cannot be applied,
/// none is.
///
/// ```
/// use schemas::admin::{Change, Generation, Revision};
///
/// let text = r#"{"changes":[
///     {"change":"create","definition":{"name":"time","transport":"stdio","command":"mcp-server-time"}},
///     {"change":"delete","name":"old","revision":7}
/// ]}"#;
/// let generation: Generation = serde_json::from_str(text)?;
/// assert!(generation.changes.iter().map(|change| change.name().as_str()).eq(["time", "old"]));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// The changes, applied in this order.
    pub changes: Vec<Change>,
}

/// One change of a [`Generation`]. A change whose result is already in place counts as applied, so that a request sent
/// twice takes effect once.
///
/// ```
/// use schemas::admin::{Change, Revision};
///
/// let change = Change::Delete { name: "old".parse()?, revision: Some(Revision::new(7)) };
/// assert_eq!(serde_json::to_string(&change)?, r#"{"change":"delete","name":"old","revision":7}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "lowercase", deny_unknown_fields)]
pub enum Change {
    /// Creates a registration; refused if the name is taken by a different definition.
    Create {
        /// The definition to register.
        #[schemars(with = "DefinitionDocument")]
        definition: Definition,
    },
    /// Replaces a registration.
    Update {
        /// The definition that replaces the stored one.
        #[schemars(with = "DefinitionDocument")]
        definition: Definition,
        /// The revision that the registration must have, if set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<Revision>,
    },
    /// Removes a registration.
    Delete {
        /// The name of the registration to remove.
        name: ServerName,
        /// The revision that the registration must have, if set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<Revision>,
    },
}

impl Change {
    /// Returns the name of the registration that this change creates, updates or deletes.
    ///
    /// ```
    /// use schemas::admin::Change;
    ///
    /// let change = Change::Delete { name: "old".parse()?, revision: None };
    /// assert_eq!(change.name().as_str(), "old");
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn name(&self) -> &ServerName {
        match self {
            Self::Create { definition } | Self::Update { definition, .. } => &definition.name,
            Self::Delete { name, .. } => name,
        }
    }
}

/// Answer of `POST /admin/generations` once all changes are applied.
///
/// ```
/// use schemas::admin::GenerationAnswer;
///
/// let answer: GenerationAnswer = serde_json::from_str(r#"{"changed":[{"name":"time","revision":8},{"name":"old"}]}"#)?;
/// assert!(answer.changed.iter().all(|changed| changed.warning.is_none()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GenerationAnswer {
    /// The result of each change, in the order of the request.
    pub changed: Vec<Changed>,
}

/// A change that was applied.
///
/// ```
/// use schemas::admin::Changed;
///
/// let changed: Changed = serde_json::from_str(r#"{"name":"time","revision":8,"warning":"cannot start `x`"}"#)?;
/// assert_eq!(changed.revision.map(|revision| revision.get()), Some(8));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// The name of the registration.
    pub name: ServerName,
    /// The new revision; absent after a deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// The reason why the upstream cannot be started although its registration is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// Refusal (409) of a whole generation because some of its changes cannot be applied. Nothing was changed.
///
/// ```
/// use schemas::admin::{GenerationRefused, Obstacle};
///
/// let answer = r#"{"error":"Nothing was changed","code":"generation_refused",
///     "refused":[{"name":"time","why":"stale","details":"it is at revision 8"}]}"#;
/// let refused: GenerationRefused = serde_json::from_str(answer)?;
/// assert!(refused.refused.iter().all(|refused| refused.why == Obstacle::Stale));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct GenerationRefused {
    /// A short, fixed message.
    pub error: String,
    /// Always [`GenerationRefused::CODE`].
    pub code: String,
    /// The changes that cannot be applied, each with its reason.
    pub refused: Vec<RefusedChange>,
}

/// A change that cannot be applied.
///
/// ```
/// use schemas::admin::{Obstacle, RefusedChange};
///
/// let refused = RefusedChange { name: "time".into(), why: Obstacle::Missing, details: "there is none".into() };
/// assert_eq!(serde_json::to_string(&refused)?, r#"{"name":"time","why":"missing","details":"there is none"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedChange {
    /// The name of the registration, as written in the request.
    pub name: String,
    /// The reason, for programs.
    pub why: Obstacle,
    /// The reason, for people.
    pub details: String,
}

/// Reason why a change cannot be applied.
///
/// ```
/// use schemas::admin::Obstacle;
///
/// // Plan again if the stored state differs from the planned one; correct the definition if it cannot be started.
/// let plan_again = |why| matches!(why, Obstacle::Exists | Obstacle::Missing | Obstacle::Stale);
/// assert!(plan_again(serde_json::from_str("\"stale\"")?) && !plan_again(Obstacle::Unusable));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Obstacle {
    /// Another registration already has this name.
    Exists,
    /// No registration has this name.
    Missing,
    /// The registration has another revision than the change requires.
    Stale,
    /// The definition is invalid or cannot be started on this gateway.
    Unusable,
    /// The gateway's limit on registrations is reached.
    Full,
}

impl GenerationRefused {
    /// Machine-readable code of this refusal.
    ///
    /// ```
    /// use schemas::admin::GenerationRefused;
    ///
    /// assert_eq!(GenerationRefused::new(Vec::new()).code, GenerationRefused::CODE);
    /// ```
    pub const CODE: &str = "generation_refused";

    /// Creates the refusal from the changes that cannot be applied.
    ///
    /// ```
    /// use schemas::admin::{GenerationRefused, Obstacle, RefusedChange};
    ///
    /// let full = RefusedChange { name: "time".into(), why: Obstacle::Full, details: "1000 are registered".into() };
    /// assert_eq!(GenerationRefused::new(vec![full]).error, "Nothing was changed");
    /// ```
    pub fn new(refused: Vec<RefusedChange>) -> Self {
        Self { error: "Nothing was changed".to_owned(), code: Self::CODE.to_owned(), refused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_no_unknown_members() {
        for text in [
            r#"{"changes":[],"x":1}"#,
            r#"{"changes":[{"change":"delete","name":"a","x":1}]}"#,
            r#"{"changes":[{"change":"replace","name":"a"}]}"#,
            r#"{"changes":[{"change":"create","definition":{"name":"a","transport":"stdio"}}]}"#,
        ] {
            assert!(serde_json::from_str::<Generation>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_definition_is_written_as_it_is_registered() -> Result<(), serde_json::Error> {
        let text = r#"{"name":"a","transport":"sse","url":"http://x/","headers":{"A":"hush"}}"#;
        let definition: Definition = serde_json::from_str(text)?;
        let change = Change::Update { definition, revision: Some(Revision::new(7)) };
        let written = serde_json::to_string(&change)?;
        assert!(written.contains("hush"), "secrets travel in requests: {written}");
        assert_eq!(serde_json::from_str::<Change>(&written)?, change);
        Ok(())
    }
}
