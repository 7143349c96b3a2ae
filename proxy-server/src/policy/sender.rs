//! Sender of a request: the principal that owns what it opens, and the tenant that limits count it for.

use std::net::IpAddr;

use schemas::Definition;

use crate::policy::{Caller, Credentials, Policy, Principal};
use crate::tenant::Tenant;

/// An authenticated sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) principal: Principal,
    /// The principal, or the address of an anonymous sender.
    pub(crate) tenant: Tenant,
}

impl Sender {
    /// The client on the standard streams of this process.
    pub(crate) const STDIO: Self = Self { principal: Principal::Anonymous, tenant: Tenant::GATEWAY };

    pub(crate) fn of(principal: Principal, address: Option<IpAddr>) -> Self {
        let address = address.filter(|_| principal == Principal::Anonymous);
        Self { principal, tenant: Tenant::of((principal, address)) }
    }

    /// Returns the tenant of calls in a session: the principal, or the session itself if that is anonymous.
    pub(crate) fn in_session(&self, id: &str) -> Tenant {
        match self.principal {
            Principal::Anonymous => Tenant::of(id),
            _ => self.tenant,
        }
    }
}

impl Policy {
    /// True if a principal was identified by an access token that is not valid any more, or not for this upstream.
    pub(crate) fn has_lost_access(&self, principal: Principal, definition: Option<&Definition>) -> bool {
        matches!(principal, Principal::Token(id) if !self.access_tokens.still_admit(id, definition))
    }

    /// Waits until a principal has lost its access to an upstream, or to all as this caller; for ever if it has none to lose.
    pub(crate) async fn access_lost(
        &self,
        principal: Principal,
        (caller, definition): (Option<&Caller>, Option<&Definition>),
    ) {
        match principal {
            Principal::Token(id) => {
                let secret = caller.and_then(Caller::issued);
                Box::pin(self.access_tokens.lost(id, secret, definition)).await;
            }
            _ => std::future::pending().await,
        }
    }

    /// Returns the sender of a request that was authenticated as this principal.
    pub(crate) fn sender(&self, principal: Principal, credentials: &Credentials<'_>) -> Sender {
        Sender::of(principal, self.address(credentials))
    }
}
