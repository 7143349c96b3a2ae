//! Tests which requests are retried, on real sockets, and delays and deadlines, on a paused clock without sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use schemas::admin::ToolCall;

use super::*;
use crate::client::Client;
use crate::request::Endpoint;
use crate::scripted::{Line, Scripted, answer, answer_with, half, hang, nobody, quick, stalled};

/// Methods under test: all idempotent ones, and one for each other rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Health,
    List,
    Get,
    Update,
    Deregister,
    Tools,
    Metrics,
    Register,
    Call,
}

use Asked::{Call, Deregister, Get, Health, List, Metrics, Register, Tools, Update};

const IDEMPOTENT: [Asked; 7] = [Health, List, Get, Update, Deregister, Tools, Metrics];

async fn ask(client: &Client, asked: Asked) -> Result<(), crate::Error> {
    let definition = serde_json::from_str(r#"{"name":"a","transport":"stdio","command":"x"}"#).unwrap();
    let name = "a".parse().unwrap();
    match asked {
        Health => client.health().await.map(drop),
        List => client.list().await.map(drop),
        Get => client.get(&name).await.map(drop),
        Update => client.update(&definition).await.map(drop),
        Deregister => client.deregister(&name).await.map(drop),
        Tools => client.list_tools().await.map(drop),
        Metrics => client.metrics().await.map(drop),
        Register => client.register(&definition).await.map(drop),
        Call => client.call_tool(&ToolCall::default()).await.map(drop),
    }
}

/// Checks how many times each method, limited to three attempts, sends its request to a gateway that always behaves
/// so.
async fn check(asked: &[Asked], always: Line, expected: usize) {
    for asked in asked {
        let gateway = Scripted::start([always.clone()]).await;
        let (short, long) = (Duration::from_millis(80), Duration::from_secs(20));
        let (timeout, deadline) = match (&always, asked) {
            (Line::Stall(_), Call) => (long, short),
            (Line::Stall(_), _) => (short, long),
            _ => (long, long),
        };
        let client = quick(gateway.url()).timeout(timeout).deadline(deadline).build().unwrap();
        let error = ask(&client, *asked).await.expect_err("this never succeeds");
        assert_eq!(gateway.requests().len(), expected, "{asked:?} after {always:?}: {error}");
        assert_eq!(error.retries() as usize, expected - 1, "{asked:?} after {always:?}: {error}");
    }
}

#[tokio::test]
async fn whatever_could_not_be_sent_is_sent_again() {
    for asked in IDEMPOTENT.into_iter().chain([Register, Call]) {
        let error = ask(&quick(nobody().await).build().unwrap(), asked).await.unwrap_err();
        assert!(error.is_unreachable() && !error.is_timeout(), "{asked:?}: {error:?}");
        assert_eq!(error.retries(), 2, "{asked:?}");
    }
}

#[tokio::test]
async fn an_idempotent_request_is_sent_again_after_a_failure_of_the_gateway() {
    for status in [500, 502, 503, 504, 429] {
        check(&IDEMPOTENT, answer(status, ""), 3).await;
    }
}

#[tokio::test]
async fn an_idempotent_request_is_sent_again_when_the_connection_fails() {
    check(&IDEMPOTENT, Line::Reset, 3).await;
    check(&IDEMPOTENT, Line::Say(String::new()), 3).await;
    check(&IDEMPOTENT, half(200, "{"), 3).await;
    check(&[List, Update, Deregister], hang(), 3).await;
    check(&[List], stalled(200, "{"), 3).await;
}

#[tokio::test]
async fn a_registration_is_sent_again_after_5xx_only() {
    for status in [500, 502, 503, 504] {
        check(&[Register], answer(status, ""), 3).await;
    }
    for line in [answer(429, ""), Line::Reset, Line::Say(String::new()), half(500, "{"), hang()] {
        check(&[Register], line, 1).await;
    }
}

#[tokio::test]
async fn a_tool_call_is_sent_again_after_503_only() {
    check(&[Call], answer(503, ""), 3).await;
    for status in [500, 502, 504, 429] {
        check(&[Call], answer(status, ""), 1).await;
    }
    for line in [Line::Reset, Line::Say(String::new()), half(503, "{"), stalled(200, "{"), hang()] {
        check(&[Call], line, 1).await;
    }
}

#[tokio::test]
async fn a_refusal_stands() {
    for status in [400, 401, 403, 405, 408, 413, 422, 307] {
        check(&[List, Get, Update, Deregister, Register, Call], answer(status, ""), 1).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_not_json_stands() {
    check(&[Health, List, Get, Tools, Metrics, Call], answer(200, "<html>"), 1).await;
}

#[tokio::test]
async fn a_request_is_sent_again_as_it_was() {
    let gateway = Scripted::start([answer(500, ""), answer(502, ""), answer(200, "{}")]).await;
    ask(&gateway.client(), Update).await.unwrap();
    let requests = gateway.requests();
    assert!(requests[0].ends_with(r#"{"name":"a","transport":"stdio","command":"x"}"#), "{}", requests[0]);
    assert_eq!(requests, vec![requests[0].clone(); 3]);
}

#[tokio::test]
async fn no_retries_means_one_attempt() {
    let gateway = Scripted::start([answer(500, "")]).await;
    let error = ask(&quick(gateway.url()).retries(0).build().unwrap(), List).await.unwrap_err();
    assert_eq!((gateway.requests().len(), error.retries()), (1, 0));
}

#[tokio::test]
async fn the_deadline_ends_an_attempt() {
    let gateway = Scripted::start([stalled(200, "{")]).await;
    for asked in [List, Call] {
        let start = Instant::now();
        let error = ask(&gateway.client().within(Duration::from_millis(60)), asked).await.unwrap_err();
        assert!(error.is_timeout() && start.elapsed() < Duration::from_secs(2), "{asked:?}: {error:?}");
        assert_eq!(error.to_string(), format!("no answer from `{}/` within 60ms", gateway.url()));
    }
}

#[tokio::test]
async fn only_the_deadline_limits_a_tool() {
    let gateway = Scripted::start([hang()]).await;
    let client = quick(gateway.url()).timeout(Duration::from_millis(20)).deadline(Duration::from_millis(100));
    let error = ask(&client.build().unwrap(), Call).await.unwrap_err();
    assert!(error.to_string().ends_with("within 100ms"), "{error}");
}

#[tokio::test]
async fn a_wait_that_would_pass_the_deadline_is_not_begun() {
    let gateway = Scripted::start([answer_with(503, "Retry-After: 3600", r#"{"error":"busy"}"#)]).await;
    let start = Instant::now();
    let error = ask(&gateway.client(), List).await.unwrap_err();
    assert_eq!((error.status(), error.retries(), gateway.requests().len()), (Some(503), 0, 1));
    assert!(start.elapsed() < Duration::from_secs(1));
}

/// Creates a client that sends nothing: each request is answered so, after this delay.
fn in_memory(status: u16, retry_after: &'static str, after: Duration) -> (Client, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let send = move |_| -> Pin<Box<dyn Future<Output = reqwest::Result<Response>> + Send>> {
        count.fetch_add(1, Ordering::Relaxed);
        let answer = http::Response::builder().status(status).header(RETRY_AFTER, retry_after).body("").unwrap();
        Box::pin(async move {
            tokio::time::sleep(after).await;
            Ok(answer.into())
        })
    };
    let real = Client::builder("h").build().unwrap();
    let endpoint = Endpoint {
        send: Box::new(send),
        base: real.base_url().clone(),
        authorization: None,
        timeout: Duration::from_secs(30),
        schedule: Schedule::new(3, (Duration::from_millis(200), Duration::from_secs(2)), 10),
    };
    (Client::new(endpoint, Duration::from_secs(60)), asked)
}

/// Sends a request that always fails. Returns the number of attempts and the time they took.
async fn run(status: u16, retry_after: &'static str, deadline: Duration) -> (u32, Duration) {
    let (client, asked) = in_memory(status, retry_after, Duration::ZERO);
    let start = Instant::now();
    let error = client.within(deadline).list().await.unwrap_err();
    assert_eq!(error.status(), Some(status));
    (asked.load(Ordering::Relaxed), start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_over_all_attempts() {
    let (client, asked) = in_memory(500, "0", Duration::from_millis(800));
    let (start, deadline) = (Instant::now(), Duration::from_millis(1500));
    let error = client.within(deadline).list().await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!((error.retries(), asked.load(Ordering::Relaxed)), (1, 2));
    assert!(start.elapsed() - deadline <= Duration::from_millis(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn waits_as_long_as_the_answer_asks() {
    let (asked, took) = run(503, "7", Duration::from_secs(60)).await;
    assert_eq!((asked, took.as_secs()), (4, 21));
}

#[tokio::test(start_paused = true)]
async fn waits_as_its_own_schedule_says_when_the_answer_asks_for_less() {
    let (asked, took) = run(429, "0", Duration::from_secs(60)).await;
    assert_eq!(asked, 4);
    assert!(took > Duration::from_millis(1250) && took < Duration::from_millis(1550), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn stops_before_the_wait_that_would_pass_the_deadline() {
    let (asked, took) = run(503, "7", Duration::from_secs(20)).await;
    assert_eq!((asked, took.as_secs()), (3, 14));
}

#[test]
fn reads_seconds_and_dates() {
    let now = httpdate::parse_http_date("Sun, 01 Mar 2026 12:00:00 GMT").unwrap();
    let check = |value: &str, expected: Option<u64>| {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
        assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{value}");
    };
    check("120", Some(120));
    check(" 0 ", Some(0));
    check("Sun, 01 Mar 2026 12:00:30 GMT", Some(30));
    check("Sun, 01 Mar 2026 11:00:00 GMT", Some(0));
    // Forms that only old senders write, and recipients accept (RFC 9110, section 5.6.7).
    check("Sunday, 01-Mar-26 12:00:30 GMT", Some(30));
    check("Sun Mar  1 12:00:30 2026", Some(30));
    check("Sun, 01 Mar 2026 24:00:00 GMT", None);
    check("Sun, 01 Mar 2026 12:00:30 CET", None);
    check("soon", None);
    check("-1", None);
    check("99999999999999999999", None);
    assert_eq!(retry_after(&HeaderMap::new(), now), None);
}

#[test]
fn the_waits_double_to_the_cap_and_vary_by_a_tenth() {
    let schedule = Schedule::new(64, (Duration::from_millis(200), Duration::from_secs(2)), 10);
    for (retries, middle) in [(0, 200), (1, 400), (2, 800), (3, 1600), (4, 2000), (63, 2000)] {
        let waits: Vec<_> = (0..100).map(|_| schedule.wait(retries).unwrap()).collect();
        let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        let tenth = Duration::from_millis(middle / 10);
        let middle = Duration::from_millis(middle);
        assert!(*least >= middle - tenth && *most <= middle + tenth, "{retries}: {least:?} to {most:?}");
        assert!(*most - *least > tenth / 2, "{retries}: {least:?} to {most:?}");
    }
    assert_eq!(schedule.wait(64), None);
}

#[test]
fn no_setting_is_too_large() {
    let schedule = Schedule::new(u32::MAX, (Duration::MAX, Duration::MAX), 10);
    assert!(schedule.wait(63).is_some_and(|wait| wait <= MAX_BACKOFF * 11 / 10));
    assert_eq!(schedule.wait(64), None);
    let base_over_cap = Schedule::new(1, (Duration::from_secs(5), Duration::from_secs(1)), 10);
    assert!(base_over_cap.wait(0).is_some_and(|wait| wait <= Duration::from_millis(1100)));
}
