//! Locks of owners, so that two runs for one owner do not interleave. Pure: the caller passes the current time.
//!
//! A lock is advisory: it only excludes other holders of locks. Changes are protected by the revision check.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::{Holder, Owner, Secret};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use crate::registry::leases::Expiry;

/// All held locks, and some expired ones. Bounded.
#[derive(Debug)]
pub(crate) struct Locks {
    held: BTreeMap<Owner, Lock>,
    capacity: usize,
}

/// A held lock.
#[derive(Debug, Clone)]
pub(crate) struct Lock {
    pub(crate) holder: Holder,
    pub(crate) token: Secret,
    pub(crate) since: Timestamp,
    pub(crate) expiry: Expiry,
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
}

impl Locks {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { held: BTreeMap::new(), capacity }
    }

    /// Takes the lock of an owner. With the token of the held lock, extends that lock.
    pub(crate) fn take(&mut self, owner: &Owner, wanted: Lock, now: Instant) -> Result<Lock, NotTaken> {
        let lock = match self.live(owner, now) {
            Some(held) if held.is_of(&wanted.token) => Lock { since: held.since, ..wanted },
            Some(held) => return Err(NotTaken::Held(held.clone())),
            None => wanted,
        };
        if !self.held.contains_key(owner) && self.held.len() >= self.capacity {
            self.held.retain(|_, lock| lock.expiry.at > now);
            if self.held.len() >= self.capacity {
                return Err(NotTaken::TooMany(self.capacity));
            }
        }
        self.held.insert(owner.clone(), lock.clone());
        Ok(lock)
    }

    /// Extends the held lock; fails if there is none, or the token differs.
    pub(crate) fn renew(&mut self, owner: &Owner, wanted: Lock, now: Instant) -> Result<Lock, NotTaken> {
        match self.live(owner, now) {
            Some(_) => self.take(owner, wanted, now),
            None => Err(NotTaken::Nothing),
        }
    }

    /// Releases a lock. Returns true if the token matched.
    pub(crate) fn release(&mut self, owner: &Owner, token: &Secret, now: Instant) -> bool {
        let is_held = self.live(owner, now).is_some_and(|held| held.is_of(token));
        if is_held {
            self.held.remove(owner);
        }
        is_held
    }

    fn live(&self, owner: &Owner, now: Instant) -> Option<&Lock> {
        self.held.get(owner).filter(|lock| lock.expiry.at > now)
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

    fn lock(holder: &str, token: &str, start: Instant, end: u64) -> Lock {
        let holder = holder.parse().expect("a holder");
        let expiry = Expiry { at: start + Duration::from_secs(end), shown: Timestamp::UNIX_EPOCH };
        let since = Timestamp::UNIX_EPOCH + Duration::from_secs(end);
        Lock { holder, token: Secret::new(token), since, expiry }
    }

    #[test]
    fn a_lock_is_one_holder_s_until_it_ends() {
        let (start, mut locks) = (Instant::now(), Locks::new(10));
        let at = |seconds| start + Duration::from_secs(seconds);
        locks.take(&owner(1), lock("a", "x", start, 10), start).expect("free");
        let refused = locks.take(&owner(1), lock("b", "y", start, 20), at(9));
        assert!(matches!(refused, Err(NotTaken::Held(held)) if held.holder.as_str() == "a"));
        assert!(
            locks.take(&owner(2), lock("b", "y", start, 20), at(9)).is_ok(),
            "another owner's lock is another lock"
        );
        assert!(locks.take(&owner(1), lock("b", "y", start, 20), at(10)).is_ok(), "it ends by itself");
        assert!(matches!(locks.renew(&owner(1), lock("a", "x", start, 30), at(11)), Err(NotTaken::Held(_))));
    }

    #[test]
    fn a_renewed_lock_is_the_same_lock() {
        let (start, mut locks) = (Instant::now(), Locks::new(1));
        let at = |seconds| start + Duration::from_secs(seconds);
        let taken = locks.take(&owner(1), lock("a", "x", start, 10), start).expect("free");
        for renewed in [
            locks.take(&owner(1), lock("a", "x", start, 20), at(9)),
            locks.renew(&owner(1), lock("a", "x", start, 20), at(19)),
        ] {
            let renewed = renewed.expect("held");
            assert_eq!((renewed.since, renewed.expiry.at), (taken.since, at(20)));
        }
        assert!(matches!(locks.renew(&owner(1), lock("a", "x", start, 30), at(20)), Err(NotTaken::Nothing)));
        assert!(
            locks.take(&owner(1), lock("a", "x", start, 30), at(20)).is_ok(),
            "whoever does not insist may have it"
        );
    }

    #[test]
    fn only_its_token_gives_a_lock_back() {
        let (start, mut locks) = (Instant::now(), Locks::new(1));
        locks.take(&owner(1), lock("a", "x", start, 10), start).expect("free");
        assert!(!locks.release(&owner(1), &Secret::new("y"), start));
        assert!(!locks.release(&owner(2), &Secret::new("x"), start));
        assert!(locks.release(&owner(1), &Secret::new("x"), start));
        assert!(!locks.release(&owner(1), &Secret::new("x"), start));
        locks.take(&owner(1), lock("a", "x", start, 10), start).expect("free");
        assert!(!locks.release(&owner(1), &Secret::new("x"), start + Duration::from_secs(10)), "it had ended");
    }

    #[test]
    fn locks_are_bounded_and_those_that_ended_make_room() {
        let (start, mut locks) = (Instant::now(), Locks::new(2));
        for number in 1..=2 {
            locks.take(&owner(number), lock("a", "x", start, 10), start).expect("room");
        }
        assert!(matches!(locks.take(&owner(3), lock("a", "x", start, 10), start), Err(NotTaken::TooMany(2))));
        assert!(locks.take(&owner(1), lock("a", "x", start, 20), start).is_ok(), "a renewal needs no room");
        let later = start + Duration::from_secs(10);
        assert!(locks.take(&owner(3), lock("a", "x", start, 20), later).is_ok());
    }
}
