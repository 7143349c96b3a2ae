//! Upstreams that a program needs, required or optional, and their states in a list of registrations.

use std::collections::BTreeSet;
use std::fmt;

use schemas::ServerName;
use schemas::admin::{Registration, State};

use crate::error::Error;

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

impl Missing {
    /// Looks up an upstream in a list of registrations.
    fn seen(name: &ServerName, registrations: &[Registration]) -> Self {
        let status = registrations.iter().find(|one| one.definition.name() == name.as_str()).map(|one| &one.status);
        Self {
            name: name.clone(),
            state: status.map(|status| status.status),
            last_error: status.and_then(|status| status.last_error.clone()),
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
