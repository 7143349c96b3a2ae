//! YAML language server of editors, controlled as an editor does: LSP over stdio.

use std::collections::BTreeMap;
use std::path::Path;

use harness::{DEADLINE, Process, fixture, fixture_path, within};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};

pub(super) struct LanguageServer {
    /// Ends the server when the test ends.
    process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    settings: Value,
    /// Latest diagnostics of each file.
    told: BTreeMap<String, Vec<Value>>,
    next: u64,
}

impl LanguageServer {
    /// Starts a server with a mapping from schemas to files, besides schemas that files name themselves.
    pub(super) async fn start(schemas: Value) -> Self {
        let mut command = Command::new(fixture("yaml-language-server"));
        command.arg("--stdio").env("PATH", fixture_path());
        let (process, input, output) = Process::talk(command);
        let settings = json!({ "schemas": schemas, "validate": true, "hover": true, "completion": true,
            "schemaStore": { "enable": false }, "kubernetesCRDStore": { "enable": false } });
        let output = BufReader::new(output);
        let mut server = Self { process, input, output, settings, told: BTreeMap::new(), next: 0 };
        let capabilities = json!({ "workspace": { "configuration": true }, "textDocument": {
            "hover": { "contentFormat": ["markdown"] },
            "completion": { "completionItem": { "documentationFormat": ["markdown"] } },
        } });
        server.ask("initialize", json!({ "processId": null, "rootUri": null, "capabilities": capabilities })).await;
        server.notify("initialized", json!({})).await;
        let settings = json!({ "settings": { "yaml": server.settings } });
        server.notify("workspace/didChangeConfiguration", settings).await;
        server.knows_its_schemas().await;
        server
    }

    /// Waits until the schemas are in effect: settings arrive some time after the server's request is answered.
    async fn knows_its_schemas(&mut self) {
        let uri = "file:///workflow/probe.yaml";
        self.open(uri, "mcps: []\n").await;
        within(DEADLINE, "schemas", async { while self.hover(uri, (0, 1)).await.is_empty() {} }).await;
        self.told.clear();
    }

    pub(super) async fn open(&mut self, uri: &str, text: &str) {
        let document = json!({ "uri": uri, "languageId": "yaml", "version": 1, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": document })).await;
    }

    /// Returns the server's diagnostics of an open file.
    pub(super) async fn diagnostics(&mut self, uri: &str) -> Vec<Value> {
        within(DEADLINE, "diagnostics", async {
            loop {
                match self.told.remove(uri) {
                    Some(diagnostics) => return diagnostics,
                    None => self.receive().await,
                };
            }
        })
        .await
    }

    /// Returns the labels of the completions at a position, counted from 0.
    pub(super) async fn completions(&mut self, uri: &str, (line, character): (usize, usize)) -> Vec<String> {
        let offered = self.ask("textDocument/completion", at(uri, line, character)).await;
        let items = offered["items"].as_array().or(offered.as_array());
        items.into_iter().flatten().filter_map(|it| it["label"].as_str().map(str::to_owned)).collect()
    }

    /// Returns the hover text at a position.
    pub(super) async fn hover(&mut self, uri: &str, (line, character): (usize, usize)) -> String {
        let shown = self.ask("textDocument/hover", at(uri, line, character)).await;
        shown["contents"]["value"].as_str().unwrap_or_default().to_owned()
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.send(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
        within(DEADLINE, method, async {
            loop {
                let message = self.receive().await;
                if message["id"] == id && message.get("method").is_none() {
                    assert!(message.get("error").is_none(), "{method}: {message}");
                    return message["result"].clone();
                }
            }
        })
        .await
    }

    async fn notify(&mut self, method: &str, params: Value) {
        self.send(json!({ "jsonrpc": "2.0", "method": method, "params": params })).await;
    }

    async fn send(&mut self, message: Value) {
        let body = message.to_string();
        let framed = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.input.write_all(framed.as_bytes()).await.expect("the server reads");
    }

    /// Reads the next message. Requests of the server are answered, as an editor would.
    async fn receive(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.output.read_line(&mut line).await.expect("the server writes");
            assert!(!line.is_empty(), "the server ended: {}", self.process.err());
            match line.trim().split_once(": ") {
                Some(("Content-Length", count)) => length = count.parse().expect("a length"),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).await.expect("a whole message");
        let message: Value = serde_json::from_slice(&body).expect("JSON");
        if message.get("method").is_some() {
            self.answer(&message).await;
        }
        message
    }

    async fn answer(&mut self, message: &Value) {
        let params = &message["params"];
        if message["method"] == "textDocument/publishDiagnostics" {
            let uri = params["uri"].as_str().unwrap_or_default().to_owned();
            self.told.insert(uri, params["diagnostics"].as_array().cloned().unwrap_or_default());
        }
        let Some(id) = message.get("id") else { return };
        let result = match message["method"].as_str() {
            Some("workspace/configuration") => {
                let items = params["items"].as_array().cloned().unwrap_or_default();
                let of = |item: &Value| if item["section"] == "yaml" { self.settings.clone() } else { json!({}) };
                items.iter().map(of).collect()
            }
            _ => Value::Null,
        };
        self.send(json!({ "jsonrpc": "2.0", "id": id, "result": result })).await;
    }
}

pub(super) fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn at(uri: &str, line: usize, character: usize) -> Value {
    json!({ "textDocument": { "uri": uri }, "position": { "line": line, "character": character } })
}
