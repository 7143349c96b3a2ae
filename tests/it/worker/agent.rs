//! Agents of a worker: servers under ids of their own, tools selected for each, and servers that the engine configures.

use std::time::Duration;

use harness::{DEADLINE, eventually, gateway};
use proxy_client::Needs;
use register_service::plan::Done;
use register_service::worker::{CallError, Naming, Selection, Why, load_configured};
use register_service::{Environment, Options, Settings};
use serde_json::json;

use super::tools::calculator;
use super::{definition, has, live, service, wanted};

const ADD: &str = "$mcp(sums#add)";

#[tokio::test]
async fn an_agent_is_offered_the_tools_of_its_own_servers_only() {
    let (gateway, calculator, other) = (gateway().start().await, calculator().await, live("other").await);
    let service = service(&gateway.url, Options::default());
    let (sums, other) = (definition(calculator.definition()), definition(other.definition()));
    assert_eq!(service.ensure_as("sums", &sums).await.expect("registered"), Done::Created);
    assert_eq!(service.ensure_as("more sums", &sums).await.expect("registered"), Done::Kept);
    assert_eq!(service.ensure(&other).await.expect("registered"), Done::Created);
    let mut names = service.list_registered().await.expect("a list");
    names.sort();
    assert_eq!(names, [sums.name.clone(), other.name.clone()]);
    let needs = Needs::required(names);
    service.wait_until_ready(&needs, DEADLINE).await.into_result().expect("ready");

    let all = eventually("the tools of both", || async {
        let tools = service.tools().await.expect("tools");
        (tools.functions.len() == 5).then_some(tools)
    });
    assert!(all.await.find("say").is_some());
    for id in ["SUMS", "more sums"] {
        let selection = Selection { allowed: vec![id.to_owned()], naming: Naming::Qualified, ..Selection::default() };
        let tools = service.tools_for(&selection).await.expect("tools");
        assert!(tools.find("calculator__add").is_some() && tools.functions.len() == 4, "{tools:?}");
        let left_out: Vec<_> = tools.left_out.iter().map(|it| (&it.server, it.tool.as_str(), &it.why)).collect();
        assert_eq!(left_out, [(&other.name, "say", &Why::NotAllowed)]);
    }
}

#[tokio::test]
async fn an_engine_knows_whether_a_failed_call_may_have_run() {
    let (gateway, calculator) = (gateway().start().await, calculator().await);
    let service = service(&gateway.url, Options::default());
    let sums = definition(calculator.definition());
    service.ensure_as("sums", &sums).await.expect("registered");
    service.wait_until_ready(&Needs::required([sums.name]), DEADLINE).await.into_result().expect("ready");
    assert_eq!(service.health_check().await.expect("an answer").status, "healthy");
    let add = ADD.parse().expect("an address");
    let answer = service.call_with(&add, &json!({ "a": 19, "b": 23 })).await.expect("an answer");
    assert_eq!(answer.to_text(), "42");
    let sent = calculator.nth("tools/call", 0).await;
    assert_eq!(sent.value()["params"]["arguments"], json!({ "a": 19, "b": 23 }));

    let told = |error: &CallError| (error.is_invalid(), error.may_have_run());
    let invalid = service.call_with(&add, &[19, 23]).await.expect_err("a list");
    assert_eq!(told(&invalid), (true, false), "{invalid:?}");
    assert_eq!(calculator.count("tools/call"), 1);
    let hang = "$mcp(sums#hang)".parse().expect("an address");
    let late = service.call_within(&hang, "{}", Duration::from_millis(300)).await.expect_err("it hangs");
    assert_eq!(told(&late), (false, true), "{late:?}");
    gateway.stop().await;
    assert!(service.health_check().await.expect_err("no gateway").is_unreachable());
    let lost = service.call_with(&add, &json!({ "a": 1, "b": 2 })).await.expect_err("no gateway");
    assert_eq!(told(&lost), (false, false), "{lost:?}");
}

#[tokio::test]
async fn servers_that_the_engine_configures_are_optional_and_yield_to_those_of_files() {
    let (gateway, calculator, live) = (gateway().start().await, calculator().await, live("live").await);
    let url = calculator.definition()["url"].as_str().expect("a URL").to_owned();
    let environment = Environment::from_iter([("CALCULATOR", url.as_str())]);
    let settings = Settings::new(gateway.url.parse().expect("a URL"), environment);
    let entry = |id: &str, url: &str| json!({ "id": id, "url": url, "transport": "streamable-http" });
    let nowhere = "http://127.0.0.1:1/mcp";
    let maps = [entry("calculator", "{{ .env.CALCULATOR }}"), entry("LIVE", nowhere), entry("gone", nowhere)];
    let configured = load_configured(&maps, &settings).expect("valid").desired;
    let wanted = wanted(&[definition(live.definition())]).with_configured(&configured);
    assert_eq!(wanted.needs.to_string(), "`live`, and `calculator`, `gone` if possible");

    let service = service(&gateway.url, Options::default());
    let readiness = service.start(&wanted).await.expect("started").readiness;
    assert!(readiness.is_ready() && readiness.absent.iter().any(|one| one.name.as_str() == "gone"), "{readiness}");
    has(&gateway.admin, &["calculator", "gone", "live"]).await;
    let add = "$mcp(calculator#add)".parse().expect("an address");
    assert_eq!(service.call(&add, r#"{"a":1,"b":2}"#).await.expect("an answer").to_text(), "42");

    let wrong = load_configured(&[json!({ "id": "time" })], &settings).expect_err("no URL");
    assert_eq!(wrong.diagnostics.iter().map(|it| it.code.as_str()).collect::<Vec<_>>(), ["missing-url"]);
}
