//! The error type of this crate: opaque, with predicates for the cases that callers distinguish.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use schemas::format_duration;
use serde_json::Value;
use url::Url;

use crate::retry::{Failure, TooLarge};

const MAX_MESSAGE_CHARS: usize = 500;

/// Reason why a client could not be built or a request failed. Predicates distinguish the cases; the cause is in
/// [`source`](StdError::source).
///
/// ```
/// use proxy_client::Client;
///
/// if let Err(error) = Client::builder("ftp://localhost").build() {
///     assert_eq!(error.to_string(), "invalid base URL `ftp://localhost`: the scheme is neither http nor https");
///     assert_eq!(error.status(), None);
/// }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    retries: u32,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("{0}")]
    Invalid(String),
    #[error("cannot connect to `{0}`")]
    Unreachable(Url),
    #[error("no answer from `{0}` within {after}", after = format_duration(*.1))]
    TimedOut(Url, Duration),
    #[error("the connection to `{0}` broke before the whole answer had come")]
    Broken(Url),
    #[error("cannot read the answer of `{0}`")]
    Unreadable(Url),
    #[error("the gateway at `{0}` has no {2}")]
    Unsupported(Url, StatusCode, &'static str),
    #[error("proxy request failed (status {}{}): {message}", .status.as_u16(), suffix(.code.as_deref()))]
    Refused { status: StatusCode, code: Option<String>, message: String },
}

/// The `details` member of an error body, as the cause of the error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Details(String);

impl Error {
    /// Returns true for status 404: the registration or the path does not exist.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client, wanted: schemas::Definition) -> Result<(), proxy_client::Error> {
    /// match client.update(&wanted).await {
    ///     Err(error) if error.is_not_found() => client.register(&wanted).await.map(drop),
    ///     outcome => outcome.map(drop),
    /// }
    /// # }
    /// ```
    pub fn is_not_found(&self) -> bool {
        self.has_status(StatusCode::NOT_FOUND)
    }

    /// Returns true for status 401: the token is missing or wrong.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) {
    /// match client.list().await {
    ///     Err(error) if error.is_unauthorized() => eprintln!("{error}; set MCP_PROXY_ADMIN_TOKEN"),
    ///     _ => {}
    /// }
    /// # }
    /// ```
    pub fn is_unauthorized(&self) -> bool {
        self.has_status(StatusCode::UNAUTHORIZED)
    }

    /// Returns true if the connection was made but the response was incomplete when time ran out. A called tool may
    /// still be running.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client, call: schemas::admin::ToolCall) {
    /// match client.call_tool(&call).await {
    ///     Err(error) if error.is_timeout() => eprintln!("{} may be running still", call.tool_name),
    ///     _ => {}
    /// }
    /// # }
    /// ```
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, Kind::TimedOut(..))
    }

    /// Returns true if no connection could be made, so nothing was sent.
    ///
    /// ```
    /// use proxy_client::Client;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), proxy_client::Error> {
    /// let client = Client::builder("127.0.0.1:1").retries(0).build()?;
    /// let error = client.health().await.err();
    /// assert!(error.is_some_and(|error| error.is_unreachable() && !error.is_timeout()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_unreachable(&self) -> bool {
        matches!(self.0.kind, Kind::Unreachable(_))
    }

    /// Returns true if the gateway does not have the requested feature (revisions, locks, leases): it is another proxy
    /// or an earlier version. Nothing was done.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(client: proxy_client::Client, holder: schemas::Holder) -> Result<(), proxy_client::Error> {
    /// match client.renew_leases(&holder, Duration::from_secs(30)).await {
    ///     Ok(grant) => println!("{:?} until {}", grant.held, grant.expires_at),
    ///     Err(error) if error.is_unsupported() => println!("nothing ends by itself at this gateway"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_unsupported(&self) -> bool {
        matches!(self.0.kind, Kind::Unsupported(..))
    }

    /// Returns the number of retries before the error.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use proxy_client::Client;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), proxy_client::Error> {
    /// let soon = Duration::from_millis(1);
    /// let client = Client::builder("127.0.0.1:1").retries(3).backoff(soon, soon).build()?;
    /// assert_eq!(client.metrics().await.map_err(|error| error.retries()), Err(3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn retries(&self) -> u32 {
        self.0.retries
    }

    /// Returns the HTTP status of the response; `None` if there was none.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) {
    /// match client.list().await.map_err(|error| error.status()) {
    ///     Ok(registrations) => println!("{} registrations", registrations.len()),
    ///     Err(Some(status)) => eprintln!("the gateway refused with status {status}"),
    ///     Err(None) => eprintln!("the gateway gave no answer"),
    /// }
    /// # }
    /// ```
    pub fn status(&self) -> Option<u16> {
        match &self.0.kind {
            Kind::Refused { status, .. } | Kind::Unsupported(_, status, _) => Some(status.as_u16()),
            Kind::Invalid(_) | Kind::Unreachable(_) | Kind::TimedOut(..) | Kind::Broken(_) | Kind::Unreadable(_) => {
                None
            }
        }
    }

    /// Returns the machine-readable code of the response, if any; Go proxies send none.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use schemas::{Holder, Owner};
    /// # async fn run(client: proxy_client::Client, owner: Owner, holder: Holder) -> Result<(), proxy_client::Error> {
    /// match client.lock(&owner, &holder, Duration::from_secs(30)).await {
    ///     Err(error) if error.code() == Some("too_many_locks") => eprintln!("no room for another lock"),
    ///     outcome => println!("{:?}", outcome?),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn code(&self) -> Option<&str> {
        match &self.0.kind {
            Kind::Refused { code, .. } => code.as_deref(),
            Kind::Invalid(_)
            | Kind::Unreachable(_)
            | Kind::TimedOut(..)
            | Kind::Broken(_)
            | Kind::Unreadable(_)
            | Kind::Unsupported(..) => None,
        }
    }

    fn has_status(&self, expected: StatusCode) -> bool {
        matches!(&self.0.kind, Kind::Refused { status, .. } if *status == expected)
    }

    fn new(kind: Kind) -> Self {
        Self(Box::new(Inner { kind, retries: 0, source: None }))
    }

    fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    fn after(mut self, retries: u32) -> Self {
        self.0.retries = retries;
        self
    }

    /// Creates an error for a setting or an argument that is invalid.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::new(Kind::Invalid(text.into()))
    }

    /// Creates an error for an invalid setting or argument, with a cause.
    pub(crate) fn invalid_because(text: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::invalid(text).because(source)
    }

    /// Creates the error for a deadline that passed before any attempt succeeded.
    pub(crate) fn deadline(base: &Url, deadline: Duration, retries: u32) -> Self {
        Self::new(Kind::TimedOut(base.clone(), deadline)).after(retries)
    }

    /// Creates the error for a last attempt without a complete response.
    pub(crate) fn transport(failure: Failure, base: &Url, timeout: Duration, retries: u32) -> Self {
        let base = base.clone();
        let error = match failure {
            Failure::TooLarge => Self::new(Kind::Unreadable(base)).because(TooLarge),
            Failure::Transport(error) if error.is_connect() => {
                Self::new(Kind::Unreachable(base)).because(error.without_url())
            }
            Failure::Transport(error) if error.is_timeout() => Self::new(Kind::TimedOut(base, timeout)),
            Failure::Transport(error) => Self::new(Kind::Broken(base)).because(error.without_url()),
        };
        error.after(retries)
    }

    /// Creates the error for a response whose body does not have the form that this endpoint returns.
    pub(crate) fn unreadable(error: serde_json::Error, base: &Url, retries: u32) -> Self {
        Self::new(Kind::Unreadable(base.clone())).because(error).after(retries)
    }

    /// Creates the error for an endpoint that the gateway does not have.
    pub(crate) fn unsupported(base: &Url, status: StatusCode, what: &'static str, retries: u32) -> Self {
        Self::new(Kind::Unsupported(base.clone(), status, what)).after(retries)
    }

    /// Creates the error for an unsuccessful status.
    pub(crate) fn refused(status: StatusCode, body: &[u8], retries: u32) -> Self {
        let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
        let word = |key: &str| parsed.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let message = match word("message").or_else(|| word("error")) {
            Some(message) => message.to_owned(),
            None => raw_message(status, body),
        };
        let error = Self::new(Kind::Refused { status, code: word("code").map(str::to_owned), message }).after(retries);
        match word("details") {
            Some(details) => error.because(Details(details.to_owned())),
            None => error,
        }
    }
}

fn raw_message(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match text.trim() {
        "" => status.canonical_reason().unwrap_or("no reason given").to_owned(),
        text => text.chars().take(MAX_MESSAGE_CHARS).collect(),
    }
}

fn suffix(code: Option<&str>) -> String {
    code.map(|code| format!(", code {code}")).unwrap_or_default()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, retries, source } = &*self.0;
        f.debug_struct("Error").field("kind", kind).field("retries", retries).field("source", source).finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: StatusCode, body: &str, expected: &str) {
        assert_eq!(Error::refused(status, body.as_bytes(), 0).to_string(), expected);
    }

    #[test]
    fn shows_status_code_and_message_of_a_refusal() {
        check(
            StatusCode::INTERNAL_SERVER_ERROR,
            r#"{"error":"no","code":"E7"}"#,
            "proxy request failed (status 500, code E7): no",
        );
        check(StatusCode::NOT_FOUND, "404 page not found\n", "proxy request failed (status 404): 404 page not found");
    }

    #[test]
    fn takes_the_message_before_the_error_before_the_raw_text() {
        check(
            StatusCode::BAD_REQUEST,
            r#"{"error":"short","message":"long"}"#,
            "proxy request failed (status 400): long",
        );
        check(StatusCode::BAD_REQUEST, r#"{"message":"","error":"short"}"#, "proxy request failed (status 400): short");
        check(StatusCode::BAD_REQUEST, r#"{"detail":1}"#, r#"proxy request failed (status 400): {"detail":1}"#);
        check(StatusCode::BAD_GATEWAY, "", "proxy request failed (status 502): Bad Gateway");
    }

    #[test]
    fn keeps_the_details_as_the_cause() {
        let body = br#"{"error":"Invalid request","details":"invalid MCP definition: name is required"}"#;
        let error = Error::refused(StatusCode::BAD_REQUEST, body, 2);
        assert_eq!(error.to_string(), "proxy request failed (status 400): Invalid request");
        let cause = error.source().map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("invalid MCP definition: name is required"));
        assert_eq!((error.status(), error.retries(), error.code()), (Some(400), 2, None));
    }

    #[test]
    fn cuts_a_page_of_text_short() {
        let error = Error::refused(StatusCode::BAD_GATEWAY, "ü".repeat(10_000).as_bytes(), 0);
        assert!(error.to_string().chars().count() < MAX_MESSAGE_CHARS + 50);
    }
}
