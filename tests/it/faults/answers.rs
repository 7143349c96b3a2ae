//! Faulty responses of an upstream to a call.

use harness::fake::{Call, Fake, Received, Via, fake};
use harness::raw::{Session, session, tool_call};
use harness::{InProcess, gateway, within};
use serde_json::{Value, json};

use super::{PROMPT, kind, served_again};

const LOST: &str = "upstream_lost";
const BAD_ANSWER: &str = "upstream_bad_answer";
const REFUSED: &str = "upstream_refused";
const RIGHT: &str = r#"{"right":true}"#;

/// Upstream whose tool `fault` misbehaves in a given way, and whose tool `echo` works.
struct Faulty {
    upstream: Fake,
    client: Session,
    _gateway: InProcess,
}

async fn faulty<F>(via: Via, fault: impl Fn(Call) -> F + Send + Sync + 'static) -> Faulty
where
    F: Future<Output = ()> + Send + 'static,
{
    let upstream = fake("faulty").echo("echo").tool("fault", fault).start(via).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = session(&gateway.url, "faulty").open().await;
    Faulty { upstream, client, _gateway: gateway }
}

impl Faulty {
    /// Calls the faulty tool: the call fails with this error kind, is made once, and leaves the upstream usable.
    async fn fails_with(mut self, expected: &str) {
        let answer = self.client.call("1", "fault", "{}").await;
        assert_eq!(kind(&answer), expected, "{answer}");
        served_again(&mut self.client).await;
        assert_eq!(self.faults(), 1);
    }

    /// Calls the faulty tool: the right response arrives nevertheless, and only once.
    async fn gets_its_answer(mut self) {
        self.client.begin(tool_call("1", "fault", "{}"));
        let answer = self.client.answer("1").await;
        assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{RIGHT}}}"#));
        served_again(&mut self.client).await;
        assert_eq!(self.client.rest(), Vec::<String>::new());
        assert_eq!(self.faults(), 1);
    }

    fn faults(&self) -> usize {
        self.upstream.received().iter().filter(|one| one.value()["params"]["name"] == "fault").count()
    }
}

#[tokio::test]
async fn one_that_resets_the_connection_is_not_asked_again() {
    for via in Via::ALL {
        println!("{via:?}");
        faulty(via, |call| async move { call.hang_up() }).await.fails_with(LOST).await;
    }
}

#[tokio::test]
async fn one_that_breaks_off_within_its_answer_is_not_asked_again() {
    for via in [Via::Stdio, Via::Sse, Via::Events] {
        println!("{via:?}");
        let half = move |call: Call| async move {
            let frame = if via == Via::Stdio { "" } else { "event: message\ndata: " };
            call.print(format!(r#"{frame}{{"jsonrpc":"2.0","id":{},"res"#, call.id));
            call.hang_up();
        };
        faulty(via, half).await.fails_with(LOST).await;
    }
}

#[tokio::test]
async fn one_that_ends_its_stream_without_an_answer_is_not_asked_again() {
    faulty(Via::Events, |call| async move { drop(call) }).await.fails_with(LOST).await;
    faulty(Via::Json, |call| async move { drop(call) }).await.fails_with(BAD_ANSWER).await;
    faulty(Via::Sse, |call| async move { call.peer.hang_up() }).await.fails_with(LOST).await;
}

/// The end of an upstream must not overtake its response; this race needs two threads, and repetition.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_counts_even_when_it_is_the_last_thing_an_upstream_says() {
    let gateway = gateway().start().await;
    for via in [Via::Stdio, Via::Sse] {
        for round in 0..40 {
            let name = format!("{via:?}-{round}");
            let script = fake(&name).tool("last", move |call: Call| async move {
                call.reply(RIGHT);
                if via == Via::Stdio { call.hang_up() } else { call.peer.end() }
            });
            let upstream = script.start(via).await;
            gateway.admin.connect(&upstream.definition()).await;
            let answer = session(&gateway.url, &name).open().await.call("1", "last", "{}").await;
            assert!(answer.contains(RIGHT), "{name}: {answer}");
            gateway.admin.delete(&format!("/admin/mcps/{name}")).await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_broke_off_is_taken_up_where_the_upstream_numbers_its_events() {
    let breaks = |call: Call| async move {
        call.print("id: e-7\nretry: 10\ndata:\n\n");
        call.hang_up();
    };
    let Faulty { upstream, mut client, _gateway } = faulty(Via::Events, breaks).await;
    client.begin(tool_call("1", "fault", "{}"));
    let id = upstream.nth("tools/call", 0).await.id();
    let is_resumption = |one: &Received| one.headers.get("last-event-id").is_some_and(|last| last == "e-7");
    let resumed = upstream.find("a resumption", |all| all.iter().find(|one| is_resumption(one)).cloned()).await;
    upstream.peer(resumed.peer).await.send(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{RIGHT}}}"#));
    assert!(client.answer("1").await.contains(RIGHT));
    assert_eq!(upstream.count("tools/call"), 1);
}

#[tokio::test]
async fn one_that_answers_with_no_message_is_heard_out_where_more_can_follow() {
    faulty(Via::Json, |call| async move { call.print("<html>\n") }).await.fails_with(BAD_ANSWER).await;
    for via in [Via::Stdio, Via::Sse, Via::Events] {
        println!("{via:?}");
        let garbage = |call: Call| async move {
            for line in ["<html>", "[]", "{}", r#"{"jsonrpc":"2.0"}"#, "\u{0}"] {
                call.send(line);
            }
            call.send(format!(r#"{{"jsonrpc":"2.0","id":{0},"id":{0},"result":{{}}}}"#, call.id));
            call.send(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}},"Result":1}}"#, call.id));
            call.reply(RIGHT);
        };
        faulty(via, garbage).await.gets_its_answer().await;
    }
}

#[tokio::test]
async fn one_that_answers_under_another_id_has_not_answered() {
    let wrong = |call: &Call| {
        for id in ["0", "-1", "18446744073709551616", r#""1""#, "1.0"] {
            call.send(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"wrong":true}}}}"#));
        }
    };
    faulty(Via::Json, move |call| async move { wrong(&call) }).await.fails_with(BAD_ANSWER).await;
    for via in [Via::Stdio, Via::Sse, Via::Events] {
        println!("{via:?}");
        let corrected = move |call: Call| async move {
            wrong(&call);
            call.reply(RIGHT);
        };
        faulty(via, corrected).await.gets_its_answer().await;
    }
}

#[tokio::test]
async fn one_that_answers_twice_is_heard_once() {
    for via in Via::ALL {
        println!("{via:?}");
        let twice = |call: Call| async move {
            call.reply(RIGHT);
            call.reply(r#"{"again":true}"#);
        };
        faulty(via, twice).await.gets_its_answer().await;
    }
}

#[tokio::test]
async fn one_whose_answer_is_larger_than_the_limit_is_cut_off() {
    for via in Via::ALL {
        println!("{via:?}");
        let large = |call: Call| async move { call.reply(&format!(r#""{}""#, "x".repeat(20_000_000))) };
        faulty(via, large).await.fails_with(BAD_ANSWER).await;
    }
}

#[tokio::test]
async fn one_that_refuses_with_a_status_is_not_asked_again() {
    for via in [Via::Sse, Via::Events] {
        let statuses =
            [(401, REFUSED), (403, REFUSED), (405, REFUSED), (429, REFUSED), (500, BAD_ANSWER), (502, BAD_ANSWER)];
        for (status, expected) in statuses {
            let mut refusing = faulty(via, |call| async move { call.reply(RIGHT) }).await;
            refusing.upstream.refuse("tools/call", status);
            let answer = refusing.client.call("1", "fault", "{}").await;
            assert_eq!(kind(&answer), expected, "{via:?} {status}: {answer}");
            refusing.upstream.accept_again("tools/call");
            assert!(refusing.client.call("2", "echo", "{}").await.contains("structuredContent"), "{via:?} {status}");
            assert_eq!(refusing.faults(), 1, "{via:?} {status}");
            assert_eq!(refusing.upstream.count("initialize"), 2, "{via:?} {status}: the session goes on");
        }
    }
}

#[tokio::test]
async fn one_that_does_not_take_a_cancellation_holds_up_nobody() {
    for via in [Via::Sse, Via::Events, Via::Json] {
        let Faulty { upstream, client, _gateway } = faulty(via, Call::never).await;
        upstream.stall("notifications/cancelled");
        let cancelled = async {
            upstream.nth("tools/call", 0).await;
            client.tell(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#).await;
            upstream.nth("notifications/cancelled", 0).await;
        };
        let (mut reply, ()) = tokio::join!(client.post(tool_call("1", "fault", "{}")).send(), cancelled);
        let ended = within(2 * PROMPT, "the end of a cancelled request", reply.text()).await;
        assert!(!ended.contains("\"id\""), "{via:?}: {ended}");
    }
}

#[tokio::test]
async fn the_admin_api_never_repeats_a_call_that_may_have_been_executed() {
    for via in Via::ALL {
        let upstream = fake("faulty").tool("fault", |call: Call| async move { call.hang_up() }).start(via).await;
        let gateway = gateway().start().await;
        gateway.admin.connect(&upstream.definition()).await;
        let answer = gateway.admin.call("faulty", "fault", &json!({})).await;
        assert_eq!(answer.status, 200, "{via:?}: anything else is sent again by Go clients");
        let body: Value = answer.json();
        assert!(body["error"].is_string() && body["result"].is_null(), "{via:?} {body}");
        assert_eq!(upstream.count("tools/call"), 1, "{via:?}");
    }
}
