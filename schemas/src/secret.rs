//! Values that must not be shown: tokens, header values, environment values.

use std::fmt;

use ring::digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What stands in the place of a secret wherever a person or a log can see it.
///
/// ```
/// use schemas::{REDACTED, Secret};
///
/// assert_eq!(format!("{:?}", Secret::new("hunter2")), REDACTED);
/// ```
pub const REDACTED: &str = "[redacted]";

/// A text that prints as `[redacted]` and is read through [`Secret::expose`] only.
///
/// It is serialised in full, because a request has to carry it; a view never holds one.
///
/// ```
/// let token = schemas::Secret::new("hunter2");
/// assert_eq!(format!("{token:?}"), "[redacted]");
/// assert_eq!(token.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    ///
    /// ```
    /// use schemas::Secret;
    ///
    /// assert_eq!(Secret::new("hunter2"), Secret::from("hunter2".to_owned()));
    /// ```
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The text itself. Every use of this is a place to review.
    ///
    /// ```
    /// let token = schemas::Secret::new("hunter2");
    /// assert_eq!(format!("Authorization: Bearer {}", token.expose()), "Authorization: Bearer hunter2");
    /// ```
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether this is the placeholder that a view shows, sent back unchanged.
    ///
    /// ```
    /// use schemas::Secret;
    ///
    /// assert!(Secret::new("[redacted]").is_redacted());
    /// assert!(!Secret::new("hunter2").is_redacted());
    /// ```
    pub fn is_redacted(&self) -> bool {
        self.0 == REDACTED
    }

    /// A keyed digest of the value in its place: equal for equal secrets under one salt, and saying nothing else.
    ///
    /// ```
    /// use schemas::{FingerprintSalt, Secret};
    ///
    /// let (salt, place) = (FingerprintSalt::new([7; 16]), "headers.X-Key");
    /// let stored = Secret::new("hunter2").fingerprint(&salt, place);
    /// assert_eq!(stored, Secret::new("hunter2").fingerprint(&salt, place));
    /// assert_ne!(stored, Secret::new("hunter3").fingerprint(&salt, place));
    /// ```
    pub fn fingerprint(&self, salt: &FingerprintSalt, place: &str) -> String {
        let mut digest = digest::Context::new(&digest::SHA256);
        for part in [salt.0.as_str(), place, self.expose()] {
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        digest.finish().as_ref().iter().take(12).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// The salt under which one gateway shows its secrets' fingerprints, so that they cannot be compared across gateways.
///
/// ```
/// use schemas::{FingerprintSalt, Secret};
///
/// let token = Secret::new("hunter2");
/// let [one, other] = [[1; 16], [2; 16]].map(FingerprintSalt::new);
/// assert_ne!(token.fingerprint(&one, "env.TOKEN"), token.fingerprint(&other, "env.TOKEN"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FingerprintSalt(String);

impl FingerprintSalt {
    /// A salt from random bytes, which the caller draws.
    ///
    /// ```
    /// use schemas::FingerprintSalt;
    ///
    /// let salt = FingerprintSalt::new([0xa7; 16]);
    /// assert_eq!(serde_json::to_string(&salt)?, format!("\"{}\"", "a7".repeat(16)));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn new(random: [u8; 16]) -> Self {
        Self(random.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_value_place_and_salt() {
        let (one, two) = (FingerprintSalt::new([1; 16]), FingerprintSalt::new([2; 16]));
        let secret = Secret::new("t0ken");
        let print = secret.fingerprint(&one, "headers.Authorization");
        assert_eq!(print, Secret::new("t0ken").fingerprint(&one, "headers.Authorization"));
        assert_ne!(print, Secret::new("t0keN").fingerprint(&one, "headers.Authorization"));
        assert_ne!(print, secret.fingerprint(&one, "env.Authorization"));
        assert_ne!(print, secret.fingerprint(&two, "headers.Authorization"));
        assert!(!print.contains("t0ken"));
    }

    #[test]
    fn prints_nothing_of_itself_but_travels_whole() -> Result<(), serde_json::Error> {
        let secret = Secret::new("t0ken");
        assert_eq!(format!("{secret:?}"), REDACTED);
        assert_eq!(serde_json::to_string(&secret)?, r#""t0ken""#);
        Ok(())
    }
}
