//! Order of starts: worker, gateway or sync first; and a gateway that restarts.

use std::time::Duration;

use harness::fake::Fake;
use harness::{DEADLINE, binary, eventually, free_port, gateway};
use register_service::worker::{NotStarted, Started};
use register_service::{RegisterService, Wanted};
use schemas::ServerName;
use schemas::admin::State;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{dead, definition, gateway_on, has, live, names, options, service, stop, wanted};

const TTL: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

fn patient(url: &str) -> RegisterService {
    service(url, options(TTL, DEADLINE))
}

/// Returns a live server that is required, and a dead one that is optional.
fn with_dead_optional(live: &Fake) -> Wanted {
    let all = [definition(live.definition()), dead("dead")];
    wanted(&all).with_optional(["dead".parse().expect("a name")])
}

fn is_ready_without_the_dead(started: Result<Started, NotStarted>) {
    let readiness = started.expect("started").readiness;
    assert!(readiness.is_ready(), "{readiness}");
    assert_eq!(readiness.absent.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["dead"]);
}

#[tokio::test]
async fn gateway_first() {
    let (gateway, live) = (gateway().start().await, live("live").await);
    let start = Instant::now();
    is_ready_without_the_dead(patient(&gateway.url).start(&with_dead_optional(&live)).await);
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
}

#[tokio::test]
async fn worker_first() {
    let (port, live) = (free_port(), live("live").await);
    let service = patient(&format!("http://127.0.0.1:{port}"));
    let wanted = with_dead_optional(&live);
    let late = async {
        sleep(2 * SECOND).await;
        let gateway = gateway_on(port).await;
        (gateway, Instant::now())
    };
    let (started, (_gateway, possible)) = tokio::join!(service.start(&wanted), late);
    is_ready_without_the_dead(started);
    assert!(possible.elapsed() < SECOND, "{:?} after the gateway was there", possible.elapsed());
}

#[tokio::test]
async fn worker_first_with_optional_servers_only() {
    let (port, live) = (free_port(), live("live").await);
    let service = patient(&format!("http://127.0.0.1:{port}"));
    let name: ServerName = "live".parse().expect("a name");
    let wanted = wanted(&[definition(live.definition())]).with_optional([name.clone()]);
    let started = service.start(&wanted).await.expect("nothing is required");
    assert_eq!(started.readiness.to_string(), "ready, without `live` (not registered)");
    assert!(started.readiness.source.is_some_and(|error| error.is_unreachable()));
    assert_eq!((started.done.len(), started.pending), (0, vec![name.clone()]));

    let gateway = gateway_on(port).await;
    has(&gateway.admin, &["live"]).await;
    assert_eq!(service.shutdown(Duration::from_secs(5)).await.expect("given up"), [name]);
}

#[tokio::test]
async fn who_met_no_gateway_has_nothing_to_give_back() {
    let service = service(&format!("http://127.0.0.1:{}", free_port()), options(TTL, SECOND));
    service.start(&wanted(&[dead("a")])).await.expect_err("nobody is there");
    service.ensure(&dead("b")).await.expect_err("nobody is there");
    assert_eq!(service.shutdown(SECOND).await.expect("nothing to give back"), []);
}

#[tokio::test]
async fn sync_first() {
    let (gateway, live) = (gateway().start().await, live("live").await);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = live.definition()["url"].as_str().expect("a URL").to_owned();
    let text = format!("mcps:\n  - {{id: live, url: \"{url}\", transport: streamable-http, use_proxy: true}}\n");
    std::fs::write(folder.path().join("w.yaml"), text).expect("a file");
    let sync = binary("register-service").args(["--proxy-url", &gateway.url, "sync"]).args([folder.path()]);
    let ended = sync.run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);

    let worker = binary("examples/worker").args(["--proxy-url", &gateway.url]).args([folder.path()]);
    let mut worker = worker.start();
    worker.process.prints("live: Kept").await;
    worker.process.prints("ready").await;
    worker.process.signal(harness::process::Signal::TERM);
    let ended = worker.process.ended(DEADLINE).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(names(&gateway.admin).await, ["live"], "what was declared stays");
}

#[tokio::test]
async fn a_gateway_that_is_restarted_is_given_everything_again() {
    let (port, live) = (free_port(), live("live").await);
    let gateway = gateway_on(port).await;
    let service = patient(&gateway.url);
    is_ready_without_the_dead(service.start(&with_dead_optional(&live)).await);
    stop(gateway).await;
    sleep(SECOND).await;
    let gateway = gateway_on(port).await;
    let possible = Instant::now();
    let connected = || async {
        let answer = gateway.admin.get("/admin/mcps/live").await;
        (answer.status == 200 && answer.json()["status"]["status"] == "connected").then_some(())
    };
    eventually("live is connected again", connected).await;
    assert!(possible.elapsed() < SECOND, "{:?} after the gateway was there", possible.elapsed());
    assert_eq!(names(&gateway.admin).await, ["dead", "live"]);
    assert_eq!(service.shutdown(Duration::from_secs(5)).await.expect("given up").len(), 2);
}

#[tokio::test]
async fn a_gateway_that_is_restarted_during_a_start_is_given_everything_again() {
    let (port, live) = (free_port(), live("live").await);
    live.down().await;
    let gateway = gateway_on(port).await;
    let service = patient(&gateway.url);
    let wanted = wanted(&[definition(live.definition())]);
    let restart = async {
        eventually("live is registered", || async { (names(&gateway.admin).await == ["live"]).then_some(()) }).await;
        stop(gateway).await;
        live.up().await;
        let gateway = gateway_on(port).await;
        (gateway, Instant::now())
    };
    let (started, (_gateway, possible)) = tokio::join!(service.start(&wanted), restart);
    assert!(started.expect("started").readiness.is_ready());
    assert!(possible.elapsed() < SECOND, "{:?} after the gateway was there", possible.elapsed());
}

#[tokio::test]
async fn what_is_missing_at_the_deadline_is_named_with_its_state_and_last_error() {
    let (gateway, live) = (gateway().start().await, live("live").await);
    let service = service(&gateway.url, options(TTL, SECOND));
    let all = [definition(live.definition()), dead("gone"), dead("spare")];
    let wanted = wanted(&all).with_optional(["spare".parse().expect("a name")]);
    let start = Instant::now();
    let late = service.start(&wanted).await.expect_err("one is dead");
    assert!(start.elapsed() >= SECOND && start.elapsed() < 2 * SECOND, "{:?}", start.elapsed());
    let [missing] = &late.readiness.missing[..] else { panic!("{late}") };
    assert_eq!((missing.name.as_str(), late.readiness.absent[0].name.as_str()), ("gone", "spare"));
    assert!(matches!(missing.state, Some(State::Error | State::Connecting)), "{late}");
    assert!(missing.last_error.as_deref().is_some_and(|error| !error.is_empty()), "{late}");
    assert!(late.failures.is_empty());
}

#[tokio::test]
async fn a_gateway_that_never_comes_is_named_at_the_deadline() {
    let service = service(&format!("http://127.0.0.1:{}", free_port()), options(TTL, SECOND));
    let start = Instant::now();
    let late = service.start(&wanted(&[dead("a")])).await.expect_err("nobody is there");
    assert!(start.elapsed() >= SECOND / 2 && start.elapsed() < 2 * SECOND, "{:?}", start.elapsed());
    assert!(late.to_string().starts_with("not connected: `a` (not registered); cannot connect to"), "{late}");
}

#[tokio::test]
async fn what_only_people_can_mend_is_told_at_once() {
    let gateway = gateway().start().await;
    let theirs = json!({ "name": "a", "transport": "streamable-http", "url": "http://127.0.0.1:2/mcp",
        "tags": { "owner": "somebody" } });
    gateway.admin.register(&theirs).await;
    let start = Instant::now();
    let service = patient(&gateway.url);
    let refused = service.start(&wanted(&[dead("a")])).await.expect_err("it is somebody else's");
    assert!(start.elapsed() < 5 * SECOND, "{:?}", start.elapsed());
    assert!(refused.to_string().contains("`a` is registered by `somebody` with other content"), "{refused}");
    service.shutdown(SECOND).await.expect("nothing to give up");
    assert_eq!(names(&gateway.admin).await, ["a"]);
}
