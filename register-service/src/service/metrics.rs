//! What is measured, by the names that Compozy's engine uses, for whatever takes measurements in the process.

use std::fmt;

use sha2::{Digest, Sha256};

/// Takes measurements: an engine hands them to its own exporter.
///
/// Labels are few: ids of servers and names of tools come as the first 12 hexadecimal digits of their SHA-256.
///
/// ```
/// use std::sync::Mutex;
///
/// use register_service::{Metric, Metrics, Options};
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
    /// Takes one measurement. Called from within calls, so it must not wait.
    fn record(&self, metric: &Metric, labels: &[(&'static str, &str)], value: f64);
}

/// One thing that is measured.
///
/// ```
/// use register_service::Metric;
///
/// let names: Vec<_> = Metric::ALL.iter().map(|metric| metric.name).collect();
/// assert_eq!(names[0], "tool_execute_seconds");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name, below [`Metric::SUBSYSTEM`].
    pub name: &'static str,
    /// What the values mean.
    pub kind: MetricKind,
    /// The labels that each value has.
    pub labels: &'static [&'static str],
    /// For people.
    pub help: &'static str,
}

/// What the values of a metric mean.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum MetricKind {
    /// Values to sort into buckets with these upper bounds, in seconds.
    Histogram(&'static [f64]),
    /// Values to add up, never negative.
    Counter,
    /// Values to add up, of either sign.
    UpDownCounter,
}

impl Metric {
    /// What the names belong to.
    pub const SUBSYSTEM: &str = "mcp";

    /// How long calls of tools take; `outcome` is `success`, `error` or `timeout`.
    pub const TOOL_EXECUTE_SECONDS: Self = Self {
        name: "tool_execute_seconds",
        kind: MetricKind::Histogram(&[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
        labels: &["server_id", "tool_name", "outcome"],
        help: "how long calls of tools take",
    };

    /// Calls that failed; `error_kind` is `connection`, `validation`, `execution` or `timeout`.
    pub const TOOL_ERRORS_TOTAL: Self = Self {
        name: "tool_errors_total",
        kind: MetricKind::Counter,
        labels: &["server_id", "tool_name", "error_kind"],
        help: "calls of tools that failed",
    };

    /// Which of the needed servers are connected: 1 when one comes, -1 when it goes.
    pub const SERVER_CONNECTIONS_ACTIVE: Self = Self {
        name: "server_connections_active",
        kind: MetricKind::UpDownCounter,
        labels: &["server_id"],
        help: "servers that are connected",
    };

    /// How long a tool is looked for before it is called; `outcome` is `hit` or `miss`.
    pub const TOOL_REGISTRY_LOOKUP_SECONDS: Self = Self {
        name: "tool_registry_lookup_seconds",
        kind: MetricKind::Histogram(&[0.000_01, 0.000_1, 0.001, 0.01, 0.1]),
        labels: &["outcome"],
        help: "how long a tool is looked for before it is called",
    };

    /// All of them, to set an exporter up with.
    pub const ALL: [Self; 4] = [
        Self::TOOL_EXECUTE_SECONDS,
        Self::TOOL_ERRORS_TOTAL,
        Self::SERVER_CONNECTIONS_ACTIVE,
        Self::TOOL_REGISTRY_LOOKUP_SECONDS,
    ];
}

/// An id as a label: there may be many of them, and they may say too much.
pub(super) fn hashed(id: &str) -> String {
    hex(id.as_bytes(), 12)
}

/// The first hexadecimal digits of a text's SHA-256.
pub(super) fn hex(text: &[u8], digits: usize) -> String {
    let digest = Sha256::digest(text);
    let all: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
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
