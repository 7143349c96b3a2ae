//! Several changes that are made all together or not at all. Other proxies have no such thing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admin::Revision;
use crate::dialect::compozy::DefinitionDocument;
use crate::{Definition, ServerName};

/// The body of `POST /admin/generations`: what is to change, each name once. If one change cannot be made, none is.
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
    /// The changes.
    pub changes: Vec<Change>,
}

/// One change. One that finds its work done already is made: a request that is sent twice is carried out once.
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
    /// Registers what is not there yet.
    Create {
        /// What is registered.
        #[schemars(with = "DefinitionDocument")]
        definition: Definition,
    },
    /// Replaces a registration.
    Update {
        /// What it becomes.
        #[schemars(with = "DefinitionDocument")]
        definition: Definition,
        /// The state that it must be in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<Revision>,
    },
    /// Removes a registration.
    Delete {
        /// Which one.
        name: ServerName,
        /// The state that it must be in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<Revision>,
    },
}

impl Change {
    /// The registration that it is about.
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

/// The answer once all changes are made, in their order.
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
    /// What became of each.
    pub changed: Vec<Changed>,
}

/// A change that was made.
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
    /// The registration.
    pub name: ServerName,
    /// The state that it is in now; nothing once it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Why its upstream cannot be started, although it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// The refusal (409) of all changes for the sake of some. Nothing was changed.
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
    /// The refusal in a few fixed words.
    pub error: String,
    /// Always [`GenerationRefused::CODE`].
    pub code: String,
    /// The changes that cannot be made.
    pub refused: Vec<RefusedChange>,
}

/// A change that cannot be made.
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
    /// The registration, as the request names it.
    pub name: String,
    /// What stands in the way.
    pub why: Obstacle,
    /// The same for people.
    pub details: String,
}

/// What stands in the way of a change.
///
/// ```
/// use schemas::admin::Obstacle;
///
/// // What was planned on another state is planned again; what cannot be started has to be mended.
/// let plan_again = |why| matches!(why, Obstacle::Exists | Obstacle::Missing | Obstacle::Stale);
/// assert!(plan_again(serde_json::from_str("\"stale\"")?) && !plan_again(Obstacle::Unusable));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Obstacle {
    /// There is another registration of that name.
    Exists,
    /// There is none of that name.
    Missing,
    /// It is in another state.
    Stale,
    /// The definition is not valid, or cannot be started here.
    Unusable,
    /// There is no room for it.
    Full,
}

impl GenerationRefused {
    /// The code of this refusal.
    ///
    /// ```
    /// use schemas::admin::GenerationRefused;
    ///
    /// assert_eq!(GenerationRefused::new(Vec::new()).code, GenerationRefused::CODE);
    /// ```
    pub const CODE: &str = "generation_refused";

    /// The refusal for the sake of these.
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
