//! Owner and origin of a registration, stored in its tags so that other proxies keep them too.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tag that names the owner of a registration.
///
/// ```
/// use schemas::Definition;
/// use schemas::admin::OWNER_TAG;
///
/// let posted = r#"{"name":"time","transport":"stdio","command":"mcp-server-time"}"#;
/// let mut definition: Definition = serde_json::from_str(posted)?;
/// definition.tags.insert(OWNER_TAG.to_owned(), "team-a".to_owned());
/// assert_eq!(serde_json::to_value(&definition)?["tags"]["owner"], "team-a");
/// # Ok::<(), serde_json::Error>(())
/// ```
pub const OWNER_TAG: &str = "owner";

/// Tag that holds the place of the declaration, as `file:line`.
///
/// ```
/// use schemas::admin::{DefinitionView, SOURCE_TAG};
///
/// let tagged = format!(r#"{{"name": "docs", "tags": {{"{SOURCE_TAG}": "agents/chat.yaml:7"}}}}"#);
/// let view: DefinitionView = serde_json::from_str(&tagged)?;
/// assert_eq!(view.source().map(|source| source.file).as_deref(), Some("agents/chat.yaml"));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub const SOURCE_TAG: &str = "source";

/// Tag that holds the commit of the file that declares a registration.
///
/// ```
/// use schemas::admin::{COMMIT_TAG, DefinitionView};
///
/// let tagged = format!(r#"{{"name": "docs", "tags": {{"source": "chat.yaml:7", "{COMMIT_TAG}": "3f2a91c"}}}}"#);
/// let view: DefinitionView = serde_json::from_str(&tagged)?;
/// assert_eq!(view.source().and_then(|source| source.commit).as_deref(), Some("3f2a91c"));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub const COMMIT_TAG: &str = "commit";

/// Tag that names the person on whose behalf an automatic job made the last change.
///
/// ```
/// use schemas::Definition;
/// use schemas::admin::ACTOR_TAG;
///
/// let posted = r#"{"name":"time","transport":"stdio","command":"x","tags":{"ci_actor":"octocat"}}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// assert_eq!(definition.tags.get(ACTOR_TAG).map(String::as_str), Some("octocat"));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub const ACTOR_TAG: &str = "ci_actor";

/// Tag that holds the URL of the job run that made the last change.
///
/// ```
/// use schemas::Definition;
/// use schemas::admin::RUN_TAG;
///
/// let posted = r#"{"name":"time","transport":"stdio","command":"x","tags":{"ci_run":"https://ci.example/runs/7"}}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// assert_eq!(definition.tags.get(RUN_TAG).map(String::as_str), Some("https://ci.example/runs/7"));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub const RUN_TAG: &str = "ci_run";

/// Place where a registration is declared.
///
/// ```
/// use schemas::admin::Source;
///
/// let source: Source = serde_json::from_str(r#"{"file":"chat.yaml","line":7}"#)?;
/// assert_eq!((source.file.as_str(), source.line, source.commit), ("chat.yaml", Some(7), None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Source {
    /// Path of the file.
    pub file: String,
    /// Line in the file, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The commit of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Source {
    /// Reads the place of the declaration from a registration's tags.
    pub(crate) fn from_tags(tags: &BTreeMap<String, String>) -> Option<Self> {
        let place = tags.get(SOURCE_TAG).filter(|place| !place.is_empty())?;
        let split = place.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
        let (file, line) = split.map_or((place.as_str(), None), |(file, line)| (file, Some(line)));
        let commit = tags.get(COMMIT_TAG).filter(|commit| !commit.is_empty()).cloned();
        Some(Self { file: file.to_owned(), line, commit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(tags: &[(&str, &str)]) -> Option<Source> {
        Source::from_tags(&tags.iter().map(|(tag, value)| ((*tag).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_source_is_read_from_the_tags() {
        let check = |place: &str, file: &str, line: Option<u32>| {
            let expected = Source { file: file.to_owned(), line, commit: None };
            assert_eq!(source(&[("source", place)]), Some(expected), "{place}");
        };
        check("a.yaml:12", "a.yaml", Some(12));
        check("C:/a.yaml:12", "C:/a.yaml", Some(12));
        check("a.yaml", "a.yaml", None);
        check("a.yaml:", "a.yaml:", None);
        check("a:99999999999", "a:99999999999", None);
        assert_eq!(source(&[("source", "")]), None);
        assert_eq!(source(&[("commit", "abc")]), None);
        let commit = source(&[("source", "a:1"), ("commit", "abc")]).and_then(|source| source.commit);
        assert_eq!(commit.as_deref(), Some("abc"));
    }
}
