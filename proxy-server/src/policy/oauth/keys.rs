//! Keys of the authorization server: found through its metadata, fetched when a token needs them, and kept.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};
use url::{Host, Url};

use super::signature::ALGORITHMS;
use crate::error::Chain;
use crate::http::client::{Dialer, Fetch, FetchError};
use crate::pieces::Pieces;
use crate::sync::lock;

/// Time after which keys are fetched again, if a token needs them. Until that succeeds, the former ones stay in use.
const MAX_AGE: Duration = Duration::from_secs(3600);
/// Least time between two fetches for keys that are not among those of the server.
const AFTER_SUCCESS: Duration = Duration::from_secs(2);
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Timeout for finding and fetching the keys.
const PATIENCE: Duration = Duration::from_secs(8);
const MAX_DOCUMENT: usize = 512 << 10;
const MAX_KEYS: usize = 100;

/// The keys cannot be fetched.
#[derive(Debug)]
pub(super) struct Unavailable;

/// The keys of one authorization server.
pub(super) struct KeyStore {
    issuer: String,
    /// URL of the keys; if absent, that in the metadata of the server.
    url: Option<Url>,
    state: Mutex<State>,
    fetching: Semaphore,
}

#[derive(Default)]
struct State {
    keys: Option<Arc<Keys>>,
    /// The newest attempt to fetch, and true if it succeeded.
    attempt: Option<(Instant, bool)>,
}

struct Keys {
    all: Vec<Key>,
    since: Instant,
}

struct Key {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

/// The reason why there are no keys.
#[derive(Debug, thiserror::Error)]
enum NoKeys {
    #[error("cannot fetch `{url}`")]
    Fetch { url: String, source: FetchError },
    #[error("`{url}` answers {status}")]
    Status { url: String, status: StatusCode },
    #[error("`{url}` is not what it should be")]
    Format { url: String, source: serde_json::Error },
    #[error("the metadata at `{url}` is that of the issuer `{found}`, not `{wanted}`{}", slash(found, wanted))]
    Issuer { url: String, found: String, wanted: String },
    #[error("the keys are at `{0}`, which is no https URL: whoever answers there decides who may enter")]
    Insecure(Url),
    #[error("the authorization server publishes no metadata at {0}")]
    NoMetadata(String),
    #[error("no answer within {PATIENCE:?}")]
    TimedOut,
}

/// Metadata of an authorization server (RFC 8414, 2), as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: Url,
}

impl KeyStore {
    pub(super) fn new(issuer: String, url: Option<Url>) -> Self {
        Self { issuer, url, state: Mutex::default(), fetching: Semaphore::new(1) }
    }

    /// Returns the keys that may have signed a token: none if the server has no such key. Fetches them if they are not
    /// here or old.
    pub(super) async fn find(
        &self,
        dialer: &Dialer,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<DecodingKey>, Unavailable> {
        if let Some(known) = self.known(id, algorithm) {
            return known;
        }
        // One fetch at a time; the others find its outcome.
        let Ok(_permit) = self.fetching.acquire().await else { return Err(Unavailable) };
        if let Some(known) = self.known(id, algorithm) {
            return known;
        }
        let fetched = timeout(PATIENCE, self.fetch(dialer)).await.unwrap_or(Err(NoKeys::TimedOut));
        let mut state = lock(&self.state);
        state.attempt = Some((Instant::now(), fetched.is_ok()));
        match fetched {
            Ok(keys) => {
                info!(issuer = self.issuer, keys = keys.all.len(), "keys of the authorization server fetched");
                state.keys = Some(Arc::new(keys));
            }
            Err(error) => {
                let reason = Chain(&error).to_string();
                warn!(issuer = self.issuer, reason, "keys of the authorization server not fetched");
            }
        }
        drop(state);
        self.known(id, algorithm).unwrap_or(Err(Unavailable))
    }

    /// Returns what is known without a fetch; `None` if one is due.
    fn known(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Result<Vec<DecodingKey>, Unavailable>> {
        let state = lock(&self.state);
        let pause = |is_success| if is_success { AFTER_SUCCESS } else { AFTER_FAILURE };
        let recent = state.attempt.filter(|(at, is_success)| at.elapsed() < pause(*is_success));
        let matching = state.keys.as_ref().map(|keys| (keys.matching(id, algorithm), keys.since.elapsed() < MAX_AGE));
        match (matching, recent) {
            (Some((keys, true)), _) if !keys.is_empty() => Some(Ok(keys)),
            (Some((keys, false)), Some(_)) if !keys.is_empty() => Some(Ok(keys)),
            (Some(_), Some((_, true))) => Some(Ok(Vec::new())),
            (_, Some((_, false))) => Some(Err(Unavailable)),
            (_, None) | (None, Some(_)) => None,
        }
    }

    async fn fetch(&self, dialer: &Dialer) -> Result<Keys, NoKeys> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => self.discover(dialer).await?,
        };
        let set: JwkSet = document(dialer, &url).await?;
        let usable = set.keys.iter().take(MAX_KEYS).filter_map(Key::read).collect();
        Ok(Keys { all: usable, since: Instant::now() })
    }

    /// Finds the URL of the keys in the server's metadata, at the addresses that the specification of 2025-11-25 names
    /// ("Authorization Server Metadata Discovery"), in their order.
    async fn discover(&self, dialer: &Dialer) -> Result<Url, NoKeys> {
        let mut tried = Vec::new();
        for url in metadata_urls(&self.issuer) {
            match document::<Metadata>(dialer, &url).await {
                Ok(metadata) if metadata.issuer == self.issuer => {
                    let keys = metadata.jwks_uri;
                    return if is_trustworthy(&keys) { Ok(keys) } else { Err(NoKeys::Insecure(keys)) };
                }
                Ok(Metadata { issuer: found, .. }) => {
                    return Err(NoKeys::Issuer { url: url.into(), found, wanted: self.issuer.clone() });
                }
                Err(NoKeys::Status { status, .. }) if status.is_client_error() => tried.push(format!("`{url}`")),
                Err(error) => return Err(error),
            }
        }
        Err(NoKeys::NoMetadata(tried.join(", ")))
    }
}

impl Keys {
    fn matching(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<DecodingKey> {
        let fits = |key: &&Key| {
            let is_named = id.is_none_or(|id| key.id.as_deref() == Some(id));
            is_named && key.key.family() == algorithm.family() && key.algorithm.is_none_or(|own| own == algorithm)
        };
        self.all.iter().filter(fits).map(|key| key.key.clone()).collect()
    }
}

impl Key {
    /// Reads a public key for signatures; `None` for any other.
    fn read(jwk: &Jwk) -> Option<Self> {
        let is_public = !matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_));
        let is_for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature);
        let algorithm = match jwk.common.key_algorithm {
            None => None,
            Some(named) => Some(ALGORITHMS.into_iter().find(|known| KeyAlgorithm::from(*known) == named)?),
        };
        let key = DecodingKey::from_jwk(jwk).ok().filter(|_| is_public && is_for_signatures)?;
        Some(Self { id: jwk.common.key_id.clone(), algorithm, key })
    }
}

/// True for an https URL, and for one of this machine.
pub(crate) fn is_trustworthy(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

/// Returns the addresses at which a server may publish its metadata (RFC 8414, 3.1; OpenID Connect Discovery 1.0, 4).
fn metadata_urls(issuer: &str) -> Vec<Url> {
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    const OPENID: &str = "/.well-known/openid-configuration";
    let Ok(url) = Url::parse(issuer) else { return Vec::new() };
    let path = url.path().trim_end_matches('/').to_owned();
    let at = |path: &str| {
        let mut url = url.clone();
        url.set_path(path);
        url
    };
    if path.is_empty() {
        return vec![at(OAUTH), at(OPENID)];
    }
    vec![at(&format!("{OAUTH}{path}")), at(&format!("{OPENID}{path}")), at(&format!("{path}{OPENID}"))]
}

async fn document<T: DeserializeOwned>(dialer: &Dialer, url: &Url) -> Result<T, NoKeys> {
    let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))]);
    let request = Fetch { method: Method::GET, url, headers, body: Pieces::default(), limit: MAX_DOCUMENT };
    let fetched = dialer.fetch(request).await;
    let (status, body) = fetched.map_err(|source| NoKeys::Fetch { url: url.to_string(), source })?;
    if status != StatusCode::OK {
        return Err(NoKeys::Status { url: url.to_string(), status });
    }
    serde_json::from_slice(&body).map_err(|source| NoKeys::Format { url: url.to_string(), source })
}

/// Tells the commonest mistake.
fn slash(found: &str, wanted: &str) -> &'static str {
    let is_slash_only = found.trim_end_matches('/') == wanted.trim_end_matches('/');
    if is_slash_only { "; only the slash at the end differs: write --oauth-issuer as the server does" } else { "" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_is_looked_for_where_the_specification_says() {
        let check = |issuer: &str, expected: &[&str]| {
            let urls: Vec<String> = metadata_urls(issuer).into_iter().map(Into::into).collect();
            assert_eq!(urls, expected, "{issuer}");
        };
        let root = ["https://as/.well-known/oauth-authorization-server", "https://as/.well-known/openid-configuration"];
        check("https://as", &root);
        check("https://as/", &root);
        let tenant = [
            "https://as/.well-known/oauth-authorization-server/t1",
            "https://as/.well-known/openid-configuration/t1",
            "https://as/t1/.well-known/openid-configuration",
        ];
        check("https://as/t1", &tenant);
    }

    #[test]
    fn only_public_keys_for_signatures_are_used() {
        let check = |more: serde_json::Value, is_used: bool| {
            let mut key = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
            for (name, value) in more.as_object().expect("members") {
                key[name] = value.clone();
            }
            let jwk: Jwk = serde_json::from_value(key).expect("a key");
            assert_eq!(Key::read(&jwk).is_some(), is_used, "{more}");
        };
        check(json!({}), true);
        check(json!({ "use": "sig", "alg": "EdDSA", "kid": "a" }), true);
        check(json!({ "use": "enc" }), false);
        check(json!({ "alg": "RSA-OAEP" }), false);
        check(json!({ "alg": "HS256" }), false);
        check(json!({ "kty": "oct", "k": "c2VjcmV0", "alg": "HS256" }), false);
    }

    #[test]
    fn a_difference_of_a_slash_is_named() {
        assert!(slash("https://as/", "https://as").contains("slash"));
        assert!(slash("https://other", "https://as").is_empty());
    }
}
