//! Random faults, one per second.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use harness::fake::{Fake, Peer, Via};
use harness::raw::raw;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Draw;
use crate::ledger::Ledger;
use crate::world::{Upstream, World, kill};

/// Duration of most faults.
const LASTS: Duration = Duration::from_secs(2);
/// Time that a restart takes until calls are served again.
const RESTART: Duration = Duration::from_secs(5);

/// A fault of one upstream.
#[derive(Debug, Clone, Copy)]
enum AtUpstream {
    RefuseStream(u16),
    CutStream,
    Forget,
    Stall(&'static str),
    ListChanges,
    LogBurst,
    Junk,
    LongLine,
    Question,
    Kill,
    Down,
}

/// A fault caused by a client or an operator.
#[derive(Debug, Clone, Copy)]
enum AtGateway {
    Garbage,
    HalfRequest,
    SessionNeverClosed,
    StreamThatNobodyReads,
    MissingProgram,
    Replace,
}

const AT_UPSTREAM: [AtUpstream; 16] = [
    AtUpstream::RefuseStream(404),
    AtUpstream::RefuseStream(405),
    AtUpstream::RefuseStream(409),
    AtUpstream::RefuseStream(429),
    AtUpstream::RefuseStream(503),
    AtUpstream::CutStream,
    AtUpstream::Forget,
    AtUpstream::Stall("tools/list"),
    AtUpstream::Stall("ping"),
    AtUpstream::ListChanges,
    AtUpstream::LogBurst,
    AtUpstream::Junk,
    AtUpstream::LongLine,
    AtUpstream::Question,
    AtUpstream::Kill,
    AtUpstream::Down,
];

const AT_GATEWAY: [AtGateway; 6] = [
    AtGateway::Garbage,
    AtGateway::HalfRequest,
    AtGateway::SessionNeverClosed,
    AtGateway::StreamThatNobodyReads,
    AtGateway::MissingProgram,
    AtGateway::Replace,
];

pub(crate) struct Faults {
    draw: Arc<Draw>,
    seed: u64,
    counts: BTreeMap<String, u64>,
    lasting: JoinSet<()>,
}

impl Faults {
    pub(crate) fn new(draw: Arc<Draw>, seed: u64) -> Self {
        Self { draw, seed, counts: BTreeMap::new(), lasting: JoinSet::new() }
    }

    /// Causes one random fault. Lasting faults continue in the background.
    pub(crate) fn inflict(&mut self, world: &World, ledger: &Arc<Ledger>) {
        while self.lasting.try_join_next().is_some() {}
        let drawn = self.draw.below((AT_UPSTREAM.len() + AT_GATEWAY.len()) as u64) as usize;
        if let Some(fault) = AT_UPSTREAM.get(drawn) {
            let at = self.draw.below(world.upstreams.len() as u64) as usize;
            if let Some(upstream) = world.upstreams.get(at).filter(|upstream| fits(*fault, upstream.via)) {
                *self.counts.entry(format!("{fault:?}")).or_default() += 1;
                self.at_upstream(*fault, at, upstream, ledger);
            }
        } else if let Some(fault) = AT_GATEWAY.get(drawn - AT_UPSTREAM.len()) {
            *self.counts.entry(format!("{fault:?}")).or_default() += 1;
            self.at_gateway(*fault, world, ledger);
        }
    }

    /// Waits until all lasting faults have ended.
    pub(crate) async fn end(&mut self, world: &World) {
        let all = async { while self.lasting.join_next().await.is_some() {} };
        timeout(Duration::from_secs(60), all).await.ok();
        world.admin.delete("/admin/mcps/missing").await;
    }

    pub(crate) fn report(&self) -> String {
        let mut text = format!("faults of seed {}:\n", self.seed);
        for (name, count) in &self.counts {
            writeln!(text, "  {count:>8}  {name}").ok();
        }
        text
    }

    fn at_upstream(&mut self, fault: AtUpstream, at: usize, upstream: &Upstream, ledger: &Arc<Ledger>) {
        let fake = &upstream.fake;
        match fault {
            AtUpstream::RefuseStream(status) => {
                fake.refuse("GET", status);
                cut(fake);
                self.later(fake, |fake| fake.accept_again("GET"));
            }
            AtUpstream::CutStream => cut(fake),
            AtUpstream::Forget => {
                ledger.disturb(at, RESTART);
                fake.forget();
            }
            AtUpstream::Stall(method) => {
                fake.stall(method);
                self.later(fake, move |fake| fake.accept_again(method));
            }
            AtUpstream::ListChanges => {
                tell(fake, 50, r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
            }
            AtUpstream::LogBurst => {
                let line =
                    r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"burst"}}"#;
                tell(fake, 1_000, line);
            }
            AtUpstream::Junk => tell(fake, 5, "this is no message: NaN, \u{feff}, \"id\":"),
            AtUpstream::LongLine => tell(fake, 1, &format!(r#"{{"jsonrpc":"2.0","x":"{}"}}"#, "x".repeat(17 << 20))),
            AtUpstream::Question => {
                let id = self.draw.below(1 << 40);
                tell(
                    fake,
                    1,
                    &format!(
                        r#"{{"jsonrpc":"2.0","id":"q{id}","method":"elicitation/create","params":{{"message":"?","requestedSchema":{{"type":"object","properties":{{}}}}}}}}"#
                    ),
                );
            }
            AtUpstream::Kill => {
                ledger.disturb(at, RESTART);
                for pid in live(fake).iter().filter_map(|peer| peer.pids.first()) {
                    kill(*pid);
                }
            }
            AtUpstream::Down => {
                ledger.disturb(at, LASTS + RESTART);
                let fake = Arc::clone(fake);
                self.lasting.spawn(async move {
                    fake.down().await;
                    sleep(LASTS).await;
                    fake.up().await;
                });
            }
        }
    }

    fn at_gateway(&mut self, fault: AtGateway, world: &World, ledger: &Arc<Ledger>) {
        let (url, admin) = (world.url.clone(), world.admin.clone());
        let at = self.draw.below(world.upstreams.len() as u64) as usize;
        let Some(upstream) = world.upstreams.get(at) else { return };
        let (name, definition) = (upstream.name.clone(), upstream.fake.undated_definition());
        match fault {
            AtGateway::Garbage => self.soon(async move {
                let body = r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/call"}"#;
                let request = raw("POST", &format!("{url}/{name}/stream")).header("content-type", "application/json");
                request.header("accept", "application/json, text/event-stream").body(body).send().await;
            }),
            AtGateway::HalfRequest => self.soon(async move {
                let address = url.trim_start_matches("http://").to_owned();
                if let Ok(mut stream) = TcpStream::connect(&address).await {
                    let half = format!("POST /{name}/stream HTTP/1.1\r\nhost: {address}\r\ncontent-length: 1000\r\n\r\n{{");
                    stream.write_all(half.as_bytes()).await.ok();
                    sleep(LASTS).await;
                }
            }),
            AtGateway::SessionNeverClosed => self.soon(async move {
                let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"soak","version":"1"}}}"#;
                let request = raw("POST", &format!("{url}/{name}/stream")).header("content-type", "application/json");
                request.header("accept", "application/json, text/event-stream").body(hello).send().await;
            }),
            AtGateway::StreamThatNobodyReads => self.soon(async move {
                let reply = raw("GET", &format!("{url}/{name}/sse")).header("accept", "text/event-stream").send().await;
                sleep(LASTS).await;
                drop(reply);
            }),
            AtGateway::MissingProgram => self.soon(async move {
                let body = json!({ "name": "missing", "transport": "stdio", "command": "true" });
                admin.post("/admin/mcps", body).await;
                sleep(LASTS).await;
                admin.delete("/admin/mcps/missing").await;
            }),
            AtGateway::Replace => {
                ledger.disturb(at, RESTART);
                self.soon(async move {
                    admin.put(&format!("/admin/mcps/{name}"), definition).await;
                });
            }
        }
    }

    fn soon(&mut self, fault: impl Future<Output = ()> + Send + 'static) {
        self.lasting.spawn(fault);
    }

    fn later(&mut self, fake: &Arc<Fake>, undo: impl FnOnce(&Fake) + Send + 'static) {
        let fake = Arc::clone(fake);
        self.lasting.spawn(async move {
            sleep(LASTS).await;
            undo(&fake);
        });
    }
}

/// Returns true if a transport can have this fault.
fn fits(fault: AtUpstream, via: Via) -> bool {
    let is_stdio = via == Via::Stdio;
    match fault {
        AtUpstream::RefuseStream(_) | AtUpstream::CutStream => matches!(via, Via::Json | Via::Events),
        AtUpstream::Forget | AtUpstream::Stall(_) | AtUpstream::Down => !is_stdio,
        AtUpstream::Kill => is_stdio,
        // Only stdio: an SSE upstream has a single stream, which such a message would end.
        AtUpstream::LongLine => is_stdio,
        AtUpstream::ListChanges | AtUpstream::LogBurst | AtUpstream::Junk | AtUpstream::Question => true,
    }
}

fn live(fake: &Fake) -> Vec<Arc<Peer>> {
    fake.peers().into_iter().filter(|peer| peer.is_live()).collect()
}

fn cut(fake: &Fake) {
    for peer in live(fake) {
        peer.hang_up();
    }
}

fn tell(fake: &Fake, times: usize, message: &str) {
    for peer in live(fake) {
        for _ in 0..times {
            peer.send(message.to_owned());
        }
    }
}
