//! Revisions of registrations and the refusal of a change based on an outdated one. Other proxies have no revisions.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version number of a registration. It grows with every change and is never reused by a gateway, neither for another
/// registration nor for one that was removed and created again.
///
/// ```
/// use schemas::admin::Revision;
///
/// let revision = Revision::new(7);
/// assert_eq!(revision.etag(), "\"7\"");
/// assert_eq!(Revision::from_etag("\"7\""), Some(revision));
/// assert_eq!(Revision::from_etag("W/\"7\""), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// Creates the revision with this number.
    ///
    /// ```
    /// use schemas::admin::Revision;
    ///
    /// assert!(Revision::new(8) > Revision::new(7));
    /// ```
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    ///
    /// ```
    /// use schemas::admin::Revision;
    ///
    /// let revision: Revision = serde_json::from_str("7")?;
    /// assert_eq!(revision.get(), 7);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn get(self) -> u64 {
        self.0
    }

    /// Formats the revision as a strong entity tag for `ETag` and `If-Match`.
    ///
    /// ```
    /// use schemas::admin::Revision;
    ///
    /// let header = format!("If-Match: {}", Revision::new(7).etag());
    /// assert_eq!(header, r#"If-Match: "7""#);
    /// ```
    pub fn etag(self) -> String {
        format!("\"{}\"", self.0)
    }

    /// Parses a strong entity tag; `None` if [`Revision::etag`] cannot have written it.
    ///
    /// ```
    /// use schemas::admin::Revision;
    ///
    /// assert_eq!(Revision::from_etag(r#""7""#).map(Revision::get), Some(7));
    /// assert_eq!(Revision::from_etag("*"), None);
    /// ```
    pub fn from_etag(tag: &str) -> Option<Self> {
        let revision = Self(tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()?);
        // Refuse `"+7"` and `"07"`: they parse as 7, but as entity tags they are different.
        (revision.etag() == tag).then_some(revision)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Refusal (412) of a change whose `If-Match` names another revision than the current one. Nothing was changed.
///
/// ```
/// use schemas::admin::StaleRevision;
///
/// let answer = r#"{"error":"Registration has changed","details":"the revision of time is 8; If-Match names another",
///     "name":"time","code":"stale_revision","revision":8,"owner":"team-b"}"#;
/// let stale: StaleRevision = serde_json::from_str(answer)?;
/// assert_eq!((stale.revision.get(), stale.owner.as_deref()), (8, Some("team-b")));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct StaleRevision {
    /// A short, fixed message.
    pub error: String,
    /// The reason, for people.
    pub details: String,
    /// Name of the registration.
    pub name: String,
    /// Always [`StaleRevision::CODE`].
    pub code: String,
    /// The current revision.
    pub revision: Revision,
    /// The owner of the registration, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

impl StaleRevision {
    /// Machine-readable code of this refusal.
    ///
    /// ```
    /// use schemas::Problem;
    /// use schemas::admin::StaleRevision;
    ///
    /// let answer = r#"{"error":"Registration has changed","code":"stale_revision"}"#;
    /// let problem: Problem = serde_json::from_str(answer)?;
    /// assert_eq!(problem.code.as_deref(), Some(StaleRevision::CODE));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub const CODE: &str = "stale_revision";

    /// Creates the refusal of a change to the registration `name`, which is now at `revision`.
    ///
    /// ```
    /// use schemas::admin::{Revision, StaleRevision};
    ///
    /// let stale = StaleRevision::new("time", Revision::new(8), Some("team-b"));
    /// assert_eq!(stale.details, "the revision of time is 8; If-Match names another");
    /// ```
    pub fn new(name: &str, revision: Revision, owner: Option<&str>) -> Self {
        Self {
            error: "Registration has changed".to_owned(),
            details: format!("the revision of {name} is {revision}; If-Match names another"),
            name: name.to_owned(),
            code: Self::CODE.to_owned(),
            revision,
            owner: owner.map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tags_that_we_write_are_revisions() {
        for tag in ["7", "\"7", "\"\"", "\"07\"", "\"+7\"", "\"-7\"", "W/\"7\"", "\"18446744073709551616\""] {
            assert_eq!(Revision::from_etag(tag), None, "{tag}");
        }
        assert_eq!(Revision::from_etag("\"18446744073709551615\""), Some(Revision::new(u64::MAX)));
    }

    #[test]
    fn a_refusal_has_one_flat_body() -> Result<(), serde_json::Error> {
        let refusal = StaleRevision::new("a", Revision::new(7), Some("team"));
        let text = serde_json::to_string(&refusal)?;
        assert_eq!(
            text,
            r#"{"error":"Registration has changed","details":"the revision of a is 7; If-Match names another","name":"a","code":"stale_revision","revision":7,"owner":"team"}"#
        );
        assert_eq!(serde_json::from_str::<StaleRevision>(&text)?, refusal);
        Ok(())
    }
}
