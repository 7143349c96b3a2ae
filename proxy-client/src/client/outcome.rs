//! Results of methods with more than one successful outcome.

use std::borrow::Cow;

use schemas::admin::{Revision, ToolCallAnswer};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Result of [`Client::register`](crate::Client::register).
///
/// ```no_run
/// use proxy_client::Registered;
///
/// # async fn run(client: proxy_client::Client, wanted: schemas::Definition) -> Result<(), proxy_client::Error> {
/// if client.register(&wanted).await? == Registered::AlreadyExists {
///     client.update(&wanted).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// The gateway stored the registration and connects in the background.
    Created,
    /// The name is taken, by an equal or a different definition: nothing was changed.
    AlreadyExists,
}

/// Result of an update.
///
/// ```no_run
/// # async fn run(client: proxy_client::Client, wanted: schemas::Definition) -> Result<(), proxy_client::Error> {
/// let updated = client.update(&wanted).await?;
/// match updated.revision {
///     Some(revision) => println!("{} is at revision {revision}", wanted.name),
///     None => println!("this gateway does not tell whether somebody else changed {} meanwhile", wanted.name),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Updated {
    /// The reason why the gateway stored the definition but could not start the upstream.
    pub warning: Option<String>,
    /// The new revision of the registration. `None` from a gateway without revisions, which checked none.
    pub revision: Option<Revision>,
}

/// Result of a tool call.
///
/// ```no_run
/// use proxy_client::ToolOutcome;
///
/// # async fn run(client: proxy_client::Client, call: schemas::admin::ToolCall) -> Result<(), proxy_client::Error> {
/// let for_the_model = match client.call_tool(&call).await? {
///     ToolOutcome::Success(result) => result.to_text(),
///     ToolOutcome::Failure(failure) => format!("the tool failed: {}", failure.message()),
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub enum ToolOutcome {
    /// The tool returned a result.
    Success(ToolResult),
    /// The tool failed, or the gateway cannot tell whether the tool ran. The caller decides about another call.
    Failure(ToolFailure),
}

/// Result of a tool.
///
/// ```no_run
/// # use schemas::admin::ToolCall;
/// # async fn run(client: proxy_client::Client, call: ToolCall) -> Result<(), Box<dyn std::error::Error>> {
/// let result = client.call_tool(&call).await?.into_result()?;
/// match result.text() {
///     Some(text) => println!("{text}"),
///     None => println!("no text, but {}", result.to_text()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ToolResult(ToolCallAnswer);

/// Reason why a tool call has no result.
///
/// ```no_run
/// # async fn run(client: proxy_client::Client, call: schemas::admin::ToolCall) -> Result<(), proxy_client::Error> {
/// if let Err(failure) = client.call_tool(&call).await?.into_result() {
///     eprintln!("{failure}"); // tool execution error: ...
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("tool execution error: {message}")]
pub struct ToolFailure {
    message: String,
    answer: ToolCallAnswer,
}

impl ToolOutcome {
    pub(crate) fn new(answer: ToolCallAnswer) -> Self {
        match answer.error.clone().filter(|message| !message.is_empty()) {
            Some(message) => Self::Failure(ToolFailure { message, answer }),
            None => Self::Success(ToolResult(answer)),
        }
    }

    /// Converts to a `Result`, for callers that treat a failed tool as an error.
    ///
    /// ```no_run
    /// # use schemas::admin::ToolCall;
    /// # async fn run(client: proxy_client::Client, call: ToolCall) -> Result<(), Box<dyn std::error::Error>> {
    /// // The first `?` fails if no response came, the second if the tool failed.
    /// let result = client.call_tool(&call).await?.into_result()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_result(self) -> Result<ToolResult, ToolFailure> {
        match self {
            Self::Success(result) => Ok(result),
            Self::Failure(failure) => Err(failure),
        }
    }
}

impl ToolResult {
    /// Returns the text of a text result: `{"type":"text","text":..}`, or a plain string from early proxies.
    ///
    /// ```no_run
    /// # async fn run(result: proxy_client::ToolResult) -> Result<(), Box<dyn std::error::Error>> {
    /// let hour: u32 = result.text().ok_or("the tool gave no text")?.parse()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn text(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Item<'a> {
            #[serde(rename = "type", borrow)]
            kind: Cow<'a, str>,
            text: String,
        }
        let raw = self.0.result.as_deref()?.get();
        match serde_json::from_str::<Item<'_>>(raw) {
            Ok(item) if item.kind == "text" => Some(item.text),
            Ok(_) | Err(_) => serde_json::from_str(raw).ok(),
        }
    }

    /// Returns the text, or the JSON of any other result.
    ///
    /// ```no_run
    /// # fn run(result: proxy_client::ToolResult) {
    /// // `12:00`, or `{"type":"image","data":"aGk=","mimeType":"image/png"}`.
    /// println!("{}", result.to_text());
    /// # }
    /// ```
    pub fn to_text(&self) -> String {
        let raw = self.0.result.as_deref().map_or("null", RawValue::get);
        self.text().unwrap_or_else(|| raw.to_owned())
    }

    /// Returns the whole answer of the gateway; other proxies send only `result`.
    ///
    /// ```no_run
    /// # fn run(result: proxy_client::ToolResult) {
    /// if let Some(structured) = &result.answer().structured_content {
    ///     println!("{}", structured.get());
    /// }
    /// # }
    /// ```
    pub fn answer(&self) -> &ToolCallAnswer {
        &self.0
    }
}

impl ToolFailure {
    /// Returns the error message of the tool or the gateway.
    ///
    /// ```no_run
    /// # fn run(failure: proxy_client::ToolFailure) {
    /// // Without the prefix: `failure` prints "tool execution error: no such city", `message` is "no such city".
    /// eprintln!("{}", failure.message());
    /// # }
    /// ```
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the whole answer of the gateway.
    ///
    /// ```no_run
    /// # fn run(failure: proxy_client::ToolFailure) {
    /// match failure.answer().is_error {
    ///     Some(true) => eprintln!("the tool says: {}", failure.message()),
    ///     _ => eprintln!("the call went wrong on its way: {}", failure.message()),
    /// }
    /// # }
    /// ```
    pub fn answer(&self) -> &ToolCallAnswer {
        &self.answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str, text: Option<&str>, to_text: &str) {
        let answer = serde_json::from_str(answer).unwrap();
        let result = ToolOutcome::new(answer).into_result().unwrap();
        assert_eq!((result.text().as_deref(), result.to_text().as_str()), (text, to_text));
    }

    #[test]
    fn a_text_result_is_unwrapped() {
        check(r#"{"result":{"type":"text","text":"a\nb"}}"#, Some("a\nb"), "a\nb");
        check(r#"{"result":{"type":"text","text":"a","annotations":{}}}"#, Some("a"), "a");
    }

    #[test]
    fn a_string_of_an_early_proxy_is_text() {
        check(r#"{"result":"plain \u00fc"}"#, Some("plain ü"), "plain ü");
    }

    #[test]
    fn any_other_result_is_json_as_it_came() {
        check(r#"{"result":{"rows": [1]}}"#, None, r#"{"rows": [1]}"#);
        let image = r#"{"type":"image","data":"aGk=","mimeType":"image/png"}"#;
        check(&format!(r#"{{"result":{image}}}"#), None, image);
        check(r#"{"result":null}"#, None, "null");
        check("{}", None, "null");
    }

    #[test]
    fn an_empty_error_is_none_and_another_is_the_failure() {
        check(r#"{"result":"ok","error":""}"#, Some("ok"), "ok");
        let answer = serde_json::from_str(r#"{"result":null,"error":"no such city","content":[1]}"#).unwrap();
        let failure = ToolOutcome::new(answer).into_result().unwrap_err();
        assert_eq!(failure.to_string(), "tool execution error: no such city");
        assert_eq!(failure.answer().content.as_deref().map(RawValue::get), Some("[1]"));
    }
}
