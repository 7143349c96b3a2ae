//! Identifies callers of the admin API, and decides what they may do there.

use std::fmt;

use schemas::admin::Right;

use crate::policy::Policy;
use crate::policy::access_tokens::issued_digest;
use crate::policy::authenticate::{bearer, find};
use crate::policy::credentials::Credentials;
use crate::policy::denied::Denied;
use crate::policy::same_machine::Starter;
use crate::registry::{TokenDigest, TokenId};
use crate::telemetry::Actor;

/// Principal of a caller whose credential is missing or not valid, in audit records.
const UNKNOWN: &str = "unknown";

/// Credential by which a caller uses the admin API.
enum Administrator {
    /// No token is asked for.
    Anyone,
    /// The token of the settings with this index.
    Configured(usize),
    /// A token that a gateway may have issued, by its digest.
    Issued(TokenDigest),
}

/// The identity of a caller who may use the admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdminPrincipal {
    /// No token is asked for.
    Anonymous,
    /// The holder of the admin token of the settings with this index.
    Configured(usize),
    /// The holder of an access token.
    Token(TokenId),
}

impl fmt::Display for AdminPrincipal {
    /// Writes the name by which logs and audit records tell callers apart.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => out.write_str("anonymous"),
            Self::Configured(index) => write!(out, "admin token {index}"),
            Self::Token(id) => write!(out, "token {}", id.name),
        }
    }
}

impl Policy {
    /// Decides whether a caller may use the admin API for what needs this right: by its address, then by its token.
    pub(crate) fn admin(&self, credentials: &Credentials<'_>, needed: Right) -> Result<AdminPrincipal, Denied> {
        match self.administrator(credentials)? {
            Administrator::Anyone => Ok(AdminPrincipal::Anonymous),
            Administrator::Configured(index) => Ok(AdminPrincipal::Configured(index)),
            Administrator::Issued(digest) => self.access_tokens.admin(&digest, needed).map(AdminPrincipal::Token),
        }
    }

    /// Waits until a caller may have lost its access to the admin API: its access token has not this right any more, or the
    /// settings that decide have changed.
    pub(crate) async fn admin_access_lost(&self, principal: AdminPrincipal, needed: Right) {
        let mut changes = self.config.watch();
        let deciding = || (self.config.admin_tokens.clone(), self.config.admin_allow_ips.clone());
        let before = deciding();
        let settings = async {
            // An error means that the gateway is about to stop.
            while changes.changed().await.is_ok() && deciding() == before {}
        };
        let token = async {
            match principal {
                AdminPrincipal::Token(id) => self.access_tokens.right_lost(id, needed).await,
                AdminPrincipal::Anonymous | AdminPrincipal::Configured(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = settings => {}
            () = token => {}
        }
    }

    /// Decides whether a caller may read the secrets of definitions, and names its admin token. Being on this machine is not enough,
    /// nor is `--allow-insecure-admin`.
    pub(crate) fn revealer(&self, credentials: &Credentials<'_>) -> Result<usize, Denied> {
        match self.administrator(credentials)? {
            Administrator::Configured(index) => Ok(index),
            Administrator::Anyone | Administrator::Issued(_) => Err(Denied::MayNotReveal),
        }
    }

    /// Decides whether a caller may issue and revoke access tokens, by which it could give itself any right. May ask the kernel.
    pub(crate) fn issuer(&self, credentials: &Credentials<'_>) -> Result<(), Denied> {
        match self.administrator(credentials)? {
            Administrator::Configured(_) => Ok(()),
            // Proved also with `--allow-insecure-admin`, because tokens outlive that setting.
            Administrator::Anyone => {
                Starter::prove(credentials, &self.config.trusted_proxies).may_start().map_err(|_| Denied::MayNotIssue)
            }
            Administrator::Issued(_) => Err(Denied::MayNotIssue),
        }
    }

    /// Decides which callers of the admin API may start processes on this machine.
    pub(crate) fn starter(&self, credentials: &Credentials<'_>) -> Starter {
        if let Ok(Administrator::Issued(digest)) = self.administrator(credentials) {
            let may_start = self.access_tokens.admin(&digest, Right::Start);
            return may_start.map_or_else(Starter::refused, |_| Starter::vouched());
        }
        if !self.config.admin_tokens.is_empty() || self.config.allow_insecure_admin {
            return Starter::vouched();
        }
        Starter::prove(credentials, &self.config.trusted_proxies)
    }

    /// Names a caller who may use the admin API, for audit records.
    pub(crate) fn actor_of(&self, principal: AdminPrincipal, credentials: &Credentials<'_>) -> Actor {
        Actor::Admin { principal: principal.to_string(), address: self.address(credentials) }
    }

    /// Names any caller of the admin API for audit records.
    pub(crate) fn actor(&self, credentials: &Credentials<'_>) -> Actor {
        let principal = match self.administrator(credentials) {
            Ok(Administrator::Anyone) => AdminPrincipal::Anonymous.to_string(),
            Ok(Administrator::Configured(index)) => AdminPrincipal::Configured(index).to_string(),
            Ok(Administrator::Issued(digest)) => {
                self.access_tokens.name(&digest).map_or_else(|| UNKNOWN.to_owned(), |name| format!("token {name}"))
            }
            Err(_) => UNKNOWN.to_owned(),
        };
        Actor::Admin { principal, address: self.address(credentials) }
    }

    /// Finds the credential by which a caller may use the admin API.
    fn administrator(&self, credentials: &Credentials<'_>) -> Result<Administrator, Denied> {
        let allowed = &self.config.admin_allow_ips;
        let is_allowed = |address| allowed.iter().any(|net| net.contains(&address));
        if !allowed.is_empty() && !self.address(credentials).is_some_and(is_allowed) {
            return Err(Denied::Address);
        }
        let authorization = self.authorization(credentials);
        let token = authorization.as_deref().map(|text| bearer(text).unwrap_or(text.trim()));
        let configured = token.and_then(|token| find(&self.config.admin_tokens, token));
        match (configured, token.and_then(issued_digest), token) {
            (Some(index), _, _) => Ok(Administrator::Configured(index)),
            (None, Some(digest), _) => Ok(Administrator::Issued(digest)),
            (None, None, _) if self.config.admin_tokens.is_empty() => Ok(Administrator::Anyone),
            (None, None, Some(_)) => Err(Denied::WrongToken),
            (None, None, None) => Err(Denied::NoToken),
        }
    }
}
