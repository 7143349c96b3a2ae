//! Client of the admin API that uses plain HTTP and JSON, so that tests check the wire format independently of our own
//! client.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, header};
use serde_json::{Value, json};

use crate::wait::{DEADLINE, eventually};

/// Client of one gateway's admin API.
#[derive(Debug, Clone)]
pub struct Admin {
    url: String,
    token: Option<String>,
    http: Client,
}

/// A complete HTTP response.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: header::HeaderMap,
    /// The body.
    pub text: String,
}

/// Creates a plain HTTP client with time limits on everything.
///
/// # Panics
///
/// If the client cannot be created.
#[must_use]
pub fn http() -> Client {
    // Install a crypto provider: the client needs one even for plain HTTP. Only the first call has an effect.
    rustls::crypto::ring::default_provider().install_default().ok();
    let builder = Client::builder().timeout(DEADLINE).connect_timeout(Duration::from_secs(10)).no_proxy();
    builder.build().expect("an HTTP client")
}

impl Admin {
    /// Creates a client of the gateway at this URL.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), token: None, http: http() }
    }

    /// Returns a copy that sends a bearer token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Prepares a request.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a GET request.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// Sends a POST request with any text. The admin API requires no Content-Type.
    pub async fn post(&self, path: &str, body: impl ToString) -> Answer {
        send(self.request(Method::POST, path).body(body.to_string())).await
    }

    /// Sends a PUT request with any text.
    pub async fn put(&self, path: &str, body: impl ToString) -> Answer {
        send(self.request(Method::PUT, path).body(body.to_string())).await
    }

    /// Sends a DELETE request.
    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// Registers a definition.
    ///
    /// # Panics
    ///
    /// If the gateway refuses the definition.
    pub async fn register(&self, definition: &Value) {
        let answer = self.post("/admin/mcps", definition).await;
        assert_eq!(answer.status, 201, "{definition}: {}", answer.text);
    }

    /// Registers a definition and waits until its upstream is connected.
    pub async fn connect(&self, definition: &Value) {
        self.register(definition).await;
        self.connected(definition["name"].as_str().unwrap_or_default()).await;
    }

    /// Waits until an upstream is connected.
    pub async fn connected(&self, name: &str) {
        self.reaches(name, "connected").await;
    }

    /// Waits until an upstream has this status. Returns the whole `status`.
    pub async fn reaches(&self, name: &str, state: &str) -> Value {
        let what = format!("{name} is {state}");
        eventually(&what, || async { Some(self.status(name).await).filter(|status| status["status"] == state) }).await
    }

    /// Returns the `status` of a registration.
    ///
    /// # Panics
    ///
    /// If no registration has this name.
    pub async fn status(&self, name: &str) -> Value {
        let answer = self.get(&format!("/admin/mcps/{name}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["status"].take()
    }

    /// Calls a tool through `/admin/tools/call`.
    pub async fn call(&self, upstream: &str, tool: &str, arguments: &Value) -> Answer {
        let call = json!({ "mcpName": upstream, "toolName": tool, "arguments": arguments });
        self.post("/admin/tools/call", call).await
    }
}

impl Answer {
    /// Parses the body as JSON.
    ///
    /// # Panics
    ///
    /// If the body is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{} {}: {error}", self.status, self.text))
    }

    /// Returns a header; empty if absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Sends a request and reads the response.
///
/// # Panics
///
/// If there is no complete response within the deadline.
pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap_or_else(|error| panic!("no response: {error:?}"));
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap_or_else(|error| panic!("no body: {error:?}"));
    Answer { status, headers, text }
}
