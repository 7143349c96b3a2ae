//! A fake server over stdio: each process that the gateway starts connects here and relays bytes.
//!
//! The process sends a line with its process ids, then its stdin. It receives frames: a letter, a length of four
//! bytes, and the bytes to write or the exit code.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Split};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Received;
use super::call::{Action, Peer};
use super::server::Server;
use crate::envelope::Envelope;

/// Exit code of a process when the server hangs up.
const EXIT_CODE: u8 = 3;

/// Serves connections until aborted.
pub(super) async fn accept(listener: TcpListener, server: Arc<Server>) {
    let mut processes = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        processes.spawn(serve(stream, Arc::clone(&server)));
    }
}

async fn serve(stream: TcpStream, server: Arc<Server>) {
    stream.set_nodelay(true).ok();
    let (input, output) = stream.into_split();
    let mut lines = BufReader::new(input).split(b'\n');
    let Ok(Some(hello)) = lines.next_segment().await else { return };
    let pids = String::from_utf8_lossy(&hello).split(' ').filter_map(|pid| pid.parse().ok()).collect();
    let peer = server.new_peer(pids);
    let actions = peer.listen();
    tokio::join!(read(lines, &peer, &server), write(output, actions));
}

async fn read(mut lines: Split<BufReader<OwnedReadHalf>>, peer: &Arc<Peer>, server: &Arc<Server>) {
    while let Ok(Some(line)) = lines.next_segment().await {
        let bytes = Bytes::from(line);
        let envelope = Arc::new(Envelope::read(&bytes));
        let method = envelope.method.clone();
        let received = Received { peer: peer.number, method, headers: HeaderMap::new(), bytes, envelope };
        server.record(received.clone());
        server.take(peer, received, None);
    }
    peer.end();
}

async fn write(mut output: OwnedWriteHalf, mut actions: mpsc::Receiver<Action>) {
    while let Some(action) = actions.recv().await {
        let frame = match action {
            Action::Message(line) => frame(b'o', &[&line, b"\n"]),
            Action::Bytes(bytes) => frame(b'o', &[&bytes]),
            Action::HangUp => frame(b'x', &[&[EXIT_CODE]]),
        };
        if output.write_all(&frame).await.is_err() {
            return;
        }
    }
}

fn frame(kind: u8, parts: &[&[u8]]) -> Bytes {
    let payload = parts.concat();
    let mut frame = BytesMut::with_capacity(5 + payload.len());
    frame.put_u8(kind);
    frame.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    frame.put_slice(&payload);
    frame.freeze()
}
