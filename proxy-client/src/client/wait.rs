//! Waiting until upstreams are connected.

use std::fmt;
use std::time::Duration;

use schemas::ServerName;
use schemas::admin::{Registration, State};
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::error::Error;

/// What the last poll before the deadline needs to be answered.
const LAST_POLL: Duration = Duration::from_millis(100);
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Not every upstream was connected in time.
#[derive(Debug, thiserror::Error)]
#[error("not connected: {}", list(.missing))]
#[non_exhaustive]
pub struct NotReady {
    /// The upstreams that were not connected when last seen, by name.
    pub missing: Vec<Missing>,
    /// Why the last poll gave no answer, if it gave none.
    #[source]
    pub source: Option<Error>,
}

/// One upstream that was not connected when last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// Its name.
    pub name: ServerName,
    /// What the gateway said of it; nothing if it is not registered or the gateway never answered.
    pub state: Option<State>,
    /// What failed last.
    pub last_error: Option<String>,
}

impl Client {
    /// Waits until all these upstreams are connected, asking for the list every `poll`.
    ///
    /// A poll that fails and an upstream in state `error` do not end the wait: gateways restart and reconnect.
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
        let end = Instant::now() + deadline.min(LONGEST_WAIT);
        let last = end.checked_sub(LAST_POLL).unwrap_or(end);
        let mut missing = missing(names, &[]);
        while !missing.is_empty() {
            let source = match self.within(end.saturating_duration_since(Instant::now())).list().await {
                Ok(list) => {
                    missing = self::missing(names, &list);
                    None
                }
                Err(error) => Some(error),
            };
            let now = Instant::now();
            if !missing.is_empty() {
                if now >= last {
                    return Err(NotReady { missing, source });
                }
                sleep_until((now + poll.clamp(SHORTEST_PAUSE, LONGEST_WAIT)).min(last)).await;
            }
        }
        Ok(())
    }
}

/// Those of the names that the list does not show as connected, sorted.
fn missing(names: &[ServerName], list: &[Registration]) -> Vec<Missing> {
    let state = |name: &ServerName| {
        let status = list.iter().find(|one| one.definition.name() == name.as_str()).map(|one| &one.status);
        Missing {
            name: name.clone(),
            state: status.map(|status| status.status),
            last_error: status.and_then(|status| status.last_error.clone()),
        }
    };
    let mut missing: Vec<Missing> = names.iter().map(state).filter(|one| one.state != Some(State::Connected)).collect();
    missing.sort_by(|one, other| one.name.cmp(&other.name));
    missing.dedup();
    missing
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

fn list(missing: &[Missing]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
