//! Reads and checks access tokens in the form of JWTs (RFC 9068).

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Deserialize;

use super::signature::ALGORITHMS;

/// Values of `typ` that an access token may have. Tokens for other purposes, such as ending a session, have their own.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// Claims of an access token.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    iss: String,
    exp: f64,
    #[serde(default)]
    pub(super) aud: Texts,
    #[serde(default)]
    pub(super) sub: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
    /// The client, as OpenID Connect names it.
    #[serde(default)]
    azp: Option<String>,
    /// Scopes between spaces (RFC 9068, 2.2.3).
    #[serde(default)]
    scope: Option<Texts>,
    /// Scopes as some servers write them.
    #[serde(default)]
    scp: Option<Texts>,
}

/// One text, or a list of them.
#[derive(Debug, Default)]
pub(super) struct Texts(pub(super) Vec<String>);

/// The reason why a token is not accepted, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("it is no JWT")]
    Form,
    #[error("its `typ` is not that of an access token")]
    Type,
    #[error("its algorithm is not accepted")]
    Algorithm,
    #[error("the authorization server has no such key")]
    Key,
    #[error("its signature is wrong")]
    Signature,
    #[error("a claim is missing, malformed, or has another value: issuer, expiry, time from which it is valid")]
    Claim,
}

/// Reads the header of a token, whose signature is not verified yet.
pub(super) fn header(token: &str) -> Result<Header, Fault> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| Fault::Form)?;
    let is_access_token = |typ: &str| TYPES.iter().any(|known| known.eq_ignore_ascii_case(typ));
    if !header.typ.as_deref().is_none_or(is_access_token) {
        return Err(Fault::Type);
    }
    if ALGORITHMS.contains(&header.alg) { Ok(header) } else { Err(Fault::Algorithm) }
}

/// Verifies a token with each of these keys, and checks its issuer and times.
pub(super) fn verify(
    token: &str,
    keys: &[DecodingKey],
    algorithm: Algorithm,
    (issuer, skew): (&str, u64),
) -> Result<Claims, Fault> {
    let mut validation = Validation::new(algorithm);
    validation.leeway = skew;
    validation.validate_nbf = true;
    // The audience depends on the endpoint, and is compared for each request.
    validation.validate_aud = false;
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    let mut fault = Fault::Key;
    for key in keys {
        match jsonwebtoken::decode::<Claims>(token, key, &validation) {
            Ok(verified) if verified.claims.iss == issuer => return Ok(verified.claims),
            Ok(_) => fault = Fault::Claim,
            Err(error) => {
                use jsonwebtoken::errors::ErrorKind;
                fault = match error.kind() {
                    ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => Fault::Signature,
                    _ => Fault::Claim,
                };
            }
        }
    }
    Err(fault)
}

impl Claims {
    /// Returns the second of the epoch at which the token expires.
    pub(super) fn expiry(&self) -> u64 {
        // A cast of a float saturates, and takes what is no number for 0.
        self.exp as u64
    }

    /// Returns the client to which the token was issued.
    pub(super) fn client(&self) -> Option<&str> {
        self.client_id.as_deref().or(self.azp.as_deref())
    }

    pub(super) fn scopes(&self) -> Vec<String> {
        split(self.scope.iter().chain(&self.scp).flat_map(|texts| &texts.0))
    }
}

/// Splits texts at their spaces.
pub(super) fn split<'t>(texts: impl Iterator<Item = &'t String>) -> Vec<String> {
    texts.flat_map(|text| text.split(' ')).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(vec![text])),
            list => serde_json::from_value(list).map(Self).map_err(serde::de::Error::custom),
        }
    }
}
