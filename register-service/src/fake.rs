//! Gateway for tests: the admin API over a map in memory, with faults on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proxy_client::Client;
use schemas::admin::{DefinitionView, Fingerprints, Registration, State, Status};
use schemas::{Definition, FingerprintSalt, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[derive(Clone)]
pub(crate) struct FakeGateway {
    url: String,
    shared: Arc<Mutex<Shared>>,
    _server: Arc<JoinSet<()>>,
}

#[derive(Default)]
struct Shared {
    registered: Vec<Definition>,
    requests: Vec<String>,
    last_call: Value,
    faults: BTreeMap<String, u16>,
    /// Number of polls until servers are connected and list their tools.
    looks: usize,
    /// Request line that never gets a response.
    hangs: Option<String>,
    pause: Duration,
    under_way: usize,
    most_under_way: usize,
}

pub(crate) fn definition(json: Value) -> Definition {
    serde_json::from_value(json).expect("a definition")
}

pub(crate) fn stdio(name: &str, argument: &str) -> Definition {
    definition(json!({"name": name, "transport": "stdio", "command": "prog", "args": [argument]}))
}

pub(crate) fn named(name: &str) -> ServerName {
    name.parse().expect(name)
}

impl FakeGateway {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0", Vec::new()).await
    }

    /// Starts at this address, with these registrations.
    pub(crate) async fn start_at(address: &str, registered: Vec<Definition>) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Mutex::new(Shared { registered, ..Shared::default() }));
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&shared)));
        Self { url, shared, _server: Arc::new(server) }
    }

    pub(crate) fn client(&self) -> Client {
        Client::builder(&self.url).retries(0).build().expect("a client")
    }

    /// Answers this request (`"POST /admin/mcps"`) with this status from now on.
    pub(crate) fn fail(&self, request: &str, status: u16) {
        self.lock().faults.insert(request.to_owned(), status);
    }

    pub(crate) fn hang_on(&self, request: &str) {
        self.lock().hangs = Some(request.to_owned());
    }

    pub(crate) fn pause(&self, pause: Duration) {
        self.lock().pause = pause;
    }

    /// Keeps servers connecting until they were polled this often.
    pub(crate) fn connects_after(&self, looks: usize) {
        self.lock().looks = looks;
    }

    pub(crate) fn most_under_way(&self) -> usize {
        self.lock().most_under_way
    }

    /// Returns the last call of a tool.
    pub(crate) fn last_call(&self) -> Value {
        self.lock().last_call.clone()
    }

    /// Returns the requests since the previous call.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().requests)
    }

    pub(crate) fn registered(&self) -> Vec<Definition> {
        self.lock().registered.clone()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.registered().iter().map(|it| it.name.to_string()).collect()
    }

    /// Registers a definition without a request, as if another client had done it.
    pub(crate) fn put(&self, definition: Definition) {
        let mut shared = self.lock();
        shared.registered.retain(|it| it.name != definition.name);
        shared.registered.push(definition);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().expect("no panic before")
    }
}

async fn serve(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    let mut connections = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        connections.spawn(exchange(connection, Arc::clone(&shared)));
    }
}

async fn exchange(mut connection: TcpStream, shared: Arc<Mutex<Shared>>) {
    let Some((line, body)) = read(&mut connection).await else { return };
    let (pause, hangs) = {
        let mut shared = shared.lock().expect("no panic before");
        shared.requests.push(line.clone());
        shared.under_way += 1;
        shared.most_under_way = shared.most_under_way.max(shared.under_way);
        (shared.pause, shared.hangs.as_deref() == Some(&line))
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(pause).await;
    let (status, answer) = {
        let mut shared = shared.lock().expect("no panic before");
        shared.under_way -= 1;
        answer(&mut shared, &line, &body)
    };
    let body = if answer.is_null() { String::new() } else { answer.to_string() };
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    connection.write_all((head + &body).as_bytes()).await.ok();
}

fn answer(shared: &mut Shared, line: &str, body: &str) -> (u16, Value) {
    if let Some(status) = shared.faults.get(line) {
        return (*status, json!({"error": "as the test wants"}));
    }
    let (method, path) = line.split_once(' ').unwrap_or_default();
    let name = path.strip_prefix("/admin/mcps/").unwrap_or_default().to_owned();
    let known = shared.registered.iter().position(|it| it.name.as_str() == name);
    match (method, path, known) {
        ("GET", "/healthz", _) => (200, json!({"status": "healthy"})),
        ("GET", "/admin/mcps", _) => {
            let list: Vec<_> = shared.registered.iter().map(registration).collect();
            (200, json!({"count": list.len(), "mcps": list}))
        }
        // Lists one tool of each server.
        ("GET", "/admin/tools", _) => {
            let schema = json!({"type": "object", "properties": {"query": {"type": "string"}}});
            let tool = |it: &Definition| json!({"mcpName": it.name.as_str(), "name": "t", "description": "", "inputSchema": schema});
            let connected = shared.registered.iter().filter(|_| shared.looks == 0);
            let tools: Vec<_> = connected.map(tool).collect();
            (200, json!({"count": tools.len(), "tools": tools}))
        }
        ("POST", "/admin/tools/call", _) => {
            shared.last_call = serde_json::from_str(body).expect("a call");
            (200, json!({"result": "done"}))
        }
        ("POST", "/admin/mcps", _) => {
            let definition: Definition = serde_json::from_str(body).expect("a definition");
            if shared.registered.iter().any(|it| it.name == definition.name) {
                return (409, json!({"error": "MCP already exists"}));
            }
            shared.registered.push(definition);
            (201, json!({"message": "MCP definition added successfully", "name": "x"}))
        }
        (_, _, None) => (404, json!({"error": "MCP not found", "name": name})),
        ("GET", _, Some(index)) => {
            shared.looks = shared.looks.saturating_sub(1);
            let mut shown = registration(&shared.registered[index]);
            if shared.looks > 0 {
                shown.status.status = State::Connecting;
            }
            (200, json!(shown))
        }
        ("PUT", _, Some(index)) => {
            shared.registered[index] = serde_json::from_str(body).expect("a definition");
            (200, json!({"message": "MCP definition updated successfully", "name": name}))
        }
        ("DELETE", _, Some(index)) => {
            shared.registered.remove(index);
            (204, Value::Null)
        }
        _ => (405, Value::Null),
    }
}

fn registration(definition: &Definition) -> Registration {
    let salt = FingerprintSalt::new([1; 16]);
    let values = definition.fingerprints(&salt);
    let mut status = Status::new(definition.name.as_str());
    status.status = State::Connected;
    let view = DefinitionView::new(definition.clone(), "t0".into(), "t0".into());
    let mut registration = Registration::new(view, status);
    registration.fingerprints = Some(Fingerprints { salt, values });
    registration
}

/// Reads a request. Returns its request line without the version, and its body.
async fn read(connection: &mut TcpStream) -> Option<(String, String)> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            if body.len() >= length.parse().expect("a length") {
                // Ignore the query, as other implementations do.
                let line = head.lines().next()?.trim_end_matches(" HTTP/1.1").split('?').next()?;
                return Some((line.to_owned(), body.to_owned()));
            }
        }
        let mut buffer = [0; 4096];
        match connection.read(&mut buffer).await {
            Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
            Ok(_) | Err(_) => return None,
        }
    }
}
