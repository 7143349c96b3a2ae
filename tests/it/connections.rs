//! Client connections, byte for byte: requests in every framing, pipelined requests, and input that is not HTTP.

use harness::fake::{Fake, Via, fake};
use harness::gateway::has_fast_path;
use harness::raw::{Session, session, tool_call};
use harness::wait::{DEADLINE, Gate, within};
use harness::{InProcess, eventually, gateway};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Gateway with a session to an upstream. One tool answers at once, and one once the gate is open.
struct House {
    gateway: InProcess,
    upstream: Fake,
    done: Gate,
    client: Session,
}

/// TCP connection, with the bytes received so far.
struct Line {
    stream: TcpStream,
    received: String,
}

/// HTTP response; the body is without its chunk framing.
struct Response {
    status: u16,
    head: String,
    body: String,
}

async fn house() -> House {
    let done = Gate::default();
    let wait = done.clone();
    let script = fake("up").echo("echo").tool("slow", move |call| {
        let wait = wait.clone();
        async move {
            call.progress(r#""progress":1"#);
            wait.opened().await;
            call.echo();
        }
    });
    let upstream = script.start(Via::Json).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = session(&gateway.url, "up").open().await;
    House { gateway, upstream, done, client }
}

impl House {
    async fn line(&self) -> Line {
        let authority = self.gateway.url.trim_start_matches("http://");
        let stream = TcpStream::connect(authority).await.expect("a gateway");
        stream.set_nodelay(true).expect("a socket");
        Line { stream, received: String::new() }
    }

    /// Returns a request of the session, with a `content-length` unless `fields` frame the body.
    fn request(&self, fields: &str, body: &str) -> String {
        let id = &self.client.id;
        let length = format!("content-length: {}\r\n", body.len());
        let length = if fields.contains("content-length") || fields.contains("chunked") { "" } else { &length };
        format!(
            "POST /up/mcp HTTP/1.1\r\nhost: localhost\r\nMCP-Session-ID: {id}\r\nContent-Type: application/json\r\n\
             accept: application/json, text/event-stream\r\n{fields}{length}\r\n{body}"
        )
    }

    /// Returns the number of open connections.
    async fn connections(&self) -> u64 {
        let status = self.gateway.admin.get("/healthz").await.json();
        status["connections"]["active"].as_u64().expect("a number")
    }

    fn call(&self, id: &str) -> String {
        self.request("", &tool_call(id, "echo", "{}"))
    }
}

impl Line {
    async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("a gateway that listens");
    }

    /// Reads the next response.
    async fn response(&mut self) -> Response {
        let head = self.until(|text| text.find("\r\n\r\n").map(|at| at + 4)).await;
        let field = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
            line.map(|line| line.split_at(name.len()).1.trim().to_owned())
        };
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let body = match field("content-length:").map(|length| length.parse::<usize>().expect("a length")) {
            Some(length) => self.until(|text| (text.len() >= length).then_some(length)).await,
            None if status == 100 => String::new(),
            None => {
                assert_eq!(field("transfer-encoding:").as_deref(), Some("chunked"), "{head}");
                self.until(|text| text.find("0\r\n\r\n").map(|at| at + 5)).await
            }
        };
        Response { status, head, body }
    }

    /// Reads up to the end of the connection.
    async fn rest(mut self) -> String {
        while self.more().await {}
        self.received
    }

    /// Waits for this text anywhere in the received bytes.
    async fn sees(&mut self, text: &str) {
        while !self.received.contains(text) {
            assert!(self.more().await, "the connection ended after {:?}", self.received);
        }
    }

    async fn until(&mut self, end: impl Fn(&str) -> Option<usize>) -> String {
        loop {
            if let Some(at) = end(&self.received) {
                let rest = self.received.split_off(at);
                return std::mem::replace(&mut self.received, rest);
            }
            assert!(self.more().await, "the connection ended after {:?}", self.received);
        }
    }

    async fn more(&mut self) -> bool {
        let mut room = [0; 4096];
        let count = within(DEADLINE, "something to read", self.stream.read(&mut room)).await.unwrap_or(0);
        self.received.push_str(&String::from_utf8_lossy(&room[..count]));
        count > 0
    }
}

fn check(response: &Response, id: &str) {
    assert_eq!(response.status, 200, "{}{}", response.head, response.body);
    assert!(response.body.contains(&format!(r#""id":{id},"result""#)), "{id}: {}", response.body);
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_order() {
    let house = house().await;
    let mut line = house.line().await;
    let all: String = ["1", "2", "3", "4"].map(|id| house.call(id)).concat();
    line.say(&all).await;
    for id in ["1", "2", "3", "4"] {
        check(&line.response().await, id);
    }
    line.say(&house.call("5")).await;
    check(&line.response().await, "5");
}

#[tokio::test]
async fn a_request_may_come_in_any_pieces() {
    let house = house().await;
    let mut line = house.line().await;
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(300_000));
    let request = house.request("", &tool_call("1", "echo", &large));
    line.say(&request).await;
    let response = line.response().await;
    check(&response, "1");
    assert!(response.body.contains(&large), "all of it");
    for byte in house.call("2").chars() {
        line.say(&byte.to_string()).await;
    }
    check(&line.response().await, "2");
}

#[tokio::test]
async fn any_request_may_follow_any_other() {
    let house = house().await;
    let mut line = house.line().await;
    let chunked = |id: &str| {
        let body = tool_call(id, "echo", "{}");
        let (first, second) = body.split_at(20);
        let chunks = format!("14\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", second.len());
        house.request("transfer-encoding: chunked\r\n", &chunks)
    };
    line.say(&house.call("1")).await;
    check(&line.response().await, "1");
    let health = "GET /healthz/ HTTP/1.1\r\nhost: localhost\r\n\r\n";
    line.say(&[house.call("2"), chunked("3"), house.call("4"), health.to_owned(), house.call("5")].concat()).await;
    for id in ["2", "3", "4"] {
        check(&line.response().await, id);
    }
    assert_eq!(line.response().await.status, 200, "of /healthz");
    check(&line.response().await, "5");
}

#[tokio::test]
async fn who_waits_to_be_told_to_go_on_is_told() {
    let house = house().await;
    let mut line = house.line().await;
    let request = house.request("Expect: 100-continue\r\n", &tool_call("1", "echo", "{}"));
    let (head, body) = request.split_at(request.find("\r\n\r\n").expect("a head") + 4);
    line.say(head).await;
    assert_eq!(line.response().await.status, 100);
    line.say(body).await;
    check(&line.response().await, "1");
}

#[tokio::test]
async fn an_answer_that_becomes_a_stream_leaves_the_connection_to_what_comes_next() {
    let house = house().await;
    let mut line = house.line().await;
    let slow = tool_call("1", "slow", "{}").replace(r#""params":{"#, r#""params":{"_meta":{"progressToken":"p"},"#);
    line.say(&[house.call("0"), house.request("", &slow), house.call("2")].concat()).await;
    check(&line.response().await, "0");
    line.sees("notifications/progress").await;
    house.done.open();
    let stream = line.response().await;
    assert_eq!(stream.status, 200);
    for expected in ["text/event-stream", "notifications/progress", r#""id":1,"result""#] {
        assert!(
            [&*stream.head, &*stream.body].concat().contains(expected),
            "{expected}: {}{}",
            stream.head,
            stream.body
        );
    }
    check(&line.response().await, "2");
}

#[tokio::test]
async fn what_two_readers_could_take_differently_reaches_nobody() {
    let house = house().await;
    let inner = house.call("9");
    for fields in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: +5\r\n",
        "content-length: 0x5\r\n",
        "content-length:\r\n",
        "content-length : 0\r\n",
        "transfer-encoding: xchunked\r\ncontent-length: 0\r\n",
        "x: y\r\n folded: z\r\ncontent-length: 0\r\n",
    ] {
        let mut line = house.line().await;
        line.say(&house.request(fields, &inner)).await;
        let all = line.rest().await;
        // Refused as HTTP, before a message in the body is read.
        let is_alone = all.matches("HTTP/1.1").count() == 1;
        assert!(is_alone && all.starts_with("HTTP/1.1 400") && all.ends_with("\r\n\r\n"), "{fields:?}: {all}");
    }
    // RFC 9112, 6.3: the chunks count, and a request with both fields closes the connection.
    let mut line = house.line().await;
    let both = format!("transfer-encoding: chunked\r\ncontent-length: {}\r\n", inner.len() + 5);
    line.say(&house.request(&both, &format!("0\r\n\r\n{inner}"))).await;
    let all = line.rest().await;
    assert!(!all.contains(r#""id":9"#), "{all}");
    assert_eq!(house.upstream.count("tools/call"), 0);
}

#[tokio::test]
async fn what_is_no_http_is_told_so_and_the_end_is_no_request() {
    let house = house().await;
    for (text, expected) in [
        ("SSH-2.0-x\r\n", "HTTP/1.1 400"),
        ("POST /up/mcp HTTP/1.1\nhost: localhost\ncontent-length: 0\n\n", "HTTP/1.1 4"),
        ("POST /up/mcp HTTP/1.0\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n", "HTTP/1.0 415"),
        (
            "\r\n\r\nPOST /up/mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 415",
        ),
        ("POST /up/mcp HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 400"),
        ("POST /up/mcp HTTP/1.0\r\ncontent-length: 0\r\n\r\n", "HTTP/1.0 400"),
    ] {
        let mut line = house.line().await;
        line.say(text).await;
        let all = match expected {
            "HTTP/1.1 4" => line.response().await.head,
            _ => line.rest().await,
        };
        assert!(all.starts_with(expected), "{text:?}: {all}");
    }
    let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
    let mut line = house.line().await;
    line.say(&house.request(&many, "{}")).await;
    assert!(line.rest().await.starts_with("HTTP/1.1 431"), "too many fields");
    let mut line = house.line().await;
    line.say(&house.request(&format!("x: {}\r\n", "y".repeat(20_000)), &tool_call("1", "echo", "{}"))).await;
    check(&line.response().await, "1");
    let mut line = house.line().await;
    line.say(&house.request("", &tool_call("2", "echo", &format!(r#"{{"text":"{}"}}"#, "z".repeat(300_000))))).await;
    check(&line.response().await, "2");
    line.say(&house.request(&format!("x: {}\r\n", "y".repeat(80_000)), &tool_call("3", "echo", "{}"))).await;
    assert!(line.rest().await.starts_with("HTTP/1.1 431"), "a head that is too large for any reader");
    assert_eq!(house.upstream.count("tools/call"), 2);
}

#[tokio::test]
async fn who_is_refused_need_not_send_a_body() {
    let house = house().await;
    let too_long = "content-length: 99999999\r\n";
    for (fields, status) in [
        ("origin: http://evil.example\r\ncontent-length: 1000000\r\n", 403),
        ("host: localhost\r\ncontent-length: 1000000\r\n", 403),
        (too_long, 413),
    ] {
        let mut line = house.line().await;
        line.say(&house.request(fields, "{")).await;
        let refusal = line.response().await;
        assert_eq!(refusal.status, status, "{fields:?}");
        assert!(refusal.head.contains("connection: close\r\n"), "{}", refusal.head);
        assert_eq!(line.rest().await, "", "{fields:?}");
    }
    // A body with little left is drained, even if it never arrives: the next request is answered.
    let mut line = house.line().await;
    let text =
        house.request("content-length: 1000\r\n", "{").replace("application/json\r\naccept", "text/plain\r\naccept");
    line.say(&text).await;
    let refusal = line.response().await;
    assert_eq!(refusal.status, 415);
    if has_fast_path() {
        line.say(&" ".repeat(999)).await;
        line.say(&house.call("1")).await;
        check(&line.response().await, "1");
    } else {
        // Hyper does not read what is left.
        assert!(refusal.head.contains("connection: close\r\n"), "{}", refusal.head);
    }
    // A client that reads only after it has sent the whole body still gets the response.
    let mut line = house.line().await;
    line.say(&house.request(too_long, &"x".repeat(20_000_000))).await;
    assert_eq!(line.response().await.status, 413);
}

#[tokio::test]
async fn what_is_followed_by_more_is_answered_though_the_end_has_come_and_half_a_request_is_refused() {
    let house = house().await;
    let mut line = house.line().await;
    let call = house.call("2");
    line.say(&[house.call("1").as_str(), call.split_at(call.len() - 1).0].concat()).await;
    line.stream.shutdown().await.expect("a socket");
    check(&line.response().await, "1");
    let refusal = line.response().await;
    assert_eq!(refusal.status, 400);
    assert!(refusal.body.contains("the body ended early"), "{}", refusal.body);
    assert_eq!(line.rest().await, "");
    assert_eq!(house.upstream.count("tools/call"), 1);
}

#[tokio::test]
async fn the_connection_of_a_client_that_leaves_before_its_answer_ends_at_once() {
    let house = house().await;
    let mut line = house.line().await;
    line.say(&house.request("", &tool_call("1", "slow", "{}")).replace(", text/event-stream", "")).await;
    house.upstream.nth("tools/call", 0).await;
    let open = house.connections().await;
    drop(line);
    eventually("one connection less", async || (house.connections().await < open).then_some(())).await;
}

#[tokio::test]
async fn a_gateway_that_stops_ends_what_is_under_way_and_says_that_nothing_follows() {
    let house = house().await;
    let mut quiet = house.line().await;
    quiet.say(&house.call("1")).await;
    check(&quiet.response().await, "1");
    let mut busy = house.line().await;
    let slow = house.request("", &tool_call("2", "slow", "{}")).replace(", text/event-stream", "");
    busy.say(&slow).await;
    house.upstream.nth("tools/call", 1).await;
    let House { gateway, done, .. } = house;
    let leaving = async {
        assert_eq!(quiet.rest().await, "", "nothing is under way there");
        done.open();
        let last = busy.response().await;
        check(&last, "2");
        assert!(last.head.contains("connection: close\r\n"), "{}", last.head);
        assert_eq!(busy.rest().await, "");
    };
    tokio::join!(gateway.stop(), leaving);
}
