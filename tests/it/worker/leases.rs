//! Removal of registrations when the worker that holds their leases ends.

use std::net::Ipv4Addr;
use std::time::Duration;

use harness::process::Signal;
use harness::{DEADLINE, binary, gateway};
use register_service::Options;
use register_service::worker::Tenure;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use super::relay::Relay;
use super::{dead, definition, has, live, names, options, service, wanted};

const TTL: Duration = Duration::from_secs(3);

#[tokio::test]
async fn what_two_workers_share_goes_with_the_second_that_is_killed() {
    let gateway = gateway().start().await;
    let both = live("both").await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = both.definition()["url"].as_str().expect("a URL").to_owned();
    let text = format!("mcps:\n  - {{id: both, url: \"{url}\", transport: streamable-http, use_proxy: true}}\n");
    std::fs::write(folder.path().join("w.yaml"), text).expect("a file");
    let start = async || {
        let worker = binary("examples/worker").args(["--proxy-url", &gateway.url]).args([folder.path()]);
        let worker = worker.env("MCP_PROXY_LEASE_TTL", "3s").start();
        worker.process.prints("ready").await;
        worker
    };
    let (mut first, mut second) = (start().await, start().await);
    let shown = gateway.admin.get("/admin/mcps/both").await.json();
    assert_eq!((&shown["leased"], shown["leases"].as_array().map(Vec::len)), (&true.into(), Some(2)), "{shown}");

    first.process.signal(Signal::KILL);
    first.process.ended(DEADLINE).await;
    let killed = Instant::now();
    while killed.elapsed() < 2 * TTL {
        assert_eq!(names(&gateway.admin).await, ["both"], "a sibling needs it");
        sleep(Duration::from_millis(50)).await;
    }
    second.process.signal(Signal::KILL);
    second.process.ended(DEADLINE).await;
    let killed = Instant::now();
    has(&gateway.admin, &[]).await;
    assert!(killed.elapsed() > TTL / 2 && killed.elapsed() < TTL + Duration::from_secs(2), "{:?}", killed.elapsed());
}

#[tokio::test]
async fn who_stops_gives_up_what_nobody_else_needs() {
    let gateway = gateway().start().await;
    let (declared, shared, own) = (live("declared").await, live("shared").await, live("own").await);
    gateway.admin.register(&declared.definition()).await;
    let all = [&declared, &shared, &own].map(|it| definition(it.definition()));
    let (one, two) = (service(&gateway.url, Options::default()), service(&gateway.url, Options::default()));
    let started = one.start(&wanted(&all)).await.expect("started");
    assert_eq!(started.tenure, Tenure::Leased);
    two.start(&wanted(&all[..2])).await.expect("started").readiness.into_result().expect("ready");

    let removed = one.shutdown(Duration::from_secs(5)).await.expect("given up");
    assert_eq!(removed, ["own".parse().expect("a name")]);
    assert_eq!(names(&gateway.admin).await, ["declared", "shared"]);
    let removed = two.shutdown(Duration::from_secs(5)).await.expect("given up");
    assert_eq!(removed, ["shared".parse().expect("a name")]);
    assert_eq!(names(&gateway.admin).await, ["declared"], "nobody leased it, so nobody ends it");
    assert_eq!(gateway.admin.get("/admin/leases").await.json()["count"], 0);
}

#[tokio::test]
async fn one_name_is_given_up_and_goes_with_the_last_that_needs_it() {
    let gateway = gateway().start().await;
    let (one, two) = (service(&gateway.url, Options::default()), service(&gateway.url, Options::default()));
    let (shared, own) = (dead("shared"), dead("own"));
    one.ensure_all(&[shared.clone(), own.clone()]).await.expect("registered");
    two.ensure(&shared).await.expect("held");
    assert!(!one.release(&shared.name).await.expect("given up"), "the other needs it");
    assert_eq!(names(&gateway.admin).await, ["own", "shared"]);
    assert!(two.release(&shared.name).await.expect("given up"), "nobody needs it");
    assert_eq!(names(&gateway.admin).await, ["own"]);
    sleep(Duration::from_secs(1)).await;
    let held = gateway.admin.get("/admin/leases").await.json();
    assert_eq!(held["leases"][0]["mcps"], serde_json::json!(["own"]), "it is not taken again: {held}");
    assert_eq!(one.shutdown(Duration::from_secs(5)).await.expect("given up"), [own.name]);
}

#[tokio::test]
async fn a_service_that_is_dropped_renews_no_more() {
    let gateway = gateway().start().await;
    let own = live("own").await;
    let service = service(&gateway.url, options(Duration::from_secs(1), DEADLINE));
    service.ensure(&definition(own.definition())).await.expect("registered");
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(names(&gateway.admin).await, ["own"], "it is renewed while the service lives");
    drop(service);
    has(&gateway.admin, &[]).await;
}

#[tokio::test]
async fn names_that_are_ensured_at_once_are_all_held_and_those_it_created_given_up() {
    let gateway = gateway().start().await;
    let quick = Options { check_interval: Duration::from_millis(1), ..Options::default() };
    let service = service(&gateway.url, Options { concurrency: 16, ..quick });
    let all: Vec<_> = (0..60).map(|number| dead(&format!("s{number:02}"))).collect();
    for definition in &all[..20] {
        gateway.admin.register(&serde_json::to_value(definition).expect("JSON")).await;
    }
    let each = all.iter().map(|definition| service.ensure(definition));
    for done in futures_util::future::join_all(each).await {
        done.expect("registered");
    }
    let held = gateway.admin.get("/admin/leases").await.json();
    assert_eq!(held["leases"][0]["mcps"].as_array().map(Vec::len), Some(60), "{held}");
    assert_eq!(service.shutdown(Duration::from_secs(20)).await.expect("given up").len(), 40);
}

#[tokio::test]
async fn a_name_that_is_ensured_while_leases_are_renewed_is_not_given_back() {
    let gateway = gateway().start().await;
    let relay = Relay::start(&gateway.url).await;
    let service = service(&relay.url, Options { check_interval: Duration::from_millis(20), ..Options::default() });
    service.ensure(&dead("a")).await.expect("registered");
    // A renewal for `a` alone has reached the relay, but not the gateway.
    relay.has_met(1).await;
    let late = dead("b");
    let mut ensuring = std::pin::pin!(service.ensure(&late));
    let early = timeout(Duration::from_millis(300), &mut ensuring).await;
    relay.open();
    match early {
        Ok(done) => done,
        Err(_elapsed) => ensuring.await,
    }
    .expect("registered");
    let revision = async || gateway.admin.get("/admin/mcps/b").await.json()["revision"].take();
    let registered = revision().await;
    assert!(registered.is_number(), "it is there: {registered}");
    // By then another renewal has been answered; a lost registration would have been registered again.
    relay.has_met(3).await;
    assert_eq!(revision().await, registered, "nobody took it away in between");
}

/// Listens like a gateway, and never answers.
async fn mute() -> (String, TcpListener) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    (format!("http://{}", listener.local_addr().expect("an address")), listener)
}

#[tokio::test]
async fn shutting_down_ends_at_its_deadline_at_a_gateway_that_never_answers() {
    let (url, _listener) = mute().await;
    let service = service(&url, Options::default());
    let definition = dead("a");
    let mut ensuring = std::pin::pin!(service.ensure(&definition));
    tokio::select! {
        done = &mut ensuring => panic!("{done:?}"),
        () = sleep(Duration::from_millis(100)) => {}
    }
    let start = Instant::now();
    let error = service.shutdown(Duration::from_millis(600)).await.expect_err("nobody answers");
    let took = start.elapsed();
    assert!(error.leases.as_ref().is_some_and(proxy_client::Error::is_timeout), "{error}");
    // The deadline of 600 ms, with margins; far less than any of the client's own deadlines.
    assert!(took >= Duration::from_millis(500) && took < Duration::from_millis(1600), "{took:?}");
}

#[tokio::test]
async fn a_gateway_that_stops_answering_keeps_nobody_from_shutting_down() {
    let port = harness::free_port();
    let gateway = super::gateway_on(port).await;
    let service = service(&gateway.url, Options::default());
    service.ensure(&dead("a")).await.expect("registered");
    super::stop(gateway).await;
    let _mute = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("the port");
    let start = Instant::now();
    let error = service.shutdown(Duration::from_millis(500)).await.expect_err("nobody answers");
    assert!(error.to_string().starts_with("cannot give back the leases, which end soon: no answer"), "{error}");
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
}
