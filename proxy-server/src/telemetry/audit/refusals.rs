//! Refused accesses: the first of an address is recorded at once, the number of those that follow every now and then, so
//! that nobody can fill the disk.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::entry::{Actor, Entry, EventType};
use crate::text::shortened;

/// Maximum number of callers and reasons that are told apart.
const MOST_KEYS: usize = 100;
/// Maximum length of a recorded path in bytes.
const LONGEST_PATH: usize = 128;

/// A refused access.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) actor: Actor,
    /// Stable word for the reason.
    pub(crate) reason: &'static str,
    /// Path of the request, without its query.
    pub(crate) path: String,
}

/// Refusals since the numbers were last taken.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<(&'static str, Actor), Repeated>);

#[derive(Debug)]
struct Repeated {
    /// Number after the first.
    count: u64,
    last: Timestamp,
}

impl Refusals {
    /// Adds a refusal. Returns the record to write at once, if it is the first of its caller and reason.
    pub(super) fn add(&mut self, refusal: Refusal) -> Option<Entry> {
        let (now, Refusal { actor, reason, path }) = (Timestamp::now(), refusal);
        let actor = actor.of_network();
        let is_known = |actor: &Actor| self.0.contains_key(&(reason, actor.clone()));
        let actor = if self.0.len() < MOST_KEYS || is_known(&actor) { actor } else { Actor::Many };
        if let Some(repeated) = self.0.get_mut(&(reason, actor.clone())) {
            repeated.count += 1;
            repeated.last = now;
            return None;
        }
        let entry =
            Entry::new(EventType::Refused, &actor, now).about(shortened(&path, LONGEST_PATH)).with("reason", reason);
        self.0.insert((reason, actor), Repeated { count: 0, last: now });
        Some(entry)
    }

    /// Returns records with the numbers of repeated refusals, and begins anew.
    pub(super) fn take(&mut self) -> Vec<Entry> {
        let repeated = std::mem::take(&mut self.0).into_iter().filter(|(_, repeated)| repeated.count > 0);
        let entry = |((reason, actor), Repeated { count, last }): ((&'static str, Actor), Repeated)| {
            Entry::new(EventType::Refused, &actor, last).with("reason", reason).with("repeated", count)
        };
        repeated.map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(address: u32, path: &str) -> Refusal {
        let actor = Actor::Client { principal: None, address: Some(std::net::Ipv4Addr::from(address).into()) };
        Refusal { actor, reason: "no_token", path: path.to_owned() }
    }

    #[test]
    fn the_first_of_a_caller_is_recorded_at_once_and_the_others_as_a_number() {
        let mut refusals = Refusals::default();
        let first = refusals.add(refusal(1, "/a/mcp")).expect("a record");
        assert_eq!((first.subject.as_deref(), first.details.len()), (Some("/a/mcp"), 1));
        for number in 0..10 {
            assert_eq!(refusals.add(refusal(1, &format!("/{number}"))), None);
        }
        assert!(refusals.add(refusal(2, "/")).is_some());
        let repeated = refusals.take();
        assert_eq!(repeated.len(), 1);
        assert_eq!(repeated[0].details["repeated"], 10);
        assert!(refusals.take().is_empty());
        assert!(refusals.add(refusal(1, "/")).is_some(), "a new round");
    }

    #[test]
    fn many_addresses_are_one_caller() {
        let mut refusals = Refusals::default();
        let recorded = (0..5_000).filter_map(|address| refusals.add(refusal(address, "/"))).count();
        assert_eq!(recorded, MOST_KEYS + 1);
        let repeated = refusals.take();
        assert_eq!(repeated.len(), 1);
        assert_eq!((&repeated[0].actor, &repeated[0].details["repeated"]), (&Actor::Many, &4_899.into()));
    }
}
