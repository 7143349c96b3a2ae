//! The admin API, spoken as plain HTTP and JSON, so that tests see the wire and not our own client's idea of it.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, header};
use serde_json::{Value, json};

use crate::wait::{DEADLINE, eventually};

/// The admin API of one gateway.
#[derive(Debug, Clone)]
pub struct Admin {
    url: String,
    token: Option<String>,
    http: Client,
}

/// An HTTP response, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: header::HeaderMap,
    /// The body.
    pub text: String,
}

/// A plain HTTP client in which nothing waits forever.
///
/// # Panics
///
/// When there is none to be had.
#[must_use]
pub fn http() -> Client {
    // The client cannot be made without one, even where it speaks no TLS. Whoever comes first serves all.
    rustls::crypto::ring::default_provider().install_default().ok();
    let builder = Client::builder().timeout(DEADLINE).connect_timeout(Duration::from_secs(10)).no_proxy();
    builder.build().expect("an HTTP client")
}

impl Admin {
    /// The admin API of the gateway at this URL.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), token: None, http: http() }
    }

    /// The same with a bearer token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// A request that is about to be sent.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// POST of any text; the admin API asks for no Content-Type.
    pub async fn post(&self, path: &str, body: impl ToString) -> Answer {
        send(self.request(Method::POST, path).body(body.to_string())).await
    }

    /// PUT of any text.
    pub async fn put(&self, path: &str, body: impl ToString) -> Answer {
        send(self.request(Method::PUT, path).body(body.to_string())).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// Registers a definition.
    ///
    /// # Panics
    ///
    /// When the gateway does not take it.
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

    /// Waits until an upstream's status is this one, and gives all of it.
    pub async fn reaches(&self, name: &str, state: &str) -> Value {
        let what = format!("{name} is {state}");
        eventually(&what, || async { Some(self.status(name).await).filter(|status| status["status"] == state) }).await
    }

    /// The `status` of a registration.
    ///
    /// # Panics
    ///
    /// When there is none with this name.
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
    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{} {}: {error}", self.status, self.text))
    }

    /// A header; empty when absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Sends a request and reads its response.
///
/// # Panics
///
/// When there is no whole response within the deadline.
pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap_or_else(|error| panic!("no response: {error:?}"));
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap_or_else(|error| panic!("no body: {error:?}"));
    Answer { status, headers, text }
}
