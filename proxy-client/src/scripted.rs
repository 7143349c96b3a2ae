//! A fake gateway that follows a script: one line per connection, and the last line for all further ones.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::builder::ClientBuilder;
use crate::client::Client;

/// Behaviour on one connection.
#[derive(Debug, Clone)]
pub(crate) enum Line {
    /// Reads the request, sends this text, closes the connection.
    Say(String),
    /// Reads the request, sends this text, keeps the connection open.
    Stall(String),
    /// Resets the connection without reading the request.
    Reset,
}

pub(crate) struct Scripted {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<()>,
}

/// Creates a complete response.
pub(crate) fn answer(status: u16, body: &str) -> Line {
    answer_with(status, "X-Nothing: 1", body)
}

/// Creates a complete response with an additional header.
pub(crate) fn answer_with(status: u16, header: &str, body: &str) -> Line {
    Line::Say(head(status, header, body.len()) + body)
}

/// Creates a truncated response: its body is shorter than its `Content-Length`.
pub(crate) fn half(status: u16, body: &str) -> Line {
    Line::Say(head(status, "X-Nothing: 1", body.len() + 10) + body)
}

/// Creates a response that stops halfway while the connection stays open.
pub(crate) fn stalled(status: u16, body: &str) -> Line {
    Line::Stall(head(status, "X-Nothing: 1", body.len() + 10) + body)
}

/// Sends no response and keeps the connection open.
pub(crate) fn hang() -> Line {
    Line::Stall(String::new())
}

/// Returns a URL at which no server listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Creates a client with two quick retries.
pub(crate) fn quick(base_url: String) -> ClientBuilder {
    Client::builder(base_url).retries(2).backoff(Duration::from_millis(1), Duration::from_millis(1))
}

impl Scripted {
    pub(crate) async fn start(script: impl IntoIterator<Item = Line>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let mut server = JoinSet::new();
        server.spawn(play(listener, script.into_iter().collect(), Arc::clone(&requests)));
        Self { address, requests, _server: server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn client(&self) -> Client {
        quick(self.url()).build().unwrap()
    }

    /// Returns the requests so far, head and body; an unread request is an empty text.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn play(listener: TcpListener, script: Vec<Line>, requests: Arc<Mutex<Vec<String>>>) {
    let mut open = Vec::new();
    for turn in 0.. {
        let (mut connection, _) = listener.accept().await.unwrap();
        match &script[turn.min(script.len() - 1)] {
            Line::Reset => {
                requests.lock().unwrap().push(String::new());
                // Close with unread bytes in the buffer: the kernel then resets the connection.
                connection.readable().await.ok();
            }
            Line::Say(text) => {
                let request = read(&mut connection).await;
                requests.lock().unwrap().push(request);
                connection.write_all(text.as_bytes()).await.ok();
            }
            Line::Stall(text) => {
                let request = read(&mut connection).await;
                requests.lock().unwrap().push(request);
                connection.write_all(text.as_bytes()).await.ok();
                open.push(connection);
            }
        }
    }
}

async fn read(connection: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            if body.len() >= length.parse().unwrap() {
                return text.into_owned();
            }
        }
        let mut buffer = [0; 4096];
        let count = connection.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            return text.into_owned();
        }
        request.extend_from_slice(&buffer[..count]);
    }
}

fn head(status: u16, header: &str, length: usize) -> String {
    format!("HTTP/1.1 {status} Whatever\r\n{header}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
}
