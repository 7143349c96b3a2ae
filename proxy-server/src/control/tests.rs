use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::http::HeaderValue;
use futures_util::FutureExt;
use jiff::SignedDuration;
use schemas::{Definition, ServerName};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::*;
use crate::http::client::{Dialer, Limits as DialLimits, Network};
use crate::live::Live;
use crate::registry::{EndedLeases, Expected, Opened, Registration, RequestedLease, Tenure, TransactError, Write};
use crate::tasks::Tasks;
use crate::upstream::{ChildEnvironment, Config, Environment, Upstream, Upstreams};

/// A change by the gateway itself, at the beginning of time.
const EPOCH: ChangeContext = ChangeContext { by: Actor::Gateway, now: Timestamp::UNIX_EPOCH };

const TTL: Duration = Duration::from_secs(10);

/// A control with its upstreams, and a wall clock that follows the paused clock and can be set.
struct World {
    control: Arc<Control>,
    upstreams: Upstreams,
    tasks: Tasks,
    set_by: Arc<AtomicI64>,
}

impl World {
    fn new() -> Self {
        let tasks = Tasks::default();
        let limits = DialLimits { connect_timeout: TTL, idle_timeout: TTL };
        let dialer = Dialer::new(limits, Network::default(), HeaderValue::from_static("m"));
        let environment = Environment::new(
            Live::new(Config::default()),
            (tasks.clone(), Default::default()),
            dialer,
            ChildEnvironment::default(),
        );
        let (upstreams, lifecycle) = Upstreams::new(environment);
        let (started, set_by) = (Instant::now(), Arc::<AtomicI64>::default());
        let ahead = Arc::clone(&set_by);
        let clock = move || {
            let set_by = SignedDuration::from_secs(ahead.load(Ordering::Relaxed));
            "2026-01-01T00:00:00Z".parse::<Timestamp>().expect("a time") + started.elapsed() + set_by
        };
        let registry = Registry::start(Opened::memory(10).expect("a storage"), Default::default(), &tasks);
        Self { control: Arc::new(Control::new(registry, lifecycle, clock)), upstreams, tasks, set_by }
    }

    /// Starts the task that ends leases.
    fn expiring(self) -> Self {
        let stopping = self.tasks.stopping().clone();
        self.tasks.spawn("expire leases", leases::expire(Arc::clone(&self.control), stopping));
        self
    }

    async fn commit(&self, writes: Vec<Write>) {
        self.control.commit(&Actor::Gateway, writes, &Expected::new()).await.expect("committed");
    }

    /// Returns the names of all registrations, after checking that exactly these run.
    fn names(&self) -> Vec<String> {
        let names = |names: &mut dyn Iterator<Item = &ServerName>| names.map(ServerName::to_string).collect::<Vec<_>>();
        let snapshot = self.control.snapshot();
        let registered = names(&mut snapshot.all().map(|stored| &stored.definition.name));
        assert_eq!(names(&mut self.upstreams.all().keys()), registered);
        registered
    }

    fn running(&self, name: &str) -> Arc<Upstream> {
        self.upstreams.get(name).expect("a running upstream")
    }

    fn stored(&self, name: &str) -> Arc<Registration> {
        Arc::clone(self.control.snapshot().get(name).expect("a registration"))
    }

    /// Sets the wall clock forward or back.
    fn set_clock(&self, seconds: i64) {
        self.set_by.fetch_add(seconds, Ordering::Relaxed);
    }
}

fn definition(name: &str, owner: &str) -> Definition {
    let document =
        json!({ "name": name, "transport": "stdio", "command": "no-such-program", "tags": { "owner": owner } });
    serde_json::from_value(document).expect("a definition")
}

fn create(name: &str) -> Write {
    Write::Create { definition: definition(name, ""), lease: None }
}

fn create_leased(name: &str, by: &str) -> Write {
    Write::Create { definition: definition(name, ""), lease: Some(RequestedLease { holder: holder(by), ttl: TTL }) }
}

fn update(definition: Definition) -> Write {
    Write::Update { definition, tenure: Tenure::Permanent, lease: None }
}

fn delete(name: &str) -> Write {
    Write::Delete { name: name.parse().expect("a name") }
}

fn holder(name: &str) -> Holder {
    name.parse().expect("a holder")
}

#[tokio::test(start_paused = true)]
async fn upstreams_have_followed_when_a_commit_answers() {
    let world = World::new();
    world.commit(vec![create("b"), create("a")]).await;
    assert_eq!(world.names(), ["b", "a"]);
    let (a, b) = (world.running("a"), world.running("b"));
    world.commit(vec![update(definition("b", "")), create("c"), delete("a")]).await;
    assert_eq!(world.names(), ["b", "c"]);
    assert!(a.retired().is_cancelled() && b.retired().is_cancelled());
    assert!(!world.running("b").retired().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_conflict_changes_neither_registry_nor_upstreams() {
    let world = World::new();
    world.commit(vec![create("a")]).await;
    let (upstream, revision) = (world.running("a"), world.control.snapshot().revision());
    let expected = [("a".parse().expect("a name"), Some(schemas::admin::Revision::new(7)))].into();
    let writes = vec![create_leased("b", "one"), update(definition("a", ""))];
    let refused = world.control.commit(&Actor::Gateway, writes, &expected).await;
    assert!(matches!(refused, Err(TransactError::Conflict(name)) if name.as_str() == "a"));
    let refused =
        world.control.commit(&Actor::Gateway, vec![create("b"), delete("a"), create("b")], &Expected::new()).await;
    assert!(matches!(refused, Err(TransactError::Exists(name)) if name.as_str() == "b"));
    assert_eq!((world.names(), world.control.leases().len()), (vec!["a".to_owned()], 0));
    assert_eq!(world.control.snapshot().revision(), revision);
    assert!(Arc::ptr_eq(&world.running("a"), &upstream));
}

#[tokio::test(start_paused = true)]
async fn reconciling_again_starts_nothing_again() {
    let world = World::new();
    world.commit(vec![create("a"), create("b")]).await;
    let (a, b) = (world.running("a"), world.running("b"));
    world.control.reconciler.reconcile();
    world.commit(vec![update(definition("b", "team"))]).await;
    world.control.reconciler.reconcile();
    assert!(Arc::ptr_eq(&world.running("a"), &a));
    assert!(Arc::ptr_eq(&world.running("b"), &b), "tags are no reason to restart");
    world.commit(vec![update(definition("b", "team"))]).await;
    let restarted = world.running("b");
    assert!(!Arc::ptr_eq(&restarted, &b) && b.retired().is_cancelled());
    world.control.reconciler.reconcile();
    assert!(Arc::ptr_eq(&world.running("b"), &restarted));
}

#[tokio::test(start_paused = true)]
async fn one_reconciliation_makes_up_for_many_changes() {
    let world = World::new();
    world.commit(vec![create("a"), create("b")]).await;
    let a = world.running("a");
    // Changes whose commits were dropped before they could reconcile.
    for writes in [vec![delete("a")], vec![create("c"), update(definition("b", ""))], vec![create("a")]] {
        let written = world.control.registry.transact(writes, &Expected::new(), &EPOCH).await;
        written.expect("applied");
    }
    world.control.reconciler.reconcile();
    assert_eq!(world.names(), ["b", "c", "a"], "in the registry's order");
    assert!(a.retired().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_change_that_nobody_reconciles_is_followed_by_the_task() {
    let world = World::new();
    let stopping = world.tasks.stopping().clone();
    world.tasks.spawn("reconcile upstreams", start::follow(Arc::clone(&world.control), stopping));
    for name in ["a", "b"] {
        let expected = Expected::new();
        let written = world.control.registry.transact(vec![create(name)], &expected, &EPOCH);
        written.await.expect("applied");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(world.names().last().map(String::as_str), Some(name));
    }
}

#[tokio::test(start_paused = true)]
async fn a_decision_is_made_again_on_what_came_first() {
    let world = World::new();
    world.commit(vec![create("a")]).await;
    let mut seen = Vec::new();
    let outcome = world.control.decide(&Actor::Gateway, |snapshot| {
        let stored = snapshot.get("a").ok_or("gone")?;
        seen.push(stored.revision);
        if seen.len() == 1 {
            let first = world.commit(vec![update(definition("a", "first"))]);
            first.now_or_never().expect("nothing to wait for");
        }
        let tags = stored.definition.tags.get("owner").cloned().unwrap_or_default();
        let writes = vec![update(definition("a", &(tags + " and second")))];
        let expected = [(stored.definition.name.clone(), Some(stored.revision))].into();
        Ok::<_, &str>(Decided { writes, expected, context: () })
    });
    assert!(matches!(outcome.await, Ok(Ok(_))));
    assert_eq!(seen.len(), 2);
    assert_eq!(world.stored("a").definition.tags["owner"], "first and second");
    world.commit(vec![delete("a")]).await;
    let refused = world.control.decide(&Actor::Gateway, |snapshot| match snapshot.get("a") {
        None => Err("gone"),
        Some(_) => Ok(Decided { writes: vec![], expected: Expected::new(), context: () }),
    });
    assert!(matches!(refused.await, Err("gone")));
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_never_fits_is_given_up() {
    let world = World::new();
    let mut decisions = 0;
    let outcome = world.control.decide(&Actor::Gateway, |_| {
        decisions += 1;
        let expected = [("a".parse().expect("a name"), Some(schemas::admin::Revision::new(7)))].into();
        Ok::<_, ()>(Decided { writes: vec![create("a")], expected, context: () })
    });
    assert!(matches!(outcome.await, Ok(Err(TransactError::Conflict(_)))));
    assert_eq!(decisions, 100);
}

#[tokio::test(start_paused = true)]
async fn leases_that_end_retire_exactly_the_unheld_upstreams() {
    let world = World::new().expiring();
    world.commit(vec![create("kept"), create_leased("own", "one"), create_leased("shared", "one")]).await;
    let both = vec!["kept".to_owned(), "shared".to_owned()];
    world.control.hold(&Actor::Gateway, &holder("two"), Some(both), 3 * TTL).await.expect("room");
    let own = world.running("own");
    sleep(TTL - Duration::from_millis(100)).await;
    assert_eq!(world.names(), ["kept", "own", "shared"]);
    sleep(Duration::from_millis(200)).await;
    assert_eq!((world.names(), own.retired().is_cancelled()), (vec!["kept".to_owned(), "shared".to_owned()], true));
    let ended = world.control.release(&Actor::Gateway, &holder("two")).await.expect("stored");
    assert_eq!(ended, EndedLeases { removed: vec![name_of("shared")], kept: vec![name_of("kept")] });
    assert_eq!(world.names(), ["kept"]);
}

fn name_of(name: &str) -> ServerName {
    name.parse().expect("a name")
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_taken_later_may_end_sooner() {
    let world = World::new().expiring();
    world.commit(vec![create_leased("a", "one"), create("b")]).await;
    sleep(Duration::from_secs(1)).await;
    let only = vec!["a".to_owned()];
    world.control.hold(&Actor::Gateway, &holder("one"), Some(only), Duration::from_secs(2)).await.expect("room");
    sleep(Duration::from_millis(2_100)).await;
    assert_eq!(world.names(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_set_back_ends_no_lease_early() {
    let world = World::new().expiring();
    world.commit(vec![create_leased("a", "one")]).await;
    sleep(TTL / 2).await;
    world.set_clock(-3600);
    // The sleep that began before ends in time, and the clock shows an hour less.
    sleep(TTL).await;
    assert_eq!(world.names(), ["a"]);
    world.control.hold(&Actor::Gateway, &holder("one"), None, TTL).await.expect("renewed");
    sleep(TTL - Duration::from_millis(100)).await;
    assert_eq!(world.names(), ["a"]);
    sleep(Duration::from_millis(200)).await;
    assert!(world.names().is_empty(), "a renewal counts by the clock as it is now");
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_set_forward_ends_leases_earlier_by_as_much() {
    let world = World::new().expiring();
    world.commit(vec![create("kept")]).await;
    world.control.hold(&Actor::Gateway, &holder("one"), Some(vec!["kept".to_owned()]), 100 * TTL).await.expect("room");
    sleep(Duration::from_secs(1)).await;
    world.set_clock(99 * 10 - 40);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(world.control.leases().len(), 1);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(world.control.leases().len(), 0, "noticed although the task slept for longer");
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_at_its_limits_breaks_nothing() {
    let world = World::new().expiring();
    world.commit(vec![create_leased("a", "one")]).await;
    world.control.hold(&Actor::Gateway, &holder("two"), Some(vec!["a".to_owned()]), Duration::MAX).await.expect("room");
    world.set_clock(-60 * 365 * 24 * 3600);
    sleep(TTL).await;
    assert_eq!((world.names(), world.control.leases().len()), (vec!["a".to_owned()], 2));
    world.set_clock(120 * 365 * 24 * 3600);
    // Wakes the task while the first lease is long overdue.
    world.control.hold(&Actor::Gateway, &holder("three"), Some(vec![]), TTL).await.expect("room");
    sleep(4 * TTL).await;
    assert_eq!((world.names(), world.control.leases().len()), (vec!["a".to_owned()], 1));
}
