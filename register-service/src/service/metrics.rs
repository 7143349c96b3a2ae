//! Metrics of a worker, with the names that Compozy's engine uses, for any exporter in the process.

use std::fmt;

use ring::digest::{SHA256, digest};

/// Receiver of measurements, implemented by the engine's exporter.
///
/// Labels are bounded: ids of servers and names of tools are replaced by the first 12 hexadecimal digits of their
/// SHA-256.
///
/// ```
/// use std::sync::Mutex;
///
/// use register_service::worker::{Metric, Metrics};
/// use register_service::Options;
///
/// #[derive(Debug, Default)]
/// struct Printed(Mutex<Vec<String>>);
///
/// impl Metrics for Printed {
///     fn record(&self, metric: &Metric, labels: &[(&'static str, &str)], value: f64) {
///         let line = format!("{}_{} {labels:?} {value}", Metric::SUBSYSTEM, metric.name);
///         self.0.lock().map(|mut lines| lines.push(line)).ok();
///     }
/// }
///
/// let options = Options { metrics: Some(std::sync::Arc::new(Printed::default())), ..Options::default() };
/// # assert!(options.metrics.is_some());
/// ```
pub trait Metrics: fmt::Debug + Send + Sync {
    /// Records one measurement. Called during tool calls, so it must not block.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// use register_service::worker::{Metric, Metrics};
    ///
    /// #[derive(Debug, Default)]
    /// struct Timeouts(AtomicU32);
    ///
    /// impl Metrics for Timeouts {
    ///     fn record(&self, metric: &Metric, labels: &[(&'static str, &str)], _value: f64) {
    ///         if *metric == Metric::TOOL_ERRORS_TOTAL && labels.contains(&("error_kind", "timeout")) {
    ///             self.0.fetch_add(1, Ordering::Relaxed);
    ///         }
    ///     }
    /// }
    ///
    /// let timeouts = Timeouts::default();
    /// let labels = [("server_id", "ba7816bf8f01"), ("tool_name", "e3b0c44298fc"), ("error_kind", "timeout")];
    /// timeouts.record(&Metric::TOOL_ERRORS_TOTAL, &labels, 1.0);
    /// assert_eq!(timeouts.0.into_inner(), 1);
    /// ```
    fn record(&self, metric: &Metric, labels: &[(&'static str, &str)], value: f64);
}

/// Description of one metric.
///
/// ```
/// use register_service::worker::Metric;
///
/// let names: Vec<_> = Metric::ALL.iter().map(|metric| metric.name).collect();
/// assert_eq!(names[0], "tool_execute_seconds");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// Name of the metric, without the prefix [`Metric::SUBSYSTEM`].
    pub name: &'static str,
    /// Kind of the values.
    pub kind: MetricKind,
    /// Labels of each value.
    pub labels: &'static [&'static str],
    /// Description for people.
    pub help: &'static str,
}

/// Kind of a metric's values.
///
/// ```
/// use register_service::worker::{Metric, MetricKind};
///
/// for metric in Metric::ALL {
///     let name = format!("{}_{}", Metric::SUBSYSTEM, metric.name);
///     match metric.kind {
///         MetricKind::Histogram(bounds) => println!("{name}: buckets up to {bounds:?} and above"),
///         MetricKind::Counter | MetricKind::UpDownCounter => println!("{name}: a sum"),
///         _ => {}
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum MetricKind {
    /// Values in seconds for a histogram with these upper bounds.
    Histogram(&'static [f64]),
    /// Values to add up, never negative.
    Counter,
    /// Values to add up, positive or negative.
    UpDownCounter,
}

impl Metric {
    /// Prefix of all names.
    ///
    /// ```
    /// # use register_service::worker::Metric;
    /// let name = format!("{}_{}", Metric::SUBSYSTEM, Metric::TOOL_ERRORS_TOTAL.name);
    /// assert_eq!(name, "mcp_tool_errors_total");
    /// ```
    pub const SUBSYSTEM: &str = "mcp";

    /// Duration of tool calls in seconds; `outcome` is `success`, `error` or `timeout`.
    ///
    /// ```
    /// # use register_service::worker::{Metric, MetricKind};
    /// let MetricKind::Histogram(bounds) = Metric::TOOL_EXECUTE_SECONDS.kind else { unreachable!() };
    /// assert_eq!(bounds.last(), Some(&30.0));
    /// ```
    pub const TOOL_EXECUTE_SECONDS: Self = Self {
        name: "tool_execute_seconds",
        kind: MetricKind::Histogram(&[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
        labels: &["server_id", "tool_name", "outcome"],
        help: "how long calls of tools take",
    };

    /// Number of failed calls; `error_kind` is `connection`, `validation`, `execution` or `timeout`.
    ///
    /// ```
    /// # use register_service::worker::Metric;
    /// assert_eq!(Metric::TOOL_ERRORS_TOTAL.labels, ["server_id", "tool_name", "error_kind"]);
    /// ```
    pub const TOOL_ERRORS_TOTAL: Self = Self {
        name: "tool_errors_total",
        kind: MetricKind::Counter,
        labels: &["server_id", "tool_name", "error_kind"],
        help: "calls of tools that failed",
    };

    /// Number of connected needed servers: 1 when a server connects, -1 when it disconnects, also because the gateway
    /// is gone or the worker ends.
    ///
    /// ```
    /// # use register_service::worker::{Metric, MetricKind};
    /// assert_eq!(Metric::SERVER_CONNECTIONS_ACTIVE.kind, MetricKind::UpDownCounter);
    /// ```
    pub const SERVER_CONNECTIONS_ACTIVE: Self = Self {
        name: "server_connections_active",
        kind: MetricKind::UpDownCounter,
        labels: &["server_id"],
        help: "servers that are connected",
    };

    /// Duration in seconds of looking a tool up before a call; `outcome` is `hit` or `miss`.
    ///
    /// ```
    /// # use register_service::worker::Metric;
    /// assert_eq!(Metric::TOOL_REGISTRY_LOOKUP_SECONDS.labels, ["outcome"]);
    /// ```
    pub const TOOL_REGISTRY_LOOKUP_SECONDS: Self = Self {
        name: "tool_registry_lookup_seconds",
        kind: MetricKind::Histogram(&[0.000_01, 0.000_1, 0.001, 0.01, 0.1]),
        labels: &["outcome"],
        help: "how long a tool is looked for before it is called",
    };

    /// All metrics, for setting up an exporter.
    ///
    /// ```
    /// # use register_service::worker::Metric;
    /// let described: Vec<_> = Metric::ALL.iter().map(|it| format!("# HELP mcp_{} {}", it.name, it.help)).collect();
    /// assert_eq!(described[1], "# HELP mcp_tool_errors_total calls of tools that failed");
    /// ```
    pub const ALL: [Self; 4] = [
        Self::TOOL_EXECUTE_SECONDS,
        Self::TOOL_ERRORS_TOTAL,
        Self::SERVER_CONNECTIONS_ACTIVE,
        Self::TOOL_REGISTRY_LOOKUP_SECONDS,
    ];
}

/// Hashes an id for a label: ids are unbounded and may be confidential.
pub(super) fn hashed(id: &str) -> String {
    hex(id.as_bytes(), 12)
}

/// Returns the first hexadecimal digits of a text's SHA-256.
pub(super) fn hex(text: &[u8], digits: usize) -> String {
    let digest = digest(&SHA256, text);
    let all: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    all.chars().take(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_twelve_digits_of_its_digest() {
        assert_eq!(hashed("abc"), "ba7816bf8f01");
        assert_eq!(hashed(""), "e3b0c44298fc");
    }
}
