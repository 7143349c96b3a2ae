//! Named access tokens, which the gateway issues: each has rights, and servers to whose endpoints it is limited.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use schemas::Definition;
use schemas::admin::{Right, TOKEN_PREFIX, TokenName};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::policy::denied::Denied;
use crate::registry::{NoCall, TokenDigest, TokenId, Tokens, token_digest};
use crate::sync::lock;

/// Longest time between two looks at the wall clock while the holder of a token is connected.
const CLOCK_CHECK: Duration = Duration::from_secs(30);

/// Access tokens, and the times at which they were used since those were stored.
pub(crate) struct AccessTokens {
    newest: watch::Receiver<Arc<Tokens>>,
    uses: Mutex<BTreeMap<TokenName, Timestamp>>,
}

impl AccessTokens {
    pub(crate) fn new(newest: watch::Receiver<Arc<Tokens>>) -> Self {
        Self { newest, uses: Mutex::default() }
    }

    /// Creates a set without any token.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self::new(watch::Sender::new(Arc::new(Tokens::none())).subscribe())
    }

    /// Subscribes to changes of the tokens, from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Tokens>> {
        let mut newest = self.newest.clone();
        newest.mark_unchanged();
        newest
    }

    /// Removes and returns the times of uses that are not stored yet.
    pub(crate) fn take_uses(&self) -> BTreeMap<TokenName, Timestamp> {
        std::mem::take(&mut *lock(&self.uses))
    }

    /// Puts back times of uses that could not be stored.
    pub(crate) fn put_back(&self, uses: BTreeMap<TokenName, Timestamp>) {
        let mut pending = lock(&self.uses);
        for (name, used_at) in uses {
            let last = pending.entry(name).or_insert(used_at);
            *last = used_at.max(*last);
        }
    }

    /// Returns the time of the last use that is not stored yet.
    pub(crate) fn pending_use(&self, name: &TokenName) -> Option<Timestamp> {
        lock(&self.uses).get(name).copied()
    }

    /// Decides whether the holder of the token with this digest may use the endpoints of an upstream, or of all.
    pub(super) fn caller(&self, digest: &TokenDigest, definition: Option<&Definition>) -> Result<TokenId, Denied> {
        let now = Timestamp::now();
        let tokens = self.newest.borrow();
        let (id, token) = tokens.find(digest, now).ok_or(Denied::WrongToken)?;
        token.may_call(definition.map(|definition| &definition.name)).map_err(|why| match why {
            NoCall::Right => Denied::Right(Right::Call),
            NoCall::Server => Denied::Server,
        })?;
        Ok(id)
    }

    /// Returns the name of the token with this digest, if that is valid.
    pub(super) fn name(&self, digest: &TokenDigest) -> Option<TokenName> {
        self.newest.borrow().find(digest, Timestamp::now()).map(|(id, _)| id.name)
    }

    /// Decides whether the token with this digest has a right at the admin API.
    pub(super) fn admin(&self, digest: &TokenDigest, needed: Right) -> Result<TokenId, Denied> {
        let now = Timestamp::now();
        let tokens = self.newest.borrow();
        let (id, token) = tokens.find(digest, now).ok_or(Denied::WrongToken)?;
        if !token.grant.rights.contains(&needed) {
            return Err(Denied::Right(needed));
        }
        drop(tokens);
        self.note_use(id.name);
        Ok(id)
    }

    /// Waits until a token has not this right any more.
    pub(super) async fn right_lost(&self, id: TokenId, needed: Right) {
        let mut newest = self.watch();
        let has_right = || self.newest.borrow().still_has(&id, needed, Timestamp::now());
        while has_right() {
            tokio::select! {
                // An error means that the registry is gone: the gateway is about to stop.
                Ok(()) = newest.changed() => {}
                () = sleep(CLOCK_CHECK) => {}
            }
        }
    }

    /// True if whoever was identified by a token may still use the endpoints of an upstream, or of all.
    pub(super) fn still_admit(&self, id: TokenId, definition: Option<&Definition>) -> bool {
        let server = definition.map(|definition| &definition.name);
        self.newest.borrow().still_admit(&id, server, Timestamp::now())
    }

    /// Waits until whoever was identified by a token may not use the endpoints of an upstream, or of all, any more, or until
    /// its secret is not valid any more, if that is known.
    pub(super) async fn lost(&self, id: TokenId, secret: Option<TokenDigest>, definition: Option<&Definition>) {
        let mut newest = self.watch();
        let is_valid = |secret: TokenDigest| self.newest.borrow().find(&secret, Timestamp::now()).is_some();
        while self.still_admit(id, definition) && secret.is_none_or(is_valid) {
            tokio::select! {
                // An error means that the registry is gone: the gateway is about to stop.
                Ok(()) = newest.changed() => {}
                () = sleep(CLOCK_CHECK) => {}
            }
        }
    }

    /// Notes a use, to the second, so that a busy client changes nothing most of the time.
    pub(super) fn note_use(&self, name: TokenName) {
        let now = Timestamp::now();
        let mut uses = lock(&self.uses);
        let last = uses.entry(name).or_insert(now);
        if last.as_second() < now.as_second() {
            *last = now;
        }
    }
}

/// Returns the digest of a token that a gateway may have issued.
pub(super) fn issued_digest(token: &str) -> Option<TokenDigest> {
    token.starts_with(TOKEN_PREFIX).then(|| token_digest(token))
}
