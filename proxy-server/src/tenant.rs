//! Tenants: those whom limits tell apart, so that a greedy one leaves room for the others.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::LazyLock;

use foldhash::fast::RandomState;
use tokio::time::Instant;

/// Key of the digests, unknown to clients, so that none can choose an address with the digest of another.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// Digest of whom a request is counted for: a principal; without one, a session or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tenant(u64);

impl Tenant {
    /// The gateway itself, for requests that it makes of its own.
    pub(crate) const GATEWAY: Self = Self(0);

    pub(crate) fn of(identity: impl Hash) -> Self {
        Self(KEY.hash_one(identity))
    }
}

/// Chooses one of these things to make room, each with its tenant and the time of its last use: of the tenant with the most
/// things, the one that was unused for longest. Whoever takes many so loses none of the others' things.
pub(crate) fn least_needed<T>(unused: impl Iterator<Item = (Tenant, Instant, T)>) -> Option<T> {
    let mut of_each = HashMap::<Tenant, (usize, Instant, T), RandomState>::default();
    for (tenant, since, thing) in unused {
        match of_each.get_mut(&tenant) {
            None => drop(of_each.insert(tenant, (1, since, thing))),
            Some((count, earliest, chosen)) => {
                *count += 1;
                if since < *earliest {
                    (*earliest, *chosen) = (since, thing);
                }
            }
        }
    }
    let of_greediest = of_each.into_values().max_by_key(|(count, earliest, _)| (*count, Reverse(*earliest)));
    of_greediest.map(|(.., thing)| thing)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(things: &[(u8, u64)], chosen: Option<usize>) {
        let start = Instant::now();
        let things = things
            .iter()
            .enumerate()
            .map(|(index, (tenant, second))| (Tenant::of(tenant), start + Duration::from_secs(*second), index));
        assert_eq!(least_needed(things), chosen);
    }

    #[test]
    fn the_oldest_thing_of_the_tenant_with_the_most_makes_room() {
        check(&[], None);
        check(&[(1, 5), (2, 3), (3, 4)], Some(1));
        check(&[(1, 0), (2, 9), (2, 7), (2, 8)], Some(2));
        check(&[(1, 4), (1, 3), (2, 1), (2, 2)], Some(2));
    }
}
