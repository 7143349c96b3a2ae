use std::time::Duration;

use crate::fake::{FakeGateway, named, stdio};
use crate::service::wanted::Wanted;

use super::*;

fn service(gateway: &FakeGateway) -> RegisterService {
    RegisterService::new(gateway.client(), Options::default())
}

fn owned_by(definition: &Definition, owner: &str) -> Definition {
    let mut definition = definition.clone();
    definition.tags.insert(crate::plan::OWNER_TAG.to_owned(), owner.to_owned());
    definition
}

#[tokio::test]
async fn ensuring_again_sends_nothing_that_changes_anything() {
    let gateway = FakeGateway::start().await;
    let service = service(&gateway);
    assert_eq!(service.ensure(&stdio("a", "1")).await.expect("ensured"), Done::Created);
    assert_eq!(gateway.requests(), ["POST /admin/mcps"]);
    assert_eq!(service.ensure(&stdio("a", "1")).await.expect("ensured"), Done::Kept);
    assert_eq!(gateway.requests(), ["POST /admin/mcps", "GET /admin/mcps/a"]);
    assert_eq!(service.ensure(&stdio("a", "2")).await.expect("ensured"), Done::Updated { warning: None });
    assert_eq!(gateway.requests(), ["POST /admin/mcps", "GET /admin/mcps/a", "PUT /admin/mcps/a"]);
}

#[tokio::test]
async fn what_has_no_owner_is_replaced_and_what_is_anothers_is_not() {
    let gateway = FakeGateway::start().await;
    gateway.put(stdio("a", "1"));
    gateway.put(owned_by(&stdio("b", "1"), "you"));
    let service = service(&gateway);
    assert_eq!(service.ensure(&stdio("a", "2")).await.expect("ensured"), Done::Updated { warning: None });
    let refused = service.ensure(&stdio("b", "2")).await.expect_err("another's");
    assert_eq!(refused.to_string(), "`b` is registered by `you` with other content: args");
    assert_eq!(service.ensure(&stdio("b", "1")).await.expect("equal"), Done::Kept);
}

#[tokio::test]
async fn all_failures_are_told_and_none_stops_the_others() {
    let gateway = FakeGateway::start().await;
    gateway.put(owned_by(&stdio("b", "1"), "you"));
    gateway.put(owned_by(&stdio("d", "1"), "register-service"));
    gateway.fail("PUT /admin/mcps/d", 500);
    let wanted = ["a", "b", "c", "d"].map(|name| stdio(name, "2"));
    let failed = service(&gateway).ensure_all(&wanted).await.expect_err("two failures");
    assert_eq!(failed.done, [(named("a"), Done::Created), (named("c"), Done::Created)]);
    insta::assert_snapshot!(failed, @"failed to register 2 MCPs: MCP b: `b` is registered by `you` with other content: args; MCP d: cannot update `d`: proxy request failed (status 500): as the test wants");
}

#[tokio::test]
async fn at_most_ten_are_registered_at_a_time() {
    let gateway = FakeGateway::start().await;
    gateway.pause(Duration::from_millis(20));
    let wanted: Vec<_> = (0..20).map(|index| stdio(&format!("s{index}"), "1")).collect();
    service(&gateway).ensure_all(&wanted).await.expect("ensured");
    assert_eq!(gateway.most_under_way(), 10);
    assert_eq!(gateway.names().len(), 20);
}

#[tokio::test]
async fn shutting_down_removes_only_what_this_worker_created() {
    let gateway = FakeGateway::start().await;
    gateway.put(stdio("nobodys", "1"));
    let (one, two) = (service(&gateway), service(&gateway));
    one.ensure_all(&[stdio("a", "1"), stdio("nobodys", "1")]).await.expect("ensured");
    two.ensure_all(&[stdio("a", "1"), stdio("b", "1"), stdio("nobodys", "2")]).await.expect("ensured");
    assert_eq!(two.shutdown(Duration::from_secs(5)).await.expect("removed"), [named("b")]);
    assert_eq!(gateway.names(), ["nobodys", "a"]);
    assert_eq!(one.shutdown(Duration::from_secs(5)).await.expect("removed"), [named("a")]);
    assert_eq!(gateway.names(), ["nobodys"]);
    assert!(one.shutdown(Duration::from_secs(5)).await.expect("nothing left").is_empty());
}

#[tokio::test]
async fn shutting_down_ends_at_its_deadline_and_can_be_tried_again() {
    let gateway = FakeGateway::start().await;
    let service = service(&gateway);
    service.ensure_all(&[stdio("a", "1"), stdio("b", "1")]).await.expect("ensured");
    gateway.hang_on("DELETE /admin/mcps/a");
    let failed = service.shutdown(Duration::from_millis(200)).await.expect_err("one hangs");
    assert_eq!(failed.removed, [named("b")]);
    assert_eq!(failed.failures[0].name(), &named("a"));
    gateway.hang_on("");
    assert_eq!(service.shutdown(Duration::from_secs(5)).await.expect("removed"), [named("a")]);
}

#[tokio::test]
async fn what_was_deregistered_is_forgotten() {
    let gateway = FakeGateway::start().await;
    let service = service(&gateway);
    service.ensure(&stdio("a", "1")).await.expect("ensured");
    assert!(service.is_registered(&named("a")).await.expect("an answer"));
    assert_eq!(service.list_registered().await.expect("an answer"), [named("a")]);
    assert!(service.deregister(&named("a")).await.expect("an answer"));
    assert!(!service.deregister(&named("a")).await.expect("an answer"));
    gateway.put(stdio("a", "1"));
    assert!(service.shutdown(Duration::from_secs(5)).await.expect("nothing to do").is_empty());
    assert_eq!(gateway.names(), ["a"]);
}

#[tokio::test]
async fn what_vanishes_meanwhile_is_created() {
    let gateway = FakeGateway::start().await;
    let service = service(&gateway);
    gateway.fail("POST /admin/mcps", 409);
    let stale = service.ensure(&stdio("a", "1")).await.expect_err("never there, never free");
    assert!(matches!(stale, ApplyError::Stale { .. }));
}

#[tokio::test]
async fn waits_until_all_are_connected() {
    let gateway = FakeGateway::start().await;
    gateway.put(stdio("a", "1"));
    let service = service(&gateway);
    let both = Needs::required([named("a"), named("b")]);
    let ready = service.wait_until_ready(&Needs::required([named("a")]), Duration::from_secs(5)).await;
    assert!(ready.is_ready(), "{ready}");
    let late = service.wait_until_ready(&both, Duration::from_millis(250)).await;
    assert_eq!(late.to_string(), "not connected: `b` (not registered)");
    let ready = service.wait_until_ready(&both.with_optional([named("b")]), Duration::from_secs(5)).await;
    assert_eq!(ready.to_string(), "ready, without `b` (not registered)");
}

/// Waits up to one second until a value is as expected.
async fn eventually<T: PartialEq + std::fmt::Debug>(expected: T, mut now: impl FnMut() -> T) {
    for _ in 0..100 {
        if now() == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(now(), expected);
}

#[tokio::test]
async fn what_could_not_be_ensured_replaces_what_the_gateway_came_with() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = nobody.local_addr().expect("an address").to_string();
    drop(nobody);
    let client = Client::builder(&address).retries(0).build().expect("a client");
    let options = Options { check_interval: Duration::from_millis(10), ..Options::default() };
    let service = RegisterService::new(client, options);
    let wanted = Wanted::new(vec![stdio("a", "new")]).with_optional([named("a")]);
    assert_eq!(service.start(&wanted).await.expect("nothing is required").pending, [named("a")]);
    let gateway = FakeGateway::start_at(&address, vec![stdio("a", "old")]).await;
    let arguments = || gateway.registered().iter().map(|it| serde_json::json!(it)["args"].clone()).collect::<Vec<_>>();
    eventually(vec![serde_json::json!(["new"])], arguments).await;
}

#[tokio::test]
async fn who_insists_on_registrations_does_not_start_without_them() {
    let client = Client::builder("127.0.0.1:1").retries(0).build().expect("a client");
    let patience = Duration::from_millis(200);
    let options = Options { fail_on_registration_error: true, readiness_timeout: patience, ..Options::default() };
    let wanted = Wanted::new(vec![stdio("a", "1")]).with_optional([named("a")]);
    let failed = RegisterService::new(client, options).start(&wanted).await.expect_err("nobody is there");
    assert!(failed.to_string().starts_with("ready, without `a` (not registered); cannot connect"), "{failed}");
}

#[tokio::test]
async fn calls_that_are_too_many_wait_for_their_turn() {
    let gateway = FakeGateway::start().await;
    gateway.put(stdio("a", "1"));
    let service = RegisterService::new(gateway.client(), Options { max_concurrent_calls: 2, ..Options::default() });
    service.tools().await.expect("tools");
    gateway.pause(Duration::from_millis(50));
    let address: crate::worker::ToolAddress = "$mcp(a#t)".parse().expect("an address");
    let calls = (0..6).map(|_| service.call(&address, "{}"));
    assert!(futures_util::future::join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(gateway.most_under_way(), 2);

    gateway.pause(Duration::from_millis(400));
    let two = async { tokio::join!(service.call(&address, ""), service.call(&address, "")) };
    let late = async {
        tokio::task::yield_now().await;
        service.call_within(&address, "", Duration::from_millis(50)).await.expect_err("no turn")
    };
    let ((one, other), late) = tokio::join!(two, late);
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(late.kind(), crate::worker::CallErrorKind::Timeout);
    assert_eq!(late.to_string(), "$mcp(a#t) was not called: as many calls as may be are under way, 2");
}

#[tokio::test]
async fn who_sets_options_in_code_keeps_what_the_environment_says() {
    let lookup = |name: &str| match name {
        "MCP_PROXY_URL" => Some("127.0.0.1:1".to_owned()),
        "LLM_RETRY_ATTEMPTS" => Some("0".to_owned()),
        "LLM_DENIED_MCP_NAMES" => Some("shell".to_owned()),
        _ => None,
    };
    let adjust = |options| Options { adopt: crate::plan::Adopt::Anything, ..options };
    let service = RegisterService::from_lookup_with(lookup, adjust).expect("settings").expect("a gateway");
    let options = &service.shared.options;
    assert_eq!(
        (options.adopt, options.selection.denied.as_slice()),
        (crate::plan::Adopt::Anything, &["shell".to_owned()][..])
    );
    assert_eq!(service.health_check().await.expect_err("nobody is there").retries(), 0);
}

#[tokio::test]
async fn a_value_is_called_with_as_its_text_would_be() {
    let gateway = FakeGateway::start().await;
    gateway.put(stdio("a", "1"));
    let service = service(&gateway);
    let address: crate::worker::ToolAddress = "$mcp(a#t)".parse().expect("an address");
    let arguments = BTreeMap::from([("query", "rust")]);
    assert_eq!(service.call_with(&address, &arguments).await.expect("an answer").to_text(), "done");
    assert_eq!(gateway.last_call()["arguments"], serde_json::json!({"query": "rust"}));
    let told = |outcome: Result<crate::worker::ToolAnswer, crate::worker::CallError>| {
        outcome.expect_err("no object").to_string()
    };
    let refused = "$mcp(a#t) does not take these arguments: ";
    assert_eq!(told(service.call_with(&address, "text").await), format!("{refused}arguments are a JSON object"));
    let no_json = BTreeMap::from([((1, 2), 3)]);
    assert_eq!(told(service.call_with(&address, &no_json).await), format!("{refused}not JSON: key must be a string"));
}

#[tokio::test]
async fn the_first_call_after_a_registration_is_checked_as_any_other() {
    let gateway = FakeGateway::start().await;
    let options = Options { poll_interval: Duration::from_millis(5), ..Options::default() };
    let service = RegisterService::new(gateway.client(), options);
    let address: crate::worker::ToolAddress = "$mcp(a#t)".parse().expect("an address");
    gateway.connects_after(5);
    service.ensure(&stdio("a", "1")).await.expect("ensured");
    let refused = service.call(&address, r#"{"query": 1}"#).await.expect_err("no text");
    assert!(matches!(refused, crate::worker::CallError::Arguments { .. }), "{refused}");
    assert_eq!(gateway.last_call(), serde_json::Value::Null, "nothing was sent");

    gateway.connects_after(usize::MAX);
    service.ensure(&stdio("b", "1")).await.expect("ensured");
    let address: crate::worker::ToolAddress = "$mcp(b#t)".parse().expect("an address");
    let late = service.call_within(&address, "", Duration::from_millis(100)).await.expect_err("never connected");
    assert_eq!(late.to_string(), "$mcp(b#t) was not called: its server is not connected");
    assert!(!late.may_have_run() && late.kind() == crate::worker::CallErrorKind::Connection);
}
