//! Names of the parties of a registration: the owner that declares it, the holder that leases it or locks an owner.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MAX_CHARS: usize = 128;

/// Error for a text that is not a valid name of an owner or a holder.
///
/// ```
/// let error = "team-a ".parse::<schemas::Owner>().map_err(|error| error.to_string());
/// let reason = "an owner is 1 to 128 printable characters without spaces at the ends, and not `.` or `..`";
/// assert_eq!(error, Err(reason.to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is 1 to 128 printable characters without spaces at the ends, and not `.` or `..`")]
pub struct InvalidParty {
    what: &'static str,
}

macro_rules! party {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the name as text.
            ///
            /// ```
            /// let owner: schemas::Owner = "team-a".parse()?;
            /// let holder: schemas::Holder = "ci-run-4711".parse()?;
            /// assert_eq!([owner.as_str(), holder.as_str()], ["team-a", "ci-run-4711"]);
            /// # Ok::<(), schemas::InvalidParty>(())
            /// ```
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidParty;

            fn from_str(name: &str) -> Result<Self, InvalidParty> {
                Self::try_from(name.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidParty;

            fn try_from(name: String) -> Result<Self, InvalidParty> {
                if is_party(&name) { Ok(Self(name)) } else { Err(InvalidParty { what: $what }) }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX_CHARS })
            }
        }
    };
}

party! {
    /// Party that may change and remove a registration: a team, a repository, a deployment. 1 to 128 printable
    /// characters.
    ///
    /// ```
    /// let owner: schemas::Owner = "team-a".parse()?;
    /// assert_eq!(owner.as_str(), "team-a");
    /// # Ok::<(), schemas::InvalidParty>(())
    /// ```
    Owner, "an owner"
}

party! {
    /// Party that holds a lock or leases: one worker, one run of a command. 1 to 128 printable characters.
    ///
    /// ```
    /// let holder: schemas::Holder = "worker@host-7:4711".parse()?;
    /// assert_eq!(holder.as_str(), "worker@host-7:4711");
    /// assert!("".parse::<schemas::Holder>().is_err());
    /// # Ok::<(), schemas::InvalidParty>(())
    /// ```
    Holder, "a holder"
}

impl Default for Owner {
    /// Returns `register-service`, the owner used when a gateway has only one.
    fn default() -> Self {
        Self("register-service".to_owned())
    }
}

/// Returns true if the name fits into one path segment and one log line.
fn is_party(name: &str) -> bool {
    let fits = (1..=MAX_CHARS).contains(&name.chars().count()) && name.trim() == name;
    fits && !name.chars().any(char::is_control) && name != "." && name != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_can_be_printed_and_nothing_else() {
        for name in ["a", "team a/b", "équipe", &"x".repeat(128), &"ü".repeat(128), "..."] {
            assert_eq!(name.parse::<Owner>().map(String::from).as_deref(), Ok(name));
        }
        for name in ["", " ", " a", "a ", "a\nb", "\u{7f}", ".", "..", &"x".repeat(129)] {
            assert!(name.parse::<Holder>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn is_refused_in_json_with_the_reason() {
        let refused = serde_json::from_str::<Holder>(r#""""#).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|text| text.starts_with("a holder is 1 to 128 printable characters")));
    }
}
