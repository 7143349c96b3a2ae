use super::*;
use crate::upstream::events::{EventQueue, event_queue};

struct Fixture {
    inbox: Inbox,
    outbox: mpsc::Receiver<Bytes>,
}

fn fixture() -> Fixture {
    let (sender, outbox) = mpsc::channel(8);
    Fixture { inbox: Inbox::new(sender, 1 << 20), outbox }
}

impl Fixture {
    fn attach(&self, id: u64) -> EventQueue {
        let (events, queue) = event_queue();
        self.inbox.attach(id, events);
        queue
    }

    fn expect(&self, id: u64, caller: u64, token: Option<&str>) -> (oneshot::Receiver<Message>, EventQueue) {
        let (events, queue) = event_queue();
        let token = token.map(Into::into);
        let expected = Expectation { id, caller, events, token, subscription: None, hears_logs: caller != GATEWAY };
        (self.inbox.expect(expected).expect("an open session"), queue)
    }

    fn receive(&self, text: &str, origin: Option<u64>) {
        let message = Message::parse(Bytes::copy_from_slice(text.as_bytes())).expect("a message");
        self.inbox.receive(&message, origin);
    }
}

fn notification(queue: &mut EventQueue) -> Option<Bytes> {
    match queue.try_recv()? {
        Event::Notification(message) => Some(message),
        Event::Question(question) => panic!("a question: {question:?}"),
    }
}

/// Caller id of the gateway's own requests, which receive no log messages.
const GATEWAY: u64 = 0;
const LOG: &str = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#;
const ASK: &str = r#"{"jsonrpc":"2.0","id":"q-1","method":"sampling/createMessage","params":{}}"#;

#[test]
fn an_answer_goes_to_the_request_with_its_id_and_to_no_other() {
    let fixture = fixture();
    let (mut first, _) = fixture.expect(1, 10, None);
    let (mut second, _) = fixture.expect(2, 20, None);
    fixture.receive(r#"{"jsonrpc":"2.0","id":2,"result":{}}"#, None);
    assert!(first.try_recv().is_err());
    assert_eq!(second.try_recv().expect("an answer").id(), "2");
    fixture.receive(r#"{"jsonrpc":"2.0","id":2,"result":{}}"#, None);
    fixture.receive(r#"{"jsonrpc":"2.0","id":99,"result":{}}"#, None);
    assert!(first.try_recv().is_err(), "a second or foreign answer reaches nobody");
}

#[test]
fn an_error_without_an_id_belongs_to_the_request_on_whose_stream_it_came() {
    let fixture = fixture();
    let (mut answer, _) = fixture.expect(1, 10, None);
    fixture.receive(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}"#, Some(1));
    assert_eq!(answer.try_recv().expect("an answer").kind(), Kind::Error);
}

#[test]
fn progress_carries_the_clients_own_token() {
    let fixture = fixture();
    let (_answer, mut first) = fixture.expect(1, 10, Some("\"t\""));
    let (_other, mut second) = fixture.expect(2, 20, Some("\"t\""));
    let progress =
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":0.10}}"#;
    fixture.receive(progress, None);
    assert_eq!(notification(&mut first), None);
    assert_eq!(notification(&mut second).expect("progress"), progress.replace(":2,", ":\"t\",").as_str());
    fixture.receive(&progress.replace(":2,", ":\"t\","), None);
    assert_eq!(notification(&mut second), None, "a token that the gateway did not give reaches nobody");
}

#[test]
fn what_may_belong_to_several_clients_reaches_none() {
    let fixture = fixture();
    let (mut one, mut two) = (fixture.attach(10), fixture.attach(20));
    fixture.receive(LOG, None);
    assert_eq!((notification(&mut one), notification(&mut two)), (None, None));
    let (_answer, mut call) = fixture.expect(1, 10, None);
    fixture.receive(LOG, None);
    assert!(notification(&mut call).is_some(), "only one client has a call in flight");
    let (_answer, mut other) = fixture.expect(2, 20, None);
    fixture.receive(LOG, None);
    assert_eq!((notification(&mut call), notification(&mut other)), (None, None));
    fixture.receive(LOG, Some(2));
    assert!(notification(&mut other).is_some(), "it came on that call's own stream");
}

#[test]
fn a_question_is_asked_under_a_number_and_answered_under_the_upstreams_id() {
    let mut fixture = fixture();
    let (_answer, mut call) = fixture.expect(1, 10, None);
    fixture.receive(ASK, None);
    let Some(Event::Question(question)) = call.try_recv() else { panic!("a question") };
    assert_eq!(question.message, ASK.replace("\"q-1\"", &question.serial.to_string()).as_str());
    let response = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"z":null,"a":{{ }}}}}}"#, question.serial);
    question.reply.answer(&Message::parse(response.clone().into()).expect("a response"));
    let expected = response.replace(&question.serial.to_string(), "\"q-1\"");
    assert_eq!(fixture.outbox.try_recv().expect("an answer"), expected.as_str());
}

#[test]
fn a_question_that_nobody_can_answer_is_refused() {
    let mut fixture = fixture();
    fixture.receive(ASK, None);
    let refusal = fixture.outbox.try_recv().expect("a refusal");
    assert!(refusal.starts_with(br#"{"jsonrpc":"2.0","id":"q-1","error":"#), "{refusal:?}");

    let (_answer, mut call) = fixture.expect(1, 10, None);
    fixture.receive(ASK, None);
    drop(call.try_recv().expect("a question"));
    assert!(fixture.outbox.try_recv().is_ok(), "a reply that is dropped is a refusal");
}

#[test]
fn the_upstream_may_withdraw_its_question() {
    let fixture = fixture();
    let (_answer, mut call) = fixture.expect(1, 10, None);
    fixture.receive(ASK, None);
    let Some(Event::Question(question)) = call.try_recv() else { panic!("a question") };
    fixture.receive(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q-1"}}"#, None);
    let told = notification(&mut call).expect("a cancellation");
    assert!(told.ends_with(format!(r#"{{"requestId":{}}}}}"#, question.serial).as_bytes()), "{told:?}");
}

#[test]
fn pings_are_answered_here() {
    let mut fixture = fixture();
    fixture.receive(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#, None);
    assert_eq!(fixture.outbox.try_recv().expect("an answer"), r#"{"jsonrpc":"2.0","id":"p","result":{}}"#);
}

#[test]
fn updates_reach_those_who_subscribed() {
    let fixture = fixture();
    let (mut one, mut two) = (fixture.attach(10), fixture.attach(20));
    assert!(!fixture.inbox.subscribe(10, "a"), "nobody else holds it");
    let update = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a"}}"#;
    fixture.receive(update, None);
    assert!(notification(&mut one).is_some() && notification(&mut two).is_none());
    assert!(fixture.inbox.subscribe(20, "a"));
    assert!(fixture.inbox.unsubscribe(10, "a"), "20 still holds it");
    assert!(!fixture.inbox.unsubscribe(20, "a"));
}

#[test]
fn log_levels_serve_the_most_curious_and_are_sifted_for_the_others() {
    let fixture = fixture();
    let (mut one, _two) = (fixture.attach(10), fixture.attach(20));
    let (error, debug) = (level("error").expect("a level"), level("debug").expect("a level"));
    assert_eq!(fixture.inbox.set_level(10, error), debug, "20 has not asked for less");
    let (_answer, mut call) = fixture.expect(1, 10, None);
    fixture.receive(LOG, None);
    assert_eq!((notification(&mut call), notification(&mut one)), (None, None));
    fixture.receive(&LOG.replace("info", "critical"), None);
    assert!(notification(&mut call).is_some());
}

#[test]
fn a_log_message_is_about_none_of_the_requests_that_want_none() {
    let fixture = fixture();
    let (mut one, _two) = (fixture.attach(10), fixture.attach(20));
    let (_answer, mut call) = fixture.expect(1, 10, None);
    let (_listed, mut list) = fixture.expect(2, GATEWAY, None);
    fixture.receive(LOG, None);
    assert_eq!((notification(&mut list), notification(&mut one)), (None, None));
    assert!(notification(&mut call).is_some());
}

#[test]
fn after_the_end_nothing_is_expected_any_more() {
    let fixture = fixture();
    let (mut answer, _) = fixture.expect(1, 10, None);
    fixture.inbox.close("first reason");
    fixture.inbox.close("second reason");
    assert!(answer.try_recv().is_err());
    assert_eq!(fixture.inbox.end().as_deref(), Some("first reason"));
    let (events, _) = event_queue();
    let late = Expectation { id: 2, caller: 1, events, token: None, subscription: None, hears_logs: true };
    assert!(fixture.inbox.expect(late).is_none());
}
