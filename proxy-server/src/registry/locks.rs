//! Locks of owners, so that two runs for one owner do not interleave. Pure: the caller passes the current time.
//!
//! A lock is advisory: it only excludes other holders of locks. Changes are protected by the revision check.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::{Holder, Owner, Secret};
use subtle::ConstantTimeEq;

use crate::registry::failure::StorageError;

/// All held locks, and some expired ones. Bounded.
#[derive(Debug, Clone)]
pub(crate) struct Locks {
    held: BTreeMap<Owner, Lock>,
    capacity: usize,
}

/// A held lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) holder: Holder,
    pub(crate) token: Secret,
    pub(crate) since: Timestamp,
    pub(crate) ends_at: Timestamp,
}

/// The reason why a lock was not taken or renewed.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// Another holder has the lock.
    Held(Lock),
    /// There is no lock to renew.
    Nothing,
    /// The maximum number of locks is reached.
    TooMany(usize),
    /// The storage is lost.
    Storage(StorageError),
}

impl From<StorageError> for NotTaken {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl Locks {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { held: BTreeMap::new(), capacity }
    }

    /// Adds a lock as it was stored.
    pub(super) fn restore(&mut self, owner: Owner, lock: Lock) {
        self.held.insert(owner, lock);
    }

    /// Returns every lock, expired ones included.
    pub(super) fn all(&self) -> &BTreeMap<Owner, Lock> {
        &self.held
    }

    /// Takes the lock of an owner. With the token of the held lock, extends that lock.
    pub(crate) fn take(&mut self, owner: &Owner, wanted: Lock, now: Timestamp) -> Result<Lock, NotTaken> {
        let lock = match self.live(owner, now) {
            Some(held) if held.is_of(&wanted.token) => Lock { since: held.since, ..wanted },
            Some(held) => return Err(NotTaken::Held(held.clone())),
            None => wanted,
        };
        if !self.held.contains_key(owner) && self.held.len() >= self.capacity {
            self.held.retain(|_, lock| lock.ends_at > now);
            if self.held.len() >= self.capacity {
                return Err(NotTaken::TooMany(self.capacity));
            }
        }
        self.held.insert(owner.clone(), lock.clone());
        Ok(lock)
    }

    /// Extends the held lock; fails if there is none, or the token differs.
    pub(crate) fn renew(&mut self, owner: &Owner, wanted: Lock, now: Timestamp) -> Result<Lock, NotTaken> {
        match self.live(owner, now) {
            Some(_) => self.take(owner, wanted, now),
            None => Err(NotTaken::Nothing),
        }
    }

    /// Releases a lock. Returns true if the token matched.
    pub(crate) fn release(&mut self, owner: &Owner, token: &Secret, now: Timestamp) -> bool {
        let is_held = self.live(owner, now).is_some_and(|held| held.is_of(token));
        if is_held {
            self.held.remove(owner);
        }
        is_held
    }

    fn live(&self, owner: &Owner, now: Timestamp) -> Option<&Lock> {
        self.held.get(owner).filter(|lock| lock.ends_at > now)
    }
}

impl Lock {
    fn is_of(&self, token: &Secret) -> bool {
        self.token.expose().as_bytes().ct_eq(token.expose().as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn owner(number: usize) -> Owner {
        format!("o{number}").parse().expect("an owner")
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Builds a lock until `end` that was asked for at a time of its own.
    fn lock(holder: &str, token: &str, end: u64) -> Lock {
        let holder = holder.parse().expect("a holder");
        Lock { holder, token: Secret::new(token), since: at(end), ends_at: at(end) }
    }

    #[test]
    fn a_lock_is_one_holder_s_until_it_ends() {
        let mut locks = Locks::new(10);
        locks.take(&owner(1), lock("a", "x", 10), at(0)).expect("free");
        let refused = locks.take(&owner(1), lock("b", "y", 20), at(9));
        assert!(matches!(refused, Err(NotTaken::Held(held)) if held.holder.as_str() == "a"));
        assert!(locks.take(&owner(2), lock("b", "y", 20), at(9)).is_ok(), "another owner's lock is another lock");
        assert!(locks.take(&owner(1), lock("b", "y", 20), at(10)).is_ok(), "it ends by itself");
        assert!(matches!(locks.renew(&owner(1), lock("a", "x", 30), at(11)), Err(NotTaken::Held(_))));
    }

    #[test]
    fn a_renewed_lock_is_the_same_lock() {
        let mut locks = Locks::new(1);
        let taken = locks.take(&owner(1), lock("a", "x", 10), at(0)).expect("free");
        for renewed in
            [locks.take(&owner(1), lock("a", "x", 20), at(9)), locks.renew(&owner(1), lock("a", "x", 20), at(19))]
        {
            let renewed = renewed.expect("held");
            assert_eq!((renewed.since, renewed.ends_at), (taken.since, at(20)));
        }
        assert!(matches!(locks.renew(&owner(1), lock("a", "x", 30), at(20)), Err(NotTaken::Nothing)));
        assert!(locks.take(&owner(1), lock("a", "x", 30), at(20)).is_ok(), "whoever does not insist may have it");
    }

    #[test]
    fn only_its_token_gives_a_lock_back() {
        let mut locks = Locks::new(1);
        locks.take(&owner(1), lock("a", "x", 10), at(0)).expect("free");
        assert!(!locks.release(&owner(1), &Secret::new("y"), at(0)));
        assert!(!locks.release(&owner(2), &Secret::new("x"), at(0)));
        assert!(locks.release(&owner(1), &Secret::new("x"), at(0)));
        assert!(!locks.release(&owner(1), &Secret::new("x"), at(0)));
        locks.take(&owner(1), lock("a", "x", 10), at(0)).expect("free");
        assert!(!locks.release(&owner(1), &Secret::new("x"), at(10)), "it had ended");
    }

    #[test]
    fn locks_are_bounded_and_those_that_ended_make_room() {
        let mut locks = Locks::new(2);
        for number in 1..=2 {
            locks.take(&owner(number), lock("a", "x", 10), at(0)).expect("room");
        }
        assert!(matches!(locks.take(&owner(3), lock("a", "x", 10), at(0)), Err(NotTaken::TooMany(2))));
        assert!(locks.take(&owner(1), lock("a", "x", 20), at(0)).is_ok(), "a renewal needs no room");
        let later = at(10);
        assert!(locks.take(&owner(3), lock("a", "x", 20), later).is_ok());
    }
}
