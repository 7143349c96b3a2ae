//! Body types of `/admin/log-levels` and `/admin/mcps/{name}/logs`. An extension: other proxies have neither.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::WireDuration;

/// Least important level that is logged.
///
/// ```
/// use schemas::admin::LogLevel;
///
/// let level: LogLevel = "warn".parse()?;
/// assert!(level > LogLevel::Info);
/// # Ok::<(), schemas::admin::UnknownLogWord>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Per request.
    Debug,
    /// The life cycle of the gateway and its upstreams.
    #[default]
    Info,
    /// Degraded but serving.
    Warn,
    /// Someone must act.
    Error,
}

/// Part of the gateway whose log level can be set.
///
/// ```
/// use schemas::admin::LogComponent;
///
/// assert_eq!("upstream".parse(), Ok(LogComponent::Upstream));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogComponent {
    /// Requests to the admin API.
    Admin,
    /// Calls: admission, routing, attempts, failover.
    Call,
    /// Lists of tools, prompts and resources.
    Catalog,
    /// Configuration, start and stop.
    Config,
    /// Changes of registrations.
    Control,
    /// Endpoints and sessions of clients.
    Downstream,
    /// Connections of either side.
    Http,
    /// Decisions about access.
    Policy,
    /// Storage of registrations.
    Registry,
    /// Lines that programs write to their standard error.
    Stderr,
    /// Servers: supervision, sessions, processes.
    Upstream,
}

/// The text names no level and no component of the log.
///
/// ```
/// assert!("router".parse::<schemas::admin::LogComponent>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such word")]
pub struct UnknownLogWord;

impl LogLevel {
    /// All levels, from the one with the most lines on.
    ///
    /// ```
    /// use schemas::admin::LogLevel;
    ///
    /// assert_eq!(LogLevel::ALL.map(|level| level.to_string()).join(" "), "debug info warn error");
    /// ```
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warn, Self::Error];
}

impl LogComponent {
    /// All components, by name.
    ///
    /// ```
    /// use schemas::admin::LogComponent;
    ///
    /// assert!(LogComponent::ALL.contains(&LogComponent::Stderr));
    /// ```
    pub const ALL: [Self; 11] = [
        Self::Admin,
        Self::Call,
        Self::Catalog,
        Self::Config,
        Self::Control,
        Self::Downstream,
        Self::Http,
        Self::Policy,
        Self::Registry,
        Self::Stderr,
        Self::Upstream,
    ];
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for LogComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::Call => "call",
            Self::Catalog => "catalog",
            Self::Config => "config",
            Self::Control => "control",
            Self::Downstream => "downstream",
            Self::Http => "http",
            Self::Policy => "policy",
            Self::Registry => "registry",
            Self::Stderr => "stderr",
            Self::Upstream => "upstream",
        })
    }
}

impl FromStr for LogLevel {
    type Err = UnknownLogWord;

    fn from_str(text: &str) -> Result<Self, UnknownLogWord> {
        Self::ALL.into_iter().find(|level| level.to_string() == text).ok_or(UnknownLogWord)
    }
}

impl FromStr for LogComponent {
    type Err = UnknownLogWord;

    fn from_str(text: &str) -> Result<Self, UnknownLogWord> {
        Self::ALL.into_iter().find(|component| component.to_string() == text).ok_or(UnknownLogWord)
    }
}

/// Levels of the log: one for everything, others for components.
///
/// ```
/// use schemas::admin::{LogComponent, LogLevel, LogLevels};
///
/// let levels: LogLevels = serde_json::from_str(r#"{"level":"warn","components":{"upstream":"debug"}}"#)?;
/// assert_eq!((levels.level, levels.components[&LogComponent::Upstream]), (LogLevel::Warn, LogLevel::Debug));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LogLevels {
    /// Level of all components that have none of their own.
    #[serde(default)]
    pub level: LogLevel,
    /// Levels of components.
    #[serde(default)]
    pub components: BTreeMap<LogComponent, LogLevel>,
}

/// Body of `PUT /admin/log-levels`: levels in place of the configured ones, until they are reset, the time is over, or the
/// gateway ends.
///
/// ```
/// let wanted: schemas::admin::LogLevelsUpdate = serde_json::from_str(r#"{"components":{"call":"debug"},"ttl":"10m"}"#)?;
/// assert_eq!(wanted.level, None, "the configured level stays");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogLevelsUpdate {
    /// Level of all components that have none of their own; without it, the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// Levels of components, in place of the configured ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<LogComponent, LogLevel>,
    /// Time after which the configured levels apply again, such as `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<WireDuration>,
}

/// Answer of `GET`, `PUT` and `DELETE /admin/log-levels`.
///
/// ```
/// let answer = r#"{"level":"info","components":{},"configured":{"level":"info","components":{}}}"#;
/// let levels: schemas::admin::LogLevelsAnswer = serde_json::from_str(answer)?;
/// assert_eq!((levels.level, levels.until), (levels.configured.level, None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct LogLevelsAnswer {
    /// Level in effect of all components that have none of their own.
    pub level: LogLevel,
    /// Levels in effect of components.
    pub components: BTreeMap<LogComponent, LogLevel>,
    /// RFC 3339 time at which the configured levels apply again, if that is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Levels of the configuration.
    pub configured: LogLevels,
}

/// Origin of a line in the log of an upstream.
///
/// ```
/// use schemas::admin::LogSource;
///
/// assert_eq!(serde_json::to_string(&LogSource::Stderr)?, r#""stderr""#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LogSource {
    /// Standard error of a program.
    Stderr,
    /// Output of a program that is no message.
    Stdout,
    /// The gateway: starts and ends of processes, connections, failures.
    Gateway,
}

/// One line of the log of an upstream, with its secrets masked.
///
/// ```
/// let line = r#"{"number":3,"time":"2026-12-01T10:00:00Z","source":"stderr","pid":71,"text":"cannot open /data"}"#;
/// let line: schemas::admin::LogLine = serde_json::from_str(line)?;
/// assert_eq!(line.text, "cannot open /data");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct LogLine {
    /// Number of the line, from 1 on. Numbers begin anew when the upstream is replaced.
    pub number: u64,
    /// RFC 3339 time at which the gateway read or wrote the line.
    pub time: String,
    /// Origin of the line.
    pub source: LogSource,
    /// Process id of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The line, without its end.
    pub text: String,
}

impl LogLine {
    /// Creates a line without a process id.
    ///
    /// ```
    /// use schemas::admin::{LogLine, LogSource};
    ///
    /// let line = LogLine::new((1, "2026-12-01T10:00:00Z"), LogSource::Gateway, "connected");
    /// assert_eq!(line.pid, None);
    /// ```
    pub fn new((number, time): (u64, impl Into<String>), source: LogSource, text: impl Into<String>) -> Self {
        Self { number, time: time.into(), source, pid: None, text: text.into() }
    }
}

/// Answer of `GET /admin/mcps/{name}/logs`: the last lines about an upstream, oldest first.
///
/// ```
/// let answer = r#"{"name":"time","lines":[]}"#;
/// let lines: schemas::admin::LogLines = serde_json::from_str(answer)?;
/// assert!(lines.lines.is_empty());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct LogLines {
    /// Name of the upstream.
    pub name: String,
    /// The lines.
    pub lines: Vec<LogLine>,
}
