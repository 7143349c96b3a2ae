//! Tool calls: lookup, validation of the arguments, one request, typed answer.

pub(crate) mod address;
pub(crate) mod answer;
pub(crate) mod arguments;
mod connecting;

use std::time::Duration;

use proxy_client::{ToolFailure, ToolOutcome};
use schemas::ServerName;
use schemas::admin::{Tool, ToolCall};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use crate::service::RegisterService;
use crate::service::call::address::ToolAddress;
use crate::service::call::answer::ToolAnswer;
use crate::service::call::arguments::Problem;
use crate::service::failure::chain;
use crate::service::metrics::{Metric, hashed};

/// Error of a call without an answer of the tool.
///
/// ```
/// use register_service::worker::CallError;
///
/// let error = CallError::UnknownTool {
///     server: "search".to_owned(),
///     tool: "web_serch".to_owned(),
///     known: vec!["web_search".to_owned(), "news".to_owned()],
/// };
/// // The message helps a model to correct its call.
/// assert_eq!(error.to_string(), "`search` has no tool `web_serch`; it has `web_search`, `news`");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The server has no such tool. Nothing was sent.
    #[error("`{server}` has no tool `{tool}`; it has {}", listed(.known))]
    UnknownTool {
        /// Name of the server in the call.
        server: String,
        /// Name of the tool in the call.
        tool: String,
        /// Tools that the server has.
        known: Vec<String>,
    },
    /// The arguments do not match the tool's input schema. Nothing was sent.
    #[error("{address} does not take these arguments: {}", told(.problems))]
    Arguments {
        /// Address of the tool.
        address: ToolAddress,
        /// Problems of the arguments, for the model to read.
        problems: Vec<Problem>,
    },
    /// The call waited too long for a free slot. Nothing was sent.
    #[error("{address} was not called: as many calls as may be are under way, {limit}")]
    Busy {
        /// Address of the tool.
        address: ToolAddress,
        /// Number of slots: [`Options::max_concurrent_calls`](crate::Options::max_concurrent_calls).
        limit: usize,
    },
    /// The server was not connected in time. Nothing was sent.
    #[error("{address} was not called: its server is not connected{}", because(.last_error.as_deref()))]
    NotConnected {
        /// Address of the tool.
        address: ToolAddress,
        /// Error of the last attempt to connect, as the gateway reports it.
        last_error: Option<String>,
    },
    /// The gateway refused the call or did not answer.
    #[error("cannot call {address}")]
    Gateway {
        /// Address of the tool.
        address: ToolAddress,
        /// The error of the client. If it [`is_timeout`](proxy_client::Error::is_timeout), the tool may still be
        /// running.
        source: proxy_client::Error,
    },
    /// The server answered with an error, or the gateway cannot tell whether the tool ran.
    #[error("{address} failed")]
    Failed {
        /// Address of the tool.
        address: ToolAddress,
        /// The failure as reported by the gateway.
        source: ToolFailure,
    },
}

/// Kind of a [`CallError`].
///
/// ```no_run
/// use register_service::worker::CallErrorKind;
///
/// # async fn run(service: register_service::RegisterService) -> Result<String, Box<dyn std::error::Error>> {
/// match service.call(&"$mcp(search#web)".parse()?, r#"{"query":"rust"}"#).await {
///     Ok(answer) => Ok(answer.to_text()),
///     Err(error) => match error.kind() {
///         // Tell the model, which made a mistake or may try something else.
///         CallErrorKind::Validation | CallErrorKind::Execution => Ok(error.to_string()),
///         CallErrorKind::Connection | CallErrorKind::Timeout => Err(error.into()),
///     },
/// }
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallErrorKind {
    /// The tool was not reached.
    Connection,
    /// The call was invalid.
    Validation,
    /// The tool failed.
    Execution,
    /// There was no answer in time.
    Timeout,
}

impl CallError {
    /// Returns the kind of the error.
    ///
    /// ```
    /// use register_service::worker::{CallError, CallErrorKind};
    ///
    /// let error = CallError::UnknownTool { server: "s".to_owned(), tool: "t".to_owned(), known: Vec::new() };
    /// assert_eq!(error.kind(), CallErrorKind::Validation);
    /// assert_eq!(error.to_string(), "`s` has no tool `t`; it has none");
    /// ```
    pub fn kind(&self) -> CallErrorKind {
        match self {
            Self::UnknownTool { .. } | Self::Arguments { .. } => CallErrorKind::Validation,
            Self::Failed { .. } => CallErrorKind::Execution,
            Self::Busy { .. } => CallErrorKind::Timeout,
            Self::NotConnected { .. } => CallErrorKind::Connection,
            Self::Gateway { source, .. } if source.is_timeout() => CallErrorKind::Timeout,
            Self::Gateway { source, .. } => match source.status() {
                Some(400 | 404 | 413 | 422) => CallErrorKind::Validation,
                _ => CallErrorKind::Connection,
            },
        }
    }

    /// True if there was no answer in time, or no free slot for the call.
    ///
    /// ```
    /// use register_service::worker::CallError;
    ///
    /// let error = CallError::Busy { address: "$mcp(search#web)".parse()?, limit: 10 };
    /// assert!(error.is_timeout() && !error.may_have_run());
    /// # Ok::<(), register_service::worker::InvalidToolAddress>(())
    /// ```
    pub fn is_timeout(&self) -> bool {
        self.kind() == CallErrorKind::Timeout
    }

    /// True if the call was invalid: there is no such tool, or it does not accept these arguments. Repeating it is
    /// useless.
    ///
    /// ```
    /// use register_service::worker::CallError;
    ///
    /// let error = CallError::UnknownTool { server: "s".to_owned(), tool: "t".to_owned(), known: Vec::new() };
    /// assert!(error.is_invalid());
    /// ```
    pub fn is_invalid(&self) -> bool {
        self.kind() == CallErrorKind::Validation
    }

    /// True if the tool may have run, or may still be running. If false, the same call can be sent again.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService) -> Result<(), Box<dyn std::error::Error>> {
    /// let address = "$mcp(mail#send)".parse()?;
    /// let arguments = r#"{"to":"ops@example.com"}"#;
    /// let answer = match service.call(&address, arguments).await {
    ///     Err(error) if !error.may_have_run() && !error.is_invalid() => service.call(&address, arguments).await?,
    ///     outcome => outcome?,
    /// };
    /// # Ok(())
    /// # }
    /// ```
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::UnknownTool { .. } | Self::Arguments { .. } | Self::Busy { .. } | Self::NotConnected { .. } => false,
            Self::Failed { .. } => true,
            Self::Gateway { source, .. } => match source.status() {
                // 503 means that the call did not reach the server, and the others that it was not tried.
                Some(400 | 401 | 403 | 404 | 413 | 422 | 429 | 503) => false,
                Some(_) => true,
                None => !source.is_unreachable(),
            },
        }
    }

    /// Returns the error of the gateway or of the connection, if that was the reason.
    ///
    /// ```no_run
    /// # fn run(error: register_service::worker::CallError) {
    /// if error.gateway().is_some_and(|source| source.is_unauthorized()) {
    ///     eprintln!("set MCP_PROXY_ADMIN_TOKEN");
    /// }
    /// # }
    /// ```
    pub fn gateway(&self) -> Option<&proxy_client::Error> {
        match self {
            Self::Gateway { source, .. } => Some(source),
            Self::UnknownTool { .. }
            | Self::Arguments { .. }
            | Self::Busy { .. }
            | Self::NotConnected { .. }
            | Self::Failed { .. } => None,
        }
    }

    /// Returns the error with its causes, in one line: for a model, or a log that does not follow
    /// [`source`](std::error::Error::source).
    ///
    /// ```
    /// use register_service::worker::CallError;
    ///
    /// # let Err(source) = proxy_client::Client::builder("ftp://gateway").build() else { unreachable!() };
    /// let error = CallError::Gateway { address: "$mcp(search#web)".parse()?, source };
    /// assert_eq!(error.to_string(), "cannot call $mcp(search#web)");
    /// assert!(error.to_text().starts_with("cannot call $mcp(search#web): invalid base URL"));
    /// # Ok::<(), register_service::worker::InvalidToolAddress>(())
    /// ```
    pub fn to_text(&self) -> String {
        chain(self)
    }
}

impl CallErrorKind {
    /// Returns the label value of this kind in metrics.
    ///
    /// ```
    /// assert_eq!(register_service::worker::CallErrorKind::Timeout.as_str(), "timeout");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Validation => "validation",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
        }
    }
}

impl RegisterService {
    /// Calls a tool with these arguments, as JSON text; an empty text means `{}`. Validates them against the tool's
    /// input schema first. The call is repeated only if it provably did not reach the server. If
    /// [`max_concurrent_calls`](crate::Options::max_concurrent_calls) calls are running, it waits for a free slot.
    ///
    /// A failure reported by the tool itself is an [answer](ToolAnswer::is_error), because a model can react to it.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService) -> Result<(), Box<dyn std::error::Error>> {
    /// let answer = service.call(&"$mcp(search#web)".parse()?, r#"{"query":"rust"}"#).await?;
    /// println!("{} (failed: {})", answer.to_text(), answer.is_error);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call(&self, address: &ToolAddress, arguments: &str) -> Result<ToolAnswer, CallError> {
        self.call_within(address, arguments, self.shared.options.call_timeout).await
    }

    /// Calls a tool with a serialisable value as arguments: a map, a type of the engine, the result of a template.
    ///
    /// ```no_run
    /// use serde_json::json;
    ///
    /// # async fn run(service: register_service::RegisterService) -> Result<(), Box<dyn std::error::Error>> {
    /// let answer = service.call_with(&"$mcp(search#web)".parse()?, &json!({ "query": "rust" })).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call_with(
        &self,
        address: &ToolAddress,
        arguments: &(impl Serialize + Sync + ?Sized),
    ) -> Result<ToolAnswer, CallError> {
        match serde_json::to_string(arguments) {
            Ok(text) => self.call(address, &text).await,
            Err(error) => {
                Err(CallError::Arguments { address: address.clone(), problems: vec![Problem::of_text(&error)] })
            }
        }
    }

    /// Calls a tool like [`call`](Self::call), with another time limit.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(service: register_service::RegisterService) -> Result<(), Box<dyn std::error::Error>> {
    /// let address = "$mcp(search#web)".parse()?;
    /// let answer = service.call_within(&address, "", Duration::from_secs(5)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call_within(
        &self,
        address: &ToolAddress,
        arguments: &str,
        within: Duration,
    ) -> Result<ToolAnswer, CallError> {
        let start = Instant::now();
        let outcome = self.attempt(address, arguments, start + within).await;
        let word = match &outcome {
            Ok(answer) if !answer.is_error => "success",
            Err(error) if error.kind() == CallErrorKind::Timeout => "timeout",
            Ok(_) | Err(_) => "error",
        };
        let (server, tool) = (hashed(&address.server), hashed(&address.tool));
        let labels = [("server_id", server.as_str()), ("tool_name", tool.as_str())];
        let labelled = |last| [labels[0], labels[1], last];
        let seconds = start.elapsed().as_secs_f64();
        self.shared.record(&Metric::TOOL_EXECUTE_SECONDS, &labelled(("outcome", word)), seconds);
        let kind = match &outcome {
            Ok(answer) => answer.is_error.then_some(CallErrorKind::Execution),
            Err(error) => Some(error.kind()),
        };
        if let Some(kind) = kind {
            self.shared.record(&Metric::TOOL_ERRORS_TOTAL, &labelled(("error_kind", kind.as_str())), 1.0);
        }
        outcome
    }

    async fn attempt(&self, address: &ToolAddress, arguments: &str, end: Instant) -> Result<ToolAnswer, CallError> {
        let refused = |problems| CallError::Arguments { address: address.clone(), problems };
        let at_gateway = |source| CallError::Gateway { address: address.clone(), source };
        let text = if arguments.trim().is_empty() { "{}" } else { arguments };
        let raw = RawValue::from_string(text.to_owned()).map_err(|error| refused(vec![Problem::of_text(&error)]))?;
        let Some(server) = self.server(&address.server) else { return Err(unknown(address, &[])) };
        // At least 1 ms: with a deadline of zero the request would not be tried.
        let left = || end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let client = self.shared.client.within(left().min(self.shared.options.readiness_timeout));
        let start = Instant::now();
        let mut tools = self.tools_of(&client, &server, &address.tool).await.map_err(at_gateway)?;
        // The gateway may still be connecting to a server that this worker has just registered.
        if tools.is_empty() && self.shared.held().needed.contains(&server) {
            tools = self.tools_once_connected(address, &server, end).await?;
        }
        let tool = tools.iter().find(|it| it.name == address.tool);
        let outcome = if tool.is_some() { "hit" } else { "miss" };
        let seconds = start.elapsed().as_secs_f64();
        self.shared.record(&Metric::TOOL_REGISTRY_LOOKUP_SECONDS, &[("outcome", outcome)], seconds);
        match tool {
            Some(tool) => arguments::check(&raw, tool).map_err(refused)?,
            // Let the gateway answer if the server lists no tools: it may not be connected.
            None if tools.is_empty() => {}
            None => return Err(unknown(address, &tools)),
        }
        let limit = self.shared.options.max_concurrent_calls;
        let busy = || CallError::Busy { address: address.clone(), limit };
        let _turn = timeout_at(end, self.shared.calls.acquire()).await.map_err(|_elapsed| busy())?;
        let call = ToolCall { mcp_name: server.to_string(), tool_name: address.tool.clone(), arguments: Some(raw) };
        match self.shared.client.within(left()).call_tool(&call).await.map_err(at_gateway)? {
            ToolOutcome::Success(result) => Ok(ToolAnswer::new(result.answer())),
            ToolOutcome::Failure(failure) if failure.answer().is_error == Some(true) => {
                Ok(ToolAnswer::new(failure.answer()))
            }
            ToolOutcome::Failure(source) => Err(CallError::Failed { address: address.clone(), source }),
        }
    }

    /// Returns the gateway's name of a server that the engine calls `id`.
    fn server(&self, id: &str) -> Option<ServerName> {
        let known = self.ids().get(id).cloned();
        known.or_else(|| ServerName::stored(id).ok())
    }
}

fn unknown(address: &ToolAddress, tools: &[Tool]) -> CallError {
    let known = tools.iter().map(|it| it.name.clone()).collect();
    CallError::UnknownTool { server: address.server.clone(), tool: address.tool.clone(), known }
}

fn because(last_error: Option<&str>) -> String {
    last_error.map(|error| format!(": {error}")).unwrap_or_default()
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
