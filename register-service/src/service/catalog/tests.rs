use serde_json::json;
use tokio::time::{advance, pause, resume};

use crate::fake::{FakeGateway, named, stdio};
use crate::service::RegisterService;
use crate::service::options::Options;

use super::*;

fn cached(servers: &[&str]) -> Cached {
    let tool = |server: &&str| serde_json::from_value(json!({"mcpName": server, "name": "t"})).expect("a tool");
    Cached::new(Edition::default(), servers.iter().map(tool).collect())
}

async fn check(servers: &[&str], needed: &[&str], expected: [(u64, bool); 3]) {
    let (cached, needed) = (cached(servers), needed.iter().map(|name| named(name)).collect());
    let mut now = 0;
    for (seconds, has_aged) in expected {
        advance(Duration::from_secs(seconds - now)).await;
        now = seconds;
        assert_eq!(cached.has_aged(&needed), has_aged, "{servers:?} after {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_is_good_for_five_minutes_an_empty_one_for_half_of_one() {
    check(&["a"], &[], [(0, false), (299, false), (300, true)]).await;
    check(&["a", "b"], &["a"], [(0, false), (299, false), (300, true)]).await;
    check(&[], &[], [(0, false), (29, false), (30, true)]).await;
    check(&["a"], &["a", "b"], [(0, false), (1, true), (300, true)]).await;
}

fn service(gateway: &FakeGateway) -> RegisterService {
    RegisterService::new(gateway.client(), Options::default())
}

async fn servers(service: &RegisterService) -> Vec<String> {
    let tools = service.tools().await.expect("tools");
    tools.functions.iter().map(|function| function.server.to_string()).collect()
}

fn qualified(gateway: &FakeGateway) -> RegisterService {
    let mut options = Options::default();
    options.selection.naming = crate::worker::Naming::Qualified;
    RegisterService::new(gateway.client(), options)
}

#[tokio::test]
async fn what_was_just_ensured_is_offered_at_once() {
    let gateway = FakeGateway::start().await;
    let service = qualified(&gateway);
    service.ensure(&stdio("a", "1")).await.expect("ensured");
    assert_eq!(servers(&service).await, ["a"]);
    service.ensure_all(&[stdio("b", "1"), stdio("c", "1")]).await.expect("ensured");
    assert_eq!(servers(&service).await, ["a", "b", "c"]);
    service.deregister(&named("b")).await.expect("removed");
    assert_eq!(servers(&service).await, ["a", "c"]);
}

#[tokio::test]
async fn a_list_that_has_aged_is_given_and_asked_for_again() {
    let gateway = FakeGateway::start().await;
    gateway.put(stdio("a", "1"));
    let service = qualified(&gateway);
    assert_eq!(servers(&service).await, ["a"]);
    gateway.put(stdio("b", "1"));
    pause();
    advance(GOOD_FOR).await;
    resume();
    assert_eq!(gateway.requests(), ["GET /admin/tools"]);
    assert_eq!(servers(&service).await, ["a"], "nobody waits");
    let renewed = async {
        while servers(&service).await != ["a", "b"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), renewed).await.expect("the new list");
    assert_eq!(gateway.requests(), ["GET /admin/tools"], "asked once");
}

#[tokio::test]
async fn an_answer_to_an_earlier_question_is_not_taken_for_the_last_list() {
    let catalog = Catalog::default();
    let asked_at = catalog.edition();
    catalog.outdate();
    catalog.put(asked_at, Vec::new());
    assert!(catalog.current().is_none());
    catalog.put(catalog.edition(), Vec::new());
    assert!(catalog.current().is_some());
}

#[tokio::test]
async fn one_asks_for_all() {
    let gateway = FakeGateway::start().await;
    gateway.pause(Duration::from_millis(20));
    let service = service(&gateway);
    let (one, two) = tokio::join!(service.tools(), service.tools());
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(gateway.requests(), ["GET /admin/tools"]);
}
