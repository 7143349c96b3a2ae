//! Requests in flight at one upstream, counted by tenant.
//!
//! A tenant may hold at most [`SHARE`] times as many as there is room left (dynamic thresholds, Choudhury and Hahne,
//! 1998). One alone holds up to seven eighths of the limit; tenants that come and go share equally, two up to seven
//! fifteenths each. Limits below eight are too small to be divided.

use std::collections::HashMap;
use std::sync::Mutex;

use foldhash::fast::RandomState;

use crate::sync::lock;
use crate::tenant::Tenant;

const SHARE: usize = 7;

/// Requests in flight.
#[derive(Default)]
pub(super) struct Flights(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    total: usize,
    of_each: HashMap<Tenant, usize, RandomState>,
}

/// A permit for a request in flight, released when dropped.
pub(crate) struct InFlight<'a> {
    flights: &'a Flights,
    tenant: Tenant,
}

/// The reason why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("all permits are taken")]
    Limit,
    #[error("this client holds its share of the permits; the rest is for others")]
    Share,
}

impl Flights {
    /// Acquires a permit, unless as many as allowed are in flight or the tenant holds its share of them.
    pub(super) fn admit(&self, tenant: Tenant, limit: usize) -> Result<InFlight<'_>, Full> {
        let mut counts = lock(&self.0);
        let room = limit.saturating_sub(counts.total);
        if room == 0 {
            return Err(Full::Limit);
        }
        let own = counts.of_each.entry(tenant).or_default();
        if *own >= room.saturating_mul(SHARE) {
            return Err(Full::Share);
        }
        *own += 1;
        counts.total += 1;
        Ok(InFlight { flights: self, tenant })
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0).total
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut counts = lock(&self.flights.0);
        counts.total = counts.total.saturating_sub(1);
        if let Some(own) = counts.of_each.get_mut(&self.tenant) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                counts.of_each.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill<'a>(flights: &'a Flights, tenant: u8, limit: usize) -> Vec<InFlight<'a>> {
        std::iter::from_fn(|| flights.admit(Tenant::of(tenant), limit).ok()).collect()
    }

    #[test]
    fn one_tenant_leaves_an_eighth_for_others() {
        let flights = Flights::default();
        let greedy = fill(&flights, 0, 256);
        assert_eq!(greedy.len(), 224);
        assert_eq!(flights.admit(Tenant::of(0), 256).err(), Some(Full::Share));
        let mut others = Vec::new();
        let counts: Vec<usize> = (1..6)
            .map(|tenant| {
                let own = fill(&flights, tenant, 256);
                let count = own.len();
                others.push(own);
                count
            })
            .collect();
        assert_eq!(counts, [28, 4, 0, 0, 0], "later ones find less, until the first gives back");
        drop((greedy, others));
        assert!(flights.len() == 0 && lock(&flights.0).of_each.is_empty());
    }

    #[test]
    fn greedy_tenants_that_come_and_go_share_equally() {
        let flights = Flights::default();
        let mut held: Vec<Vec<InFlight<'_>>> = (0..4).map(|_| Vec::new()).collect();
        for _ in 0..1_000 {
            for (tenant, own) in held.iter_mut().enumerate() {
                own.extend(fill(&flights, u8::try_from(tenant).unwrap_or_default(), 256));
                own.truncate(own.len().saturating_sub(1));
            }
        }
        let counts: Vec<usize> = held.iter().map(Vec::len).collect();
        let (least, most) = (counts.iter().min().expect("four"), counts.iter().max().expect("four"));
        assert!(most - least <= 8, "{counts:?}");
    }

    #[test]
    fn small_limits_are_not_divided() {
        for limit in 0..8 {
            assert_eq!(fill(&Flights::default(), 0, limit).len(), limit);
        }
    }
}
