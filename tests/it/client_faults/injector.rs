//! HTTP server that applies the faults of networks and intermediaries to requests.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Random numbers with a fixed seed.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a random number from 0 up to, but excluding, `count`.
    pub(super) fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % count
    }
}

/// Fault applied to a request. A fault *before* replaces its delivery; a fault *after* follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Twice,
    Refuse,
    ResetUnread,
    ResetHalfRead,
    ResetBefore,
    ResetAfter,
    Status502Before,
    Status502After,
    Status503,
    StallBefore,
    StallAfter,
    HalfBody,
    StallInBody,
    CloseAfterAnswer,
}

use Fault::{
    CloseAfterAnswer, HalfBody, None as Nothing, Refuse, ResetAfter, ResetBefore, ResetHalfRead, ResetUnread,
    StallAfter, StallBefore, StallInBody, Status502After, Status502Before, Status503, Twice,
};

pub(super) const ALL: [Fault; 15] = [
    Nothing,
    Twice,
    Refuse,
    ResetUnread,
    ResetHalfRead,
    ResetBefore,
    ResetAfter,
    Status502Before,
    Status502After,
    Status503,
    StallBefore,
    StallAfter,
    HalfBody,
    StallInBody,
    CloseAfterAnswer,
];

/// Target of the requests.
#[derive(Debug, Clone)]
pub(super) enum Behind {
    /// Counts the calls by trial number.
    Counter,
    /// Forwards to a gateway at this address.
    Gateway(String),
}

pub(super) struct Injector {
    pub(super) url: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

struct Shared {
    behind: Behind,
    dice: Mutex<Dice>,
    counts: Mutex<BTreeMap<u64, u32>>,
    faults: Mutex<BTreeMap<String, u32>>,
}

fn open<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().expect("no panic before")
}

impl Injector {
    pub(super) async fn start(behind: Behind, seed: u64) -> Arc<Self> {
        // The address is listened on again after a refusal, so the system's own choice of a port is no use; another
        // process may take one between the draw and this.
        let drawn = || SocketAddr::from((Ipv4Addr::LOCALHOST, harness::free_port()));
        let mut listening = (0..16).map(|_| drawn()).filter_map(|address| Some((address, listen(address).ok()?)));
        let (address, listener) = listening.next().expect("a port");
        let shared = Arc::new(Shared {
            behind,
            dice: Mutex::new(Dice::new(seed)),
            counts: Mutex::default(),
            faults: Mutex::default(),
        });
        let mut server = JoinSet::new();
        server.spawn(serve(address, listener, Arc::clone(&shared)));
        Arc::new(Self { url: format!("http://{address}"), shared, _server: server })
    }

    /// Returns the number of times that a call was executed.
    pub(super) fn executed(&self, trial: u64) -> u32 {
        match &self.shared.behind {
            Behind::Counter => open(&self.shared.counts).get(&trial).copied().unwrap_or_default(),
            // Not counted here: the test reads the calls that the upstream received.
            Behind::Gateway(_) => 1,
        }
    }

    pub(super) fn more_than_once(&self) -> Vec<u64> {
        open(&self.shared.counts).iter().filter(|(_, count)| **count > 1).map(|(trial, _)| *trial).collect()
    }

    /// Returns the number of times that each fault was applied.
    pub(super) fn faults(&self) -> BTreeMap<String, u32> {
        open(&self.shared.faults).clone()
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(64)
}

impl Shared {
    fn draw(&self) -> Fault {
        let drawn = open(&self.dice).below(40);
        // 26 of 40 requests get no fault, so that connections are reused.
        ALL.get(usize::try_from(drawn).expect("small")).copied().unwrap_or(Nothing)
    }

    fn note(&self, fault: Fault) {
        *open(&self.faults).entry(format!("{fault:?}")).or_default() += 1;
    }
}

/// Accepts connections. Closes the listener for a while when a connection asks for it.
async fn serve(address: SocketAddr, mut listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (connection, _) = accepted.expect("a connection");
                connections.spawn(converse(connection, Arc::clone(&shared)));
            }
            Some(refuses) = connections.join_next() => {
                if refuses.expect("no panic") {
                    drop(listener);
                    connections.shutdown().await;
                    let pause = open(&shared.dice).below(60);
                    sleep(Duration::from_millis(pause)).await;
                    listener = listen(address).expect("the port is still free");
                }
            }
        }
    }
}

/// Serves one connection until a fault ends it. Returns true if the listener must refuse connections for a while.
async fn converse(mut connection: TcpStream, shared: Arc<Shared>) -> bool {
    loop {
        let fault = shared.draw();
        if fault == ResetUnread {
            connection.readable().await.ok();
            shared.note(fault);
            return reset(&connection);
        }
        let Some(request) = read(&mut connection, fault == ResetHalfRead).await else { return false };
        // Delivering a call twice is outside the faults that our client has to withstand.
        let fault = if fault == Twice && request.starts_with("POST /admin/tools/call") { Nothing } else { fault };
        shared.note(fault);
        let is_delivered =
            !matches!(fault, Refuse | ResetHalfRead | ResetBefore | Status502Before | Status503 | StallBefore);
        let mut answer = String::new();
        if is_delivered {
            answer = deliver(&shared, &request).await;
        }
        if fault == Twice {
            answer = deliver(&shared, &request).await;
        }
        let half = answer.get(..answer.len() - answer.len().min(3)).unwrap_or_default().to_owned();
        let (text, goes_on) = match fault {
            Nothing | Twice => (answer, true),
            Refuse => return true,
            ResetUnread | ResetHalfRead | ResetBefore | ResetAfter => return reset(&connection),
            Status502Before | Status502After => (status("502 Bad Gateway"), true),
            Status503 => (status("503 Service Unavailable"), true),
            StallBefore | StallAfter => (String::new(), false),
            HalfBody | StallInBody => (half, false),
            CloseAfterAnswer => (answer, false),
        };
        connection.write_all(text.as_bytes()).await.ok();
        if matches!(fault, StallBefore | StallAfter | StallInBody) {
            // Waits until the client gives up, which takes far longer than the client may.
            let mut rest = [0; 64];
            while connection.read(&mut rest).await.is_ok_and(|count| count > 0) {}
        }
        if !goes_on {
            return false;
        }
    }
}

fn reset(connection: &TcpStream) -> bool {
    connection.set_zero_linger().ok();
    false
}

fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\ncontent-length: 2\r\n\r\n{{}}")
}

/// Reads one message, head and body unchanged; `None` at the end of the connection. Reads only a part of it if `half`.
async fn read(connection: &mut TcpStream, half: bool) -> Option<String> {
    let mut message = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&message).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap_or("0");
            if body.len() >= length.trim().parse().expect("a length") {
                return Some(text);
            }
        }
        if half && !message.is_empty() {
            return Some(text);
        }
        let mut buffer = [0; 4096];
        let size = if half { 100 } else { buffer.len() };
        let count = connection.read(buffer.get_mut(..size)?).await.ok().filter(|count| *count > 0)?;
        message.extend_from_slice(buffer.get(..count)?);
    }
}

/// Delivers a request; the client may have left before the response arrives.
async fn deliver(shared: &Shared, request: &str) -> String {
    match &shared.behind {
        Behind::Counter => {
            let number = request.split_once(r#""trial":"#).map(|(_, rest)| rest.trim_end_matches('}')).expect("a call");
            *open(&shared.counts).entry(number.parse().expect("a number")).or_default() += 1;
            let body = r#"{"result":{"type":"text","text":"counted"}}"#;
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        }
        Behind::Gateway(address) => {
            let mut gateway = TcpStream::connect(address.trim_start_matches("http://")).await.expect("a gateway");
            gateway.write_all(request.as_bytes()).await.expect("sent");
            read(&mut gateway, false).await.expect("an answer")
        }
    }
}
