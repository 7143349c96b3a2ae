use proptest::prelude::*;

use super::*;

fn holder(number: u8) -> Holder {
    format!("h{number}").parse().expect("a holder")
}

fn name(number: u8) -> ServerName {
    format!("n{number}").parse().expect("a name")
}

fn names(numbers: &[u8]) -> BTreeSet<ServerName> {
    numbers.iter().map(|number| name(*number)).collect()
}

fn listed(numbers: &[u8]) -> Vec<ServerName> {
    names(numbers).into_iter().collect()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn a_name_is_free_when_its_last_lease_has_ended() {
    let mut leases = Leases::new(10);
    leases.set(&holder(1), names(&[1, 2]), at(10)).expect("room");
    leases.set(&holder(2), names(&[2]), at(20)).expect("room");
    assert_eq!(leases.next(), Some(at(10)));
    assert_eq!(leases.expire(at(9)), names(&[]));
    assert_eq!(leases.expire(at(10)), names(&[1]), "2 is still needed");
    assert!(leases.is_held(&name(2)) && !leases.is_held(&name(1)));
    assert_eq!(leases.release(&holder(2)), listed(&[2]));
    assert_eq!((leases.next(), leases.is_held(&name(2))), (None, false));
}

#[test]
fn holders_whose_time_has_come_together_free_a_name_once() {
    let mut leases = Leases::new(10);
    for number in 1..=3 {
        leases.set(&holder(number), names(&[1]), at(number.into())).expect("room");
    }
    assert_eq!(leases.expire(at(3)), names(&[1]));
    assert_eq!(leases.expire(at(3)), names(&[]));
}

#[test]
fn what_is_not_named_again_is_given_back() {
    let mut leases = Leases::new(10);
    leases.set(&holder(1), names(&[1, 2]), at(10)).expect("room");
    assert_eq!(leases.set(&holder(1), names(&[2, 3]), at(5)), Ok(listed(&[1])));
    assert_eq!(leases.next(), Some(at(5)), "a holder may shorten its own time");
    assert_eq!(leases.set(&holder(1), names(&[]), at(5)), Ok(listed(&[2, 3])));
    assert_eq!((leases.all().len(), leases.next()), (0, None), "who holds nothing is forgotten");
}

#[test]
fn one_lease_more_prolongs_the_others_and_never_shortens_them() {
    let mut leases = Leases::new(10);
    leases.set(&holder(1), names(&[1]), at(10)).expect("room");
    assert_eq!(leases.add(&holder(1), name(2), at(5)), at(10));
    assert_eq!(leases.add(&holder(1), name(3), at(15)), at(15));
    assert_eq!(leases.expire(at(14)), names(&[]));
    assert_eq!(leases.expire(at(15)), names(&[1, 2, 3]));
}

#[test]
fn renewing_takes_nothing() {
    let mut leases = Leases::new(10);
    assert_eq!(leases.renew(&holder(1), at(10)), []);
    assert_eq!((leases.all().len(), leases.next()), (0, None));
    leases.set(&holder(1), names(&[1]), at(10)).expect("room");
    assert_eq!(leases.renew(&holder(1), at(20)), listed(&[1]));
    assert_eq!((leases.expire(at(19)), leases.next()), (names(&[]), Some(at(20))));
}

#[test]
fn a_registration_that_is_gone_leaves_no_lease() {
    let mut leases = Leases::new(10);
    leases.set(&holder(1), names(&[1]), at(10)).expect("room");
    leases.set(&holder(2), names(&[1, 2]), at(20)).expect("room");
    leases.forget("n1");
    assert_eq!((leases.on("n1").count(), leases.next()), (0, Some(at(20))));
    assert_eq!(leases.all().keys().cloned().collect::<Vec<_>>(), [holder(2)]);
}

#[test]
fn holders_are_bounded_and_those_there_are_go_on() {
    let mut leases = Leases::new(1);
    leases.set(&holder(1), names(&[1]), at(10)).expect("room");
    assert_eq!(leases.set(&holder(2), names(&[1]), at(10)), Err(TooManyHolders(1)));
    assert_eq!(leases.set(&holder(2), names(&[]), at(10)), Ok(vec![]), "nothing needs no room");
    assert_eq!(leases.admits([&holder(1)]), Ok(()));
    assert_eq!(leases.admits([&holder(1), &holder(2)]), Err(TooManyHolders(1)));
    leases.release(&holder(1));
    assert_eq!(leases.admits([&holder(2), &holder(2)]), Ok(()));
    assert_eq!(leases.admits([&holder(2), &holder(3)]), Err(TooManyHolders(1)));
}

#[derive(Debug, Clone)]
enum Step {
    Set(u8, Vec<u8>, u64),
    Add(u8, u8, u64),
    Renew(u8, u64),
    Release(u8),
    Forget(u8),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (holder, name, ttl) = (0..6_u8, 0..5_u8, 1..20_u64);
    prop_oneof![
        (holder.clone(), prop::collection::vec(name.clone(), 0..4), ttl.clone())
            .prop_map(|(h, n, t)| Step::Set(h, n, t)),
        (holder.clone(), name.clone(), ttl.clone()).prop_map(|(h, n, t)| Step::Add(h, n, t)),
        (holder.clone(), ttl).prop_map(|(h, t)| Step::Renew(h, t)),
        holder.prop_map(Step::Release),
        name.prop_map(Step::Forget),
        (0..15_u64).prop_map(Step::Pass),
    ]
}

/// Reference model: for each holder, the expiry and the names.
type Model = BTreeMap<u8, (u64, BTreeSet<u8>)>;

const CAPACITY: usize = 4;

fn play(model: &mut Model, step: &Step, now: u64) {
    let admits = |model: &Model, holder: &u8| model.contains_key(holder) || model.len() < CAPACITY;
    match step {
        Step::Set(holder, names, ttl) if admits(model, holder) => {
            model.insert(*holder, (now + ttl, names.iter().copied().collect()));
        }
        Step::Add(holder, name, ttl) if admits(model, holder) => {
            let held = model.entry(*holder).or_default();
            held.0 = held.0.max(now + ttl);
            held.1.insert(*name);
        }
        Step::Set(holder, names, _) if names.is_empty() => drop(model.remove(holder)),
        Step::Set(..) | Step::Add(..) => {}
        Step::Renew(holder, ttl) => {
            if let Some(held) = model.get_mut(holder) {
                held.0 = now + ttl;
            }
        }
        Step::Release(holder) => drop(model.remove(holder)),
        Step::Forget(name) => model.values_mut().for_each(|(_, names)| names.retain(|other| other != name)),
        Step::Pass(_) => model.retain(|_, (end, _)| *end > now),
    }
    model.retain(|_, (_, names)| !names.is_empty());
}

proptest! {
    #[test]
    fn does_what_the_plainest_bookkeeping_does(steps in prop::collection::vec(step(), 0..60)) {
        let (mut leases, mut model, mut now) = (Leases::new(CAPACITY), Model::new(), 0);
        for step in steps {
            match &step {
                Step::Set(h, n, ttl) => drop(leases.set(&holder(*h), names(n), at(now + ttl))),
                Step::Add(h, n, ttl) => {
                    if leases.admits([&holder(*h)]).is_ok() {
                        leases.add(&holder(*h), name(*n), at(now + ttl));
                    }
                }
                Step::Renew(h, ttl) => drop(leases.renew(&holder(*h), at(now + ttl))),
                Step::Release(h) => drop(leases.release(&holder(*h))),
                Step::Forget(n) => leases.forget(name(*n).as_str()),
                Step::Pass(seconds) => {
                    now += seconds;
                    let before: BTreeSet<ServerName> = (0..5).map(name).filter(|name| leases.is_held(name)).collect();
                    let freed = leases.expire(at(now));
                    let after: BTreeSet<ServerName> = (0..5).map(name).filter(|name| leases.is_held(name)).collect();
                    prop_assert_eq!(&freed, &(&before - &after), "freed is exactly what lost its last lease");
                }
            }
            play(&mut model, &step, now);
            let ours: Vec<_> = leases.all().iter().map(|(h, held)| (h.clone(), held.ends_at, held.names.clone())).collect();
            let theirs: Vec<_> = model
                .iter()
                .map(|(h, (end, n))| (holder(*h), at(*end), n.iter().map(|n| name(*n)).collect()))
                .collect();
            prop_assert_eq!(ours, theirs);
            prop_assert_eq!(leases.next(), model.values().map(|(end, _)| at(*end)).min());
            for number in 0..5 {
                let holders: Vec<Holder> = leases.on(name(number).as_str()).map(|(holder, _)| holder.clone()).collect();
                let expected: Vec<Holder> =
                    model.iter().filter(|(_, (_, n))| n.contains(&number)).map(|(h, _)| holder(*h)).collect();
                prop_assert_eq!(holders, expected);
            }
        }
    }
}
