//! All records of a registry and the rules by which a transaction changes them. Pure: the caller passes the current time.
//!
//! A storage keeps one of these, lets one transaction in at a time, and publishes the snapshot that it leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemas::admin::{Revision, TokenName};
use schemas::{Definition, Holder, Owner, ServerName};

use crate::keys::MASTER_LEN;
use crate::registry::leases::{Held, Leases, TooManyHolders, expiry};
use crate::registry::locks::{Lock, Locks};
use crate::registry::registration::{Registration, Tenure};
use crate::registry::snapshot::Snapshot;
use crate::registry::tokens::{AccessToken, TokenDigest, TokenError, TokenGrant, Tokens};
use crate::registry::transaction::{
    Effect, EndedLeases, Expected, Grant, RequestedLease, TransactError, Write, Written,
};

/// Registrations, leases, locks and access tokens.
#[derive(Clone)]
pub(crate) struct Records {
    /// Never changed in place, because readers share it.
    snapshot: Arc<Snapshot>,
    pub(super) leases: Leases,
    pub(super) locks: Locks,
    /// Never changed in place, because readers share it.
    tokens: Arc<Tokens>,
    /// Maximum number of registrations.
    capacity: usize,
    /// Names of stored registrations that cannot be read, and must not be written over.
    unreadable: Arc<BTreeSet<ServerName>>,
}

/// Everything that a storage held when it was read.
pub(super) struct Loaded {
    pub(super) records: Records,
    pub(super) master: [u8; MASTER_LEN],
    /// Set if the storage has lost changes that it had acknowledged: restored from a backup, emptied, or replaced by a replica
    /// that lagged behind.
    pub(super) loss: Option<Loss>,
}

/// The kind of a storage's loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loss {
    /// Its newest changes: all that it has was known here.
    Newest,
    /// It has another history, with changes that were not known here.
    Diverged,
}

/// The records that a storage holds, in any order.
pub(super) struct Stored {
    /// The revision of the last change.
    pub(super) last: Revision,
    pub(super) registrations: Vec<Registration>,
    pub(super) leases: Vec<(Holder, Held)>,
    pub(super) locks: Vec<(Owner, Lock)>,
    pub(super) tokens: Vec<(TokenName, AccessToken)>,
    /// Names of registrations that cannot be read.
    pub(super) unreadable: BTreeSet<ServerName>,
}

/// Maximum numbers of records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) registrations: usize,
    pub(crate) holders: usize,
    pub(crate) locks: usize,
    pub(crate) tokens: usize,
}

/// A write that has been applied to the next snapshot, with the lease that is still to be added.
struct Staged {
    written: Written,
    lease: Option<RequestedLease>,
}

impl Records {
    /// Creates empty records. Revisions follow `last`, which no earlier revision may exceed.
    pub(super) fn new(last: Revision, limits: Limits) -> Self {
        Self {
            snapshot: Arc::new(Snapshot::empty(last)),
            leases: Leases::new(limits.holders),
            locks: Locks::new(limits.locks),
            tokens: Arc::new(Tokens::new(limits.tokens)),
            capacity: limits.registrations,
            unreadable: Arc::default(),
        }
    }

    /// Creates records from stored ones, also beyond the limits. Leases on registrations that are not stored are left out.
    pub(super) fn restore(stored: Stored, limits: Limits) -> Self {
        let Stored { last, mut registrations, leases, locks, tokens, unreadable } = stored;
        registrations.sort_by_key(|registration| registration.created);
        let revisions = registrations.iter().map(|registration| registration.revision);
        let newest = revisions.chain(tokens.iter().map(|(_, token)| token.revision)).max();
        let mut records = Self::new(newest.map_or(last, |newest| newest.max(last)), limits);
        let snapshot = Arc::make_mut(&mut records.snapshot);
        for registration in registrations {
            snapshot.store(registration);
        }
        for (holder, mut held) in leases {
            held.names.retain(|name| records.snapshot.get(name.as_str()).is_some() || unreadable.contains(name));
            records.leases.restore(holder, held);
        }
        for (owner, lock) in locks {
            records.locks.restore(owner, lock);
        }
        Arc::make_mut(&mut records.tokens).restore(tokens);
        records.unreadable = Arc::new(unreadable);
        records
    }

    /// Merges these records, which the storage had, with those it has now, although some of these are missing there. The
    /// higher revision of a registration counts. What one side does not have was removed there if that side knew it, which
    /// only a common history tells.
    pub(super) fn merge(&self, stored: &Self, loss: Loss, limits: Limits) -> Self {
        let (ours, theirs) = (self.snapshot(), stored.snapshot());
        let newer = |one: &&Arc<Registration>, others: &Snapshot| match others.get(one.definition.name.as_str()) {
            Some(other) => one.revision > other.revision,
            None => loss == Loss::Diverged || one.revision > others.revision(),
        };
        let kept = ours.all().filter(|one| newer(one, theirs));
        let taken = theirs.all().filter(|one| newer(one, ours) || is_equal(one, ours));
        let registrations = kept.chain(taken).map(|one| Registration::clone(one)).collect();
        let last = Revision::new(ours.revision().max(theirs.revision()).get() + 1);
        let mut leases = stored.leases.all().clone();
        for (holder, held) in self.leases.all() {
            let is_newer = leases.get(holder).is_none_or(|stored| stored.ends_at < held.ends_at);
            is_newer.then(|| leases.insert(holder.clone(), held.clone()));
        }
        let mut locks = stored.locks.all().clone();
        for (owner, lock) in self.locks.all() {
            let is_newer = locks.get(owner).is_none_or(|stored| stored.ends_at < lock.ends_at);
            is_newer.then(|| locks.insert(owner.clone(), lock.clone()));
        }
        let (leases, locks) = (leases.into_iter().collect(), locks.into_iter().collect());
        // Also where the histories differ: a token that is stored again by mistake is worse than one that is issued again.
        let tokens = self.tokens.merged(&stored.tokens, (ours.revision(), theirs.revision()));
        let tokens = tokens.all().iter().map(|(name, token)| (*name, AccessToken::clone(token))).collect();
        let unreadable = BTreeSet::clone(&stored.unreadable);
        Self::restore(Stored { last, registrations, leases, locks, tokens, unreadable }, limits)
    }

    pub(super) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    pub(super) fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }

    /// Returns the number of registrations that can still be added.
    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.snapshot.len())
    }

    /// Applies all writes in their order, or none. Deletions make room for creations wherever they stand.
    pub(super) fn transact(
        &mut self,
        writes: Vec<Write>,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Vec<Written>, TransactError> {
        for (name, revision) in expected {
            if self.snapshot.get(name.as_str()).map(|stored| stored.revision) != *revision {
                return Err(TransactError::Conflict(name.clone()));
            }
        }
        let created = writes.iter().filter_map(Write::created);
        if let Some(name) = created.into_iter().find(|name| self.unreadable.contains(*name)) {
            return Err(TransactError::Unreadable(name.clone()));
        }
        let mut next = Snapshot::clone(&self.snapshot);
        let staged: Vec<Staged> =
            writes.into_iter().map(|write| stage(&mut next, write, now)).collect::<Result<_, _>>()?;
        self.leases.admits(staged.iter().filter_map(|staged| Some(&staged.lease.as_ref()?.holder)))?;
        if next.len() > self.capacity.max(self.snapshot.len()) {
            return Err(TransactError::Full(self.capacity));
        }
        // Nothing fails from here on.
        self.snapshot = Arc::new(next);
        Ok(staged.into_iter().map(|staged| self.change_leases(staged, now)).collect())
    }

    fn change_leases(&mut self, Staged { mut written, lease }: Staged, now: Timestamp) -> Written {
        if written.effect == Effect::Deleted {
            self.leases.forget(written.name.as_str());
        }
        written.lease_ends_at =
            lease.map(|lease| self.leases.add(&lease.holder, written.name.clone(), expiry(now, lease.ttl)));
        written
    }

    /// Issues an access token whose secret has this digest.
    pub(super) fn issue_token(
        &mut self,
        named: (TokenName, TokenDigest),
        grant: TokenGrant,
        now: Timestamp,
    ) -> Result<Arc<AccessToken>, TokenError> {
        let revision = self.next_revision();
        Arc::make_mut(&mut self.tokens).issue(named, grant, (revision, now))
    }

    /// Replaces what an access token is for.
    pub(super) fn update_token(
        &mut self,
        name: &TokenName,
        grant: TokenGrant,
        now: Timestamp,
    ) -> Result<Arc<AccessToken>, TokenError> {
        let revision = self.next_revision();
        Arc::make_mut(&mut self.tokens).update(name, grant, (revision, now))
    }

    /// Replaces the secret of an access token by that with this digest.
    pub(super) fn rotate_token(
        &mut self,
        named: (&TokenName, TokenDigest),
        overlap: Duration,
        now: Timestamp,
    ) -> Result<Arc<AccessToken>, TokenError> {
        let revision = self.next_revision();
        Arc::make_mut(&mut self.tokens).rotate(named, overlap, (revision, now))
    }

    /// Removes an access token. Returns true if it existed.
    pub(super) fn revoke_token(&mut self, name: &TokenName) -> bool {
        let existed = Arc::make_mut(&mut self.tokens).revoke(name);
        if existed {
            self.next_revision();
        }
        existed
    }

    /// Notes the times at which access tokens were used.
    pub(super) fn note_token_uses(&mut self, uses: &BTreeMap<TokenName, Timestamp>) {
        Arc::make_mut(&mut self.tokens).note_uses(uses);
    }

    fn next_revision(&mut self) -> Revision {
        Arc::make_mut(&mut self.snapshot).advance()
    }

    /// Sets the leases of a holder to exactly these names, as far as they are registered; `None` renews those it has.
    pub(super) fn hold(
        &mut self,
        holder: &Holder,
        names: Option<Vec<String>>,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Grant, TooManyHolders> {
        let ends_at = expiry(now, ttl);
        let Some(names) = names else {
            let held = self.leases.renew(holder, ends_at);
            return Ok(Grant { ends_at, held, missing: Vec::new(), ended: EndedLeases::default() });
        };
        let (mut held, mut missing) = (BTreeSet::new(), BTreeSet::new());
        for name in names {
            match self.snapshot.get(&name) {
                Some(stored) => drop(held.insert(stored.definition.name.clone())),
                None => drop(missing.insert(name)),
            }
        }
        let given_back = self.leases.set(holder, held.clone(), ends_at)?;
        let ended = self.remove_unheld(given_back);
        Ok(Grant { ends_at, held: held.into_iter().collect(), missing: missing.into_iter().collect(), ended })
    }

    /// Ends all leases of a holder.
    pub(super) fn release(&mut self, holder: &Holder) -> EndedLeases {
        let names = self.leases.release(holder);
        self.remove_unheld(names)
    }

    /// Ends the leases whose time has come.
    pub(super) fn expire(&mut self, now: Timestamp) -> EndedLeases {
        let names = self.leases.expire(now);
        self.remove_unheld(names)
    }

    /// Removes those of the registrations that are leased but have no lease left.
    fn remove_unheld(&mut self, names: impl IntoIterator<Item = ServerName>) -> EndedLeases {
        let mut ended = EndedLeases::default();
        for name in names {
            match self.snapshot.get(name.as_str()) {
                Some(stored) if stored.tenure == Tenure::Leased && !self.leases.is_held(&name) => {
                    ended.removed.push(name);
                }
                Some(_) => ended.kept.push(name),
                None => {}
            }
        }
        if !ended.removed.is_empty() {
            let next = Arc::make_mut(&mut self.snapshot);
            for name in &ended.removed {
                next.remove(name.as_str());
            }
        }
        ended
    }
}

impl Limits {
    /// The limits that follow from the maximum number of registrations: each may have a holder and an owner of its own.
    pub(crate) fn for_registrations(registrations: usize) -> Self {
        let parties = registrations.max(1_000);
        Self { registrations, holders: parties, locks: parties, tokens: parties }
    }
}

/// Returns the revision before the first one of a new storage: the time in microseconds, so that none of an earlier storage
/// is used again.
pub(super) fn first_revision() -> Revision {
    Revision::new(u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default())
}

/// Applies one write to the next snapshot.
fn stage(next: &mut Snapshot, write: Write, now: Timestamp) -> Result<Staged, TransactError> {
    let (name, effect, registration, lease) = match write {
        Write::Create { definition, lease } => {
            let name = definition.name.clone();
            if next.get(name.as_str()).is_some() {
                return Err(TransactError::Exists(name));
            }
            let tenure = if lease.is_some() { Tenure::Leased } else { Tenure::Permanent };
            let revision = next.advance();
            let created = Registration {
                definition,
                created_at: now,
                updated_at: now,
                revision,
                created: revision,
                incarnation: revision,
                tenure,
            };
            (name, Effect::Created, Some(next.store(created)), lease)
        }
        Write::Update { definition, tenure, lease } => {
            let name = definition.name.clone();
            let stored = next.get(name.as_str()).cloned().ok_or_else(|| TransactError::Missing(name.clone()))?;
            let revision = next.advance();
            let is_relabelled = is_only_relabelled(&definition, &stored.definition);
            let (effect, incarnation) = match is_relabelled {
                true => (Effect::Retagged, stored.incarnation),
                false => (Effect::Redefined, revision),
            };
            let (created_at, created) = (stored.created_at, stored.created);
            let updated =
                Registration { definition, created_at, updated_at: now, revision, created, incarnation, tenure };
            (name, effect, Some(next.store(updated)), lease)
        }
        Write::Lease { name, lease } => {
            let stored = next.get(name.as_str()).cloned().ok_or_else(|| TransactError::Missing(name.clone()))?;
            (name, Effect::Leased, Some(stored), Some(lease))
        }
        Write::Delete { name } => {
            if !next.remove(name.as_str()) {
                return Err(TransactError::Missing(name));
            }
            (name, Effect::Deleted, None, None)
        }
    };
    Ok(Staged { written: Written { name, effect, registration, lease_ends_at: None }, lease })
}

/// True if the other snapshot has the registration in the same revision.
fn is_equal(one: &Registration, other: &Snapshot) -> bool {
    other.get(one.definition.name.as_str()).is_some_and(|other| other.revision == one.revision)
}

/// True if only the tags differ. They are labels for people, so the upstream need not be restarted. A definition that is
/// stored again without any difference is a request to restart.
fn is_only_relabelled(definition: &Definition, stored: &Definition) -> bool {
    let same = Definition { tags: stored.tags.clone(), ..definition.clone() };
    definition.tags != stored.tags && same == *stored
}

#[cfg(test)]
mod tests;
