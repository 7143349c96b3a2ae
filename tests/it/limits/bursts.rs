//! Bursts are passed on completely: log messages and server requests in order, over every transport, and without
//! waiting for a client that does not read.

use std::time::Duration;

use futures_util::future::join_all;
use harness::fake::{Call, Script, Via, fake};
use harness::raw::{Face, Reply, session, session_with_all, tool_call};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{call, serve};

const LINES: usize = 3_000;
const ASK: &str = r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"ok?","requestedSchema":{"type":"object","properties":{}}}}"#;

fn line(number: usize, padding: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":{number},"logger":"{padding}"}}}}"#
    )
}

/// Returns a fake upstream with `echo` and three tools: `burst` writes many lines and then reports progress, `asking`
/// writes as many and then sends a request, `flood` writes for as long as its process runs.
fn talkative() -> Script {
    let burst = |call: Call| async move {
        (0..LINES).for_each(|number| call.send(line(number, "")));
        call.progress(r#""progress":1"#);
        call.echo();
    };
    let asking = |call: Call| async move {
        (0..LINES).for_each(|number| call.send(line(number, "")));
        let answer = call.ask(ASK).await;
        call.reply(&json!({ "content": [{ "type": "text", "text": answer }] }).to_string());
    };
    let flood = |call: Call| async move {
        let padding = "x".repeat(64 << 10);
        loop {
            call.send(line(0, &padding));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    fake("loud").echo("echo").tool("burst", burst).tool("asking", asking).tool("flood", flood)
}

fn numbers(messages: &[String]) -> Vec<u64> {
    let read = |text: &String| {
        let message: Value = serde_json::from_str(text).ok()?;
        (message["method"] == "notifications/message").then(|| message["params"]["data"].as_u64())?
    };
    messages.iter().filter_map(read).collect()
}

/// Reads every message of a response.
async fn all(mut reply: Reply) -> Vec<String> {
    let mut messages = Vec::new();
    while let Some(event) = reply.event().await {
        if !event.data.is_empty() {
            messages.push(event.data);
        }
    }
    messages
}

#[tokio::test]
async fn all_of_a_burst_comes_in_order_and_before_the_answer() {
    for via in [Via::Stdio, Via::Sse, Via::Events] {
        let (_upstream, gateway) = serve(talkative(), via, &[], &json!({})).await;
        let one = session(&gateway.url, "loud").open().await;
        let everything = session_with_all(&gateway.url).open().await;
        for (client, tool) in [(&one, "burst"), (&everything, "loud__burst")] {
            let messages = all(client.post(call("1", tool)).send().await).await;
            assert_eq!(numbers(&messages), (0..LINES as u64).collect::<Vec<_>>(), "{via:?} {tool}");
            let [.., progress, answer] = messages.as_slice() else { panic!("{via:?} {tool}: {messages:?}") };
            assert!(progress.contains("notifications/progress") && answer.contains("\"result\""), "{via:?} {tool}");
        }
    }
}

#[tokio::test]
async fn a_burst_comes_whole_on_the_only_stream_of_an_older_client() {
    let (_upstream, gateway) = serve(talkative(), Via::Stdio, &[], &json!({})).await;
    let mut client = session(&gateway.url, "loud").over(Face::Sse).open().await;
    client.request(&call("1", "burst")).await;
    assert_eq!(numbers(&client.rest()), (0..LINES as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_question_behind_a_burst_is_put() {
    for via in [Via::Stdio, Via::Events] {
        let (_upstream, gateway) = serve(talkative(), via, &[], &json!({})).await;
        let mut client = session(&gateway.url, "loud").capabilities(r#"{"elicitation":{}}"#).open().await;
        client.begin(call("1", "asking"));
        let question: Value = serde_json::from_str(&client.next("elicitation/create").await).expect("JSON");
        assert_eq!(numbers(&client.rest()).len(), LINES, "{via:?}: every line comes before it");
        let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "accept", "content": {} } });
        client.tell(answer.to_string()).await;
        let answer = client.answer("1").await;
        assert!(answer.contains("accept"), "{via:?}: {answer}");
    }
}

#[tokio::test]
async fn hundreds_of_questions_at_once_are_all_put_and_all_answered() {
    const COUNT: usize = 600;
    let asking = |call: Call| async move {
        let ask = |number: usize| ASK.replace(r#""q""#, &format!(r#""q{number}""#));
        let answers = join_all((0..COUNT).map(|number| {
            let (call, question) = (&call, ask(number));
            async move { call.ask(&question).await }
        }))
        .await;
        let accepted = answers.iter().filter(|answer| answer.contains("accept")).count();
        call.reply(&json!({ "content": [{ "type": "text", "text": format!("{accepted} accepted") }] }).to_string());
    };
    for via in [Via::Stdio, Via::Events] {
        let (_upstream, gateway) = serve(fake("loud").tool("asking", asking), via, &[], &json!({})).await;
        let mut client = session(&gateway.url, "loud").capabilities(r#"{"elicitation":{}}"#).open().await;
        client.begin(call("1", "asking"));
        let mut ids = Vec::new();
        for _ in 0..COUNT {
            let question: Value = serde_json::from_str(&client.next("elicitation/create").await).expect("JSON");
            ids.push(question["id"].clone());
        }
        for id in ids {
            let answer = json!({ "jsonrpc": "2.0", "id": id, "result": { "action": "accept", "content": {} } });
            client.tell(answer.to_string()).await;
        }
        let answer = client.answer("1").await;
        assert!(answer.contains(&format!("{COUNT} accepted")), "{via:?}: {answer}");
    }
}

#[tokio::test]
async fn a_burst_that_is_larger_than_all_that_is_kept_still_comes_whole() {
    let small = ["--max-queued-bytes", "4KiB", "--max-stream-bytes", "4KiB"];
    for via in [Via::Sse, Via::Events] {
        let (_upstream, gateway) = serve(talkative(), via, &small, &json!({})).await;
        let client = session(&gateway.url, "loud").open().await;
        let messages = all(client.post(call("1", "burst")).send().await).await;
        assert_eq!(numbers(&messages), (0..LINES as u64).collect::<Vec<_>>(), "{via:?}");
    }
}

#[tokio::test]
async fn a_burst_outside_of_calls_comes_whole_to_a_client_that_reads_slowly() {
    let small = ["--max-queued-bytes", "4KiB", "--max-stream-bytes", "4KiB"];
    for via in [Via::Sse, Via::Events] {
        let (upstream, gateway) = serve(talkative(), via, &small, &json!({})).await;
        let client = session(&gateway.url, "loud").open().await;
        let mut stream = client.http("GET").header("accept", "text/event-stream").send().await;
        let own = upstream.peer(1).await;
        // More than the sockets between them hold, so that the log fills up.
        let padding = "x".repeat(4 << 10);
        (0..LINES).for_each(|number| own.send(line(number, &padding)));
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut messages = Vec::new();
        while messages.len() < LINES {
            let event = timeout(Duration::from_secs(30), stream.event()).await.expect("a line").expect("a stream");
            messages.extend(Some(event.data).filter(|data| !data.is_empty()));
        }
        assert_eq!(numbers(&messages), (0..LINES as u64).collect::<Vec<_>>(), "{via:?}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_no_other_on_the_same_process() {
    let small = ["--max-queued-bytes", "64KiB", "--max-stream-bytes", "64KiB"];
    let (upstream, gateway) = serve(talkative(), Via::Stdio, &small, &json!({})).await;
    let silent = session(&gateway.url, "loud").open().await;
    let mut stream = silent.post(call("1", "flood")).send().await;
    assert!(stream.event().await.is_some());
    upstream.nth("tools/call", 0).await;
    let mut other = session(&gateway.url, "loud").open().await;
    // Long enough for every buffer between the process and the client to fill, and for the process to block.
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for id in 0.. {
        let asked = Instant::now();
        let answer = timeout(Duration::from_secs(30), other.request(&tool_call(&id.to_string(), "echo", "{}"))).await;
        assert!(answer.is_ok_and(|answer| answer.contains("structuredContent")), "call {id}");
        slowest = slowest.max(asked.elapsed());
        if began.elapsed() > Duration::from_secs(4) {
            break;
        }
    }
    assert!(slowest < Duration::from_secs(5), "one call took {slowest:?}");
}
