//! Locks of owners. They change no registration, and so need no reconciliation.

use std::time::Duration;

use schemas::{Holder, Owner, Secret};

use crate::control::Control;
use crate::registry::{Lock, NotTaken, StorageError, expiry};
use crate::telemetry::Actor;

/// A lock that a request asks for.
pub(crate) struct RequestedLock {
    pub(crate) holder: Holder,
    pub(crate) token: Secret,
    pub(crate) ttl: Duration,
}

impl Control {
    /// Takes the lock of an owner. With the token of the held lock, extends that lock.
    pub(crate) async fn take_lock(&self, by: &Actor, owner: &Owner, wanted: RequestedLock) -> Result<Lock, NotTaken> {
        let context = self.context(by);
        self.registry.take_lock(owner, wanted.starting(context.now), &context).await
    }

    /// Extends the held lock; fails if there is none, or the token differs.
    pub(crate) async fn renew_lock(&self, by: &Actor, owner: &Owner, wanted: RequestedLock) -> Result<Lock, NotTaken> {
        let context = self.context(by);
        self.registry.renew_lock(owner, wanted.starting(context.now), &context).await
    }

    /// Releases a lock. Returns true if the token matched.
    pub(crate) async fn release_lock(&self, by: &Actor, owner: &Owner, token: &Secret) -> Result<bool, StorageError> {
        self.registry.release_lock(owner, token, &self.context(by)).await
    }
}

impl RequestedLock {
    fn starting(self, now: jiff::Timestamp) -> Lock {
        Lock { holder: self.holder, token: self.token, since: now, ends_at: expiry(now, self.ttl) }
    }
}
