//! Reasons for refusals.

use std::sync::atomic::{AtomicU64, Ordering};

use schemas::admin::Right;

/// The reason why a caller is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// `Authorization` is missing.
    NoToken,
    /// `Authorization` without the `Bearer` scheme.
    NoBearer,
    /// The token is unknown, expired, or for another endpoint.
    WrongToken,
    /// The token has not all scopes that are needed.
    Scope,
    /// The token cannot be verified, because the authorization server does not answer.
    Unavailable,
    /// The address is not on the list of allowed addresses.
    Address,
    /// Starting processes needs a token, or proof that the caller is on this machine.
    MayNotStart(Elsewhere),
    /// The access token has not this right.
    Right(Right),
    /// The access token is for other servers.
    Server,
    /// Only a token of the gateway's settings, or whoever runs the gateway, may do this.
    MayNotIssue,
    /// Reading secrets needs a token of the gateway's settings.
    MayNotReveal,
}

impl Denied {
    /// Words of all reasons.
    pub(crate) const WORDS: [&str; 11] = [
        "no_token",
        "no_bearer",
        "wrong_token",
        "scope",
        "unavailable",
        "address",
        "may_not_start",
        "right",
        "server",
        "may_not_issue",
        "may_not_reveal",
    ];

    /// Returns a stable word for metrics.
    pub(crate) fn word(self) -> &'static str {
        let [no_token, no_bearer, wrong_token, scope, unavailable, address, start, right, server, issue, reveal] =
            Self::WORDS;
        match self {
            Self::NoToken => no_token,
            Self::NoBearer => no_bearer,
            Self::WrongToken => wrong_token,
            Self::Scope => scope,
            Self::Unavailable => unavailable,
            Self::Address => address,
            Self::MayNotStart(_) => start,
            Self::Right(_) => right,
            Self::Server => server,
            Self::MayNotIssue => issue,
            Self::MayNotReveal => reveal,
        }
    }
}

/// Numbers of refusals by reason.
#[derive(Debug, Default)]
pub(crate) struct Denials([AtomicU64; Denied::WORDS.len()]);

impl Denials {
    pub(super) fn count(&self, denied: Denied) {
        let place = Denied::WORDS.iter().position(|word| *word == denied.word());
        if let Some(count) = place.and_then(|place| self.0.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns each reason with its number.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Denied::WORDS.into_iter().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// The reason why a request is not proved to come from this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// The peer is on another machine.
    Peer,
    /// A trusted proxy is configured on the peer's address.
    TrustedProxy,
    /// A header or HTTP/1.0 shows that a proxy forwards the request.
    Forwarded,
    /// `Host` is not a loopback name.
    Host,
    /// The peer's socket belongs to another user, or cannot be found.
    Owner,
    /// The peer's process also serves a connection from another machine.
    Relay,
}

impl Elsewhere {
    /// Returns the reason as public text.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Peer => "the request comes from another machine",
            Self::TrustedProxy => "the request comes from an address in --trusted-proxies",
            Self::Forwarded => "a header or HTTP/1.0 shows that a proxy forwards the request",
            Self::Host => "Host is no loopback name",
            Self::Owner => "the connection is not one of the user that runs the gateway",
            Self::Relay => "the connecting process is serving a connection from another machine",
        }
    }
}
