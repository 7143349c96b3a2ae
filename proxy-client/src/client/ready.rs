//! Required and optional upstreams, and the wait until they are connected.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use schemas::ServerName;
use schemas::admin::{Registration, State};
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::client::wait::{LAST_POLL, LONGEST_WAIT, Missing, NotReady, SHORTEST_PAUSE, list};
use crate::error::Error;

/// Additional wait for optional upstreams that are still connecting once all required ones are connected.
const GRACE: Duration = Duration::from_millis(500);

/// The upstreams that a program needs, regardless of the gateway's others.
///
/// ```
/// use proxy_client::Needs;
///
/// let needs = Needs::required(["search".parse()?, "time".parse()?]).with_optional(["time".parse()?]);
/// assert_eq!(needs.to_string(), "`search`, and `time` if possible");
/// # Ok::<(), schemas::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    required: BTreeSet<ServerName>,
    optional: BTreeSet<ServerName>,
}

/// State of the needed upstreams.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let needs = proxy_client::Needs::required(["search".parse()?]).with_optional(["time".parse()?]);
/// let readiness = client.wait_until_ready(&needs, Duration::from_millis(200), Duration::from_secs(60)).await;
/// for one in &readiness.absent {
///     eprintln!("working without {one}");
/// }
/// readiness.into_result()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use]
#[non_exhaustive]
pub struct Readiness {
    /// Required upstreams that are not connected, by name. Empty when ready.
    pub missing: Vec<Missing>,
    /// Optional upstreams that are not connected, by name.
    pub absent: Vec<Missing>,
    /// The error of the last poll, if it failed.
    pub source: Option<Error>,
}

impl Needs {
    /// Creates needs of which all must be connected.
    ///
    /// ```
    /// use proxy_client::Needs;
    ///
    /// let needs = Needs::required(["time".parse()?, "search".parse()?, "time".parse()?]);
    /// assert_eq!(needs.to_string(), "`search`, `time`");
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn required(names: impl IntoIterator<Item = ServerName>) -> Self {
        Self { required: names.into_iter().collect(), optional: BTreeSet::new() }
    }

    /// Adds optional upstreams. Names that were required become optional.
    ///
    /// ```
    /// use proxy_client::Needs;
    ///
    /// let needs = Needs::required(["search".parse()?, "time".parse()?]).with_optional(["time".parse()?]);
    /// let readiness = needs.look(&[]);
    /// assert!(readiness.missing.iter().map(|one| one.name.as_str()).eq(["search"]));
    /// assert!(readiness.absent.iter().map(|one| one.name.as_str()).eq(["time"]));
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    #[must_use]
    pub fn with_optional(mut self, names: impl IntoIterator<Item = ServerName>) -> Self {
        self.optional.extend(names);
        self.required.retain(|name| !self.optional.contains(name));
        self
    }

    /// Returns all names, the required ones first.
    ///
    /// ```
    /// use proxy_client::Needs;
    ///
    /// let needs = Needs::required(["b".parse()?]).with_optional(["a".parse()?]);
    /// assert!(needs.names().map(|name| name.as_str()).eq(["b", "a"]));
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &ServerName> {
        self.required.iter().chain(&self.optional)
    }

    /// Returns true if this upstream is required.
    ///
    /// ```
    /// use proxy_client::Needs;
    ///
    /// let name = "time".parse()?;
    /// assert!(!Needs::default().requires(&name));
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn requires(&self, name: &ServerName) -> bool {
        self.required.contains(name)
    }

    /// Checks the needs against a list of registrations.
    ///
    /// ```
    /// use proxy_client::Needs;
    ///
    /// let needs = Needs::required(["time".parse()?]);
    /// assert_eq!(needs.look(&[]).to_string(), "not connected: `time` (not registered)");
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    pub fn look(&self, registrations: &[Registration]) -> Readiness {
        let not_connected = |names: &BTreeSet<ServerName>| {
            let seen = names.iter().map(|name| Missing::seen(name, registrations));
            seen.filter(|one| one.state != Some(State::Connected)).collect()
        };
        Readiness { missing: not_connected(&self.required), absent: not_connected(&self.optional), source: None }
    }
}

impl Readiness {
    /// Returns true if every required upstream is connected.
    ///
    /// ```
    /// assert!(proxy_client::Needs::default().look(&[]).is_ready());
    /// ```
    pub fn is_ready(&self) -> bool {
        self.missing.is_empty()
    }

    /// Returns the optional upstreams that are not connected.
    ///
    /// # Errors
    ///
    /// If a required upstream is not connected; the error names all such upstreams.
    ///
    /// ```
    /// # fn run() -> Result<(), proxy_client::NotReady> {
    /// let absent = proxy_client::Needs::default().look(&[]).into_result()?;
    /// assert!(absent.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_result(self) -> Result<Vec<Missing>, NotReady> {
        match self.is_ready() {
            true => Ok(self.absent),
            false => Err(NotReady { missing: self.missing, source: self.source }),
        }
    }

    /// Returns true if an optional upstream is still starting. One in state `error` does not count: it may never
    /// connect.
    ///
    /// ```
    /// use proxy_client::Needs;
    /// use schemas::admin::RegistrationList;
    ///
    /// let list: RegistrationList = serde_json::from_str(
    ///     r#"{"mcps":[{"definition":{"name":"time"},"status":{"status":"connecting"}},
    ///         {"definition":{"name":"docs"},"status":{"status":"error"}}]}"#,
    /// )?;
    /// let [time, docs] = ["time".parse()?, "docs".parse()?].map(|name| Needs::default().with_optional([name]));
    /// assert!(time.look(&list.mcps).is_coming());
    /// assert!(!docs.look(&list.mcps).is_coming());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_coming(&self) -> bool {
        self.absent.iter().any(|one| matches!(one.state, Some(State::Connecting | State::Disconnected)))
    }

    /// Records the error of a later poll that failed.
    ///
    /// ```no_run
    /// use proxy_client::{Client, Needs};
    ///
    /// # async fn run(client: Client, needs: Needs) {
    /// let mut readiness = needs.look(&[]);
    /// readiness = match client.list().await {
    ///     Ok(list) => needs.look(&list),
    ///     Err(error) => readiness.unanswered(error),
    /// };
    /// # }
    /// ```
    pub fn unanswered(self, source: Error) -> Self {
        Self { source: Some(source), ..self }
    }
}

impl Client {
    /// Waits until all required upstreams are connected, polling the list every `poll`, or until `within` has passed.
    ///
    /// Then waits up to 500 ms for optional upstreams that are still connecting. A failed poll and an upstream in
    /// state `error` do not end the wait, because gateways restart and reconnect.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let needs = proxy_client::Needs::required(["search".parse()?]);
    /// let readiness = client.wait_until_ready(&needs, Duration::from_millis(200), Duration::from_secs(60)).await;
    /// println!("{readiness}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_until_ready(&self, needs: &Needs, poll: Duration, within: Duration) -> Readiness {
        self.watch_until_ready(needs, (poll, within), |_| {}).await
    }

    /// Waits like [`wait_until_ready`](Self::wait_until_ready), and calls `see` after each poll, for progress output.
    /// The times are the poll interval and the maximum wait.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let needs = proxy_client::Needs::required(["search".parse()?]);
    /// let times = (Duration::from_millis(200), Duration::from_secs(60));
    /// let readiness = client.watch_until_ready(&needs, times, |now| eprintln!("{now}")).await;
    /// assert!(readiness.is_ready());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn watch_until_ready(
        &self,
        needs: &Needs,
        (poll, within): (Duration, Duration),
        mut see: impl FnMut(&Readiness),
    ) -> Readiness {
        let mut end = Instant::now() + within.min(LONGEST_WAIT);
        let mut readiness = needs.look(&[]);
        if needs.names().next().is_none() {
            return readiness;
        }
        let mut is_graced = false;
        loop {
            readiness = match self.within(end.saturating_duration_since(Instant::now())).list().await {
                Ok(list) => needs.look(&list),
                Err(error) => readiness.unanswered(error),
            };
            see(&readiness);
            let now = Instant::now();
            if readiness.is_ready() && !is_graced {
                (end, is_graced) = (end.min(now + GRACE), true);
            }
            let last = end.checked_sub(LAST_POLL).unwrap_or(end);
            if (readiness.is_ready() && !readiness.is_coming()) || now >= last {
                return readiness;
            }
            sleep_until((now + poll.clamp(SHORTEST_PAUSE, LONGEST_WAIT)).min(last)).await;
        }
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted =
            |names: &BTreeSet<ServerName>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        match (self.required.is_empty(), self.optional.is_empty()) {
            (true, true) => f.write_str("nothing"),
            (false, true) => f.write_str(&quoted(&self.required)),
            (true, false) => write!(f, "{} if possible", quoted(&self.optional)),
            (false, false) => write!(f, "{}, and {} if possible", quoted(&self.required), quoted(&self.optional)),
        }
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.missing.is_empty(), self.absent.is_empty()) {
            (true, true) => f.write_str("ready"),
            (true, false) => write!(f, "ready, without {}", list(&self.absent)),
            (false, true) => write!(f, "not connected: {}", list(&self.missing)),
            (false, false) => {
                write!(f, "not connected: {}; optional and not connected: {}", list(&self.missing), list(&self.absent))
            }
        }
    }
}
