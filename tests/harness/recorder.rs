//! An HTTP proxy that records the requests to a gateway.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::admin::http;

/// A running recorder; stopped on drop.
pub struct Recorder {
    /// URL to use in place of the gateway's.
    pub url: String,
    seen: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

/// Starts a recorder in front of the gateway at this URL.
///
/// # Panics
///
/// If no port is free.
pub async fn recorder(gateway: &str) -> Recorder {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let front = Front { gateway: gateway.to_owned(), http: http(), seen: Arc::clone(&seen) };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(pass).with_state(front);
    #[expect(clippy::disallowed_methods, reason = "the handle is kept, and aborted on drop")]
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
    Recorder { url, seen, serving }
}

impl Recorder {
    /// Returns method and path of every request since the last call, in order.
    ///
    /// # Panics
    ///
    /// If another thread panicked while recording.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().expect("nobody panicked"))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Clone)]
struct Front {
    gateway: String,
    http: Client,
    seen: Arc<Mutex<Vec<String>>>,
}

async fn pass(State(front): State<Front>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    front.seen.lock().expect("nobody panicked").push(format!("{} {}", head.method, head.uri.path()));
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let mut headers = head.headers;
    headers.remove("host");
    let sent = front.http.request(head.method, format!("{}{}", front.gateway, head.uri)).headers(headers).body(body);
    let answer = sent.send().await.expect("an answer of the gateway");
    let mut response = Response::builder().status(answer.status());
    *response.headers_mut().expect("nothing is wrong yet") = answer.headers().clone();
    let body = answer.bytes().await.expect("a whole answer");
    response.body(Body::from(body)).expect("a response")
}
