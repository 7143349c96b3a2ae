//! Properties of all plans, tested with random declarations and registrations.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::subsequence;
use schemas::admin::Registration;
use schemas::{Definition, Owner};
use serde_json::json;

use super::{Adopt, Change, Policy, Prune, SHARED_TAG, plan, sharers};

/// Registrations of a gateway, by name.
type Registered = BTreeMap<String, Registration>;

/// Declarations: content number by name number.
type Declared = BTreeMap<u8, u8>;

const OWNERS: u8 = 20;
/// Small enough that owners collide.
const NAMES: u8 = 12;

fn definition(name: u8, content: u8) -> Definition {
    let headers = json!({ "Authorization": format!("Bearer {}", content % 2) });
    let document = match content % 3 {
        0 => json!({ "name": format!("n{name}"), "transport": "stdio", "command": "a", "args": [content.to_string()] }),
        1 => json!({ "name": format!("n{name}"), "transport": "sse", "url": "http://x.test/", "headers": headers }),
        _ => {
            json!({ "name": format!("n{name}"), "transport": "stdio", "command": "b", "tags": { "t": content.to_string() } })
        }
    };
    serde_json::from_value(document).expect("a definition")
}

fn definitions(declared: &Declared) -> Vec<Definition> {
    declared.iter().map(|(name, content)| definition(*name, *content)).collect()
}

fn owner(number: u8) -> Owner {
    format!("owner-{number}").parse().expect("an owner")
}

fn registration(definition: &Definition) -> Registration {
    serde_json::from_value(json!({ "definition": definition, "revision": 1 })).expect("a registration")
}

fn policy(who: u8, adopt: Adopt) -> Policy {
    Policy { adopt, prune: Prune::Owned, ..Policy::new(owner(who)) }
}

fn listed(registered: &Registered) -> Vec<Registration> {
    registered.values().cloned().collect()
}

/// Applies a change as a gateway would.
fn apply_change(registered: &mut Registered, change: &Change) {
    match change {
        Change::Create { definition } | Change::Update { definition, .. } => {
            registered.insert(definition.name.to_string(), registration(definition));
        }
        Change::Delete { name, .. } => {
            registered.remove(name.as_str());
        }
        Change::Keep { .. } | Change::Refuse { .. } => {}
    }
}

fn declared() -> impl Strategy<Value = Declared> {
    proptest::collection::btree_map(0..NAMES, 0..6_u8, 0..6)
}

/// One run of an owner that is killed after some of its changes, made in any order.
#[derive(Debug, Clone)]
struct Run {
    who: u8,
    declared: Declared,
    done: Vec<usize>,
}

fn runs() -> impl Strategy<Value = Vec<Run>> {
    let all: Vec<usize> = (0..usize::from(NAMES) * 2).collect();
    let done = prop_oneof![Just(all.clone()), subsequence(all.clone(), 0..all.len())].prop_shuffle();
    let run = (0..OWNERS, declared(), done).prop_map(|(who, declared, done)| Run { who, declared, done });
    proptest::collection::vec(run, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_registered_as_declared_needs_nothing(declared in declared()) {
        let desired = definitions(&declared);
        let mut registered = Registered::new();
        for change in plan(&desired, &[], &policy(0, Adopt::Nothing)).changes {
            apply_change(&mut registered, &change);
        }
        let second = plan(&desired, &listed(&registered), &policy(0, Adopt::Nothing));
        prop_assert!(second.is_empty());
        prop_assert_eq!(second.changes.len(), desired.len());
    }

    #[test]
    fn a_plan_leads_to_what_is_declared_and_touches_nothing_of_others(
        before in runs(),
        declared in declared(),
    ) {
        let mut registered = Registered::new();
        for run in before {
            let made = plan(&definitions(&run.declared), &listed(&registered), &policy(run.who, Adopt::Nothing));
            made.changes.iter().for_each(|change| apply_change(&mut registered, change));
        }
        let (me, desired) = (policy(0, Adopt::Nothing), definitions(&declared));
        let foreign = others(&registered, 0);
        let made = plan(&desired, &listed(&registered), &me);
        made.changes.iter().for_each(|change| apply_change(&mut registered, change));
        prop_assert_eq!(&still_others(&registered, 0, &foreign), &foreign);
        let is_declared = |name: &String| desired.iter().any(|it| it.name.as_str() == name);
        let handed_over = others(&registered, 0).into_keys().filter(|name| !foreign.contains_key(name));
        prop_assert_eq!(handed_over.filter(is_declared).count(), 0);
        let foreign = others(&registered, 0);
        let mine: BTreeSet<&str> = registered.iter().filter(|(name, _)| !foreign.contains_key(*name)).map(|(name, _)| name.as_str()).collect();
        let free: BTreeSet<&str> =
            desired.iter().map(|it| it.name.as_str()).filter(|name| !foreign.contains_key(*name)).collect();
        prop_assert_eq!(mine, free);
        let again = plan(&desired, &listed(&registered), &me);
        let is_at_rest = |change: &Change| matches!(change, Change::Keep { .. } | Change::Refuse { .. });
        prop_assert!(again.changes.iter().all(is_at_rest));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn no_run_of_twenty_owners_changes_or_removes_what_is_anothers_even_if_it_is_killed(history in runs()) {
        let mut registered = Registered::new();
        for Run { who, declared, done } in history {
            let foreign = others(&registered, who);
            let made = plan(&definitions(&declared), &listed(&registered), &policy(who, Adopt::Nothing));
            let carried_out = done.iter().filter_map(|at| made.changes.get(*at));
            carried_out.for_each(|change| apply_change(&mut registered, change));
            prop_assert_eq!(still_others(&registered, who, &foreign), foreign);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn what_others_declare_too_is_not_taken_from_them(history in runs(), who in 0..OWNERS) {
        let mut registered = Registered::new();
        for Run { who, declared, .. } in history {
            let made = plan(&definitions(&declared), &listed(&registered), &policy(who, Adopt::Nothing));
            made.changes.iter().for_each(|change| apply_change(&mut registered, change));
        }
        let shared: Vec<String> = registered.iter().filter(|(_, it)| !sharers(it).is_empty()).map(|(name, _)| name.clone()).collect();
        let made = plan(&[], &listed(&registered), &policy(who, Adopt::Nothing));
        made.changes.iter().for_each(|change| apply_change(&mut registered, change));
        let me = owner(who);
        for name in shared {
            let left = registered.get(&name).expect("it is still there");
            prop_assert_ne!(left.definition.owner(), Some(me.as_str()));
            prop_assert!(!sharers(left).contains(&me));
        }
    }
}

/// Returns the registrations of all other owners, without the tag of further owners.
fn others(registered: &Registered, who: u8) -> BTreeMap<String, Definition> {
    let owner = owner(who);
    let is_foreign = |it: &Registration| it.definition.owner() != Some(owner.as_str());
    let unshared = |it: &Registration| {
        let mut definition = Definition::try_from(it.definition.document().clone()).expect("a definition");
        definition.tags.remove(SHARED_TAG);
        definition
    };
    registered.iter().filter(|(_, it)| is_foreign(it)).map(|(name, it)| (name.clone(), unshared(it))).collect()
}

/// Returns the registrations of others that were theirs before, too.
fn still_others(
    registered: &Registered,
    who: u8,
    before: &BTreeMap<String, Definition>,
) -> BTreeMap<String, Definition> {
    others(registered, who).into_iter().filter(|(name, _)| before.contains_key(name)).collect()
}
