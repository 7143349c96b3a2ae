//! Our own client over a network that loses, cuts, delays and duplicates requests: 10,000 trials with a fixed seed.
//!
//! A fault injector stands between client and gateway. The far side counts executions, to check "at most once". A timer
//! in the same task as the client checks the deadline, so that a busy machine cannot fail a trial: it fires only if the
//! client is not done 50 ms after its own deadline.

mod injector;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use harness::fake::{Via, fake};
use harness::{DEADLINE, gateway, within};
use proxy_client::{Client, Registered, ToolOutcome};
use schemas::Definition;
use schemas::admin::ToolCall;
use serde_json::json;
use serde_json::value::to_raw_value;
use tokio::time::{Instant, sleep_until};

use self::injector::{Behind, Dice, Injector};

const SEED: u64 = 0x5eed_0004;
const SLACK: Duration = Duration::from_millis(50);
/// Number of trials that share an injector, and with it a connection pool.
const ROUND: u64 = 50;
const AT_ONCE: usize = 24;

/// Counts of each ending, and the longest delay after a deadline.
#[derive(Debug, Default)]
struct Tally {
    endings: BTreeMap<&'static str, u32>,
    late: Duration,
}

impl Tally {
    fn count(&mut self, ending: &'static str) {
        *self.endings.entry(ending).or_default() += 1;
    }

    fn of(&self, ending: &str) -> u32 {
        self.endings.get(ending).copied().unwrap_or_default()
    }

    fn add(&mut self, other: Self) {
        for (ending, count) in other.endings {
            *self.endings.entry(ending).or_default() += count;
        }
        self.late = self.late.max(other.late);
    }
}

/// Awaits a method of the client; panics if it is not done by its deadline plus `SLACK`.
async fn in_time<T>(tally: &mut Tally, deadline: Duration, trial: u64, method: impl Future<Output = T>) -> T {
    let mut method = std::pin::pin!(method);
    // The client's own clock starts here, so that an earlier stall of the machine does not count.
    let begun = futures_util::poll!(&mut method);
    let end = Instant::now() + deadline;
    if let Poll::Ready(outcome) = begun {
        return outcome;
    }
    let outcome = tokio::select! {
        biased;
        outcome = method => outcome,
        () = sleep_until(end + SLACK) => panic!("trial {trial}: still not done 50 ms after its deadline of {deadline:?}"),
    };
    tally.late = tally.late.max(Instant::now().saturating_duration_since(end));
    outcome
}

/// Returns a client with short backoff, and its deadline.
fn client(url: &str, dice: &mut Dice) -> (Client, Duration) {
    let deadline = Duration::from_millis(30 + dice.below(90));
    let builder = Client::builder(url).retries(3).backoff(Duration::from_millis(2), Duration::from_millis(10));
    let client = builder.timeout(Duration::from_millis(15 + dice.below(30))).deadline(deadline).build();
    (client.expect("a client"), deadline)
}

async fn calls(round: u64, behind: Behind) -> (Tally, Arc<Injector>) {
    let mut dice = Dice::new(SEED ^ (round << 20));
    let injector = Injector::start(behind, SEED.wrapping_add(round)).await;
    let (client, deadline) = client(&injector.url, &mut dice);
    let mut tally = Tally::default();
    for trial in round * ROUND..(round + 1) * ROUND {
        let arguments = Some(to_raw_value(&json!({ "trial": trial })).expect("JSON"));
        let call = ToolCall { mcp_name: "counting".to_owned(), tool_name: "count".to_owned(), arguments };
        let ending = match in_time(&mut tally, deadline, trial, client.call_tool(&call)).await {
            Ok(ToolOutcome::Success(_)) => {
                assert_eq!(injector.executed(trial), 1, "trial {trial}: it answered, so it ran");
                "answered"
            }
            Ok(ToolOutcome::Failure(_)) => "failed",
            Err(error) if error.is_unreachable() => "unreachable",
            Err(error) if error.is_timeout() => "timeout",
            Err(error) if error.status().is_some() => "refused",
            Err(_) => "broken",
        };
        tally.count(ending);
    }
    (tally, injector)
}

/// Checks that every ending and every fault occurred; otherwise the trials prove nothing.
fn is_worth_something(tally: &Tally, injectors: &[Arc<Injector>]) {
    for ending in ["answered", "unreachable", "timeout", "refused", "broken"] {
        assert!(tally.of(ending) > 0, "no trial was {ending}: {tally:?}");
    }
    let mut faults = BTreeMap::<String, u32>::new();
    for injector in injectors {
        for (fault, count) in injector.faults() {
            *faults.entry(fault).or_default() += count;
        }
    }
    // `Twice` is not applied to calls, so one fault is missing; the test of registrations covers it.
    assert_eq!(faults.len(), injector::ALL.len() - 1, "{faults:?}");
    println!("{tally:?}\n{faults:?}");
}

#[tokio::test]
async fn a_tool_runs_at_most_once_and_nobody_waits_past_the_deadline() {
    let rounds = stream::iter(0..180).map(|round| calls(round, Behind::Counter));
    let done: Vec<_> = within(2 * DEADLINE, "9,000 trials", rounds.buffer_unordered(AT_ONCE).collect()).await;
    let (mut tally, mut injectors) = (Tally::default(), Vec::new());
    for (one, injector) in done {
        tally.add(one);
        injectors.push(injector);
    }
    // Stalled requests have been given up by now, and must not run later.
    for injector in &injectors {
        assert_eq!(injector.more_than_once(), [0; 0]);
    }
    is_worth_something(&tally, &injectors);
}

#[tokio::test]
async fn the_same_through_a_real_gateway_to_a_real_upstream() {
    let gateway = gateway().start().await;
    let upstream = fake("counting").tool("count", |call| async move { call.reply(r#"{"content":[]}"#) });
    let upstream = upstream.start(Via::Json).await;
    gateway.admin.connect(&upstream.definition()).await;
    let address = gateway.url.trim_start_matches("http://").to_owned();
    let rounds = stream::iter(0..10).map(|round| calls(round, Behind::Gateway(address.clone())));
    let done: Vec<_> = within(DEADLINE, "500 trials", rounds.buffer_unordered(4).collect()).await;
    let mut tally = Tally::default();
    for (one, _) in done {
        tally.add(one);
    }
    let mut ran = BTreeMap::<u64, u32>::new();
    for received in upstream.received().iter().filter(|it| it.method == "tools/call") {
        *ran.entry(received.value()["params"]["arguments"]["trial"].as_u64().expect("a trial")).or_default() += 1;
    }
    assert!(ran.values().all(|count| *count == 1), "{ran:?}");
    assert!(tally.of("answered") > 50 && ran.len() >= tally.of("answered") as usize, "{tally:?}");
    println!("{tally:?}, {} ran", ran.len());
}

fn definition(trial: u64, description: &str) -> Definition {
    let definition = json!({"name": format!("t{trial}"), "transport": "streamable-http", "url": "http://127.0.0.1:9/mcp",
        "description": description});
    serde_json::from_value(definition).expect("a definition")
}

/// Registers, updates and removes through the injector, and checks each step over a clean connection.
async fn registrations(round: u64, gateway: &str) -> Tally {
    let mut dice = Dice::new(SEED ^ (round << 24));
    let injector = Injector::start(Behind::Gateway(gateway.to_owned()), SEED.wrapping_mul(round + 3)).await;
    let (client, deadline) = client(&injector.url, &mut dice);
    let clean = Client::builder(gateway).build().expect("a client");
    let mut tally = Tally::default();
    for trial in round * ROUND..(round + 1) * ROUND {
        let (first, second) = (definition(trial, "first"), definition(trial, "second"));
        let shown = async || clean.get(&first.name).await.expect("an answer");
        let stored = |it: &Option<schemas::admin::Registration>| {
            it.as_ref().map(|it| it.definition.document().description.clone())
        };
        let registered = in_time(&mut tally, deadline, trial, client.register(&first)).await;
        if let Ok(Registered::Created | Registered::AlreadyExists) = registered {
            assert_eq!(stored(&shown().await).as_deref(), Some("first"), "trial {trial}: {registered:?}");
            tally.count("registered");
        }
        // Another registration puts the server in place, whatever happened to the first attempts.
        clean.register(&first).await.expect("registered");
        let before = shown().await.and_then(|it| it.revision).expect("a revision");
        let updated = in_time(&mut tally, deadline, trial, client.update_if(&second, before)).await;
        if let Ok(updated) = updated {
            let updated = updated
                .done()
                .unwrap_or_else(|stale| panic!("trial {trial}: its own change stood in its way: {stale:?}"));
            let now = shown().await;
            assert_eq!(stored(&now).as_deref(), Some("second"), "trial {trial}");
            assert_eq!(now.and_then(|it| it.revision), updated.revision, "trial {trial}: it was changed twice");
            tally.count("updated");
        }
        if in_time(&mut tally, deadline, trial, client.deregister(&first.name)).await.is_ok() {
            assert!(shown().await.is_none(), "trial {trial}");
            tally.count("removed");
        }
        clean.deregister(&first.name).await.expect("an answer");
    }
    tally
}

#[tokio::test]
async fn registrations_are_made_once_however_often_they_are_delivered() {
    let gateway = gateway().start().await;
    let rounds = stream::iter(0..10).map(|round| registrations(round, &gateway.url));
    let done: Vec<_> = within(DEADLINE, "500 trials", rounds.buffer_unordered(4).collect()).await;
    let mut tally = Tally::default();
    done.into_iter().for_each(|one| tally.add(one));
    for ending in ["registered", "updated", "removed"] {
        assert!(tally.of(ending) > 50, "{tally:?}");
    }
    println!("{tally:?}");
}
