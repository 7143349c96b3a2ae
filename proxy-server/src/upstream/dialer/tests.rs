use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::Request;
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

/// A server that answers each request with `answer`, and counts its connections. It takes `requests` of them on each.
struct Server {
    url: Url,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(requests: usize, answer: impl Fn() -> Chunks + Clone + Send + 'static) -> Self {
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
        let dialer = Dialer::new(Duration::from_secs(5), HeaderValue::from_static("m"));
        dialer.target(&self.url, HeaderMap::new()).expect("an allowed address")
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
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
    assert!(target.origin.take().is_none(), "it is still busy");
    go.notify_one();
    let free = async {
        while target.origin.take().is_none() {
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), free).await.expect("it is free once the response has ended");
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
    let mark = HeaderValue::from_static("m");
    let dialer = Dialer::new(Duration::from_secs(1), mark);
    dialer.set_own("0.0.0.0:6001".parse().expect("an address"));
    let target = dialer.target(&url.parse().expect("a URL"), HeaderMap::new());
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
}
