//! Assigns names to items when several upstreams have items of the same name.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::Value;

use super::offered::{Name, Offered};
use crate::catalog::list::{Item, List};
use crate::catalog::name::{Conflict, Mode, Naming, qualified_uri};
use crate::protocol::Object;

/// One item of one upstream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) offered: &'a Offered,
    pub(super) item: &'a Item,
}

/// The names of one list.
#[derive(Debug, Default)]
pub(super) struct Assignment<'a> {
    /// The listed items, in order, with their names.
    pub(super) listed: Vec<(Entry<'a>, Box<str>)>,
    /// The items that each name resolves to.
    pub(super) pools: HashMap<Box<str>, Vec<Entry<'a>>>,
    /// Naming result of each item.
    pub(super) names: Vec<Name>,
}

/// Naming decision for one item.
enum Exposure<'a> {
    /// The item is listed under this name, which resolves to all these replicas.
    Called(String, Vec<Entry<'a>>),
    /// The item is a replica: calls of another item's name may reach it, but it is not listed.
    Joined(String),
    LeftOut(String),
}

/// Names the items of one list. The order of entries decides conflicts.
pub(super) fn assign<'a>(list: List, naming: &Naming, entries: Vec<Entry<'a>>) -> Assignment<'a> {
    let fates = match naming.mode {
        Mode::Always => entries.iter().map(|entry| pinned(list, naming, *entry)).collect(),
        Mode::OnConflict | Mode::Never => shared(list, naming, &entries),
    };
    let mut assignment = Assignment::default();
    let mut taken: IndexMap<Box<str>, Entry<'a>> = IndexMap::new();
    // Reserve the names of items that keep their own name before assigning generated ones.
    let given = |(entry, exposure): &(&Entry<'a>, &Exposure<'a>)| matches!(exposure, Exposure::Called(name, _) if *name != *entry.item.key);
    for (entry, exposure) in entries.iter().zip(&fates).filter(|pair| !given(pair)) {
        if let Exposure::Called(name, _) = exposure {
            taken.entry(name.as_str().into()).or_insert(*entry);
        }
    }
    for (entry, exposure) in entries.iter().zip(fates) {
        let (exposed, reason) = match exposure {
            Exposure::LeftOut(reason) => (None, Some(reason)),
            Exposure::Joined(reason) => (None, Some(reason)),
            Exposure::Called(name, pool) => settle(&mut assignment, &mut taken, (*entry, name, pool), (list, naming)),
        };
        let (upstream, name) = (entry.offered.name.clone(), entry.item.key.clone());
        assignment.names.push(Name { upstream, name, exposed, reason, hidden: false });
    }
    assignment
}

/// Lists an item under its name, or under a distinct one if the name is taken.
fn settle<'a>(
    assignment: &mut Assignment<'a>,
    taken: &mut IndexMap<Box<str>, Entry<'a>>,
    (entry, name, pool): (Entry<'a>, String, Vec<Entry<'a>>),
    (list, naming): (List, &Naming),
) -> (Option<Box<str>>, Option<String>) {
    let upstream = entry.offered.name.as_str();
    let owner = *taken.entry(name.as_str().into()).or_insert(entry);
    if std::ptr::eq(owner.item, entry.item) {
        let name: Box<str> = name.into();
        let reason = unusual(list, naming, entry, &name);
        assignment.pools.insert(name.clone(), pool);
        assignment.listed.push((entry, name.clone()));
        return (Some(name), reason);
    }
    let holder = &owner.offered.name;
    let reason = format!("`{name}` is what a thing of `{holder}` is called");
    let other: Box<str> = match list {
        List::Tools | List::Prompts => naming.distinct(upstream, &entry.item.key).into(),
        List::Resources | List::Templates | List::Skills => return (None, Some(reason)),
    };
    if taken.contains_key(&other) {
        return (None, Some(reason));
    }
    taken.insert(other.clone(), entry);
    assignment.pools.insert(other.clone(), vec![entry]);
    assignment.listed.push((entry, other.clone()));
    (Some(other), Some(reason))
}

/// Returns the reason why a name differs from the usual one of this mode.
fn unusual(list: List, naming: &Naming, entry: Entry<'_>, exposed: &str) -> Option<String> {
    let own = &*entry.item.key;
    let joined = naming.joined(entry.offered.name.as_str(), own);
    let usual = match (list, naming.mode) {
        (List::Resources | List::Templates | List::Skills, Mode::Always) => true,
        (List::Tools | List::Prompts, Mode::Always) => exposed == joined,
        (_, Mode::OnConflict | Mode::Never) => exposed == own,
    };
    if usual {
        None
    } else if exposed == joined || matches!(list, List::Resources | List::Templates | List::Skills) {
        Some("an earlier upstream has one of the same name".to_owned())
    } else {
        Some(
            "the name is too long, has characters that not every client takes, or could be read in two ways".to_owned(),
        )
    }
}

fn pinned<'a>(list: List, naming: &Naming, entry: Entry<'a>) -> Exposure<'a> {
    Exposure::Called(qualified(list, naming, entry), vec![entry])
}

fn qualified(list: List, naming: &Naming, entry: Entry<'_>) -> String {
    let (upstream, key) = (entry.offered.name.as_str(), &*entry.item.key);
    match list {
        List::Tools | List::Prompts => naming.qualified(upstream, key),
        List::Resources | List::Templates | List::Skills => qualified_uri(upstream, key),
    }
}

/// Decides names in the modes without a prefix, with conflict resolution.
fn shared<'a>(list: List, naming: &Naming, entries: &[Entry<'a>]) -> Vec<Exposure<'a>> {
    let mut holders: HashMap<&str, Vec<Entry<'a>>> = HashMap::new();
    for entry in entries {
        holders.entry(&entry.item.key).or_default().push(*entry);
    }
    entries
        .iter()
        .map(|entry| exposure(list, naming, *entry, holders.get(&*entry.item.key).map_or(&[], Vec::as_slice)))
        .collect()
}

fn exposure<'a>(list: List, naming: &Naming, entry: Entry<'a>, holders: &[Entry<'a>]) -> Exposure<'a> {
    let key = &*entry.item.key;
    let first = match naming.conflict {
        Conflict::AutoPrefix | Conflict::Reject => holders.first(),
        Conflict::PriorityOverride => holders.iter().min_by_key(|holder| holder.offered.priority),
    };
    let first = *first.unwrap_or(&entry);
    if std::ptr::eq(first.item, entry.item) {
        let pool = holders.iter().filter(|holder| are_replicas(list, first.item, holder.item)).copied().collect();
        let name = match list {
            List::Tools | List::Prompts => naming.bare(key),
            List::Resources | List::Templates | List::Skills => key.to_owned(),
        };
        return Exposure::Called(name, pool);
    }
    if (naming.mode, naming.conflict) == (Mode::OnConflict, Conflict::AutoPrefix) {
        return pinned(list, naming, entry);
    }
    let winner = &first.offered.name;
    if are_replicas(list, first.item, entry.item) {
        Exposure::Joined(format!("calls of `{key}` go to `{winner}` and here in turn"))
    } else {
        Exposure::LeftOut(format!("`{winner}` has `{key}`, and the conflict strategy lets only one have it"))
    }
}

/// Returns true if two items of the same name are replicas: their argument schemas are equal. Resources never are.
fn are_replicas(list: List, one: &Item, other: &Item) -> bool {
    let member = match list {
        List::Tools => "inputSchema",
        List::Prompts => "arguments",
        List::Resources | List::Templates | List::Skills => return std::ptr::eq(one, other),
    };
    let arguments =
        |item: &Item| -> Option<Value> { serde_json::from_str(Object::read(&item.raw).ok()?.get(member)?).ok() };
    std::ptr::eq(one, other) || arguments(one) == arguments(other)
}
