use proptest::prelude::*;
use serde_json::json;

use super::*;

const TTL: Duration = Duration::from_secs(10);

fn at(seconds: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn records(capacity: usize, holders: usize) -> Records {
    Records::new(Revision::new(100), Limits { registrations: capacity, holders, locks: 1, tokens: 2 })
}

fn name(name: &str) -> ServerName {
    name.parse().expect("a name")
}

fn holder(holder: &str) -> Holder {
    holder.parse().expect("a holder")
}

fn definition(name: &str, description: &str) -> Definition {
    let document =
        json!({ "name": name, "transport": "sse", "url": "http://127.0.0.1:1/", "description": description });
    serde_json::from_value(document).expect("a definition")
}

fn requested(by: &str) -> Option<RequestedLease> {
    Some(RequestedLease { holder: holder(by), ttl: TTL })
}

fn create(name: &str) -> Write {
    Write::Create { definition: definition(name, ""), lease: None }
}

fn create_leased(name: &str, by: &str) -> Write {
    Write::Create { definition: definition(name, ""), lease: requested(by) }
}

fn update(definition: Definition) -> Write {
    Write::Update { definition, tenure: Tenure::Permanent, lease: None }
}

fn delete(of: &str) -> Write {
    Write::Delete { name: name(of) }
}

fn apply(records: &mut Records, writes: Vec<Write>) -> Result<Vec<Written>, TransactError> {
    records.transact(writes, &Expected::new(), at(0))
}

/// Describes all that a transaction may change.
fn state(records: &Records) -> String {
    format!("{:?} {:?}", records.snapshot(), records.leases)
}

fn names(records: &Records) -> Vec<String> {
    records.snapshot().all().map(|stored| stored.definition.name.to_string()).collect()
}

/// Checks that the transaction is refused for this reason and changes nothing.
fn refused(records: &mut Records, writes: Vec<Write>, expected: &Expected, reason: TransactError) {
    let before = state(records);
    assert_eq!(records.transact(writes, expected, at(0)).err(), Some(reason));
    assert_eq!(state(records), before);
}

#[test]
fn a_transaction_that_meets_another_state_changes_nothing() {
    let mut records = records(10, 10);
    let revision =
        apply(&mut records, vec![create("a")]).expect("applied")[0].registration.as_ref().map(|a| a.revision);
    let writes = || vec![create_leased("b", "one"), update(definition("a", "new")), delete("a")];
    let conflict = |of: &str| TransactError::Conflict(name(of));
    for expected in [Some(Revision::new(7)), None] {
        refused(&mut records, writes(), &[(name("a"), expected)].into(), conflict("a"));
    }
    refused(&mut records, writes(), &[(name("a"), revision), (name("b"), revision)].into(), conflict("b"));
    let expected = [(name("a"), revision), (name("b"), None)].into();
    assert!(records.transact(writes(), &expected, at(0)).is_ok());
    assert_eq!(names(&records), ["b"]);
}

#[test]
fn one_write_that_fails_undoes_those_before_it() {
    let mut records = records(3, 1);
    apply(&mut records, vec![create("a"), create_leased("b", "one")]).expect("applied");
    let before = || vec![delete("b"), update(definition("a", "new")), create("c")];
    let mut check = |last: Vec<Write>, reason| {
        refused(&mut records, [before(), last].concat(), &Expected::new(), reason);
    };
    check(vec![create("a")], TransactError::Exists(name("a")));
    check(vec![update(definition("d", ""))], TransactError::Missing(name("d")));
    check(vec![delete("d")], TransactError::Missing(name("d")));
    check(vec![delete("c"), delete("c")], TransactError::Missing(name("c")));
    check(vec![create("d"), create("e")], TransactError::Full(3));
    let leases = Leases::new(1).admits([&holder("one"), &holder("two")]).expect_err("two are too many");
    check(vec![create_leased("d", "two")], TransactError::TooManyHolders(leases));
}

#[test]
fn a_deletion_makes_room_wherever_it_stands_and_ends_the_leases() {
    let mut records = records(2, 10);
    apply(&mut records, vec![create_leased("a", "one"), create("b")]).expect("applied");
    apply(&mut records, vec![create("c"), delete("a")]).expect("room");
    assert_eq!((names(&records), records.leases.all().len()), (vec!["b".to_owned(), "c".to_owned()], 0));
    assert_eq!(records.room(), 0);
}

#[test]
fn no_revision_is_used_twice() {
    let mut records = records(10, 10);
    let mut seen = vec![records.snapshot().revision()];
    for writes in [
        vec![create("a")],
        vec![delete("a")],
        vec![create("a")],
        vec![update(definition("a", ""))],
        vec![create("b"), delete("b"), create("b")],
    ] {
        let written = apply(&mut records, writes).expect("applied");
        let revisions = written.iter().filter_map(|written| Some(written.registration.as_ref()?.revision));
        assert!(revisions.clone().all(|revision| !seen.contains(&revision)), "{revisions:?} after {seen:?}");
        assert!(!seen.contains(&records.snapshot().revision()), "also a deletion leads to a new state");
        seen.extend(written.iter().filter_map(|written| Some(written.registration.as_ref()?.revision)));
        seen.push(records.snapshot().revision());
        seen.dedup();
    }
}

#[test]
fn an_upstream_is_outdated_by_any_change_but_that_of_tags_alone() {
    let mut records = records(10, 10);
    let mut change = |writes| {
        let written = apply(&mut records, writes).expect("applied").remove(0);
        let stored = written.registration.expect("stored");
        (written.effect, stored.incarnation == stored.revision)
    };
    let mut tagged = definition("a", "");
    tagged.tags.insert("owner".to_owned(), "team".to_owned());
    assert_eq!(change(vec![create("a")]), (Effect::Created, true));
    assert_eq!(change(vec![update(tagged.clone())]), (Effect::Retagged, false));
    assert_eq!(change(vec![update(tagged.clone())]), (Effect::Redefined, true), "the same once more is a restart");
    let lease = RequestedLease { holder: holder("one"), ttl: TTL };
    assert_eq!(change(vec![Write::Lease { name: name("a"), lease }]).0, Effect::Leased);
    assert_eq!(change(vec![update(definition("a", "other"))]), (Effect::Redefined, true));
}

#[test]
fn leases_that_end_take_exactly_the_unheld_registrations_with_them() {
    let mut records = records(10, 10);
    let writes = vec![create("kept"), create_leased("shared", "one"), create_leased("own", "one")];
    apply(&mut records, writes).expect("applied");
    let shared = vec!["shared".to_owned(), "missing".to_owned()];
    let grant = records.hold(&holder("two"), Some(shared), 2 * TTL, at(0)).expect("room");
    assert_eq!((grant.held, grant.missing), (vec![name("shared")], vec!["missing".to_owned()]));
    records.hold(&holder("three"), Some(vec!["kept".to_owned()]), TTL, at(0)).expect("room");
    let unchanged = state(&records);
    assert_eq!(records.expire(at(9)), EndedLeases::default());
    assert_eq!(state(&records), unchanged);
    let ended = records.expire(at(10));
    assert_eq!(ended, EndedLeases { removed: vec![name("own")], kept: vec![name("kept")] });
    assert_eq!(names(&records), ["kept", "shared"]);
    records.hold(&holder("four"), Some(vec!["shared".to_owned()]), TTL, at(10)).expect("room");
    let kept = EndedLeases { removed: vec![], kept: vec![name("shared")] };
    assert_eq!(records.release(&holder("four")), kept, "another holder needs it");
    assert_eq!(records.release(&holder("two")).removed, [name("shared")]);
    assert_eq!(names(&records), ["kept"]);
}

#[derive(Debug, Clone)]
enum Step {
    Create(u8, Option<u8>),
    Update(u8, Option<u8>),
    Delete(u8),
    Hold(u8, Vec<u8>),
    Release(u8),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (number, by) = (0..4_u8, prop::option::of(0..4_u8));
    prop_oneof![
        (number.clone(), by.clone()).prop_map(|(name, by)| Step::Create(name, by)),
        (number.clone(), by).prop_map(|(name, by)| Step::Update(name, by)),
        number.clone().prop_map(Step::Delete),
        (number.clone(), prop::collection::vec(number.clone(), 0..4)).prop_map(|(by, names)| Step::Hold(by, names)),
        number.prop_map(Step::Release),
        (0..15_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn a_leased_registration_has_a_lease_and_a_lease_a_registration(steps in prop::collection::vec(step(), 0..60)) {
        let (mut records, mut now) = (records(3, 3), 0);
        let text = |number: u8| format!("n{number}");
        let requested = |by: Option<u8>| requested(&format!("h{}", by?));
        for step in steps {
            let write = match step {
                Step::Create(n, by) => Write::Create { definition: definition(&text(n), ""), lease: requested(by) },
                Step::Update(n, by) => {
                    let stored = records.snapshot().get(&text(n)).map(|stored| stored.tenure);
                    let tenure = stored.filter(|_| by.is_some()).unwrap_or(Tenure::Permanent);
                    Write::Update { definition: definition(&text(n), ""), tenure, lease: requested(by) }
                }
                Step::Delete(n) => delete(&text(n)),
                Step::Hold(by, names) => {
                    let names = names.into_iter().map(text).collect();
                    drop(records.hold(&holder(&format!("h{by}")), Some(names), TTL, at(now)));
                    continue;
                }
                Step::Release(by) => {
                    records.release(&holder(&format!("h{by}")));
                    continue;
                }
                Step::Pass(seconds) => {
                    now += seconds;
                    records.expire(at(now));
                    continue;
                }
            };
            drop(records.transact(vec![write], &Expected::new(), at(now)));
            for stored in records.snapshot().all().filter(|stored| stored.tenure == Tenure::Leased) {
                prop_assert!(records.leases.is_held(&stored.definition.name), "{}", stored.definition.name);
            }
            for held in records.leases.all().values().flat_map(|held| &held.names) {
                prop_assert!(records.snapshot().get(held.as_str()).is_some(), "{held}");
            }
        }
    }
}

/// Merges what a gateway has with what its storage has after it lost changes; both begin with `a` and `b`.
fn merged(loss: Loss, ours: Vec<Write>, theirs: Vec<Write>) -> Vec<(String, String)> {
    let limits = Limits { registrations: 10, holders: 10, locks: 10, tokens: 10 };
    let mut before = records(10, 10);
    apply(&mut before, vec![create("a"), create("b")]).expect("applied");
    let (mut mine, mut stored) = (before.clone(), before);
    apply(&mut mine, ours).expect("applied");
    apply(&mut stored, theirs).expect("applied");
    let merged = mine.merge(&stored, loss, limits);
    assert!(merged.snapshot().revision() > mine.snapshot().revision().max(stored.snapshot().revision()));
    let shown = |one: &Arc<Registration>| {
        (one.definition.name.to_string(), one.definition.description.clone().unwrap_or_default())
    };
    merged.snapshot().all().map(shown).collect()
}

#[test]
fn a_merge_keeps_what_either_side_has_changed_last() {
    let named = |names: &[(&str, &str)]| -> Vec<(String, String)> {
        names.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    };
    let change = |name: &str, text: &str| update(definition(name, text));
    assert_eq!(merged(Loss::Newest, vec![], vec![]), named(&[("a", ""), ("b", "")]));
    assert_eq!(
        merged(Loss::Newest, vec![create("c")], vec![]),
        named(&[("a", ""), ("b", ""), ("c", "")]),
        "lost by the storage"
    );
    assert_eq!(
        merged(Loss::Newest, vec![], vec![create("c")]),
        named(&[("a", ""), ("b", ""), ("c", "")]),
        "another gateway's"
    );
    assert_eq!(merged(Loss::Newest, vec![delete("a")], vec![]), named(&[("b", "")]), "a deletion that was lost");
    assert_eq!(merged(Loss::Newest, vec![], vec![delete("a")]), named(&[("b", "")]));
    assert_eq!(merged(Loss::Newest, vec![change("a", "ours")], vec![]), named(&[("a", "ours"), ("b", "")]));
    let twice = vec![change("a", "x"), change("a", "theirs")];
    assert_eq!(
        merged(Loss::Newest, vec![change("a", "ours")], twice),
        named(&[("a", "theirs"), ("b", "")]),
        "the higher revision"
    );
    let both = merged(Loss::Diverged, vec![create("c")], vec![create("d"), delete("a")]);
    assert_eq!(both, named(&[("a", ""), ("b", ""), ("c", ""), ("d", "")]), "nothing tells a deletion from a loss");
}
