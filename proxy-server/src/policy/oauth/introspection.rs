//! Asks the authorization server about opaque tokens (RFC 7662).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use schemas::Secret;
use serde::Deserialize;
use tokio::time::timeout;
use tracing::warn;
use url::{Url, form_urlencoded};

use super::token::{Texts, split};
use crate::error::Chain;
use crate::http::client::{Dialer, Fetch, FetchError};
use crate::pieces::Pieces;

/// Timeout for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 64 << 10;

/// Endpoint that tells about tokens, with the gateway's own credentials there.
pub(super) struct Introspection {
    pub(super) url: Url,
    pub(super) client: String,
    pub(super) secret: Option<Secret>,
}

/// State of a token, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct TokenState {
    pub(super) active: bool,
    #[serde(default)]
    pub(super) iss: Option<String>,
    #[serde(default)]
    pub(super) exp: Option<f64>,
    #[serde(default)]
    pub(super) aud: Texts,
    #[serde(default)]
    pub(super) sub: Option<String>,
    #[serde(default)]
    pub(super) client_id: Option<String>,
    #[serde(default)]
    scope: Option<String>,
}

impl TokenState {
    pub(super) fn scopes(&self) -> Vec<String> {
        split(self.scope.iter())
    }
}

/// The reason why nothing is known about a token.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer is not what it should be")]
    Format(#[from] serde_json::Error),
    #[error("no answer within {PATIENCE:?}")]
    TimedOut,
    #[error("the client's name or secret cannot be sent")]
    Credentials(#[from] header::InvalidHeaderValue),
}

impl Introspection {
    /// Asks for the state of a token; `None` if there is no answer.
    pub(super) async fn ask(&self, dialer: &Dialer, token: &str) -> Option<TokenState> {
        let answer = timeout(PATIENCE, self.fetch(dialer, token)).await.unwrap_or(Err(NoAnswer::TimedOut));
        answer.inspect_err(|error| warn!(url = %self.url, reason = %Chain(error), "token not introspected")).ok()
    }

    async fn fetch(&self, dialer: &Dialer, token: &str) -> Result<TokenState, NoAnswer> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(secret) = &self.secret {
            headers.insert(header::AUTHORIZATION, basic(&self.client, secret.expose())?);
        }
        let body = Pieces::from(bytes::Bytes::from(self.form(token)));
        let request = Fetch { method: Method::POST, url: &self.url, headers, body, limit: MAX_ANSWER };
        let (status, answer) = dialer.fetch(request).await?;
        if status != StatusCode::OK {
            return Err(NoAnswer::Status(status));
        }
        Ok(serde_json::from_slice(&answer)?)
    }

    fn form(&self, token: &str) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("token", token).append_pair("token_type_hint", "access_token");
        if self.secret.is_none() {
            form.append_pair("client_id", &self.client);
        }
        form.finish()
    }
}

/// Returns HTTP Basic credentials, whose parts are form-encoded first (RFC 6749, 2.3.1).
fn basic(client: &str, secret: &str) -> Result<HeaderValue, header::InvalidHeaderValue> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client), encoded(secret));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))?;
    value.set_sensitive(true);
    Ok(value)
}
