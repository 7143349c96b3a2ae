//! Who is asking, and what they may see and call. Decides; answers nothing.

pub(crate) mod access;
mod authenticate;
mod client_addr;
mod host;
mod page;
mod same_machine;

use std::hash::RandomState;

use ipnet::IpNet;
use schemas::Secret;

pub(crate) use self::authenticate::{Caller, Credentials, Denied, Principal};
pub(crate) use self::host::split_host;
pub(crate) use self::page::{Foreign, Page, PageOrigin, Shown, Sites};
pub(crate) use self::same_machine::Starter;

/// Who may use the gateway.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    /// Tokens of the admin API; none means that no token is asked for.
    pub(crate) admin_tokens: Vec<Secret>,
    /// Addresses that may use the admin API; everyone when empty.
    pub(crate) admin_allow_ips: Vec<IpNet>,
    /// Tokens that every upstream's endpoints accept.
    pub(crate) global_tokens: Vec<Secret>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Lets callers from anywhere use an admin API without tokens, and start processes through it.
    pub(crate) allow_insecure_admin: bool,
}

/// Decides who may do what.
pub(crate) struct Policy {
    config: Config,
    /// Makes digests of tokens that mean nothing outside this process.
    digest_key: RandomState,
}

impl Policy {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, digest_key: RandomState::new() }
    }
}
