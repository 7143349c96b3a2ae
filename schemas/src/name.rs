//! Names of upstreams, used in URLs and in definitions.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names that collide with the gateway's own paths.
const RESERVED_NAMES: [&str; 9] =
    ["admin", "mcp", "sse", "message", "healthz", "readyz", "metrics", "api", "mcp-proxy"];

const MAX_LENGTH: usize = 64;

/// Name of an upstream: 1 to 64 of `A-Z a-z 0-9 . _ -`, neither reserved nor `.` or `..`.
///
/// Cheap to clone.
///
/// ```
/// use schemas::ServerName;
///
/// let name: ServerName = "search-mcp".parse()?;
/// assert_eq!(name.as_str(), "search-mcp");
/// assert!("admin".parse::<ServerName>().is_err());
/// # Ok::<(), schemas::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(Arc<str>);

/// Reason why a text is not a valid name of an upstream.
///
/// ```
/// use schemas::{InvalidName, ServerName};
///
/// let error = "my server".parse::<ServerName>();
/// assert_eq!(error, Err(InvalidName::Characters("my server".to_owned())));
/// assert_eq!(InvalidName::Empty.to_string(), "name is required");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// The text is empty.
    #[error("name is required")]
    Empty,
    /// The text is longer than 64 bytes.
    #[error("name `{0}` is longer than 64 characters")]
    TooLong(String),
    /// The text contains a character outside of the allowed set, or is `.` or `..`.
    #[error("name `{0}` may hold only letters, digits, `.`, `_` and `-`")]
    Characters(String),
    /// The text begins a path of the gateway, such as `admin` or `mcp`.
    #[error("name `{0}` is reserved for the gateway's own paths")]
    Reserved(String),
}

impl ServerName {
    /// Returns the name as text.
    ///
    /// ```
    /// let name: schemas::ServerName = "time".parse()?;
    /// assert_eq!(format!("http://127.0.0.1:6001/{}/stream", name.as_str()), "http://127.0.0.1:6001/time/stream");
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Accepts any name that an older gateway has stored, without the present checks: stored registrations must still
    /// load.
    ///
    /// # Errors
    ///
    /// [`InvalidName::Empty`] if the name is empty.
    ///
    /// ```
    /// use schemas::ServerName;
    ///
    /// assert!("my server".parse::<ServerName>().is_err());
    /// assert_eq!(ServerName::stored("my server")?.as_str(), "my server");
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn stored(name: &str) -> Result<Self, InvalidName> {
        if name.is_empty() { Err(InvalidName::Empty) } else { Ok(Self(name.into())) }
    }
}

impl ServerName {
    /// Returns the regular expression that JSON Schemas use for names.
    pub(crate) fn pattern() -> String {
        let reserved = RESERVED_NAMES.join("|").replace('.', r"\.");
        format!(r"^(?!({reserved}|\.\.?)$)[A-Za-z0-9._-]{{1,64}}$")
    }
}

impl FromStr for ServerName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.is_empty() {
            Err(InvalidName::Empty)
        } else if name.len() > MAX_LENGTH {
            Err(InvalidName::TooLong(name.to_owned()))
        } else if !name.bytes().all(allowed) || name == "." || name == ".." {
            Err(InvalidName::Characters(name.to_owned()))
        } else if RESERVED_NAMES.contains(&name) {
            Err(InvalidName::Reserved(name.to_owned()))
        } else {
            Ok(Self(name.into()))
        }
    }
}

impl TryFrom<String> for ServerName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        name.parse()
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl Borrow<str> for ServerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl JsonSchema for ServerName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ServerName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": Self::pattern(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: Result<(), InvalidName>) {
        assert_eq!(name.parse::<ServerName>().map(|_| ()), expected, "{name}");
    }

    #[test]
    fn accepts_what_fits_a_path_segment() {
        for name in ["a", "chat-llm", "A.b_c-9", &"x".repeat(64)] {
            check(name, Ok(()));
        }
    }

    #[test]
    fn rejects_what_a_url_or_the_gateway_would_read_otherwise() {
        check("", Err(InvalidName::Empty));
        check(&"x".repeat(65), Err(InvalidName::TooLong("x".repeat(65))));
        for name in ["a/b", "a b", "ü", ".", "..", "a%2f"] {
            check(name, Err(InvalidName::Characters(name.into())));
        }
        for name in RESERVED_NAMES {
            check(name, Err(InvalidName::Reserved(name.into())));
        }
    }

    #[test]
    fn loads_what_an_older_gateway_stored() {
        assert_eq!(ServerName::stored("my server").map(String::from), Ok("my server".to_owned()));
    }
}
