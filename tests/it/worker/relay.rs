//! Relay in front of a gateway, which can hold back a worker's requests for its leases.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use harness::{DEADLINE, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

const HELD: &[u8] = b"PUT /admin/leases/";

/// Relay that holds back requests for leases and forwards everything else.
pub(super) struct Relay {
    pub(super) url: String,
    gate: Arc<Gate>,
    _relaying: JoinSet<()>,
}

/// Number of lease requests that have arrived, and number of them that may pass.
struct Gate {
    come: watch::Sender<u32>,
    passing: watch::Sender<u32>,
}

impl Relay {
    pub(super) async fn start(gateway: &str) -> Self {
        let target = gateway.trim_start_matches("http://").parse().expect("an address");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let gate = Arc::new(Gate { come: watch::Sender::new(0), passing: watch::Sender::new(0) });
        let mut relaying = JoinSet::new();
        relaying.spawn(relay(listener, target, Arc::clone(&gate)));
        Self { url, gate, _relaying: relaying }
    }

    /// Waits until this many lease requests have arrived, each after the previous one was answered.
    pub(super) async fn has_met(&self, count: u32) {
        let mut come = self.gate.come.subscribe();
        within(DEADLINE, "requests for leases", come.wait_for(|it| *it >= count)).await.expect("a relay");
    }

    pub(super) fn open(&self) {
        self.gate.passing.send_replace(u32::MAX);
    }
}

async fn relay(listener: TcpListener, target: SocketAddr, gate: Arc<Gate>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(carry(client, target, Arc::clone(&gate)));
    }
}

async fn carry(mut client: TcpStream, target: SocketAddr, gate: Arc<Gate>) {
    let Ok(mut gateway) = TcpStream::connect(target).await else { return };
    let (mut requests, mut answered) = client.split();
    let (mut answers, mut asked) = gateway.split();
    let there = async {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = requests.read(&mut buffer).await {
            let part = &buffer[..count];
            if part.starts_with(HELD) {
                let mut number = 0;
                gate.come.send_modify(|come| {
                    *come += 1;
                    number = *come;
                });
                gate.passing.subscribe().wait_for(|passing| *passing >= number).await.expect("a gate");
            }
            if asked.write_all(part).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = tokio::io::copy(&mut answers, &mut answered) => {}
    }
}
