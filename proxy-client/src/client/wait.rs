//! Waiting until upstreams are connected.

use std::fmt;
use std::time::Duration;

use schemas::ServerName;
use schemas::admin::{Registration, State};

use crate::client::Client;
use crate::client::ready::Needs;
use crate::error::Error;

/// Time reserved for the last poll before the deadline.
pub(crate) const LAST_POLL: Duration = Duration::from_millis(100);
pub(crate) const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Error: not every upstream was connected in time.
///
/// ```
/// use proxy_client::Needs;
///
/// let late = Needs::required(["time".parse()?]).look(&[]).into_result().err().ok_or("ready")?;
/// assert_eq!(late.to_string(), "not connected: `time` (not registered)");
/// assert_eq!(late.missing.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[error("not connected: {}", list(.missing))]
#[non_exhaustive]
pub struct NotReady {
    /// Upstreams that were not connected at the last successful poll, by name.
    pub missing: Vec<Missing>,
    /// The error of the last poll, if it failed.
    #[source]
    pub source: Option<Error>,
}

/// An upstream that was not connected at the last successful poll.
///
/// ```
/// use proxy_client::Needs;
/// use schemas::admin::{RegistrationList, State};
///
/// let list: RegistrationList = serde_json::from_str(
///     r#"{"mcps":[{"definition":{"name":"docs"},"status":{"status":"error","lastError":"status 401"}}]}"#,
/// )?;
/// let readiness = Needs::required(["docs".parse()?]).look(&list.mcps);
/// let docs = readiness.missing.first().ok_or("connected")?;
/// assert_eq!(docs.state, Some(State::Error));
/// assert_eq!(docs.to_string(), "`docs` (error: status 401)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// Name of the upstream.
    pub name: ServerName,
    /// State reported by the gateway; `None` if the upstream is not registered or no poll succeeded.
    pub state: Option<State>,
    /// Message of the last failure of the upstream.
    pub last_error: Option<String>,
}

impl Client {
    /// Waits until all these upstreams are connected, polling the list every `poll`, for at most `deadline`.
    ///
    /// A failed poll and an upstream in state `error` do not end the wait, because gateways restart and reconnect.
    ///
    /// # Errors
    ///
    /// If an upstream is not connected in time; the error names all such upstreams.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let names = ["search".parse()?, "time".parse()?];
    /// if let Err(late) = client.wait_for_connections(&names, Duration::from_millis(200), Duration::from_secs(60)).await {
    ///     for missing in &late.missing {
    ///         eprintln!("{missing}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_for_connections(
        &self,
        names: &[ServerName],
        poll: Duration,
        deadline: Duration,
    ) -> Result<(), NotReady> {
        let needs = Needs::required(names.iter().cloned());
        self.wait_until_ready(&needs, poll, deadline).await.into_result().map(drop)
    }
}

impl Missing {
    /// Looks up an upstream in a list of registrations.
    pub(crate) fn seen(name: &ServerName, registrations: &[Registration]) -> Self {
        let status = registrations.iter().find(|one| one.definition.name() == name.as_str()).map(|one| &one.status);
        Self {
            name: name.clone(),
            state: status.map(|status| status.status),
            last_error: status.and_then(|status| status.last_error.clone()),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            None => "not registered",
            Some(State::Disconnected) => "disconnected",
            Some(State::Connecting) => "connecting",
            Some(State::Connected) => "connected",
            Some(State::Error) => "error",
        };
        write!(f, "`{}` ({state}", self.name)?;
        match &self.last_error {
            Some(error) => write!(f, ": {error})"),
            None => f.write_str(")"),
        }
    }
}

pub(crate) fn list(missing: &[Missing]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
