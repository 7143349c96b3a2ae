//! Whose a registration is and where it is declared. It stands in the tags, which other proxies keep too.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The tag that names the owner of a registration.
pub const OWNER_TAG: &str = "owner";
/// The tag that says where a registration is declared, as `file:line`.
pub const SOURCE_TAG: &str = "source";
/// The tag that says in which commit.
pub const COMMIT_TAG: &str = "commit";

/// Where a registration is declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Source {
    /// The file.
    pub file: String,
    /// The line in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The commit of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Source {
    /// What the tags say of it.
    ///
    /// ```
    /// use schemas::admin::Source;
    ///
    /// let tags = [("source".to_owned(), "chat.yaml:7".to_owned())].into();
    /// let source = Source::from_tags(&tags).map(|source| (source.file, source.line));
    /// assert_eq!(source, Some(("chat.yaml".to_owned(), Some(7))));
    /// ```
    pub fn from_tags(tags: &BTreeMap<String, String>) -> Option<Self> {
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
