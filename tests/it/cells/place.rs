//! Setup of a session: the upstream, directly or behind the gateway, and the client's link to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use harness::peer::{Link, Revision, Transport};
use harness::reference::{Reference, reference, reference_program};
use harness::{Served, binary};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

/// Timeout for the gateway to connect to an upstream.
const SETUP: Duration = Duration::from_secs(15);
/// Makes the upstream serve lists in pages, which the gateway or the client has to join.
const PAGES: [&str; 2] = ["--page", "10"];

/// Kind of upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Upstream {
    pub(crate) is_modern: bool,
    pub(crate) transport: Transport,
}

impl Upstream {
    /// Returns every kind, including the impossible one.
    pub(crate) fn all() -> Vec<Self> {
        let kinds = [false, true].map(|is_modern| Transport::ALL.map(|transport| Self { is_modern, transport }));
        kinds.into_iter().flatten().collect()
    }

    /// Returns the reason if this kind of upstream is impossible.
    pub(crate) fn lacks(self) -> Option<&'static str> {
        Revision::MODERN.lacks(self.transport).filter(|_| self.is_modern)
    }

    /// Returns the flags of a reference upstream of this kind that writes to this journal.
    fn flags(self, journal: &Path) -> Vec<String> {
        let transport: &[&str] = match self.transport {
            Transport::Sse => &["--sse", "127.0.0.1:0"],
            Transport::Stream => &["--http", "127.0.0.1:0"],
            Transport::Stdio => &["--stdio"],
        };
        let era = ["--era", if self.is_modern { "modern" } else { "legacy" }];
        let journal = ["--journal", &journal.to_string_lossy()];
        [transport, &era, &PAGES, &journal].concat().into_iter().map(str::to_owned).collect()
    }

    /// Starts an upstream that listens; for stdio returns the flags with which the program is started later.
    async fn start(self, journal: &Path) -> Running {
        let flags = self.flags(journal);
        match self.transport {
            Transport::Stdio => Running::Program(flags),
            _ => {
                let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
                Running::Server(Box::new(reference(&flags).await))
            }
        }
    }
}

/// Upstream that is running, or the flags to start it.
enum Running {
    Server(Box<Reference>),
    Program(Vec<String>),
}

impl Running {
    fn definition(&self, name: &str, transport: Transport) -> Value {
        match self {
            Self::Server(server) => {
                let transport = if transport == Transport::Sse { "sse" } else { "streamable-http" };
                json!({ "name": name, "transport": transport, "url": server.url })
            }
            Self::Program(flags) => {
                json!({ "name": name, "transport": "stdio", "command": reference_program(), "args": flags })
            }
        }
    }
}

/// Place for one session, with its own upstream, which ends when the place is dropped.
pub(crate) struct Place {
    pub(crate) link: Link,
    /// Journal of the upstream, shared by all of its processes.
    pub(crate) journal: PathBuf,
    _upstream: Running,
    _folder: TempDir,
    _home: Option<TempDir>,
}

/// Connects a client directly to an upstream.
pub(crate) async fn directly(upstream: Upstream) -> Place {
    let (folder, journal) = new_journal();
    let running = upstream.start(&journal).await;
    let link = match &running {
        Running::Server(server) if upstream.transport == Transport::Sse => Link::Sse(server.url.clone()),
        Running::Server(server) => Link::Stream(server.url.clone()),
        Running::Program(flags) => {
            let mut program = Command::new(reference_program());
            program.args(flags).env_clear();
            Link::Stdio(program)
        }
    };
    Place { link, journal, _upstream: running, _folder: folder, _home: None }
}

/// Registers an upstream with the gateway under this name, and connects a client through it.
pub(crate) async fn behind(gateway: &Served, name: &str, upstream: Upstream, downstream: Transport) -> Result<Place> {
    let (folder, journal) = new_journal();
    let running = upstream.start(&journal).await;
    let definition = running.definition(name, upstream.transport);
    let connecting = gateway.admin.connect(&definition);
    timeout(SETUP, connecting).await.context("the gateway does not connect to the upstream")?;
    let base = format!("{}/{name}", gateway.url);
    let (link, home) = match downstream {
        Transport::Stdio => {
            let (program, home) = front(&format!("{base}/stream"));
            (Link::Stdio(program), Some(home))
        }
        Transport::Stream => (Link::Stream(format!("{base}/stream")), None),
        Transport::Sse => (Link::Sse(format!("{base}/sse")), None),
    };
    Ok(Place { link, journal, _upstream: running, _folder: folder, _home: home })
}

fn new_journal() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let journal = folder.path().join("journal");
    (folder, journal)
}

/// Returns the command that a desktop client runs to reach an endpoint of the gateway.
fn front(url: &str) -> (Command, TempDir) {
    binary("mcp-proxy").args(["stdio", "--url", url]).into_command()
}
