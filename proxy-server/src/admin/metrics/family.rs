//! Families of metrics, as they are encoded.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::telemetry::Histogram;

/// All families at one moment.
#[derive(Debug)]
pub(super) struct Scrape(pub(super) Vec<Family>);

/// Metrics with one name.
#[derive(Debug)]
pub(super) struct Family {
    /// Name without `_total`, which the encoder adds to those of counters.
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    samples: Vec<(Labels, Value)>,
}

/// Names and values of labels.
pub(super) type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
enum Value {
    Count(u64),
    Sum(f64),
    Gauge(f64),
    Durations(Histogram),
}

impl Family {
    /// Creates a counter, which begins anew with the gateway, or with the upstream in its labels.
    pub(super) fn counter(
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) -> Self {
        Self::new(name, help, MetricType::Counter, samples, Value::Count)
    }

    /// Creates a counter of fractions, such as seconds.
    pub(super) fn sum(
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) -> Self {
        Self::new(name, help, MetricType::Counter, samples, Value::Sum)
    }

    /// Creates a gauge.
    pub(super) fn gauge(
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) -> Self {
        Self::new(name, help, MetricType::Gauge, samples, Value::Gauge)
    }

    /// Creates a histogram of durations in seconds.
    pub(super) fn durations(
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, Histogram)>,
    ) -> Self {
        Self::new(name, help, MetricType::Histogram, samples, Value::Durations)
    }

    fn new<T>(
        name: &'static str,
        help: &'static str,
        kind: MetricType,
        samples: impl IntoIterator<Item = (Labels, T)>,
        value: impl Fn(T) -> Value,
    ) -> Self {
        let mut samples: Vec<_> = samples.into_iter().map(|(labels, sample)| (labels, value(sample))).collect();
        // Maps of counters have no order, and a document that is compared or compressed should have one.
        samples.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self { name, help, kind, samples }
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for Family { name, help, kind, samples } in &self.0 {
            // A family without samples would be a name that no query finds.
            if samples.is_empty() {
                continue;
            }
            let mut metrics = encoder.encode_descriptor(name, help, None, *kind)?;
            for (labels, value) in samples {
                match labels.is_empty() {
                    true => value.encode(&mut metrics)?,
                    false => value.encode(&mut metrics.encode_family(labels)?)?,
                }
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(&self, encoder: &mut MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Count(count) => encoder.encode_counter::<NoLabelSet, _, f64>(count, None),
            Self::Sum(sum) => encoder.encode_counter::<NoLabelSet, _, f64>(sum, None),
            Self::Gauge(value) => encoder.encode_gauge(value),
            Self::Durations(durations) => {
                encoder.encode_histogram::<NoLabelSet>(durations.sum(), durations.count(), &durations.buckets(), None)
            }
        }
    }
}
