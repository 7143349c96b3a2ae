//! A client that verifies every reply. In the legacy era it has a session; in the modern era every request carries the
//! metadata.

use std::borrow::Cow;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::connection::Connection;

const VERSION: HeaderValue = HeaderValue::from_static("2025-11-25");
const MODERN: HeaderValue = HeaderValue::from_static("2026-07-28");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const CALL: HeaderValue = HeaderValue::from_static("tools/call");
const TOOL: HeaderValue = HeaderValue::from_static("echo");
const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const HELLO: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}"#;
const METADATA: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"}},"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Address of an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) path: Uri,
    pub(crate) is_modern: bool,
}

/// An open session on its own connection.
pub(crate) struct Session {
    connection: Connection,
    path: Uri,
    is_modern: bool,
    id: Option<HeaderValue>,
    next: u64,
}

/// The common part of all responses.
#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    id: u64,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Hello<'a> {
    #[serde(borrow, rename = "protocolVersion")]
    version: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Called<'a> {
    #[serde(borrow)]
    content: Vec<Text<'a>>,
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    tools: Vec<Tool<'a>>,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

impl Session {
    /// Connects and performs the handshake.
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self> {
        let connection = Connection::open(endpoint.address).await?;
        let (path, is_modern) = (endpoint.path.clone(), endpoint.is_modern);
        let mut session = Self { connection, path, is_modern, id: None, next: 1 };
        session.begin().await?;
        Ok(session)
    }

    /// Performs the handshake on the existing connection.
    pub(crate) async fn begin(&mut self) -> Result<()> {
        if self.is_modern {
            return Ok(());
        }
        let (id, request) = self.request("initialize", HELLO);
        let response = self.post(request).await?;
        self.id = response.headers().get(&SESSION_ID).cloned();
        let body = read(response).await?;
        let hello: Hello<'_> = result(&body, id)?;
        ensure!(hello.version == "2025-11-25", "another revision was agreed: {}", hello.version);
        ensure!(self.id.is_some(), "the session has no id");
        let response = self.post(Bytes::from_static(INITIALIZED.as_bytes())).await?;
        expect(response, StatusCode::ACCEPTED).await
    }

    /// Calls the echo tool with this text and checks its answer.
    pub(crate) async fn call(&mut self, text: &str) -> Result<()> {
        let metadata = if self.is_modern { METADATA } else { "" };
        let params = format!(r#"{{{metadata}"name":"echo","arguments":{{"text":"{text}"}}}}"#);
        let (id, request) = self.request("tools/call", &params);
        let body = read(self.post(request).await?).await?;
        let called: Called<'_> = result(&body, id)?;
        match called.content.as_slice() {
            [said] if said.text == text => Ok(()),
            _ => bail!("the tool did not say what it was told to"),
        }
    }

    /// Lists the tools and checks their number.
    pub(crate) async fn list(&mut self, count: usize) -> Result<()> {
        let (id, request) = self.request("tools/list", "{}");
        let body = read(self.post(request).await?).await?;
        let listed: Listed<'_> = result(&body, id)?;
        ensure!(listed.tools.len() == count, "{} tools are listed and not {count}", listed.tools.len());
        ensure!(listed.tools.iter().any(|tool| tool.name.ends_with("echo")), "`echo` is not listed");
        Ok(())
    }

    /// Opens the session's GET stream, which occupies the connection.
    pub(crate) async fn listen(&mut self) -> Result<Incoming> {
        let response = self.send(Method::GET, Bytes::new()).await?;
        ensure!(response.status() == StatusCode::OK, "the stream is refused with {}", response.status());
        ensure!(response.headers().get(CONTENT_TYPE) == Some(&EVENTS), "the stream is none");
        Ok(response.into_body())
    }

    /// Ends the session but keeps the connection.
    pub(crate) async fn end(&mut self) -> Result<()> {
        if self.is_modern {
            return Ok(());
        }
        let response = self.send(Method::DELETE, Bytes::new()).await?;
        self.id = None;
        expect(response, StatusCode::OK).await
    }

    /// Returns the session on another connection.
    pub(crate) async fn elsewhere(&self, endpoint: &Endpoint) -> Result<Self> {
        let connection = Connection::open(endpoint.address).await?;
        let (path, id) = (self.path.clone(), self.id.clone());
        Ok(Self { connection, path, is_modern: self.is_modern, id, next: self.next })
    }

    fn request(&mut self, method: &str, params: &str) -> (u64, Bytes) {
        let id = self.next;
        self.next += 1;
        (id, Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)))
    }

    async fn post(&mut self, message: Bytes) -> Result<Response<Incoming>> {
        self.send(Method::POST, message).await
    }

    async fn send(&mut self, method: Method, message: Bytes) -> Result<Response<Incoming>> {
        let accept = if method == Method::GET { EVENTS } else { BOTH };
        let mut request = Request::new(Full::new(message));
        *request.method_mut() = method;
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, accept);
        headers.insert(CONTENT_TYPE, JSON);
        if self.is_modern {
            // Set the headers for a tool call: no other modern request is sent.
            headers.extend([(PROTOCOL_VERSION, MODERN), (METHOD, CALL), (NAME, TOOL)]);
        }
        if let Some(id) = &self.id {
            headers.insert(SESSION_ID, id.clone());
            headers.insert(PROTOCOL_VERSION, VERSION);
        }
        self.connection.send(request).await
    }
}

/// Reads the message in a response: the body, or the only event with data of a stream.
async fn read(response: Response<Incoming>) -> Result<Bytes> {
    ensure!(response.status() == StatusCode::OK, "the status is {}", response.status());
    let streamed = response.headers().get(CONTENT_TYPE) == Some(&EVENTS);
    let body = response.into_body().collect().await.context("the response broke off")?.to_bytes();
    if !streamed {
        return Ok(body);
    }
    let lines = body.split(|byte| *byte == b'\n');
    let mut messages =
        lines.filter_map(|line| line.strip_prefix(b"data:")).filter(|line| !line.trim_ascii().is_empty());
    match (messages.next(), messages.next()) {
        (Some(message), None) => Ok(body.slice_ref(message)),
        _ => bail!("the stream holds not one message: {}", String::from_utf8_lossy(&body)),
    }
}

fn result<'a, T: Deserialize<'a>>(body: &'a Bytes, id: u64) -> Result<T> {
    let wrong = || format!("not the response to request {id}: {}", String::from_utf8_lossy(body));
    let reply: Reply<'a> = serde_json::from_slice(body).with_context(wrong)?;
    ensure!(reply.jsonrpc == "2.0" && reply.id == id, "{}", wrong());
    serde_json::from_str(reply.result.with_context(wrong)?.get()).with_context(wrong)
}

async fn expect(response: Response<Incoming>, status: StatusCode) -> Result<()> {
    let found = response.status();
    response.into_body().collect().await.context("the response broke off")?;
    ensure!(found == status, "the status is {found} and not {status}");
    Ok(())
}
