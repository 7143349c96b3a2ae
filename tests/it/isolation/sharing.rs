//! Clients that share one upstream session: each gets only the messages that belong to its own requests; messages that
//! could belong to any client reach none.

use harness::fake::{Call, Fake, Via, fake};
use harness::raw::{Session, session, tool_call};
use harness::{Envelope, InProcess, gateway};
use serde_json::json;

use super::{SHARED, with};

const UPDATED: &str = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"test://a"}}"#;
const QUESTION: &str = r#"{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{}}"#;

struct Shared {
    upstream: Fake,
    one: Session,
    two: Session,
    _gateway: InProcess,
}

async fn shared(via: Via) -> Shared {
    let upstream = fake("shared").echo("echo").tool("hold", Call::never).start(via).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&with(upstream.definition(), &json!({ "sessionMode": SHARED }))).await;
    let opening = session(&gateway.url, "shared").capabilities(r#"{"sampling":{}}"#);
    let (mut one, mut two) = (opening.clone().open().await, opening.open().await);
    one.listen().await;
    two.listen().await;
    Shared { upstream, one, two, _gateway: gateway }
}

fn resources(action: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"{action}","method":"resources/{action}","params":{{"uri":"test://a"}}}}"#)
}

#[tokio::test]
async fn a_subscription_lasts_until_the_last_who_holds_it_lets_go() {
    for via in Via::ALL {
        let Shared { upstream, mut one, mut two, _gateway } = shared(via).await;
        let peer = upstream.peer(0).await;
        for client in [&mut one, &mut two] {
            assert!(client.request(&resources("subscribe")).await.contains("\"result\""));
        }
        peer.send(UPDATED);
        for client in [&mut one, &mut two] {
            assert_eq!(client.next("updated").await, UPDATED);
        }
        one.request(&resources("unsubscribe")).await;
        peer.send(UPDATED);
        assert_eq!(two.next("updated").await, UPDATED);
        assert_eq!((upstream.count("resources/subscribe"), upstream.count("resources/unsubscribe")), (1, 0), "{via:?}");
        two.request(&resources("unsubscribe")).await;
        assert_eq!(upstream.count("resources/unsubscribe"), 1, "{via:?}");
        assert_eq!((one.rest(), two.rest()), (Vec::new(), Vec::new()), "{via:?}");
    }
}

#[tokio::test]
async fn what_a_client_subscribed_to_ends_with_its_session() {
    let Shared { upstream, mut one, mut two, _gateway } = shared(Via::Stdio).await;
    one.request(&resources("subscribe")).await;
    one.end().await;
    upstream.nth("resources/unsubscribe", 0).await;
    assert!(two.call("1", "echo", "{}").await.contains("structuredContent"));
}

#[tokio::test]
async fn a_question_that_could_be_for_two_clients_is_asked_of_neither() {
    for via in [Via::Stdio, Via::Sse, Via::Json] {
        let Shared { upstream, mut one, mut two, _gateway } = shared(via).await;
        one.begin(tool_call("1", "hold", "{}"));
        two.begin(tool_call("1", "hold", "{}"));
        upstream.nth("tools/call", 1).await;
        let answer = upstream.peer(0).await.ask(QUESTION).await;
        assert!(answer.contains(r#""id":"q","error":{"code":-32603"#), "{via:?}: {answer}");
        assert_eq!((one.rest(), two.rest()), (Vec::new(), Vec::new()), "{via:?}");
    }
}

#[tokio::test]
async fn a_question_can_be_for_the_only_client_that_waits_for_something() {
    for via in Via::ALL {
        let Shared { upstream, mut one, mut two, _gateway } = shared(via).await;
        one.begin(tool_call("1", "hold", "{}"));
        upstream.nth("tools/call", 0).await;
        let peer = upstream.peer(0).await;
        let answered = async {
            let asked = Envelope::read(one.next("sampling").await.as_bytes()).id;
            one.tell(format!(r#"{{"jsonrpc":"2.0","id":{asked},"result":{{"by":"one"}}}}"#)).await;
        };
        let (answer, ()) = tokio::join!(peer.ask(QUESTION), answered);
        assert_eq!(answer, r#"{"jsonrpc":"2.0","id":"q","result":{"by":"one"}}"#, "{via:?}");
        assert_eq!(two.rest(), Vec::<String>::new(), "{via:?}");
    }
}

#[tokio::test]
async fn a_question_to_a_client_that_leaves_is_answered_for_it() {
    let Shared { upstream, mut one, two: _two, _gateway } = shared(Via::Stdio).await;
    one.begin(tool_call("1", "hold", "{}"));
    upstream.nth("tools/call", 0).await;
    let peer = upstream.peer(0).await;
    let leaves = async {
        one.next("sampling").await;
        one.end().await;
    };
    let (answer, ()) = tokio::join!(peer.ask(QUESTION), leaves);
    assert!(answer.contains(r#""id":"q","error":{"code":-32603"#), "{answer}");
    upstream.nth("notifications/cancelled", 0).await;
}

#[tokio::test]
async fn a_question_that_is_withdrawn_is_withdrawn_at_the_client() {
    let Shared { upstream, mut one, two: _two, _gateway } = shared(Via::Stdio).await;
    one.begin(tool_call("1", "hold", "{}"));
    upstream.nth("tools/call", 0).await;
    let peer = upstream.peer(0).await;
    peer.send(QUESTION);
    let asked = Envelope::read(one.next("sampling").await.as_bytes()).id;
    let withdrawn =
        r#"{"params":{"reason":"late" ,"requestId":"q"},"method":"notifications/cancelled","jsonrpc":"2.0"}"#;
    peer.send(withdrawn);
    assert_eq!(one.next("notifications/cancelled").await, withdrawn.replace(r#""q""#, &asked));
}
