//! Tests of whole connections, over loopback TCP, to a service that echoes what was read.

mod differential;
mod echo;
mod requests;
mod transcript;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use self::echo::Echo;
use self::transcript::Transcript;
use super::connection::Connection;
use super::drain::Drain;
use super::linger::HALF_CLOSED;
use super::service::Peer;

/// Timeout for a connection. None of the server's own timeouts is needed before it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Number of times the server may run between two writes of the client.
const TURNS: usize = 4;

/// Implementation that reads the requests of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    FastPath,
    Hyper,
}

/// Listener on which connections are opened one by one.
struct Server {
    listener: TcpListener,
}

impl Server {
    async fn bind() -> Self {
        Self { listener: TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port") }
    }

    /// Serves one connection on which the client sends these pieces, then closes its direction and reads to the end.
    async fn exchange(&self, reader: Reader, pieces: &[&[u8]]) -> Transcript {
        let address = self.listener.local_addr().expect("a bound listener");
        let client = TcpStream::connect(address).await.expect("a connection");
        let (stream, peer) = self.listener.accept().await.expect("a connection");
        for end in [&client, &stream] {
            end.set_nodelay(true).expect("an open socket");
        }
        let service = Arc::new(Echo { has_fast_path: reader == Reader::FastPath });
        let drain = Drain::default();
        let serving = Connection::new(stream, Peer { peer, local: address, certificate: None, process: None }, service)
            .serve(&drain, drain.accepted());
        let ((received, is_reset), ()) = timeout(PATIENCE, async { tokio::join!(send(client, pieces), serving) })
            .await
            .unwrap_or_else(|_| panic!("{reader:?} does not end"));
        Transcript::parse(&received, is_reset)
    }
}

/// Sends the pieces, closes this direction, and returns all that is received, and true if the connection was reset.
async fn send(mut client: TcpStream, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let (mut reading, mut writing) = client.split();
    let mut received = Vec::new();
    let write = async {
        for piece in pieces {
            // Fails once the server has closed the connection.
            if writing.write_all(piece).await.is_err() {
                return;
            }
            for _ in 0..TURNS {
                yield_now().await;
            }
        }
        writing.shutdown().await.ok();
    };
    let (read, ()) = tokio::join!(reading.read_to_end(&mut received), write);
    (received, read.is_err())
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Checks that the fast path and hyper give the same responses, and returns their statuses.
fn check(text: &str) -> Vec<u16> {
    let (fast, slow) = runtime().block_on(async {
        let (server, pieces) = (Server::bind().await, [text.as_bytes()]);
        (server.exchange(Reader::FastPath, &pieces).await, server.exchange(Reader::Hyper, &pieces).await)
    });
    assert!(fast.is_same(&slow), "{text:?}: {fast:#?} {slow:#?}");
    fast.responses.iter().map(|response| response.status).collect()
}

#[test]
fn a_response_of_unknown_length_has_the_fields_of_all_responses() {
    let request = "POST /stream/mcp HTTP/1.1\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(check(&request.repeat(2)), [200, 200]);
}

#[tokio::test]
async fn a_connection_ends_with_the_response_if_the_client_has_closed_its_direction_before() {
    let request = "POST /late/mcp HTTP/1.1\r\ncontent-length: 0\r\n\r\n".repeat(2);
    for reader in [Reader::FastPath, Reader::Hyper] {
        let began = Instant::now();
        let transcript = Server::bind().await.exchange(reader, &[request.as_bytes()]).await;
        assert_eq!(transcript.responses.len(), 2, "{reader:?}");
        assert!(began.elapsed() < HALF_CLOSED, "{reader:?} waits for a client that has left");
    }
}

#[test]
fn a_length_that_hyper_reserves_is_refused_alike() {
    for length in [u64::MAX, u64::MAX - 1] {
        assert_eq!(check(&format!("POST /mcp HTTP/1.1\r\ncontent-length: {length}\r\n\r\n")), [431]);
    }
}
