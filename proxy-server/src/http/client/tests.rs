use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, poll, stream};
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::*;

type Chunks = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

/// A server that responds to each request with `answer` and counts its connections. Each accepts `requests` requests.
struct Server {
    url: Url,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(requests: usize, answer: impl Fn() -> Chunks + Clone + Send + 'static) -> Self {
        Self::answering("keep-alive", "", requests, answer).await
    }

    /// Starts a server whose responses have this field, unless its value is empty.
    async fn answering(
        name: &'static str,
        value: &'static str,
        requests: usize,
        answer: impl Fn() -> Chunks + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address")).parse().expect("a URL");
        let connections = Arc::<AtomicUsize>::default();
        let (tasks, counted) = (crate::tasks::Tasks::default(), Arc::clone(&connections));
        tasks.clone().spawn("server", async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (answer, left) = (answer.clone(), AtomicUsize::new(requests));
                let service = service_fn(move |_: Request<Incoming>| {
                    let mut response = http::Response::new(StreamBody::new(answer()));
                    if !value.is_empty() {
                        response.headers_mut().insert(name, HeaderValue::from_static(value));
                    }
                    if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                        response.headers_mut().insert("connection", HeaderValue::from_static("close"));
                    }
                    async { Ok::<_, Infallible>(response) }
                });
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tasks.spawn("connection", async move { drop(connection.await) });
            }
        });
        Self { url, connections }
    }

    fn target(&self) -> Target {
        aim(&dialer(Duration::from_secs(5)), &self.url).expect("an allowed address")
    }

    /// Counts the connections for two consecutive requests with this idle timeout.
    async fn connections_of_two(self, idle_timeout: Duration) -> usize {
        let target = aim(&dialer(idle_timeout), &self.url).expect("an allowed address");
        for _ in 0..2 {
            assert_eq!(read(get(&target).await).await, "a");
        }
        self.connections()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn dialer(idle_timeout: Duration) -> Dialer {
    let limits = Limits { connect_timeout: Duration::from_secs(5), idle_timeout };
    Dialer::new(limits, Network::default(), HeaderValue::from_static("m"))
}

fn aim(dialer: &Dialer, url: &Url) -> Result<Target, Refused> {
    dialer.target(&Destination { url, headers: HeaderMap::new(), reach: Reach::default(), message_limit: 1 << 20 })
}

fn word(text: &'static str) -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

async fn read(mut response: Response) -> String {
    let mut text = String::new();
    while let Some(chunk) = response.chunk().await.expect("a whole body") {
        text += &String::from_utf8_lossy(&chunk);
    }
    text
}

async fn get(target: &Target) -> Response {
    target.request(&Method::GET).send(Pieces::default()).await.expect("a response")
}

#[tokio::test]
async fn a_connection_is_used_again_once_its_response_is_read() {
    let server = Server::start(10, || Box::pin(stream::iter([word("a"), word("b")]))).await;
    let target = server.target();
    for _ in 0..3 {
        assert_eq!(read(get(&target).await).await, "ab");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn two_requests_at_once_have_a_connection_each() {
    let server = Server::start(10, || Box::pin(stream::iter([word("a")]))).await;
    let target = server.target();
    let (one, two) = (get(&target).await, get(&target).await);
    assert_eq!((read(one).await, read(two).await, server.connections()), ("a".into(), "a".into(), 2));
}

#[tokio::test]
async fn a_response_that_is_dropped_ends_its_connection() {
    let server = Server::start(10, || Box::pin(stream::iter([word("a")]).chain(stream::pending()))).await;
    let target = server.target();
    drop(get(&target).await);
    drop(get(&target).await);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn what_follows_an_answer_is_passed_over_once_it_has_come() {
    let go = Arc::<Notify>::default();
    let gate = Arc::clone(&go);
    let answer = move || -> Chunks {
        let gate = Arc::clone(&gate);
        let late = stream::once(async move {
            gate.notified().await;
            word("late")
        });
        Box::pin(stream::iter([word("a")]).chain(late))
    };
    let server = Server::start(10, answer).await;
    let target = server.target();
    let mut first = get(&target).await;
    assert_eq!(first.chunk().await.expect("a chunk").as_deref(), Some(b"a".as_slice()));
    first.finish();
    assert!(target.origin.idle().take().is_none(), "it is still busy");
    go.notify_one();
    let free = async {
        while target.origin.idle().take().is_none() {
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), free).await.expect("it is free once the response has ended");
}

#[tokio::test]
async fn an_event_stream_that_waits_keeps_no_buffer() {
    let (go, gate) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let (going, gated) = (Arc::clone(&go), Arc::clone(&gate));
    let answer = move || -> Chunks {
        let (gate, going) = (Arc::clone(&gated), Arc::clone(&going));
        let late = stream::once(async move {
            gate.notify_one();
            going.notified().await;
            word("late")
        });
        Box::pin(stream::iter([word("a")]).chain(late))
    };
    let server = Server::answering("content-type", "text/event-stream", 10, answer).await;
    let mut response = get(&server.target()).await;
    response.expect_silence();
    assert_eq!(response.chunk().await.expect("a chunk").as_deref(), Some(b"a".as_slice()));
    gate.notified().await;
    assert!(poll!(Box::pin(response.chunk())).is_pending());
    assert_eq!(response.room(), 0);
    assert_eq!(response.field(&CONTENT_TYPE), Some(b"text/event-stream".as_slice()), "the head stays readable");
    go.notify_one();
    assert_eq!(read(response).await, "late");
}

#[tokio::test]
async fn a_connection_that_the_other_side_has_closed_is_replaced() {
    let server = Server::start(1, || Box::pin(stream::iter([word("a")]))).await;
    let target = server.target();
    for number in 1..4 {
        assert_eq!(read(get(&target).await).await, "a");
        assert_eq!(server.connections(), number);
    }
}

#[tokio::test]
async fn a_connection_is_used_again_only_within_the_time_that_is_left_for_it() {
    const LONG: Duration = Duration::from_secs(60);
    for (keep_alive, idle_timeout, expected) in [
        ("", LONG, 1),
        ("", Duration::ZERO, 2),
        ("timeout=60", Duration::ZERO, 1),
        ("timeout=60, max=99", Duration::ZERO, 1),
        ("timeout=0", LONG, 2),
        ("timeout=60, max=0", LONG, 2),
        ("nonsense", LONG, 1),
    ] {
        let server = Server::answering("keep-alive", keep_alive, 10, || Box::pin(stream::iter([word("a")]))).await;
        assert_eq!(server.connections_of_two(idle_timeout).await, expected, "{keep_alive:?}, else {idle_timeout:?}");
    }
}

#[tokio::test]
async fn unused_connections_are_closed() {
    let server = Server::answering("keep-alive", "timeout=60", 10, || Box::pin(stream::iter([word("a")]))).await;
    let target = server.target();
    assert_eq!(read(get(&target).await).await, "a");
    assert!(target.origin.sweep(), "it is kept");
    let short = Server::start(10, || Box::pin(stream::iter([word("a")]))).await;
    let target = aim(&dialer(Duration::ZERO), &short.url).expect("an allowed address");
    assert_eq!(read(get(&target).await).await, "a");
    assert!(!target.origin.sweep());
}

#[test]
fn a_user_in_the_url_becomes_a_header() {
    let check = |url: &str, expected: Option<&str>| {
        assert_eq!(credentials(&url.parse().expect("a URL")).as_deref(), expected, "{url}");
    };
    check("http://u:p%40@x/", Some("Basic dTpwQA=="));
    check("http://u@x/", Some("Basic dTo="));
    check("http://x/", None);
}

fn check_address(url: &str, allowed: bool) {
    let dialer = dialer(Duration::from_secs(1));
    dialer.set_own(vec!["0.0.0.0:6001".parse().expect("an address")]);
    let target = aim(&dialer, &url.parse().expect("a URL"));
    assert_eq!(target.is_ok(), allowed, "{url}");
}

#[test]
fn dials_anywhere_but_to_itself_and_to_metadata_services() {
    check_address("http://127.0.0.1:6002/mcp", true);
    check_address("https://example.com/mcp", true);
    check_address("http://169.254.169.254/latest", false);
    check_address("http://[fe80::1]/", false);
    check_address("http://[::ffff:169.254.169.254]/", false);
    check_address("http://[fd00:ec2::254]/", false);
    check_address("http://100.100.100.200/", false);
    check_address("http://[64:ff9b::a9fe:a9fe]/", false);
    check_address("http://127.0.0.1:6001/x/stream", false);
    check_address("http://localhost:6001/x/stream", false);
    check_address("http://[::1]:6001/x/stream", false);
    check_address("http://localhost.:6001/x/stream", false);
    check_address("http://[::ffff:127.0.0.1]:6001/x/stream", false);
}

#[test]
fn no_spelling_of_an_address_passes_for_another() {
    for host in [
        "169.254.169.254.",
        "169.254.43518",
        "169.16689662",
        "2852039166",
        "0xa9fea9fe",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376",
        "0xa9.254.0251.254",
        "169。254。169。254",
        "１６９.254.169.254",
        "169.254.169.%32%35%34",
        "[::ffff:a9fe:a9fe]",
        "[0:0:0:0:0:FFFF:169.254.169.254]",
        "[::a9fe:a9fe]",
        "[64:ff9b::169.254.169.254]",
        "[2002:a9fe:a9fe::]",
        "[fd00:0ec2:0000::0254]",
        "100.100.25800",
        "0144.0144.0144.0310",
    ] {
        check_address(&format!("http://{host}/latest/meta-data"), false);
    }
}
