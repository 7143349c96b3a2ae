//! Tenants: the callers that limits tell apart, so that a greedy one leaves room for the others.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::LazyLock;

use foldhash::fast::RandomState;
use tokio::time::Instant;

/// Key of the digests, unknown to clients, so that none can choose an address with the digest of another.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// Digest of the caller that a request is counted for: a principal; without one, a session or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tenant(u64);

impl Tenant {
    /// The gateway itself, for requests that it makes of its own.
    pub(crate) const GATEWAY: Self = Self(0);

    pub(crate) fn of(identity: impl Hash) -> Self {
        Self(KEY.hash_one(identity))
    }
}

/// Chooses one of these things to make room, each with its tenant and the time of its last use, if it is unused: of the
/// tenant with the most things, the one that was unused for longest. Whoever takes many so ends none of the others' things.
pub(crate) fn least_needed<T>(things: impl Iterator<Item = (Tenant, Option<Instant>, T)>) -> Option<T> {
    let mut of_each = HashMap::<Tenant, (usize, Option<(Instant, T)>), RandomState>::default();
    for (tenant, since, thing) in things {
        let (count, chosen) = of_each.entry(tenant).or_insert((0, None));
        *count += 1;
        if let Some(since) = since
            && chosen.as_ref().is_none_or(|(earliest, _)| since < *earliest)
        {
            *chosen = Some((since, thing));
        }
    }
    let unused = of_each.into_values().filter_map(|(count, chosen)| chosen.map(|(since, thing)| (count, since, thing)));
    unused.max_by_key(|(count, since, _)| (*count, Reverse(*since))).map(|(.., thing)| thing)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Takes the tenant of each thing, and the second of its last use; 0 if it is in use.
    fn check(things: &[(u8, u64)], chosen: Option<usize>) {
        let start = Instant::now();
        let things = things.iter().enumerate().map(|(index, (tenant, second))| {
            let since = (*second > 0).then(|| start + Duration::from_secs(*second));
            (Tenant::of(tenant), since, index)
        });
        assert_eq!(least_needed(things), chosen);
    }

    #[test]
    fn the_oldest_unused_thing_of_the_tenant_with_the_most_makes_room() {
        check(&[], None);
        check(&[(1, 5), (2, 3), (3, 4)], Some(1));
        check(&[(1, 1), (2, 9), (2, 7), (2, 8)], Some(2));
        check(&[(1, 4), (1, 3), (2, 1), (2, 2)], Some(2));
        check(&[(1, 1), (2, 0), (2, 0), (2, 8)], Some(3));
        check(&[(1, 1), (2, 0), (2, 0)], Some(0));
    }
}
