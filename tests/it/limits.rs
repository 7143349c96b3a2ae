//! Limits are settings: a flag or a definition sets the limit, and the error at the limit names both.

mod bursts;
mod lists;
mod sums;

use std::time::Duration;

use harness::fake::{Call, Fake, Script, Via, fake};
use harness::raw::{session, session_with_all, tool_call};
use harness::{InProcess, gateway};
use serde_json::{Value, json};
use tokio::time::interval;

/// Interval of the progress notifications of a tool.
const TICK: Duration = Duration::from_millis(50);

async fn serve(script: Script, via: Via, flags: &[&str], more: &Value) -> (Fake, InProcess) {
    let upstream = script.start(via).await;
    let gateway = gateway().flags(flags).start().await;
    let mut definition = upstream.definition();
    for (name, value) in more.as_object().into_iter().flatten() {
        definition[name] = value.clone();
    }
    gateway.admin.connect(&definition).await;
    // `/admin/tools` waits for the tools of an upstream that has just connected.
    gateway.admin.get("/admin/tools").await;
    (upstream, gateway)
}

/// Returns a fake upstream with a tool that reports progress this many times and then answers, and one that never
/// answers.
fn ticking(ticks: u32) -> Script {
    let tick = move |call: Call| async move {
        let mut clock = interval(TICK);
        for number in 0..ticks {
            clock.tick().await;
            call.progress(&format!(r#""progress":{number}"#));
        }
        call.echo();
    };
    fake("build").tool("tick", tick).tool("silent", Call::never)
}

fn call(id: &str, tool: &str) -> String {
    tool_call(id, tool, "{}").replace(r#""params":{"#, r#""params":{"_meta":{"progressToken":"p"},"#)
}

#[tokio::test]
async fn progress_starts_the_clock_of_a_call_anew() {
    // The tool takes five times as long as the call timeout.
    let flags = ["--call-timeout", "500ms"];
    for via in [Via::Stdio, Via::Events] {
        let (_upstream, gateway) = serve(ticking(50), via, &flags, &json!({})).await;
        let mut one = session(&gateway.url, "build").open().await;
        let mut all = session_with_all(&gateway.url).open().await;
        all.begin(call("2", "build__tick"));
        one.begin(call("1", "tick"));
        let answer = one.answer("1").await;
        assert!(answer.contains("result"), "{via:?}: {answer}");
        let answer = all.answer("2").await;
        assert!(answer.contains("result"), "{via:?}: {answer}");
    }
}

#[tokio::test]
async fn a_silent_call_ends_with_an_error_that_names_the_limit() {
    let (_upstream, gateway) = serve(ticking(1), Via::Events, &["--call-timeout", "300ms"], &json!({})).await;
    let mut client = session(&gateway.url, "build").open().await;
    let answer = client.request(&call("1", "silent")).await;
    let words = "the limit is 300ms (--call-timeout, or `callTimeout` in the server's definition)";
    assert!(answer.contains(words) && answer.contains("upstream_timed_out"), "{answer}");
    let called = gateway.admin.call("build", "silent", &json!({})).await;
    assert!(called.text.contains(words), "{}", called.text);
}

#[tokio::test]
async fn no_progress_keeps_a_call_for_ever() {
    let flags = ["--call-timeout", "300ms", "--max-call-timeout", "600ms"];
    let (_upstream, gateway) = serve(ticking(u32::MAX), Via::Events, &flags, &json!({})).await;
    let mut client = session(&gateway.url, "build").open().await;
    let answer = client.request(&call("1", "tick")).await;
    assert!(answer.contains("600ms (--max-call-timeout, or `maxCallTimeout`"), "{answer}");
}

#[tokio::test]
async fn a_definition_sets_the_limits_of_its_own_calls() {
    let own = json!({ "callTimeout": "200ms", "maxInFlight": 1 });
    let (upstream, gateway) = serve(ticking(1), Via::Stdio, &[], &own).await;
    let mut client = session(&gateway.url, "build").open().await;
    client.begin(call("1", "silent"));
    upstream.nth("tools/call", 0).await;
    let busy = client.request(&call("2", "silent")).await;
    assert!(busy.contains("the limit is 1 (--max-in-flight, or `maxInFlight`"), "{busy}");
    let late = client.answer("1").await;
    assert!(late.contains("200ms (--call-timeout"), "{late}");
}

#[tokio::test]
async fn a_large_definition_is_refused_with_the_limit() {
    let (_upstream, gateway) = serve(ticking(1), Via::Events, &[], &json!({})).await;
    let tags = json!({ "name": "large", "transport": "stdio", "command": "x", "tags": { "a": "y".repeat(256 << 10) } });
    let refused = gateway.admin.post("/admin/mcps", &tags).await;
    assert_eq!(refused.status, 413, "{}", refused.text);
    assert!(refused.text.contains("262144 bytes (--max-definition-bytes)"), "{}", refused.text);
    let renewed = gateway.admin.put("/admin/mcps/build", &tags).await;
    assert_eq!(renewed.status, 413, "{}", renewed.text);
    let together = json!({ "changes": [{ "change": "create", "definition": tags }] });
    let refused = gateway.admin.post("/admin/generations", &together).await;
    assert!(refused.text.contains("--max-definition-bytes"), "{} {}", refused.status, refused.text);
}
