//! Tools as a worker offers and calls them, and its notifications of changes.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use harness::fake::{Fake, Via, fake};
use harness::{DEADLINE, gateway, within};
use register_service::files::load_value;
use register_service::plan::Done;
use register_service::worker::{CallError, CallErrorKind, FunctionForm, Metric, Metrics, ToolChanged};
use register_service::{Environment, Options, RegisterService, Settings, Wanted};
use schemas::admin::State;
use serde_json::json;

use super::{definition, live, service, wanted};

const ADD: &str = r#"{"name":"add","description":"adds two numbers","inputSchema":{"type":"object","required":["a","b"],
    "additionalProperties":false,"properties":{"a":{"type":"integer"},"b":{"type":"integer","minimum":0}}}}"#;

#[derive(Debug, Default)]
struct Taken(Mutex<Vec<String>>);

impl Metrics for Taken {
    fn record(&self, metric: &Metric, labels: &[(&'static str, &str)], _: f64) {
        assert_eq!(labels.iter().map(|label| label.0).collect::<Vec<_>>(), metric.labels);
        let last = labels.last().map_or("", |label| label.1);
        self.0.lock().expect("no panic before").push(format!("{}_{} {last}", Metric::SUBSYSTEM, metric.name));
    }
}

pub(super) async fn calculator() -> Fake {
    let structured = r#"{"content":[{"type":"text","text":"42"}],"structuredContent":{"sum":42}}"#;
    let failed = r#"{"content":[{"type":"text","text":"no numbers today"}],"isError":true}"#;
    let script = fake("calculator").listed(&ADD.replace('\n', "")).echo("web.search/v2");
    let script = script.on("tools/call add", move |call| async move { call.reply(structured) });
    let script = script.tool("fail", move |call| async move { call.reply(failed) });
    let script = script.tool("hang", |call| async move {
        let _unanswered = call;
        std::future::pending::<()>().await;
    });
    script.start(Via::Json).await
}

async fn started(url: &str, options: Options, upstreams: &[&Fake]) -> RegisterService {
    let service = service(url, options);
    let definitions: Vec<_> = upstreams.iter().map(|it| definition(it.definition())).collect();
    let mut wanted = wanted(&definitions);
    wanted.ids.insert("sums".to_owned(), "calculator".parse().expect("a name"));
    service.start(&wanted).await.expect("started").readiness.into_result().expect("ready");
    service
}

#[tokio::test]
async fn a_model_is_offered_the_tools_and_its_calls_reach_them() {
    let (gateway, calculator) = (gateway().start().await, calculator().await);
    let service = started(&gateway.url, Options::default(), &[&calculator]).await;
    let tools = harness::eventually("tools", || async {
        let tools = service.tools().await.expect("tools");
        (tools.functions.len() == 4).then_some(tools)
    });
    let tools = tools.await;
    let function = tools.find("add").expect("offered");
    let shown = function.to_json(FunctionForm::Anthropic);
    assert_eq!(
        (&shown["description"], &shown["input_schema"]["required"]),
        (&json!("adds two numbers"), &json!(["a", "b"]))
    );
    let odd = tools.functions.iter().find(|it| it.tool == "web.search/v2").expect("offered");
    assert!(odd.name.starts_with("web_search_v2_") && odd.name.len() <= 64, "{}", odd.name);

    let answer = service.call(&function.address(), r#"{"a": 19, "b": 23}"#).await.expect("an answer");
    assert_eq!((answer.to_text().as_str(), answer.is_error), ("42", false));
    assert_eq!(answer.structured_as::<serde_json::Value>().expect("JSON"), Some(json!({ "sum": 42 })));
    let sent = calculator.nth("tools/call", 0).await;
    assert_eq!(sent.value()["params"]["arguments"], json!({ "a": 19, "b": 23 }));
    // Addressed by the engine's own name for the server.
    let address = "$mcp(sums#add)".parse().expect("an address");
    service.call(&address, r#"{"a": 1, "b": 2}"#).await.expect("an answer");
    service.call(&odd.address(), "").await.expect("an answer");
}

#[tokio::test]
async fn an_agent_that_no_file_holds_brings_its_servers_and_calls_them_by_its_own_ids() {
    let (gateway, calculator, live) = (gateway().start().await, calculator().await, live("live").await);
    gateway.admin.connect(&calculator.definition()).await;
    let service = service(&gateway.url, Options::default());
    let settings = Settings::new(gateway.url.parse().expect("a URL"), Environment::default());
    let url = live.definition()["url"].take();
    let agent = json!({ "id": "clerk", "instructions": "be exact", "mcps": [
        { "id": "sums", "url": format!("{}/calculator/stream", gateway.url) },
        { "id": "live", "url": url, "transport": "streamable-http" },
    ] });
    let wanted = Wanted::from(&load_value("agent clerk", &agent, &settings).expect("valid").desired);
    let done = service.ensure_wanted(&wanted).await.expect("registered");
    assert_eq!(done, [("live".parse().expect("a name"), Done::Created)]);
    let ready = service.wait_until_ready(&wanted.needs, DEADLINE).await;
    assert!(ready.is_ready(), "{ready}");
    let sums = "$mcp(sums#add)".parse().expect("an address");
    let answer = service.call(&sums, r#"{"a": 1, "b": 2}"#).await.expect("an answer");
    assert_eq!(answer.to_text(), "42");
    assert!(service.release(&wanted.definitions[0].name).await.expect("given up"), "nobody else needs it");
}

#[tokio::test]
async fn what_a_tool_does_not_take_is_not_sent() {
    let (gateway, calculator) = (gateway().start().await, calculator().await);
    let metrics = Arc::new(Taken::default());
    let taken: Arc<dyn Metrics> = Arc::clone(&metrics) as _;
    let service = started(&gateway.url, Options { metrics: Some(taken), ..Options::default() }, &[&calculator]).await;
    let call = async |address: &str, arguments: &str| service.call(&address.parse().expect(address), arguments).await;
    let check = async |address: &str, arguments: &str, expected: &str| {
        let error = call(address, arguments).await.expect_err(expected);
        assert_eq!((error.to_string().as_str(), error.kind()), (expected, CallErrorKind::Validation));
    };
    let add = "$mcp(calculator#add)";
    let refused = "$mcp(calculator#add) does not take these arguments: ";
    check(add, "{}", &format!("{refused}`a` is missing; `b` is missing")).await;
    let wrong = r#"{"a":"1","b":-1,"c":0}"#;
    let three =
        "`a` is of type string where integer is wanted; `b` is to be at least 0; `c` is not known; known are `a`, `b`";
    check(add, wrong, &format!("{refused}{three}")).await;
    check(add, "[1]", &format!("{refused}arguments are a JSON object")).await;
    let four = "`calculator` has no tool `ad`; it has `add`, `web.search/v2`, `fail`, `hang`";
    check("$mcp(calculator#ad)", "{}", four).await;
    let error = call("$mcp(nobody#add)", "{}").await.expect_err("no such server");
    assert!(matches!(&error, CallError::Gateway { source, .. } if source.is_not_found()), "{error:?}");
    assert_eq!(calculator.count("tools/call"), 0);

    let failed = call("$mcp(calculator#fail)", "{}").await.expect("an answer");
    assert_eq!((failed.to_text().as_str(), failed.is_error), ("no numbers today", true));
    let address = "$mcp(calculator#hang)".parse().expect("an address");
    let late = service.call_within(&address, "{}", Duration::from_millis(300)).await.expect_err("it hangs");
    assert_eq!(late.kind(), CallErrorKind::Timeout, "{late:?}");
    call(add, r#"{"a":1,"b":1}"#).await.expect("an answer");
    let mut taken = metrics.0.lock().expect("no panic before").clone();
    taken.sort();
    taken.dedup();
    let connections = format!("mcp_{} ", Metric::SERVER_CONNECTIONS_ACTIVE.name);
    let server = taken.iter().find_map(|it| it.strip_prefix(&connections)).expect("connected");
    assert!(server.len() == 12 && server.chars().all(|it| it.is_ascii_hexdigit()), "{server}");
    let others: Vec<_> = taken.iter().filter(|it| !it.starts_with(&connections)).collect();
    let expected = [
        (Metric::TOOL_ERRORS_TOTAL, "execution"),
        (Metric::TOOL_ERRORS_TOTAL, "timeout"),
        (Metric::TOOL_ERRORS_TOTAL, "validation"),
        (Metric::TOOL_EXECUTE_SECONDS, "error"),
        (Metric::TOOL_EXECUTE_SECONDS, "success"),
        (Metric::TOOL_EXECUTE_SECONDS, "timeout"),
        (Metric::TOOL_REGISTRY_LOOKUP_SECONDS, "hit"),
        (Metric::TOOL_REGISTRY_LOOKUP_SECONDS, "miss"),
    ];
    let expected: Vec<_> = expected.map(|(metric, label)| format!("mcp_{} {label}", metric.name)).into();
    assert_eq!(others.into_iter().cloned().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_worker_hears_of_servers_that_go_and_come_and_of_their_tools() {
    let (gateway, live) = (gateway().start().await, live("live").await);
    let options = Options { watch_interval: Duration::from_millis(50), ..Options::default() };
    let service = started(&gateway.url, options, &[&live]).await;
    let other = super::live("other").await;
    gateway.admin.connect(&other.definition()).await;
    let (mut changes, mut stream) = (service.changes(), pin!(service.changes().into_stream()));
    let mut next = async |what: &str| within(DEADLINE, what, changes.next()).await.expect("the service lives");
    let mut tools = Vec::new();
    let first = next("what is there").await;
    assert_eq!((first.gateway, first.servers.len()), (Some(true), 1), "only what the worker needs: {first:?}");
    assert_eq!((first.servers[0].before, first.servers[0].now), (None, Some(State::Connected)));
    let of_stream = within(DEADLINE, "what is there", stream.next()).await.expect("the service lives");
    assert_eq!((of_stream.gateway, &of_stream.servers), (Some(true), &first.servers));
    tools.extend(first.tools);
    while tools.is_empty() {
        tools.extend(next("a tool").await.tools);
    }
    assert_eq!((tools[0].address.to_string().as_str(), tools[0].what), ("$mcp(live#say)", ToolChanged::Added));

    live.down().await;
    live.forget();
    service.call(&"$mcp(live#say)".parse().expect("an address"), "{}").await.expect_err("it is down");
    while next("it goes").await.servers.iter().all(|it| it.now == Some(State::Connected)) {}
    live.up().await;
    while next("it comes").await.servers.iter().all(|it| it.now != Some(State::Connected)) {}
    gateway.stop().await;
    while next("the gateway goes").await.gateway != Some(false) {}
    service.shutdown(Duration::from_millis(100)).await.ok();
    assert_eq!(within(DEADLINE, "its end", changes.next()).await, None);
    let rest: Vec<_> = within(DEADLINE, "the end of the stream", stream.collect()).await;
    assert_eq!(rest.iter().map(|it| it.gateway).collect::<Vec<_>>(), [Some(false)], "one difference, then the end");
}
