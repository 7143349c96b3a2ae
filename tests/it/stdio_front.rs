//! `mcp-proxy stdio` as desktop programs use it: servers of a file, or a gateway, on one side, stdio on the other.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use harness::fake::{Fake, Via, fake};
use harness::peer::{Link, Peer, Revision};
use harness::process::Signal;
use harness::reference::reference_program;
use harness::{DEADLINE, Ended, Process, Seen, binary, free_port, within};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

use crate::clients::Official;

/// Maximum time for the process to end; its parent waits this long.
const END: Duration = Duration::from_secs(2);
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"desktop","version":"1"}}}"#;

/// Builds a request of a client without handshake.
pub(crate) fn asking(id: &str, method: &str, mut params: Value) -> String {
    params["_meta"] = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {} });
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// Process of `mcp-proxy stdio`, with its stdin and stdout.
pub(crate) struct Front {
    pub(crate) process: Process,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    _home: TempDir,
}

impl Front {
    pub(crate) fn start<S: AsRef<std::ffi::OsStr>>(flags: &[S]) -> Self {
        let (command, home) = command(flags);
        let (process, input, output) = Process::talk(command);
        Self { process, input: Some(input), output: BufReader::new(output).lines(), _home: home }
    }

    pub(crate) async fn says(&mut self, lines: &str) {
        let input = self.input.as_mut().expect("an open input");
        input.write_all(lines.as_bytes()).await.expect("an input");
        input.write_all(b"\n").await.expect("an input");
    }

    /// Reads the next line, which must be a message.
    async fn hears(&mut self) -> Value {
        let line =
            within(DEADLINE, "a line", self.output.next_line()).await.expect("an output").expect("one more line");
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        message
    }

    /// Reads messages up to the response with this id.
    pub(crate) async fn answer(&mut self, id: &str) -> Value {
        loop {
            let message = self.hears().await;
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
        }
    }

    pub(crate) async fn introduced(&mut self) -> Value {
        self.says(INITIALIZE).await;
        let answer = self.answer("hello").await;
        self.says(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        answer
    }

    async fn tools(&mut self) -> Vec<String> {
        self.says(r#"{"jsonrpc":"2.0","id":"tools","method":"tools/list"}"#).await;
        let answer = self.answer("tools").await;
        let tools = answer["result"]["tools"].as_array().into_iter().flatten();
        tools.filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect()
    }

    /// Ends the process by `how`; checks that it ends in time, and that no process of `family` is left.
    async fn ends(mut self, how: impl FnOnce(&mut Self), family: &[Seen]) -> Ended {
        let started = Instant::now();
        how(&mut self);
        let ended = self.process.ended(DEADLINE).await;
        assert!(started.elapsed() < END, "it took {:?}", started.elapsed());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(!family.iter().any(|process| process.is_running()), "a child is left");
        ended
    }
}

fn command<S: AsRef<std::ffi::OsStr>>(flags: &[S]) -> (Command, TempDir) {
    binary("mcp-proxy").args(["stdio"]).args(flags).into_command()
}

/// Writes a configuration file with these servers, in the format of desktop programs.
pub(crate) fn file(folder: &TempDir, servers: &Value) -> String {
    let path = folder.path().join("servers.json");
    fs::write(&path, json!({ "mcpServers": servers }).to_string()).expect("a file");
    path.to_string_lossy().into_owned()
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn program(fake: &Fake) -> Value {
    let definition = fake.definition();
    json!({ "command": definition["command"], "args": definition["args"], "era": "legacy" })
}

fn reference(era: &str) -> Value {
    json!({ "command": reference_program(), "args": ["--stdio", "--era", era] })
}

fn hang_up(front: &mut Front) {
    front.input = None;
}

fn terminate(front: &mut Front) {
    front.process.signal(Signal::TERM);
}

#[tokio::test]
async fn the_end_of_its_input_or_a_signal_ends_it_with_its_children_even_stubborn_ones() {
    for how in [hang_up, terminate] {
        let polite = fake("polite").echo("one").start(Via::Stdio).await;
        let stubborn = fake("stubborn").echo("two").child(&["--stubborn", "--daemon"]).start(Via::Stdio).await;
        let folder = folder();
        let path = file(&folder, &json!({ "polite": program(&polite), "stubborn": program(&stubborn) }));
        let mut front = Front::start(&["--config", &path]);
        front.introduced().await;
        assert_eq!(front.tools().await, ["polite__one", "stubborn__two"]);
        let family = front.process.children();
        assert_eq!(family.len(), 2);
        front.ends(how, &family).await;
    }
}

#[tokio::test]
async fn a_client_without_handshake_has_all_servers_of_both_eras() {
    let folder = folder();
    let path = file(&folder, &json!({ "old": reference("legacy"), "new": reference("modern") }));
    let mut front = Front::start(&["--config", &path]);
    front.says(&asking("who", "server/discover", json!({}))).await;
    assert_eq!(front.answer("who").await["result"]["supportedVersions"], json!(["2026-07-28"]));
    front.says(&asking("tools", "tools/list", json!({}))).await;
    let listed = front.answer("tools").await;
    for tool in ["old__test_simple_text", "new__test_simple_text"] {
        assert!(listed.to_string().contains(&format!("\"{tool}\"")), "{listed}");
        front.says(&asking(tool, "tools/call", json!({ "name": tool }))).await;
        let answer = front.answer(tool).await;
        assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    }
}

#[tokio::test]
async fn an_id_that_is_in_flight_is_refused_and_still_cancels_its_first_request() {
    let slow = fake("slow").tool("wait", |_| std::future::pending()).start(Via::Stdio).await;
    let folder = folder();
    let mut front = Front::start(&["--config", &file(&folder, &json!({ "slow": program(&slow) }))]);
    let wait = asking("1", "tools/call", json!({ "name": "slow__wait" }));
    front.says(&wait).await;
    slow.nth("tools/call", 0).await;
    front.says(&wait).await;
    let refused = front.answer("1").await;
    assert_eq!(refused["error"]["message"], "a request with this id is already in flight", "{refused}");
    front.says(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"1"}}"#).await;
    slow.nth("notifications/cancelled", 0).await;
    assert_eq!(slow.count("tools/call"), 1);
}

#[tokio::test]
async fn a_call_that_never_ends_does_not_keep_it() {
    for how in [hang_up, terminate] {
        let slow = fake("slow").tool("wait", |_| std::future::pending()).start(Via::Stdio).await;
        let folder = folder();
        let mut front = Front::start(&["--config", &file(&folder, &json!({ "slow": program(&slow) }))]);
        front.introduced().await;
        front.says(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow__wait"}}"#).await;
        slow.nth("tools/call", 0).await;
        let family = front.process.children();
        front.ends(how, &family).await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_keeps_neither_the_others_nor_the_end() {
    let folder = folder();
    let servers = json!({ "hung": { "command": "sleep", "args": ["3600"] }, "living": reference("legacy") });
    let path = file(&folder, &servers);
    let mut early = Front::start(&["--config", &path]);
    early.says(INITIALIZE).await;
    early.ends(hang_up, &[]).await;
    let mut front = Front::start(&["--config", &path]);
    front.introduced().await;
    assert!(front.tools().await.contains(&"living__echo".to_owned()));
    let family = front.process.children();
    front.ends(terminate, &family).await;
}

#[tokio::test]
async fn requests_that_are_piped_in_are_answered_before_the_end() {
    let folder = folder();
    let mut front = Front::start(&["--config", &file(&folder, &json!({ "it": reference("legacy") }))]);
    let calls = r#"{"jsonrpc":"2.0","id":"call","method":"tools/call","params":{"name":"it__echo","arguments":{"message":"piped"}}}"#;
    front.says(&format!("{INITIALIZE}\n{calls}")).await;
    hang_up(&mut front);
    front.answer("hello").await;
    let answer = front.answer("call").await;
    assert_eq!(answer["result"]["content"][0]["text"], "piped", "{answer}");
    front.ends(|_| {}, &[]).await;
}

#[tokio::test]
async fn a_call_at_a_server_that_does_not_run_is_answered_in_both_eras() {
    let folder = folder();
    let mut front = Front::start(&["--config", &file(&folder, &json!({ "gone": { "command": "false" } }))]);
    let call = json!({ "name": "gone__any" });
    front.says(&asking("modern", "tools/call", call.clone())).await;
    let modern = front.answer("modern").await;
    assert_eq!(modern["error"]["message"], "upstream `gone` is not connected; nothing was sent", "{modern}");
    front.introduced().await;
    front.says(&json!({ "jsonrpc": "2.0", "id": "legacy", "method": "tools/call", "params": call }).to_string()).await;
    let legacy = front.answer("legacy").await;
    assert_eq!(legacy["error"], modern["error"]);
}

#[tokio::test]
async fn its_output_is_messages_whatever_servers_print_and_its_log_is_apart() {
    let folder = folder();
    let script = "echo noise; echo more noise >&2; exec \"$0\" --stdio --era legacy";
    let noisy = json!({ "command": "sh", "args": ["-c", script, reference_program()] });
    let path = file(&folder, &json!({ "noisy": noisy }));
    let mut front = Front::start(&["--config", &path, "--log-level", "debug"]);
    front.introduced().await;
    assert!(front.tools().await.contains(&"noisy__echo".to_owned()));
    let family = front.process.children();
    let ended = front.ends(hang_up, &family).await;
    assert!(ended.err.contains("upstream connected"), "{}", ended.err);
}

#[tokio::test]
async fn what_is_no_message_is_told_so_and_takes_nothing_with_it() {
    let folder = folder();
    let mut front = Front::start(&["--config", &file(&folder, &json!({ "it": reference("legacy") }))]);
    let too_long = "x".repeat((16 << 20) + 1);
    for (line, code) in [("no JSON", -32700), ("[1]", -32600), ("{}", -32600), (too_long.as_str(), -32600)] {
        front.says(&format!("\n{line}")).await;
        let told = front.hears().await;
        let start = &line[..line.len().min(10)];
        assert_eq!((told["error"]["code"].as_i64(), told.get("id")), (Some(code), None), "{start}: {told}");
    }
    front.introduced().await;
    assert!(front.tools().await.contains(&"it__echo".to_owned()));
}

#[tokio::test]
async fn a_gateway_is_shown_the_token_and_its_absence_is_told() -> Result<()> {
    let gateway = binary("mcp-proxy").args(["--port", "0"]).serve().await;
    let upstream = fake("up").echo("one").start(Via::Json).await;
    gateway.admin.connect(&upstream.definition()).await;
    // The gateway does not pass on headers of clients, so the process connects directly to the fake, which records
    // them.
    for (flags, token) in [(vec!["--token", "from-a-flag"], "Bearer from-a-flag"), (vec![], "Bearer from-a-variable")] {
        let url = upstream.definition()["url"].as_str().unwrap_or_default().to_owned();
        let arguments = [vec!["--url", &url], flags].concat();
        let front = binary("mcp-proxy").args(["stdio"]).args(arguments).env("MCP_PROXY_TOKEN", "from-a-variable");
        let (command, _home) = front.into_command();
        // The previous process may still be closing its session: only peers with higher numbers count.
        let last = upstream.received().iter().map(|received| received.peer).filter(|peer| *peer != usize::MAX).max();
        let mut peer = Peer::connect(Revision::LAST_LEGACY, Link::Stdio(command)).await?;
        assert_eq!(peer.list("tools/list", "tools").await?.len(), 1);
        let received = upstream.received();
        let own = received.iter().filter(|received| received.peer != usize::MAX && Some(received.peer) > last);
        let headers = own.map(|received| received.headers["authorization"].to_str());
        let headers: Vec<_> = headers.collect::<Result<_, _>>()?;
        assert!(!headers.is_empty() && headers.iter().all(|header| *header == token), "{headers:?}");
    }
    let mut front = Front::start(&["--url", &gateway.url]);
    front.introduced().await;
    assert_eq!(front.tools().await, ["up__one"]);
    let dead = format!("http://127.0.0.1:{}", free_port());
    let mut front = Front::start(&["--url", &dead]);
    let answer = front.introduced().await;
    assert!(answer["error"]["message"].as_str().is_some_and(|why| why.contains("not connected")), "{answer}");
    let ended = front.ends(hang_up, &[]).await;
    assert!(ended.err.contains("refused"), "{}", ended.err);
    Ok(())
}

#[tokio::test]
async fn official_clients_old_and_new_have_every_server_of_a_file() {
    let folder = folder();
    let servers = json!({
        "everything": { "command": "mcp-server-everything", "args": ["stdio"] },
        "time": { "command": "mcp-server-time" },
        "asks": reference("dual"),
        "off": { "command": "no-such-program", "disabled": true },
    });
    let path = file(&folder, &servers);
    for official in Official::CHILDREN {
        converse(official, Path::new(&path)).await;
    }
}

async fn converse(official: Official, path: &Path) {
    let (command, _home) = command(&[Path::new("--config"), path]);
    let command = command.as_std();
    let variables = command.get_envs().filter_map(|(name, value)| {
        value.map(|value| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
    });
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    let program = command.get_program().to_string_lossy().into_owned();
    // A desktop program passes on its own environment; here `env` sets the variables of the test.
    let line: Vec<String> = ["env".to_owned()].into_iter().chain(variables).chain([program]).chain(words).collect();
    let report = official
        .converse(&json!({
            "command": line,
            "mode": "legacy",
            "capabilities": ["elicitation"],
            "elicitation_answer": { "username": "ada", "email": "ada@example.com" },
            "calls": [
                { "tool": "everything__echo", "arguments": { "message": "from a desk" } },
                { "tool": "asks__test_elicitation", "arguments": { "message": "Who are you?" } },
            ],
        }))
        .await;
    let said = |at: usize| report["calls"][at]["result"]["content"][0]["text"].as_str().unwrap_or_default();
    assert_eq!(said(0), "Echo: from a desk", "{official:?}: {report}");
    assert!(said(1).contains("ada@example.com"), "{official:?}: {report}");
    for tool in ["everything__echo", "time__convert_time", "asks__echo"] {
        assert!(report["tools"].as_array().is_some_and(|tools| tools.contains(&json!(tool))), "{official:?}: {tool}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_its_settings_is_told_by_name() {
    let folder = folder();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path.to_string_lossy().into_owned()
    };
    let missing = folder.path().join("missing.json").to_string_lossy().into_owned();
    let cases = [
        (vec!["--config".to_owned(), missing], 1, "missing.json`: No such file"),
        (
            vec!["--config".to_owned(), write("broken.json", "{\"mcpServers\": {")],
            1,
            "broken.json:1:16: error: this brace is not closed",
        ),
        (vec!["--config".to_owned(), write("none.json", "{\"mcpServers\": {}}")], 1, "none.json` has no server"),
        (
            vec!["--config".to_owned(), write("bad.json", "{\"mcpServers\": {\"x\": {}}}")],
            1,
            "bad.json:1:17: error: `x`: it has neither a command nor a URL",
        ),
        (vec!["--url".to_owned(), "ftp://x".to_owned()], 1, "--url ftp://x"),
        (vec![], 1, "no server: name a file with --config, or a gateway with --url"),
        (
            vec!["--url".to_owned(), "http://x".to_owned(), "--config".to_owned(), "y".to_owned()],
            2,
            "cannot be used with",
        ),
    ];
    for (flags, code, words) in cases {
        let ended = binary("mcp-proxy").args(["stdio"]).args(&flags).run().await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{flags:?}");
        assert!(ended.err.contains(words), "{flags:?}: {}", ended.err);
    }
}

#[tokio::test]
async fn its_help_teaches_both_ways() {
    let ended = binary("mcp-proxy").args(["stdio", "--help"]).run().await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ended.out);
}
