//! Shared gateway (the built binary) of the tests of real servers, which serves all of them.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, mpsc};
use std::{fs, process, thread};

use harness::process::run;
use harness::{Process, Served, binary, fixture, fixture_path, free_port, root};
use serde_json::{Value, json};
use tokio::process::Command;

/// Names under which the servers are registered.
pub(crate) const SERVERS: [&str; 7] =
    ["everything", "everything-http", "everything-sse", "filesystem", "memory", "time", "git"];
/// Names of `server-everything`, one for each transport.
pub(crate) const EVERYTHING: [&str; 3] = ["everything", "everything-http", "everything-sse"];

/// Gateway, and the servers that are separate processes.
pub(crate) struct World {
    pub(crate) gateway: Served,
    /// Endpoint of `server-everything` over Streamable HTTP, without the gateway.
    pub(crate) http_server: String,
    /// Endpoint of `server-everything` over SSE, without the gateway.
    pub(crate) sse_server: String,
    /// Folder with `hello.txt` and a git repository `repository`.
    pub(crate) folder: PathBuf,
    _servers: [Process; 2],
}

/// Started by the first test that needs it, on a thread that lives as long as the process: the kernel ends its child
/// processes with it.
static WORLD: LazyLock<World> = LazyLock::new(|| {
    let (ready, world) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            ready.send(World::start().await).ok();
            std::future::pending::<()>().await;
        });
    });
    world.recv().expect("the servers start; another thread says why they did not")
});

/// Guard that prints the end of the gateway's log if the test that holds it fails.
pub(crate) struct Shown(&'static World);

pub(crate) fn world() -> Shown {
    Shown(&WORLD)
}

impl std::ops::Deref for Shown {
    type Target = World;

    fn deref(&self) -> &World {
        self.0
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.gateway.process.err();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default();
            eprintln!("--- the gateway's last lines:\n{}", last.join("\n"));
        }
    }
}

impl World {
    async fn start() -> Self {
        let folder = new_folder();
        fill(&folder).await;
        let (http_port, sse_port) = (free_port(), free_port());
        let servers = [serve("streamableHttp", http_port), serve("sse", sse_port)];
        // Each server prints its port once it listens.
        for server in &servers {
            server.says("on port").await;
        }
        let gateway = binary("mcp-proxy").args(["--port", "0", "--debug"]).serve().await;
        let world = Self {
            gateway,
            http_server: format!("http://127.0.0.1:{http_port}/mcp"),
            sse_server: format!("http://127.0.0.1:{sse_port}/sse"),
            folder,
            _servers: servers,
        };
        for definition in world.definitions() {
            world.gateway.admin.register(&definition).await;
        }
        for name in SERVERS {
            world.gateway.admin.connected(name).await;
        }
        world
    }

    pub(crate) fn definitions(&self) -> [Value; 7] {
        let path = |name: &str| self.folder.join(name).to_string_lossy().into_owned();
        let stdio = |name: &str, command: &str, args: &[String]| json!({ "name": name, "transport": "stdio", "command": command, "args": args });
        let mut memory = stdio("memory", "mcp-server-memory", &[]);
        memory["env"] = json!({ "MEMORY_FILE_PATH": path("memory.jsonl") });
        [
            stdio("everything", "mcp-server-everything", &["stdio".to_owned()]),
            json!({ "name": "everything-http", "transport": "streamable-http", "url": self.http_server }),
            json!({ "name": "everything-sse", "transport": "sse", "url": self.sse_server }),
            stdio("filesystem", "mcp-server-filesystem", &[path("")]),
            memory,
            stdio("time", "mcp-server-time", &[]),
            stdio("git", "mcp-server-git", &["--repository".to_owned(), path("repository")]),
        ]
    }

    /// Returns the URL of an endpoint of the gateway.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.gateway.url)
    }

    /// Returns the path of a file or folder of the servers.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }
}

fn serve(transport: &str, port: u16) -> Process {
    let mut command = Command::new(fixture("mcp-server-everything"));
    command.arg(transport).env_clear().env("PATH", fixture_path()).env("PORT", port.to_string());
    Process::start(command)
}

/// Creates a folder under `target`. This process leaves it behind; the next one removes it.
fn new_folder() -> PathBuf {
    let all = root().join("target/tmp/real-servers");
    fs::create_dir_all(&all).expect("a folder under target");
    for old in fs::read_dir(&all).expect("a folder that was just made").flatten() {
        if !Path::new("/proc").join(old.file_name()).exists() {
            // Another test process may remove it at the same time.
            fs::remove_dir_all(old.path()).ok();
        }
    }
    let own = all.join(process::id().to_string());
    fs::create_dir_all(own.join("repository")).expect("a folder under target");
    own.canonicalize().expect("a folder that was just made")
}

async fn fill(folder: &Path) {
    fs::write(folder.join("hello.txt"), "hello from a file\n").expect("a file");
    let entity = json!({ "type": "entity", "name": "Ada", "entityType": "person", "observations": ["wrote notes"] });
    fs::write(folder.join("memory.jsonl"), entity.to_string()).expect("a file");
    for arguments in ["init --quiet", "commit --quiet --allow-empty --message=first"] {
        let mut git = Command::new("git");
        git.arg("-C").arg(folder.join("repository")).args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]);
        git.args(arguments.split(' '));
        let ended = run(git).await;
        assert_eq!(ended.code, Some(0), "git {arguments}");
    }
}
