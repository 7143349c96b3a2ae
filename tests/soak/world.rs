//! The gateway under test and its twelve upstreams.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::fake::{Call, Fake, Via, fake};
use harness::reference::{Reference, reference, reference_program};
use harness::{Admin, Process};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::ledger::Ledger;

/// Transports of the fakes; two reference servers of both eras complete the dozen.
const TRANSPORTS: [Via; 10] = [
    Via::Stdio,
    Via::Stdio,
    Via::Stdio,
    Via::Stdio,
    Via::Json,
    Via::Json,
    Via::Events,
    Via::Events,
    Via::Events,
    Via::Sse,
];
/// Bounds that a run of minutes reaches. With the defaults, unclosed sessions and their kept events grow for
/// 30 minutes, which looks like a leak.
const BOUNDS: [&str; 4] = ["--session-idle-timeout", "1m", "--max-kept-bytes", "16MiB"];
/// Time limit for the upstreams to connect at the start.
const START: Duration = Duration::from_secs(60);

/// An upstream that records its calls in the ledger.
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) via: Via,
    pub(crate) fake: Arc<Fake>,
}

pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) admin: Admin,
    pub(crate) upstreams: Vec<Upstream>,
    /// Names of the upstreams whose calls are not recorded.
    pub(crate) references: Vec<String>,
    gateway: Process,
    pid: u32,
    _reference: Reference,
    _home: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start(program: &Path, ledger: &Arc<Ledger>) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let mut command = Command::new(program);
        command.args(["--port", "0", "--log-level", "error"]).args(BOUNDS).env_clear().env("HOME", home.path());
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path))).current_dir(home.path());
        let gateway = Process::start(command);
        let line = gateway.first_line().await;
        let url = line.split_once(" listening on ").context("the gateway does not say where it is")?.1.to_owned();
        let pid = pid_of(program)?;
        let admin = Admin::new(&url);
        let mut upstreams = Vec::new();
        for (at, via) in TRANSPORTS.into_iter().enumerate() {
            let name = format!("u{at}");
            let upstream = script(&name, at, ledger).start(via).await;
            admin.register(&upstream.undated_definition()).await;
            upstreams.push(Upstream { name, via, fake: Arc::new(upstream) });
        }
        let over_http = reference(&["--http", "127.0.0.1:0"]).await;
        let references = vec!["r0".to_owned(), "r1".to_owned()];
        admin.register(&json!({ "name": "r0", "transport": "streamable-http", "url": over_http.url })).await;
        let program = reference_program();
        let stdio = json!({ "name": "r1", "transport": "stdio", "command": program, "args": ["--stdio", "--latch"] });
        admin.register(&stdio).await;
        let world = Self { url, admin, upstreams, references, gateway, pid, _reference: over_http, _home: home };
        world.connected().await?;
        Ok(world)
    }

    /// Returns the process id of the gateway.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Stops the gateway. Returns the number of its child processes that still run two seconds later.
    pub(crate) async fn stop(&mut self) -> Result<usize> {
        let below = self.gateway.children();
        self.gateway.signal(Signal::TERM);
        let ended = self.gateway.ended(Duration::from_secs(30)).await;
        ensure!(ended.code == Some(0), "the gateway ended with {:?}: {}", ended.code, ended.err);
        sleep(Duration::from_secs(2)).await;
        Ok(below.into_iter().filter(|child| child.is_running()).count())
    }

    async fn connected(&self) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            let answer = self.admin.get("/admin/mcps").await;
            let listed = serde_json::from_str::<Value>(&answer.text)?;
            let all = listed["mcps"].as_array().cloned().unwrap_or_default();
            if all.iter().filter(|mcp| mcp["status"]["status"] == "connected").count() == TRANSPORTS.len() + 2 {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "not all upstreams connect: {}", answer.text);
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Creates a server whose tool waits, reports progress and answers as its arguments say, and records its calls.
fn script(name: &str, at: usize, ledger: &Arc<Ledger>) -> harness::fake::Script {
    let ledger = Arc::clone(ledger);
    fake(name).forgetful().tool("work", move |call: Call| {
        let ledger = Arc::clone(&ledger);
        async move {
            let arguments: Value = serde_json::from_str(&call.envelope.param("arguments")).unwrap_or_default();
            let number = arguments["n"].as_u64().unwrap_or_default();
            ledger.executed(number, at);
            for step in 0..arguments["progress"].as_u64().unwrap_or_default() {
                call.progress(&format!(r#""progress":{step}"#));
            }
            sleep(Duration::from_millis(arguments["wait"].as_u64().unwrap_or_default())).await;
            let padding = "x".repeat(usize::try_from(arguments["bytes"].as_u64().unwrap_or_default()).unwrap_or(0));
            ledger.replied(number);
            call.reply(&json!({ "content": [], "structuredContent": { "n": number, "padding": padding } }).to_string());
        }
    })
}

/// Finds the gateway: the only child of this process that runs its program.
fn pid_of(program: &Path) -> Result<u32> {
    let own = std::process::id();
    let found = crate::resources::children(own)
        .into_iter()
        .find(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program));
    found.context("the gateway has no process")
}

/// Kills one process with SIGKILL.
pub(crate) fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.map(|pid| rustix::process::kill_process(pid, Signal::KILL));
}
