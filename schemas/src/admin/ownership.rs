//! Whose a registration is, which state of it is meant, and who needs it: revisions, locks of owners, leases.
//!
//! Other proxies know none of this. They keep the tags, so owner and source survive there.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Holder, Secret, WireDuration};

/// The tag that names the owner of a registration.
pub const OWNER_TAG: &str = "owner";
/// The tag that says where a registration is declared, as `file:line`.
pub const SOURCE_TAG: &str = "source";
/// The tag that says in which commit.
pub const COMMIT_TAG: &str = "commit";
/// The tag that says on whose behalf an automatic job made the last change.
pub const ACTOR_TAG: &str = "ci_actor";
/// The tag that says where the run of that job is to be seen.
pub const RUN_TAG: &str = "ci_run";

/// The shortest time to live of a lock or a lease.
pub const MIN_TTL: Duration = Duration::from_secs(1);
/// The longest time to live of a lock.
pub const MAX_LOCK_TTL: Duration = Duration::from_secs(600);
/// The longest time to live of a lease.
pub const MAX_LEASE_TTL: Duration = Duration::from_secs(3600);

/// Which state of a registration is meant. It grows with every change, and no two states that a gateway ever held have
/// the same: not those of two registrations, nor of one that was removed and made again.
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
    /// The revision with this number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The strong entity tag that stands for it in `ETag` and `If-Match`.
    pub fn etag(self) -> String {
        format!("\"{}\"", self.0)
    }

    /// The revision that a strong entity tag stands for, if it is one of ours.
    pub fn from_etag(tag: &str) -> Option<Self> {
        let revision = Self(tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()?);
        // `+7` and `07` are numbers too, and other tags.
        (revision.etag() == tag).then_some(revision)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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

/// A lease on a registration, as shown with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// Who holds it.
    pub holder: Holder,
    /// When it ends unless it is renewed (RFC 3339, by the gateway's clock).
    pub expires_at: String,
}

/// The refusal (412) of a change to a state that the registration is no longer in. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct StaleRevision {
    /// The refusal in a few fixed words.
    pub error: String,
    /// The cause, for people.
    pub details: String,
    /// The registration.
    pub name: String,
    /// Always [`StaleRevision::CODE`].
    pub code: String,
    /// The state it is in.
    pub revision: Revision,
    /// Whose it is, if anyone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

impl StaleRevision {
    /// The code of this refusal.
    pub const CODE: &str = "stale_revision";

    /// The refusal of a change to this registration.
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

/// `PUT /admin/locks/{owner}`: takes the lock of an owner, or renews it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockRequest {
    /// Who asks; told to others who want the lock meanwhile.
    pub holder: Holder,
    /// How long it lasts, from 1 s to 10 min.
    pub ttl: WireDuration,
    /// What shows later that the lock is the caller's: 1 to 128 printable characters that nobody else can know. The
    /// gateway draws one where there is none. With the token of the lock that is held, that lock is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Only renew: a lock that has expired is not taken again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renew: bool,
}

/// A lock that was taken or renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LockGrant {
    /// What renews and releases it.
    pub token: Secret,
    /// Who holds it.
    pub holder: Holder,
    /// When it was taken (RFC 3339).
    pub since: String,
    /// When it ends unless it is renewed (RFC 3339).
    pub expires_at: String,
}

/// The refusal (409) of a lock that another holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LockHeld {
    /// The refusal in a few fixed words.
    pub error: String,
    /// Always [`LockHeld::CODE`].
    pub code: String,
    /// Who holds it.
    pub holder: Holder,
    /// Since when (RFC 3339).
    pub since: String,
    /// When it ends unless it is renewed (RFC 3339).
    pub expires_at: String,
}

impl LockHeld {
    /// The code of this refusal.
    pub const CODE: &str = "lock_held";
}

/// The code of the refusal (404) of a token that is not that of a lock which is held.
pub const NO_SUCH_LOCK: &str = "no_such_lock";

/// `PUT /admin/leases/{holder}`: takes, renews and gives back leases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// How long all of the holder's leases last from now on, from 1 s to 1 h.
    pub ttl: WireDuration,
    /// On which registrations exactly; leases on others are given back. Absent, those that are held are renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcps: Option<Vec<String>>,
}

/// What a holder holds after [`LeaseRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LeaseGrant {
    /// When the leases end unless they are renewed (RFC 3339, by the gateway's clock).
    pub expires_at: String,
    /// The registrations that are leased, by name.
    pub held: Vec<String>,
    /// Those of the names asked for that are not registered.
    pub missing: Vec<String>,
}

impl LeaseGrant {
    /// What is held until then, and what could not be.
    pub fn new(expires_at: String, held: Vec<String>, missing: Vec<String>) -> Self {
        Self { expires_at, held, missing }
    }
}

/// `DELETE /admin/leases/{holder}`: what became of the registrations it held.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LeaseRelease {
    /// Those that are gone, because nobody else held a lease on them.
    pub removed: Vec<String>,
    /// Those that stay, because somebody does or because they were declared.
    pub kept: Vec<String>,
}

/// `GET /admin/leases`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LeaseList {
    /// Every holder, by name.
    pub leases: Vec<HeldLeases>,
    /// How many there are.
    pub count: usize,
}

/// All leases of one holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldLeases {
    /// Who holds them.
    pub holder: Holder,
    /// When they end unless they are renewed (RFC 3339).
    pub expires_at: String,
    /// The registrations, by name.
    pub mcps: Vec<String>,
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

    #[test]
    fn requests_have_no_unknown_members() -> Result<(), serde_json::Error> {
        let request: LeaseRequest = serde_json::from_str(r#"{"ttl":"30s","mcps":["a"]}"#)?;
        assert_eq!(request.ttl.get(), Some(Duration::from_secs(30)));
        assert_eq!(serde_json::to_string(&request)?, r#"{"ttl":30000000000,"mcps":["a"]}"#);
        assert!(serde_json::from_str::<LeaseRequest>(r#"{"ttl":"30s","names":["a"]}"#).is_err());
        assert!(serde_json::from_str::<LockRequest>(r#"{"holder":"h","ttl":"30s","x":1}"#).is_err());
        Ok(())
    }
}
