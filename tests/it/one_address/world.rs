//! Seven real servers of both eras behind one gateway, with the reference upstream, the only one that sends requests to
//! clients, and two servers that never connect.

use std::fs;

use harness::process::run;
use harness::reference::reference_program;
use harness::{Process, Served, binary, fixture_path, free_port, root};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// Names of the servers that work, in order of their registration.
pub(crate) const LIVING: [&str; 8] = ["everything", "filesystem", "memory", "time", "git", "fetch", "fastmcp", "asks"];

pub(crate) struct World {
    pub(crate) gateway: Served,
    folder: TempDir,
    _fastmcp: Process,
}

impl World {
    /// Registers all servers. The working ones are connected; the hung one never answers, and the dead one has no
    /// listener.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fill(&folder).await;
        let port = free_port();
        let fastmcp = fastmcp(port);
        fastmcp.says("Uvicorn running on").await;
        let gateway = binary("mcp-proxy").args(["--port", "0"]).serve().await;
        let world = Self { gateway, folder, _fastmcp: fastmcp };
        let useless = [
            json!({ "name": "hung", "transport": "stdio", "command": "sleep", "args": ["3600"] }),
            json!({ "name": "dead", "transport": "streamable-http", "url": format!("http://127.0.0.1:{}/mcp", free_port()) }),
        ];
        for definition in useless.into_iter().chain(world.definitions(port)) {
            world.gateway.admin.register(&definition).await;
        }
        for name in LIVING {
            world.gateway.admin.connected(name).await;
        }
        world
    }

    /// Returns the URL of an endpoint of the gateway.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.gateway.url)
    }

    /// Returns a call of each of the real servers, with a text that its answer contains.
    pub(crate) fn calls(&self) -> [(&'static str, Value, &'static str); 7] {
        let noon = json!({ "source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo" });
        [
            ("everything__echo", json!({ "message": "one address" }), "Echo: one address"),
            ("filesystem__read_text_file", json!({ "path": self.path("hello.txt") }), "hello from a file"),
            ("memory__search_nodes", json!({ "query": "Ada" }), "wrote notes"),
            ("time__convert_time", noon, "+9.0h"),
            ("git__git_log", json!({ "repo_path": self.path("repository") }), "Message: first"),
            ("fetch__fetch", json!({ "url": self.url("healthz"), "raw": true }), "Contents of"),
            ("fastmcp__greet", json!({ "name": "Ada" }), "Hello, Ada!"),
        ]
    }

    fn definitions(&self, port: u16) -> [Value; 8] {
        let stdio = |name: &str, command: &str, args: &[String]| json!({ "name": name, "transport": "stdio", "command": command, "args": args });
        let mut memory = stdio("memory", "mcp-server-memory", &[]);
        memory["env"] = json!({ "MEMORY_FILE_PATH": self.path("memory.jsonl") });
        [
            stdio("everything", "mcp-server-everything", &["stdio".to_owned()]),
            stdio("filesystem", "mcp-server-filesystem", &[self.path("")]),
            memory,
            stdio("time", "mcp-server-time", &[]),
            stdio("git", "mcp-server-git", &["--repository".to_owned(), self.path("repository")]),
            stdio("fetch", "mcp-server-fetch", &["--ignore-robots-txt".to_owned(), "--allow-private-ips".to_owned()]),
            json!({ "name": "fastmcp", "transport": "streamable-http", "url": format!("http://127.0.0.1:{port}/mcp") }),
            json!({ "name": "asks", "transport": "stdio", "command": reference_program(), "args": ["--stdio"] }),
        ]
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }
}

fn fastmcp(port: u16) -> Process {
    let mut command = Command::new(root().join("target/fixtures/python/modern/bin/python"));
    command.arg(root().join("tests/fixtures/servers/fastmcp_server.py")).arg(port.to_string());
    command.env_clear().env("PATH", fixture_path());
    Process::start(command)
}

async fn fill(folder: &TempDir) {
    let repository = folder.path().join("repository");
    fs::create_dir(&repository).expect("a folder");
    fs::write(folder.path().join("hello.txt"), "hello from a file\n").expect("a file");
    let entity = json!({ "type": "entity", "name": "Ada", "entityType": "person", "observations": ["wrote notes"] });
    fs::write(folder.path().join("memory.jsonl"), entity.to_string()).expect("a file");
    for arguments in ["init --quiet", "commit --quiet --allow-empty --message=first"] {
        let mut git = Command::new("git");
        git.arg("-C").arg(&repository).args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]);
        git.args(arguments.split(' '));
        assert_eq!(run(git).await.code, Some(0), "git {arguments}");
    }
}
