//! The gateway as an OAuth 2.1 resource server (MCP 2025-11-25 and 2026-07-28, "Authorization"): verifies access tokens
//! that an authorization server has issued, and says where to get one. It issues none.

mod introspection;
mod keys;
mod resource;
mod signature;
mod token;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::digest::{SHA256, digest};
use schemas::{Definition, Secret};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;
use url::Url;

use self::introspection::Introspection;
use self::keys::KeyStore;
pub(crate) use self::keys::is_trustworthy;
use self::resource::Lack;
pub(crate) use self::resource::{Endpoint, METADATA_PATH, Places};
use self::token::Fault;
use crate::http::client::Dialer;
use crate::keys::DigestKey;
use crate::policy::denied::Denied;
use crate::policy::host::{is_loopback_name, split_host};
use crate::sync::lock;

/// Verdicts that are kept. When the limit is reached, those that are over go, and if none is, all.
const MAX_VERDICTS: usize = 8_192;
/// Invalid opaque tokens that are kept, apart from the valid ones, so that they displace none of those.
const MAX_INVALID: usize = 1_024;
/// Opaque tokens that are asked about at a time. Others wait for their turn.
const MAX_INTROSPECTIONS: usize = 16;
/// Time for which the answer about an opaque token is used, so that a revoked one is noticed.
const INTROSPECTED: Duration = Duration::from_secs(30);
/// Longest wait for the turn to ask about an opaque token.
const INTROSPECTION_TURN: Duration = Duration::from_secs(5);
/// Maximum length of a token in bytes.
const MAX_TOKEN: usize = 16 << 10;

/// Settings of the resource server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Issuer of the tokens, as the authorization server writes it; empty for none.
    pub(crate) issuer: String,
    /// URL of the server's keys; if absent, that in its metadata.
    pub(crate) jwks_url: Option<Url>,
    /// Audiences that count for every endpoint, besides the endpoints' own URLs.
    pub(crate) audiences: Vec<String>,
    /// Scopes that every endpoint asks for.
    pub(crate) scopes: Vec<String>,
    /// Difference between the clocks that is allowed for.
    pub(crate) clock_skew: Duration,
    /// URL that tells about opaque tokens.
    pub(crate) introspection_url: Option<Url>,
    /// The gateway's own name at the authorization server, for introspection.
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<Secret>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            jwks_url: None,
            audiences: Vec::new(),
            scopes: Vec::new(),
            clock_skew: Duration::from_secs(30),
            introspection_url: None,
            client_id: String::new(),
            client_secret: None,
        }
    }
}

/// Subject of a valid token.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    /// Digest of issuer, subject and client.
    pub(crate) id: u64,
    scopes: Vec<String>,
    audiences: Vec<String>,
}

/// Outcome of the verification of a bearer token.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    Valid(Arc<Subject>),
    Invalid,
    /// The authorization server's keys, or its answer, cannot be fetched: the token may be right.
    Unavailable,
}

/// Verifies tokens.
pub(crate) struct OAuth {
    config: Config,
    /// URL by which clients reach the gateway, without a slash at the end, if one is configured.
    base_url: Option<String>,
    /// Scheme of that URL if none is configured.
    scheme: &'static str,
    keys: KeyStore,
    introspection: Option<Introspection>,
    dialer: Dialer,
    digest_key: DigestKey,
    verdicts: Mutex<Verdicts>,
    introspections: Semaphore,
}

#[derive(Default)]
struct Verdicts {
    valid: HashMap<[u8; 32], Kept>,
    invalid: HashMap<[u8; 32], Kept>,
}

/// A verdict, and the second of the epoch from which it does not count.
struct Kept {
    verdict: Verdict,
    until: u64,
}

impl OAuth {
    /// Returns `None` if no issuer is configured.
    pub(crate) fn new(
        config: &Config,
        (scheme, base_url): (&'static str, Option<&str>),
        dialer: Dialer,
        digest_key: DigestKey,
    ) -> Option<Arc<Self>> {
        if config.issuer.is_empty() {
            return None;
        }
        signature::install();
        let introspection = config.introspection_url.clone().map(|url| Introspection {
            url,
            client: config.client_id.clone(),
            secret: config.client_secret.clone(),
        });
        Some(Arc::new(Self {
            keys: KeyStore::new(config.issuer.clone(), config.jwks_url.clone()),
            base_url: base_url.map(|url| url.trim_end_matches('/').to_owned()),
            config: config.clone(),
            scheme,
            introspection,
            dialer,
            digest_key,
            verdicts: Mutex::default(),
            introspections: Semaphore::new(MAX_INTROSPECTIONS),
        }))
    }

    /// Returns the verdict about a token if it is known already.
    pub(crate) fn recall(&self, token: &str) -> Option<Verdict> {
        let (verdicts, name) = (lock(&self.verdicts), name(token));
        let kept = verdicts.valid.get(&name).or_else(|| verdicts.invalid.get(&name));
        kept.filter(|kept| now() < kept.until).map(|kept| kept.verdict.clone())
    }

    /// Verifies a token.
    pub(crate) async fn verify(&self, token: &str) -> Verdict {
        if token.len() > MAX_TOKEN {
            return Verdict::Invalid;
        }
        if let Some(known) = self.recall(token) {
            return known;
        }
        let is_jwt = token.bytes().filter(|byte| *byte == b'.').count() == 2;
        match (&self.introspection, is_jwt) {
            (Some(introspection), false) => self.introspect(introspection, token).await,
            (_, true) => self.verify_jwt(token).await,
            (None, false) => Verdict::Invalid,
        }
    }

    async fn verify_jwt(&self, token: &str) -> Verdict {
        let header = match token::header(token) {
            Ok(header) => header,
            Err(fault) => return refused(fault),
        };
        let Ok(keys) = self.keys.find(&self.dialer, header.kid.as_deref(), header.alg).await else {
            return Verdict::Unavailable;
        };
        let (issuer, skew) = (self.config.issuer.as_str(), self.config.clock_skew.as_secs());
        let claims = match token::verify(token, &keys, header.alg, (issuer, skew)) {
            Ok(claims) => claims,
            Err(fault) => return refused(fault),
        };
        let Some(id) = self.id(claims.sub.as_deref(), claims.client()) else { return refused(Fault::Claim) };
        let subject = Subject { id, scopes: claims.scopes(), audiences: claims.aud.0.clone() };
        let verdict = Verdict::Valid(Arc::new(subject));
        self.keep(token, &verdict, claims.expiry().saturating_add(skew));
        verdict
    }

    async fn introspect(&self, introspection: &Introspection, token: &str) -> Verdict {
        let Ok(Ok(_permit)) = timeout(INTROSPECTION_TURN, self.introspections.acquire()).await else {
            return Verdict::Unavailable;
        };
        // Another request may have asked about the same token meanwhile.
        if let Some(known) = self.recall(token) {
            return known;
        }
        let Some(state) = introspection.ask(&self.dialer, token).await else { return Verdict::Unavailable };
        let soon = now().saturating_add(INTROSPECTED.as_secs());
        let is_ours = state.iss.as_ref().is_none_or(|issuer| *issuer == self.config.issuer);
        let id = self.id(state.sub.as_deref(), state.client_id.as_deref()).filter(|_| state.active && is_ours);
        let until = state.exp.map_or(soon, |expiry| soon.min(expiry as u64));
        let verdict = match id {
            Some(id) => {
                let scopes = state.scopes();
                Verdict::Valid(Arc::new(Subject { id, scopes, audiences: state.aud.0 }))
            }
            None => Verdict::Invalid,
        };
        self.keep(token, &verdict, until);
        verdict
    }

    /// Returns the identity of a subject; `None` if the token names neither a user nor a client.
    fn id(&self, subject: Option<&str>, client: Option<&str>) -> Option<u64> {
        if subject.is_none() && client.is_none() {
            return None;
        }
        let parts = serde_json::json!([self.config.issuer, subject, client]);
        Some(self.digest_key.digest(&parts.to_string()))
    }

    fn keep(&self, token: &str, verdict: &Verdict, until: u64) {
        let mut verdicts = lock(&self.verdicts);
        let (kept, limit) = match verdict {
            Verdict::Valid(_) => (&mut verdicts.valid, MAX_VERDICTS),
            Verdict::Invalid | Verdict::Unavailable => (&mut verdicts.invalid, MAX_INVALID),
        };
        if kept.len() >= limit {
            let now = now();
            kept.retain(|_, kept| now < kept.until);
            if kept.len() >= limit {
                kept.clear();
            }
        }
        kept.insert(name(token), Kept { verdict: verdict.clone(), until });
    }

    /// Returns the endpoints that a token is for. `host` and `port` are those by which the request reached the gateway.
    pub(crate) fn places(&self, verdict: &Verdict, host: Option<&[u8]>, port: u16) -> Places {
        match verdict {
            Verdict::Valid(subject) => {
                Places::of(&subject.audiences, self.base(host, port).as_deref(), &self.config.audiences)
            }
            Verdict::Invalid | Verdict::Unavailable => Places::default(),
        }
    }

    /// Decides about the holder of a token at an endpoint.
    pub(crate) fn decide(
        &self,
        verdict: &Verdict,
        places: &Places,
        endpoint: Endpoint<'_>,
        definition: Option<&Definition>,
    ) -> Result<u64, Denied> {
        let subject = match verdict {
            Verdict::Valid(subject) if places.hold(endpoint) => subject,
            Verdict::Valid(_) | Verdict::Invalid => return Err(Denied::WrongToken),
            Verdict::Unavailable => return Err(Denied::Unavailable),
        };
        let needed = self.scopes(definition);
        let has_all = needed.iter().all(|scope| subject.scopes.contains(scope));
        if has_all { Ok(subject.id) } else { Err(Denied::Scope) }
    }

    /// Returns the scopes that an endpoint asks for.
    fn scopes(&self, definition: Option<&Definition>) -> Vec<String> {
        resource::scopes(&self.config.scopes, definition)
    }

    /// Returns the URL by which a request reached the gateway, without a slash at the end. If none is configured, only a
    /// loopback name with the gateway's own port is taken from the request: any other name is a claim of the sender, who may
    /// have a token for that name.
    fn base(&self, host: Option<&[u8]>, port: u16) -> Option<String> {
        let asked = || {
            let host = str::from_utf8(host?).ok()?;
            let (name, named) = split_host(host)?;
            let is_own = is_loopback_name(name) && named == Some(port);
            is_own.then(|| format!("{}://{host}", self.scheme))
        };
        self.base_url.clone().or_else(asked)
    }

    /// Returns the metadata of the endpoint whose path follows [`METADATA_PATH`], for a request to this name and port.
    pub(crate) fn metadata(&self, path: &str, host: Option<&[u8]>, port: u16) -> Option<Value> {
        resource::metadata(path, &self.base(host, port)?, &self.config.issuer, &self.config.scopes)
    }

    /// Returns the value of `WWW-Authenticate` for a refusal; `None` if no token would help.
    pub(crate) fn challenge(
        &self,
        denied: Denied,
        verdict: Option<&Verdict>,
        (host, port, path): (Option<&[u8]>, u16, &str),
        definition: Option<&Definition>,
    ) -> Option<String> {
        let lack = match (denied, verdict) {
            (Denied::NoToken | Denied::NoBearer, _) => Lack::Token,
            (Denied::WrongToken, _) => Lack::ValidToken,
            (Denied::Scope, Some(Verdict::Valid(subject))) => Lack::Scope(&subject.scopes),
            _ => return None,
        };
        Some(resource::challenge(lack, &self.base(host, port)?, path, &self.scopes(definition)))
    }
}

fn refused(fault: Fault) -> Verdict {
    debug!(reason = %fault, "access token refused");
    Verdict::Invalid
}

/// Returns the name under which the verdict about a token is kept.
fn name(token: &str) -> [u8; 32] {
    digest(&SHA256, token.as_bytes()).as_ref().first_chunk().copied().unwrap_or_default()
}

/// Returns the second of the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
