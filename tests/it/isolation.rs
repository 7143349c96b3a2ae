//! Clients of one upstream never see each other's responses, progress or server requests, even if all their ids are
//! equal.

mod sharing;

use futures_util::future::join_all;
use harness::fake::{Call, Fake, Via, fake};
use harness::raw::{Face, Session, session, tool_call};
use harness::wait::Gate;
use harness::{Envelope, InProcess, eventually, gateway};
use serde_json::{Value, json};

const CLIENTS: usize = 20;
const AUTO: &str = "auto";
const SHARED: &str = "shared";
const DEDICATED: &str = "dedicated";

#[tokio::test]
async fn clients_of_a_shared_process_get_their_own_answers() {
    get_their_own_answers(Via::Stdio, AUTO, 1).await;
}

#[tokio::test]
async fn clients_with_a_process_each_get_their_own_answers() {
    get_their_own_answers(Via::Stdio, DEDICATED, 1 + 2 * CLIENTS).await;
}

#[tokio::test]
async fn clients_over_an_sse_upstream_get_their_own_answers() {
    get_their_own_answers(Via::Sse, AUTO, 1 + 2 * CLIENTS).await;
}

#[tokio::test]
async fn clients_of_a_shared_sse_session_get_their_own_answers() {
    get_their_own_answers(Via::Sse, SHARED, 1).await;
}

#[tokio::test]
async fn clients_over_a_streaming_upstream_get_their_own_answers() {
    get_their_own_answers(Via::Events, AUTO, 1 + 2 * CLIENTS).await;
}

#[tokio::test]
async fn clients_of_a_shared_streaming_session_get_their_own_answers() {
    get_their_own_answers(Via::Events, SHARED, 1).await;
}

#[tokio::test]
async fn clients_over_an_upstream_that_answers_with_json_get_their_own_answers() {
    get_their_own_answers(Via::Json, AUTO, 1 + 2 * CLIENTS).await;
}

/// Opens twenty clients on each face, all with equal ids and progress tokens. The first calls a slow tool, the others a
/// fast one; the newest leaves; the others call again; then the slow tool answers.
async fn get_their_own_answers(via: Via, mode: &str, upstream_sessions: usize) {
    let slow = Gate::default();
    let (upstream, gateway) = serve(via, mode, &slow).await;
    for face in Face::ALL {
        let opening = session(&gateway.url, "echo").over(face);
        let opened = join_all((0..CLIENTS).map(|_| opening.clone().open())).await;
        let mut clients: Vec<(usize, Session)> = opened.into_iter().enumerate().collect();
        for (number, client) in &mut clients {
            client.begin(call("1", if *number == 0 { "slow" } else { "quick" }, face, *number));
        }
        for (number, client) in clients.iter_mut().skip(1) {
            assert_eq!(client.answer("1").await, echoed("1", face, *number));
        }
        let (newest, client) = clients.pop().expect("a newest client");
        assert_eq!(newest, CLIENTS - 1);
        client.end().await;
        for (number, client) in &mut clients {
            client.begin(call("2", "quick", face, *number));
            assert_eq!(client.answer("2").await, echoed("2", face, *number));
        }
        upstream.find("every call", |all| (calls(all.iter(), face) == 2 * CLIENTS - 1).then_some(())).await;
        slow.open();
        assert_eq!(clients[0].1.answer("1").await, echoed("1", face, 0));
        for (number, client) in &mut clients {
            let progress = client.rest();
            let own = format!(r#""progressToken":"token","progress":1,"payload":{}"#, payload(face, *number));
            assert!(progress.iter().all(|message| message.contains(&own)), "{number} of {face:?}: {progress:?}");
            // An upstream that answers with JSON sends progress on another stream, so it may arrive too late.
            assert!(progress.len() == 2 || via == Via::Json, "{number} of {face:?}: {progress:?}");
        }
    }
    assert_eq!(upstream.count("initialize"), upstream_sessions);
}

/// Starts a gateway before a server with a fast and a slow tool, which report progress and return their arguments.
async fn serve(via: Via, mode: &str, slow: &Gate) -> (Fake, InProcess) {
    let report = |call: &Call| {
        let arguments = call.envelope.param("arguments");
        call.progress(&format!(r#""progress":1,"payload":{arguments}"#));
    };
    let slow = slow.clone();
    let script = fake("echo").tool("quick", move |call| async move {
        report(&call);
        call.echo();
    });
    let script = script.tool("slow", move |call| {
        let slow = slow.clone();
        async move {
            report(&call);
            slow.opened().await;
            call.echo();
        }
    });
    let upstream = script.start(via).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&with(upstream.definition(), &json!({ "sessionMode": mode }))).await;
    (upstream, gateway)
}

fn call(id: &str, tool: &str, face: Face, client: usize) -> String {
    let call = tool_call(id, tool, &payload(face, client));
    call.replace(r#""params":{"#, r#""params":{"_meta":{"progressToken":"token"},"#)
}

fn echoed(id: &str, face: Face, client: usize) -> String {
    let payload = payload(face, client);
    let text = json!({ "type": "text", "text": payload });
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{text}],"structuredContent":{payload}}}}}"#)
}

fn payload(face: Face, client: usize) -> String {
    format!(r#"{{"client":"{face:?}-{client}"}}"#)
}

fn calls<'a>(received: impl Iterator<Item = &'a harness::fake::Received>, face: Face) -> usize {
    let own = format!(r#""client":"{face:?}-"#);
    received.filter(|one| one.method == "tools/call" && one.text().contains(&own)).count()
}

fn with(mut definition: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        definition[name] = value.clone();
    }
    definition
}

#[tokio::test]
async fn a_session_is_nobody_elses_nor_another_upstreams() {
    let gateway = gateway().flags(["--global-auth-tokens", "a,b"]).start().await;
    let (one, two) = (fake("one").start(Via::Events).await, fake("two").start(Via::Events).await);
    gateway.admin.connect(&one.definition()).await;
    gateway.admin.connect(&two.definition()).await;
    let client = session(&gateway.url, "one").token("a").open().await;
    let ping = client.post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let thief = |method: &str| client.http(method).without("authorization").header("authorization", "Bearer b");
    let stolen = ping.clone().without("authorization").header("authorization", "Bearer b");
    assert_eq!(stolen.send().await.status, 404);
    assert_eq!(thief("GET").send().await.status, 404);
    assert_eq!(thief("DELETE").send().await.status, 404);
    assert_eq!(ping.clone().to(&format!("{}/two/stream", gateway.url)).send().await.status, 404);
    assert_eq!(ping.send().await.status, 200);

    let client = session(&gateway.url, "one").over(Face::Sse).token("a").open().await;
    let ping = client.post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let elsewhere = ping.clone().to(&format!("{}/two/message?sessionId={}", gateway.url, client.id));
    for stolen in [ping.without("authorization").header("authorization", "Bearer b"), elsewhere] {
        let mut refusal = stolen.send().await;
        assert_eq!(refusal.status, 400);
        assert!(refusal.text().await.contains("Invalid session ID"));
    }
}

#[tokio::test]
async fn a_session_is_gone_once_its_client_ended_it() {
    for via in Via::ALL {
        let gateway = gateway().start().await;
        let upstream = fake("one").start(via).await;
        gateway.admin.connect(&with(upstream.definition(), &json!({ "sessionMode": DEDICATED }))).await;
        let client = session(&gateway.url, "one").open().await;
        assert_eq!(upstream.live(), 2, "{via:?}");
        assert_eq!(client.http("DELETE").send().await.status, 200);
        for method in ["POST", "GET", "DELETE"] {
            let request = client.http(method).header("content-type", "application/json");
            let request = request.body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
            assert_eq!(request.send().await.status, 404, "{method}");
        }
        eventually("one session left", || async { (upstream.live() == 1).then_some(()) }).await;
    }
}

#[tokio::test]
async fn only_who_was_asked_can_answer() {
    for via in Via::ALL {
        let gateway = gateway().start().await;
        let upstream = fake("asks").tool("ask", ask).start(via).await;
        gateway.admin.connect(&upstream.definition()).await;
        for face in Face::ALL {
            let opening = session(&gateway.url, "asks").over(face).capabilities(r#"{"sampling":{}}"#);
            let (mut one, mut two) = (opening.clone().open().await, opening.open().await);
            one.listen().await;
            two.listen().await;
            one.begin(tool_call("1", "ask", "{}"));
            two.begin(tool_call("1", "ask", "{}"));
            let asked_one = Envelope::read(one.next("sampling/createMessage").await.as_bytes()).id;
            let asked_two = Envelope::read(two.next("sampling/createMessage").await.as_bytes()).id;
            two.tell(answer(&asked_one, "an intruder")).await;
            one.tell(answer(&asked_two, "an intruder")).await;
            one.tell(answer(&asked_one, "one")).await;
            two.tell(answer(&asked_two, "two")).await;
            assert!(one.answer("1").await.contains(r#""heard":{"by":"one"}"#), "{via:?} {face:?}");
            assert!(two.answer("1").await.contains(r#""heard":{"by":"two"}"#), "{via:?} {face:?}");
        }
    }
}

/// Sends a request under an id that every call uses, and replies with the response to it.
async fn ask(call: Call) {
    let question = r#"{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{}}"#;
    let heard: Value = serde_json::from_str(&call.ask(question).await).unwrap_or_default();
    call.reply(&format!(r#"{{"content":[],"heard":{}}}"#, heard["result"]));
}

fn answer(id: &str, by: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"by":"{by}"}}}}"#)
}

#[tokio::test]
async fn an_upstream_sees_its_own_credentials_and_never_its_clients() {
    for via in [Via::Sse, Via::Events, Via::Json] {
        let gateway = gateway().flags(["--global-auth-tokens", "inbound"]).start().await;
        let upstream = fake("private").echo("echo").start(via).await;
        let own = json!({ "headers": { "Authorization": "Bearer own", "X-Vendor": "é, 1" } });
        gateway.admin.connect(&with(upstream.definition(), &own)).await;
        let mut client = session(&gateway.url, "private").token("inbound").open().await;
        assert!(client.call("1", "echo", "{}").await.contains("structuredContent"));
        client.end().await;
        eventually("the end of the session", || async { (upstream.live() == 1).then_some(()) }).await;
        for received in upstream.received() {
            let header = |name: &str| received.headers.get(name).map(|value| value.as_bytes());
            assert_eq!(header("authorization"), Some(&b"Bearer own"[..]), "{via:?} {}", received.method);
            assert_eq!(header("x-vendor"), Some("é, 1".as_bytes()), "{via:?} {}", received.method);
            assert!(!format!("{:?}", received.headers).contains("inbound"), "{via:?} {}", received.method);
            assert_eq!(header("cookie").or(header("x-forwarded-for")), None);
        }
        let call = upstream.nth("tools/call", 0).await;
        let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(header("content-type"), "application/json");
        if via != Via::Sse {
            assert_eq!(header("accept"), "application/json, text/event-stream");
            assert_eq!((header("mcp-session-id"), header("mcp-protocol-version")), ("1", "2025-11-25"));
        }
    }
}

#[tokio::test]
async fn an_id_is_taken_while_its_request_is_in_flight() {
    for face in Face::ALL {
        let slow = Gate::default();
        let (upstream, gateway) = serve(Via::Stdio, AUTO, &slow).await;
        let mut client = session(&gateway.url, "echo").over(face).open().await;
        client.begin(tool_call("7", "slow", "{}"));
        upstream.nth("tools/call", 0).await;
        let refusal = client.call("7", "quick", "{}").await;
        assert!(refusal.contains(r#""code":-32600"#), "{refusal}");
        slow.open();
        assert!(client.answer("7").await.contains(r#""structuredContent":{}"#));
        assert_eq!(upstream.count("tools/call"), 1);
        assert!(client.call("7", "quick", "{}").await.contains(r#""structuredContent":{}"#), "free again");
    }
}

#[tokio::test]
async fn a_cancellation_reaches_the_right_request_and_ends_its_stream() {
    for via in Via::ALL {
        let (upstream, gateway) = serve(via, AUTO, &Gate::default()).await;
        let open = || session(&gateway.url, "echo").open();
        let (client, bystander) = (open().await, open().await);
        let cancel = r#"{"params":{ "vendor": 1.50,"requestId":"a","reason":"enough" },"method":"notifications/cancelled","jsonrpc":"2.0"}"#;
        let cancelled = async {
            let sent = upstream.nth("tools/call", 0).await.id();
            bystander.tell(cancel).await;
            client.tell(cancel).await;
            let told = upstream.nth("notifications/cancelled", 0).await;
            let expected = cancel.replace("\"a\"", &sent);
            assert_eq!(told.text(), expected, "{via:?}");
        };
        let (mut reply, ()) = tokio::join!(client.post(tool_call("\"a\"", "slow", "{}")).send(), cancelled);
        assert!(!reply.text().await.contains("\"id\""), "{via:?}: a withdrawn request has no answer");
        assert_eq!(upstream.count("notifications/cancelled"), 1, "{via:?}");
    }
}

#[tokio::test]
async fn a_cancelled_request_over_sse_has_no_answer() {
    let slow = Gate::default();
    let (upstream, gateway) = serve(Via::Events, AUTO, &slow).await;
    let mut client = session(&gateway.url, "echo").over(Face::Sse).open().await;
    client.begin(tool_call("1", "slow", "{}"));
    upstream.nth("tools/call", 0).await;
    client.tell(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#).await;
    upstream.nth("notifications/cancelled", 0).await;
    slow.open();
    client.call("2", "quick", "{}").await;
    assert_eq!(client.rest(), Vec::<String>::new());
}
