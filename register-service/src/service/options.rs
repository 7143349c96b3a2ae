//! Options of a worker, set in code or by the variables that Compozy's engine reads.

pub(super) mod client;

use std::sync::Arc;
use std::time::Duration;

use schemas::admin::{MAX_LEASE_TTL, MIN_TTL};
use schemas::plan::Adopt;
use schemas::{Holder, Owner, parse_duration};

use crate::service::metrics::Metrics;
use crate::service::tools::selection::Selection;

/// Options of a [`RegisterService`](crate::RegisterService).
///
/// ```
/// use std::time::Duration;
///
/// use register_service::Options;
///
/// let options = Options { lease_ttl: Duration::from_secs(60), ..Options::default() };
/// assert_eq!((options.concurrency, options.max_concurrent_calls), (10, 10));
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    /// Owner of the registrations.
    pub owner: Owner,
    /// Registrations of other owners that may be replaced. By default those without an owner, such as a Go engine
    /// creates.
    pub adopt: Adopt,
    /// Maximum number of concurrent registrations; at least one.
    pub concurrency: usize,
    /// Maximum number of concurrent tool calls; at least one. Further calls wait for a slot within their time limit.
    pub max_concurrent_calls: usize,
    /// Interval between polls of the gateway while waiting for it.
    pub poll_interval: Duration,
    /// Maximum time that a start waits for required servers.
    pub readiness_timeout: Duration,
    /// Holder of the leases, unique for each worker. Generated if absent.
    pub holder: Option<Holder>,
    /// Time that registrations outlive a killed worker: 1 s to 1 h.
    pub lease_ttl: Duration,
    /// Interval at which leases are renewed and lost registrations are detected; at most a third of
    /// [`lease_ttl`](Self::lease_ttl).
    pub check_interval: Duration,
    /// Time limit of a tool call, unless the call sets its own.
    pub call_timeout: Duration,
    /// Interval between polls for [`changes`](crate::RegisterService::changes) and for measuring connections.
    pub watch_interval: Duration,
    /// Tools offered to models.
    pub selection: Selection,
    /// True if a start fails with any failed registration, even of an optional server.
    pub fail_on_registration_error: bool,
    /// Receiver of measurements.
    pub metrics: Option<Arc<dyn Metrics>>,
}

/// Error for a variable with an invalid value.
///
/// ```
/// use register_service::Options;
///
/// let error = Options::from_lookup(|name| (name == "MCP_READINESS_TIMEOUT").then(|| "soon".to_owned()));
/// let error = error.map(|_| ()).map_err(|error| error.to_string());
/// assert!(error.is_err_and(|text| text.starts_with("invalid `MCP_READINESS_TIMEOUT`: `soon`")));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("invalid `{name}`: {reason}")]
#[non_exhaustive]
pub struct InvalidSetting {
    /// Name of the variable.
    pub name: &'static str,
    /// The reason.
    pub reason: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            owner: Owner::default(),
            adopt: Adopt::Unowned,
            concurrency: 10,
            max_concurrent_calls: 10,
            poll_interval: Duration::from_millis(200),
            readiness_timeout: Duration::from_secs(60),
            holder: None,
            lease_ttl: Duration::from_secs(30),
            check_interval: Duration::from_millis(500),
            call_timeout: Duration::from_secs(300),
            watch_interval: Duration::from_secs(2),
            selection: Selection::default(),
            fail_on_registration_error: false,
            metrics: None,
        }
    }
}

impl Options {
    /// Reads options from variables; others have their defaults. An empty variable counts as absent.
    ///
    /// | variable | meaning |
    /// |---|---|
    /// | `MCP_READINESS_TIMEOUT` | [`readiness_timeout`](Self::readiness_timeout), such as `60s` |
    /// | `MCP_READINESS_POLL_INTERVAL` | [`poll_interval`](Self::poll_interval), such as `200ms` |
    /// | `MCP_PROXY_LEASE_TTL` | [`lease_ttl`](Self::lease_ttl) |
    /// | `MCP_PROXY_OWNER`, `MCP_PROXY_HOLDER` | [`owner`](Self::owner), [`holder`](Self::holder) |
    /// | `LLM_ALLOWED_MCP_NAMES`, `LLM_DENIED_MCP_NAMES` | the lists of [`selection`](Self::selection), separated by commas |
    /// | `LLM_FAIL_ON_MCP_REGISTRATION_ERROR` | [`fail_on_registration_error`](Self::fail_on_registration_error) |
    /// | `LLM_MAX_CONCURRENT_TOOLS` | [`max_concurrent_calls`](Self::max_concurrent_calls) and [`concurrency`](Self::concurrency); 0 means the default, 10 |
    /// | `LLM_TIMEOUT` | [`call_timeout`](Self::call_timeout) |
    /// | `MCP_HEADER_TEMPLATE_STRICT` | checked, without effect: templates are always strict |
    ///
    /// The engine's setting `llm.register_mcps` has no variable; read it with
    /// [`load_configured`](crate::worker::load_configured).
    ///
    /// # Errors
    ///
    /// If a variable has an invalid value.
    ///
    /// ```
    /// use register_service::Options;
    ///
    /// let options = Options::from_lookup(|name| match name {
    ///     "LLM_ALLOWED_MCP_NAMES" => Some("search, time".to_owned()),
    ///     _ => None,
    /// })?;
    /// assert_eq!(options.selection.allowed, ["search", "time"]);
    /// # Ok::<(), register_service::worker::InvalidSetting>(())
    /// ```
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSetting> {
        let read = Variables(&lookup);
        let default = Self::default();
        let at_once = read.count("LLM_MAX_CONCURRENT_TOOLS")?;
        read.flag("MCP_HEADER_TEMPLATE_STRICT")?;
        let options = Self {
            owner: read.parsed("MCP_PROXY_OWNER")?.unwrap_or(default.owner),
            holder: read.parsed("MCP_PROXY_HOLDER")?,
            concurrency: at_once.unwrap_or(default.concurrency),
            max_concurrent_calls: at_once.unwrap_or(default.max_concurrent_calls),
            poll_interval: read.duration("MCP_READINESS_POLL_INTERVAL")?.unwrap_or(default.poll_interval),
            readiness_timeout: read.duration("MCP_READINESS_TIMEOUT")?.unwrap_or(default.readiness_timeout),
            lease_ttl: read.duration("MCP_PROXY_LEASE_TTL")?.unwrap_or(default.lease_ttl),
            call_timeout: read.duration("LLM_TIMEOUT")?.unwrap_or(default.call_timeout),
            selection: Selection {
                allowed: read.list("LLM_ALLOWED_MCP_NAMES"),
                denied: read.list("LLM_DENIED_MCP_NAMES"),
                ..default.selection
            },
            fail_on_registration_error: read.flag("LLM_FAIL_ON_MCP_REGISTRATION_ERROR")?.unwrap_or(false),
            ..default
        };
        if !(MIN_TTL..=MAX_LEASE_TTL).contains(&options.lease_ttl) {
            return Err(invalid("MCP_PROXY_LEASE_TTL", "a lease lasts from 1s to 1h"));
        }
        Ok(options)
    }
}

pub(super) fn invalid(name: &'static str, reason: impl ToString) -> InvalidSetting {
    InvalidSetting { name, reason: reason.to_string() }
}

pub(super) struct Variables<'a, F>(pub(super) &'a F);

impl<F: Fn(&str) -> Option<String>> Variables<'_, F> {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = (self.0)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    pub(super) fn parsed<T: std::str::FromStr<Err: ToString>>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, InvalidSetting> {
        self.text(name).map(|text| text.parse().map_err(|error: T::Err| invalid(name, error.to_string()))).transpose()
    }

    pub(super) fn duration(&self, name: &'static str) -> Result<Option<Duration>, InvalidSetting> {
        let parse = |text: String| {
            parse_duration(&text)
                .map_err(|error| invalid(name, format!("`{text}`: {error}")))
                .and_then(|it| if it.is_zero() { Err(invalid(name, "it is zero")) } else { Ok(it) })
        };
        self.text(name).map(parse).transpose()
    }

    pub(super) fn number(&self, name: &'static str) -> Result<Option<u32>, InvalidSetting> {
        let parse = |text: String| text.parse().map_err(|_| invalid(name, format!("`{text}` is no whole number")));
        self.text(name).map(parse).transpose()
    }

    /// Reads a number; 0 means the default.
    pub(super) fn count(&self, name: &'static str) -> Result<Option<usize>, InvalidSetting> {
        let count = self.number(name)?.filter(|count| *count > 0);
        Ok(count.and_then(|count| usize::try_from(count).ok()))
    }

    /// Reads a boolean in the forms that Go accepts.
    pub(super) fn flag(&self, name: &'static str) -> Result<Option<bool>, InvalidSetting> {
        let parse = |text: String| match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(invalid(name, format!("`{text}` is neither true nor false"))),
        };
        self.text(name).map(parse).transpose()
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::client::client;
    use super::*;

    fn check(name: &str, value: &str, expected: &str) {
        let lookup = |asked: &str| match asked {
            "MCP_PROXY_URL" => Some("http://h".to_owned()),
            _ => (asked == name).then(|| value.to_owned()),
        };
        let error = Options::from_lookup(lookup).map(drop).and_then(|()| client(&lookup).map(drop)).expect_err(name);
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn says_which_variable_is_wrong_and_why() {
        check("LLM_MAX_CONCURRENT_TOOLS", "many", "invalid `LLM_MAX_CONCURRENT_TOOLS`: `many` is no whole number");
        check("LLM_RETRY_JITTER", "yes", "invalid `LLM_RETRY_JITTER`: `yes` is neither true nor false");
        check("LLM_RETRY_JITTER_PERCENT", "101", "invalid `LLM_RETRY_JITTER_PERCENT`: `101` is more than 100");
        check("MCP_READINESS_TIMEOUT", "0s", "invalid `MCP_READINESS_TIMEOUT`: it is zero");
        check("MCP_PROXY_MAX_IDLE_CONNS", "-1", "invalid `MCP_PROXY_MAX_IDLE_CONNS`: `-1` is no whole number");
        check("MCP_PROXY_MAX_CONNS_PER_HOST", "x", "invalid `MCP_PROXY_MAX_CONNS_PER_HOST`: `x` is no whole number");
        check("MCP_PROXY_IDLE_CONN_TIMEOUT", "0s", "invalid `MCP_PROXY_IDLE_CONN_TIMEOUT`: it is zero");
        check("MCP_PROXY_LEASE_TTL", "2h", "invalid `MCP_PROXY_LEASE_TTL`: a lease lasts from 1s to 1h");
    }

    #[test]
    fn reads_every_variable() {
        let options = Options::from_lookup(|name| {
            Some(match name {
                "MCP_READINESS_TIMEOUT" => "5s".to_owned(),
                "MCP_READINESS_POLL_INTERVAL" => "50ms".to_owned(),
                "LLM_DENIED_MCP_NAMES" => " a ,,B".to_owned(),
                "LLM_FAIL_ON_MCP_REGISTRATION_ERROR" => "T".to_owned(),
                "LLM_MAX_CONCURRENT_TOOLS" => "7".to_owned(),
                "MCP_PROXY_HOLDER" => "worker-1".to_owned(),
                _ => " ".to_owned(),
            })
        });
        let options = options.expect("options");
        assert_eq!(options.readiness_timeout, Duration::from_secs(5));
        assert_eq!(options.poll_interval, Duration::from_millis(50));
        assert_eq!(options.selection.denied, ["a", "B"]);
        assert!(options.fail_on_registration_error && options.selection.allowed.is_empty());
        assert_eq!(options.max_concurrent_calls, 7);
        assert_eq!((options.concurrency, options.holder.map(String::from)), (7, Some("worker-1".to_owned())));
    }

    /// Returns the client settings that result from these variables, in debug form.
    fn shown(variables: &[(&str, &str)]) -> String {
        let lookup = |asked: &str| {
            let found = variables.iter().find(|(name, _)| *name == asked).map(|(_, value)| (*value).to_owned());
            found.or_else(|| (asked == "MCP_PROXY_URL").then(|| "http://h".to_owned()))
        };
        format!("{:?}", client(&lookup).expect("settings").expect("a gateway"))
    }

    #[test]
    fn the_client_waits_and_keeps_connections_as_the_variables_say() {
        assert!(
            shown(&[]).contains("backoff: (100ms, 10s), jitter: 10, max_idle: 128, idle_timeout: 20s"),
            "{}",
            shown(&[])
        );
        let pool = [
            ("MCP_PROXY_MAX_IDLE_CONNS", "9"),
            ("MCP_PROXY_MAX_IDLE_CONNS_PER_HOST", "4"),
            ("MCP_PROXY_MAX_CONNS_PER_HOST", "2"),
            ("MCP_PROXY_IDLE_CONN_TIMEOUT", "90s"),
            ("LLM_RETRY_BACKOFF_MAX", "1s"),
        ];
        let shown = shown(&pool);
        assert!(shown.contains("backoff: (100ms, 1s), jitter: 10, max_idle: 4, idle_timeout: 90s"), "{shown}");
    }

    #[test]
    fn without_a_url_there_is_no_gateway() {
        assert!(client(&|_| None).is_ok_and(|builder| builder.is_none()));
    }
}
