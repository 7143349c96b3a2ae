//! Values that must not be shown: tokens, header values, environment variables.

use std::fmt;

use ring::digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Placeholder shown in place of a secret.
///
/// ```
/// use schemas::{REDACTED, Secret};
///
/// assert_eq!(format!("{:?}", Secret::new("hunter2")), REDACTED);
/// ```
pub const REDACTED: &str = "[redacted]";

/// A text that prints as `[redacted]`; only [`Secret::expose`] returns the value.
///
/// Serialises in full, because requests have to carry it. Views contain the placeholder instead.
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

    /// Returns the text itself. Review every call: the result may end up in a log.
    ///
    /// ```
    /// let token = schemas::Secret::new("hunter2");
    /// assert_eq!(format!("Authorization: Bearer {}", token.expose()), "Authorization: Bearer hunter2");
    /// ```
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns true if the value is the placeholder of a view, sent back unchanged.
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

    /// Computes a digest of the secret, keyed by salt and place: equal for equal secrets, and otherwise revealing
    /// nothing.
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

/// Salt of one gateway's secret fingerprints. Each gateway has its own, so that fingerprints of different gateways
/// cannot be compared.
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
    /// Creates a salt from random bytes supplied by the caller.
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
