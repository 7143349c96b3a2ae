//! Decides who a caller is, and what the caller may see and call. Builds no responses.

pub(crate) mod access;
mod access_tokens;
mod administrator;
mod authenticate;
mod client_addr;
mod credentials;
mod denied;
mod forwarded;
mod host;
pub(crate) mod oauth;
mod page;
mod same_machine;
mod sender;

use std::sync::Arc;

use ipnet::IpNet;
use schemas::Secret;

pub(crate) use self::access_tokens::AccessTokens;
pub(crate) use self::administrator::AdminPrincipal;
pub(crate) use self::authenticate::{Caller, Principal};
pub(crate) use self::credentials::Credentials;
use self::denied::Denials;
pub(crate) use self::denied::Denied;
pub(crate) use self::forwarded::is_of_a_proxy;
pub(crate) use self::host::{is_loopback_name, split_host};
use self::oauth::OAuth;
pub(crate) use self::page::{Foreign, Page, PageOrigin, Shown, Sites};
pub(crate) use self::same_machine::Starter;
pub(crate) use self::sender::Sender;
use crate::keys::DigestKey;
use crate::live::Live;
use crate::telemetry::{Actor, Audit, Refusal};

/// Access settings of the gateway.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    /// Tokens of the admin API; if empty, no token is required.
    pub(crate) admin_tokens: Vec<Secret>,
    /// Addresses that may use the admin API; if empty, all may.
    pub(crate) admin_allow_ips: Vec<IpNet>,
    /// Tokens that every upstream's endpoints accept.
    pub(crate) global_tokens: Vec<Secret>,
    /// Addresses of proxies whose `X-Forwarded-For` is trusted.
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) oauth: oauth::Config,
    /// True if certificates identify clients.
    pub(crate) client_certificates: bool,
    /// True if every endpoint asks who the caller is, also if none of the other settings does.
    pub(crate) require_auth: bool,
    /// True if a token may come in the query of a URL.
    pub(crate) query_tokens: bool,
    /// True if callers from anywhere may use an admin API without tokens, and start processes through it.
    pub(crate) allow_insecure_admin: bool,
}

/// Authenticates callers and decides about their access.
pub(crate) struct Policy {
    config: Live<Config>,
    /// Key for digests of tokens: a digest has no meaning for a gateway with other keys.
    digest_key: DigestKey,
    /// Present if access tokens of an authorization server are accepted.
    oauth: Option<Arc<OAuth>>,
    access_tokens: AccessTokens,
    denials: Denials,
    audit: Audit,
}

impl Policy {
    pub(crate) fn new(
        config: Live<Config>,
        digest_key: DigestKey,
        oauth: Option<Arc<OAuth>>,
        (access_tokens, audit): (AccessTokens, Audit),
    ) -> Self {
        Self { config, digest_key, oauth, access_tokens, denials: Denials::default(), audit }
    }

    /// Creates the policy of a gateway without an authorization server and access tokens.
    #[cfg(test)]
    pub(crate) fn of(config: Live<Config>, digest_key: DigestKey) -> Self {
        Self::new(config, digest_key, None, (AccessTokens::none(), Audit::default()))
    }

    /// Counts and records a refusal. `actor` and `path` are evaluated only if records are written.
    pub(crate) fn note_denied(&self, denied: Denied, sender: impl FnOnce() -> (Actor, String)) {
        self.denials.count(denied);
        self.audit.refused(|| {
            let (actor, path) = sender();
            Refusal { actor, reason: denied.word(), path }
        });
    }

    /// Returns the audit log.
    pub(crate) fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Returns the numbers of refusals.
    pub(crate) fn denials(&self) -> &Denials {
        &self.denials
    }

    /// Returns the access tokens that the gateway has issued.
    pub(crate) fn access_tokens(&self) -> &AccessTokens {
        &self.access_tokens
    }

    /// Returns the part that knows the authorization server, if there is one.
    pub(crate) fn oauth(&self) -> Option<&OAuth> {
        self.oauth.as_deref()
    }
}
