//! Body types of `/admin/tokens`: named access tokens, each for some servers and rights, with an expiry. An extension:
//! other proxies have only tokens in their configuration.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Secret, ServerName, WireDuration};

/// Beginning of every access token that a gateway has issued, by which scanners find one that was published.
///
/// ```
/// use schemas::admin::TOKEN_PREFIX;
///
/// assert!("mcpt_3q2-7wX9".starts_with(TOKEN_PREFIX));
/// ```
pub const TOKEN_PREFIX: &str = "mcpt_";

/// Longest lifetime of an access token that has one, and longest overlap of a rotation: ten years of 365 days.
///
/// ```
/// use std::time::Duration;
///
/// use schemas::admin::MAX_TOKEN_TTL;
///
/// assert!(Duration::from_secs(90 * 24 * 3600) < MAX_TOKEN_TTL);
/// ```
pub const MAX_TOKEN_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Code of the refusal (404) of a name that no access token has.
///
/// ```
/// use schemas::Problem;
/// use schemas::admin::NO_SUCH_TOKEN;
///
/// let problem = Problem::new("Access token not found").code(NO_SUCH_TOKEN);
/// assert_eq!(serde_json::to_string(&problem)?, r#"{"error":"Access token not found","code":"no_such_token"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub const NO_SUCH_TOKEN: &str = "no_such_token";

const MAX_NAME: usize = 32;

/// Name of an access token: 1 to 32 of `A-Z a-z 0-9 . _ -`, but not `.` or `..`.
///
/// ```
/// use schemas::admin::TokenName;
///
/// let name: TokenName = "ci-main".parse()?;
/// assert_eq!(name.as_str(), "ci-main");
/// assert!("ci main".parse::<TokenName>().is_err());
/// # Ok::<(), schemas::admin::InvalidTokenName>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenName {
    /// The name, filled up with zeros: it is a part of the identity of a caller, which is copied with every request.
    bytes: [u8; MAX_NAME],
}

/// Reason why a text is not a name of an access token.
///
/// ```
/// let error = "".parse::<schemas::admin::TokenName>().map_err(|error| error.to_string());
/// assert_eq!(error, Err("the name of a token is 1 to 32 letters, digits, `.`, `_` and `-`".to_owned()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a token is 1 to 32 letters, digits, `.`, `_` and `-`")]
pub struct InvalidTokenName;

impl TokenName {
    /// Returns the name as text.
    ///
    /// ```
    /// let name: schemas::admin::TokenName = "laptop".parse()?;
    /// assert_eq!(name.as_str(), "laptop");
    /// # Ok::<(), schemas::admin::InvalidTokenName>(())
    /// ```
    pub fn as_str(&self) -> &str {
        let end = self.bytes.iter().position(|byte| *byte == 0).unwrap_or(MAX_NAME);
        self.bytes.get(..end).and_then(|name| str::from_utf8(name).ok()).unwrap_or_default()
    }
}

impl FromStr for TokenName {
    type Err = InvalidTokenName;

    fn from_str(name: &str) -> Result<Self, InvalidTokenName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.is_empty() || !name.bytes().all(allowed) || matches!(name, "." | "..") {
            return Err(InvalidTokenName);
        }
        let mut bytes = [0; MAX_NAME];
        bytes.get_mut(..name.len()).ok_or(InvalidTokenName)?.copy_from_slice(name.as_bytes());
        Ok(Self { bytes })
    }
}

impl TryFrom<String> for TokenName {
    type Error = InvalidTokenName;

    fn try_from(name: String) -> Result<Self, InvalidTokenName> {
        name.parse()
    }
}

impl From<TokenName> for String {
    fn from(name: TokenName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl JsonSchema for TokenName {
    fn schema_name() -> Cow<'static, str> {
        "TokenName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^(?!\.\.?$)[A-Za-z0-9._-]{1,32}$" })
    }
}

/// Right of the holder of an access token.
///
/// ```
/// use schemas::admin::Right;
///
/// assert_eq!(serde_json::to_string(&Right::Start)?, r#""start""#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Use the MCP endpoints of the token's servers.
    Call,
    /// Read the admin API: definitions without their secrets, status, lists of tools, leases, access tokens, the audit log, logs
    /// of servers, events.
    Read,
    /// Change registrations, leases and locks, and call tools through the admin API. Starts no process.
    Write,
    /// Start processes by what `write` allows: register servers over stdio, or definitions that name files of the
    /// machine.
    Start,
}

/// Body of `POST /admin/tokens`: issues an access token.
///
/// ```
/// use std::collections::BTreeSet;
///
/// use schemas::admin::{NewToken, Right};
///
/// let request: NewToken = serde_json::from_str(r#"{"name":"laptop","servers":["time"],"ttl":"2160h"}"#)?;
/// assert_eq!(request.rights, BTreeSet::from([Right::Call]));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Name of the token, which no other one has.
    pub name: TokenName,
    /// Rights of its holder; if absent, `call`.
    #[serde(default = "only_call")]
    pub rights: BTreeSet<Right>,
    /// Servers to whose endpoints the right `call` extends; if empty, all. They need not be registered yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub servers: BTreeSet<ServerName>,
    /// Lifetime, up to ten years; if absent, the token does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<WireDuration>,
}

/// Body of `PUT /admin/tokens/{name}`: replaces what the token is for. The secret stays.
///
/// ```
/// use schemas::admin::TokenUpdate;
///
/// let request: TokenUpdate = serde_json::from_str(r#"{"rights":["read","write"],"ttl":"24h"}"#)?;
/// assert!(request.servers.is_empty());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenUpdate {
    /// Rights of its holder.
    pub rights: BTreeSet<Right>,
    /// Servers to whose endpoints the right `call` extends; if empty, all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub servers: BTreeSet<ServerName>,
    /// Lifetime from now on; if absent, the token does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<WireDuration>,
}

/// Body of `POST /admin/tokens/{name}/rotate`: issues a new secret, with the lifetime that the token has.
///
/// ```
/// use schemas::admin::TokenRotation;
///
/// let request: TokenRotation = serde_json::from_str(r#"{"overlap":"1h"}"#)?;
/// assert!(request.overlap.is_some());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRotation {
    /// Time for which the former secret stays valid too; if absent, one hour, and `0s` ends it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<WireDuration>,
}

/// An access token as the admin API shows it, without its secret.
///
/// ```
/// use schemas::admin::AccessToken;
///
/// let shown = r#"{"name":"ci","rights":["read","write"],"servers":[],"ttl":"24h",
///     "createdAt":"2026-12-01T10:00:00Z","expiresAt":"2026-12-02T10:00:00Z","isExpired":false}"#;
/// let token: AccessToken = serde_json::from_str(shown)?;
/// assert!(token.last_used_at.is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AccessToken {
    /// Name of the token.
    pub name: TokenName,
    /// Rights of its holder.
    pub rights: BTreeSet<Right>,
    /// Servers to whose endpoints the right `call` extends; if empty, all.
    pub servers: BTreeSet<ServerName>,
    /// Lifetime of each of its secrets, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// Time at which it was issued (RFC 3339).
    pub created_at: String,
    /// Time from which its secret is not valid (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// True if that time has come.
    #[serde(default)]
    pub is_expired: bool,
    /// Time until which the secret before the last rotation is valid too (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_until: Option<String>,
    /// Time of the last request that was authenticated by it (RFC 3339), up to a minute late where gateways share a
    /// storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
}

impl AccessToken {
    /// Creates a token that never expires and was not used.
    ///
    /// ```
    /// use std::collections::BTreeSet;
    ///
    /// use schemas::admin::{AccessToken, Right};
    ///
    /// let token = AccessToken::new("ci".parse()?, BTreeSet::from([Right::Read]), "2026-12-01T10:00:00Z");
    /// assert!(!token.is_expired && token.servers.is_empty());
    /// # Ok::<(), schemas::admin::InvalidTokenName>(())
    /// ```
    pub fn new(name: TokenName, rights: BTreeSet<Right>, created_at: impl Into<String>) -> Self {
        Self {
            name,
            rights,
            servers: BTreeSet::new(),
            ttl: None,
            created_at: created_at.into(),
            expires_at: None,
            is_expired: false,
            former_until: None,
            last_used_at: None,
        }
    }
}

/// Answer of `POST /admin/tokens` and of a rotation: the only one that shows the secret.
///
/// ```
/// use schemas::admin::IssuedToken;
///
/// let answer = r#"{"secret":"mcpt_3q2-7wX9","token":{"name":"ci","rights":["read"],"servers":[],
///     "createdAt":"2026-12-01T10:00:00Z","isExpired":false}}"#;
/// let issued: IssuedToken = serde_json::from_str(answer)?;
/// assert_eq!(format!("{:?}", issued.secret), "[redacted]");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuedToken {
    /// Value for `Authorization: Bearer`. The gateway keeps a digest only.
    pub secret: Secret,
    /// The token.
    pub token: AccessToken,
}

/// Answer of `GET /admin/tokens`, in the order of names.
///
/// ```
/// use schemas::admin::TokenList;
///
/// let list: TokenList = serde_json::from_str(r#"{"tokens":[],"count":0}"#)?;
/// assert_eq!(list.tokens.len(), list.count);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TokenList {
    /// Access tokens, expired ones included.
    pub tokens: Vec<AccessToken>,
    /// Number of tokens.
    pub count: usize,
}

fn only_call() -> BTreeSet<Right> {
    BTreeSet::from([Right::Call])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_into_a_path_and_a_log_line() {
        for name in ["a", "ci-main_2.x", &"x".repeat(32)] {
            let parsed: TokenName = name.parse().expect(name);
            assert_eq!((parsed.as_str(), parsed.to_string().as_str()), (name, name));
        }
        for name in ["", ".", "..", "a b", "a/b", "ü", "a\0", &"x".repeat(33)] {
            assert_eq!(name.parse::<TokenName>(), Err(InvalidTokenName), "{name:?}");
        }
    }

    #[test]
    fn a_request_without_rights_is_for_calls_and_one_with_unknown_members_is_refused() {
        let read = |text: &str| serde_json::from_str::<NewToken>(text);
        assert_eq!(read(r#"{"name":"a"}"#).expect("a request").rights, only_call());
        for text in [r#"{"name":"a","scope":[]}"#, r#"{"name":"a","rights":["all"]}"#, r#"{"name":"a b"}"#, "{}"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<TokenUpdate>("{}").is_err(), "an update must say which rights are left");
    }
}
